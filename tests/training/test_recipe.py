"""Recipes: the paper's notation, what it means, and what is no recipe."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcrpose.keypoints.skeleton import AIC_14, COCO_17, LSP_14
from pcrpose.models import paper_tables
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.zoo import ZOO
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import LETTERS, TABLE_3, TABLE_4, Recipe, read_recipe, write_recipe

STAGES = [
    letters
    for bits in range(1, 16)
    if "H" not in (letters := "".join(c for place, c in enumerate("ACHU") if bits >> place & 1))
    or "A" in letters
    or "C" in letters
]


@given(st.lists(st.sampled_from(STAGES), min_size=1, max_size=4))
def test_reading_and_writing_are_inverses(stages: list[str]) -> None:
    """Any recipe comes back from its text, however its arrows are written."""
    recipe = Recipe(tuple(stages))
    assert str(recipe) == "->".join(stages)
    assert Recipe.parse(str(recipe)) == recipe
    for arrow in (" -> ", "\u2192", " \u27f6 "):
        assert Recipe.parse(arrow.join(stages)) == recipe


def test_table_4_reads_like_the_paper() -> None:
    """Its four rows, all of them the full network on ResNet-50 at 256x192."""
    assert list(TABLE_4) == ["A->C", "AC->C", "ACH->CH", "ACHU->CH"]
    assert [str(row.recipe) for row in TABLE_4.values()] == list(TABLE_4)
    assert {row.model for row in TABLE_4.values()} == {PCRConfig()}


def test_table_3_trains_every_network_on_coco_alone() -> None:
    """The rows are those of the networks; no switch is in the recipe."""
    assert {name: row.model for name, row in TABLE_3.items()} == dict(paper_tables.TABLE_3)
    assert {str(row.recipe) for row in TABLE_3.values()} == {"C"}


def test_transfer_learns_aics_keypoints_first() -> None:
    """A alone has its 14 keypoints; the 17 of COCO then need new heads."""
    first, second = Recipe.parse("A->C").stages
    assert (first.skeleton, first.carried) == (AIC_14, "nothing")
    assert (second.skeleton, second.carried) == (COCO_17, "encoder and decoder")


@pytest.mark.parametrize("text", ["AC->C", "ACH->CH", "ACHU->CH", "AU->C"])
def test_joint_training_keeps_everything(text: str) -> None:
    """What is joined has COCO's keypoints, and the fine-tuning keeps the heads."""
    first, second = Recipe.parse(text).stages
    assert first.skeleton is second.skeleton is COCO_17
    assert (first.carried, second.carried) == ("nothing", "everything")


def test_negatives_change_no_keypoints() -> None:
    """A with hard negatives still has its own 14."""
    assert Recipe.parse("AH").stages[0].skeleton is AIC_14


def test_other_data_bring_their_own_keypoints() -> None:
    """What stands for A names the keypoints where A is alone; the same ones again carry the heads over too."""
    first, second = Recipe.parse("A->C").plan(own=LSP_14)
    assert (first.skeleton, second.skeleton, second.carried) == (LSP_14, COCO_17, "encoder and decoder")
    assert Recipe.parse("A->C").plan(own=COCO_17)[1].carried == "everything"
    assert Recipe.parse("AC->C").plan(own=LSP_14, merged=AIC_14)[0].skeleton is AIC_14


def test_schedules_are_the_cited_baselines_and_ours() -> None:
    """210 epochs at 1e-3 with steps at 170 and 200; then 20 at 1e-4 with one at 15."""
    first, second = (stage.configure(TrainConfig()) for stage in Recipe.parse("ACHU->CH").stages)
    assert first == TrainConfig()
    assert (first.epochs, first.learning_rate) == (210, 1e-3)
    assert [share * first.epochs for share in first.milestones] == pytest.approx([170, 200])
    assert second.epochs == 20
    assert second.learning_rate == pytest.approx(1e-4)
    assert [share * second.epochs for share in second.milestones] == pytest.approx([15])


def test_a_shorter_training_is_fine_tuned_for_shorter() -> None:
    """The proportion stays, and so does everything else of the configuration; one epoch is the least."""
    base = TrainConfig(epochs=42, learning_rate=4e-3, batch_size=7, ema_decay=0.5, seed=3)
    last = Recipe.parse("AC->C->C").stages[-1].configure(base)
    assert last == replace(base, epochs=4, learning_rate=base.learning_rate / 10, milestones=(0.75,))
    assert Recipe.parse("AC->C").stages[1].configure(replace(base, epochs=2)).epochs == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "found none"),
        ("AC->", "stage 2: expected letters on both sides"),
        ("->C", "stage 1: expected letters"),
        ("AC->->C", "stage 2"),
        ("CX", r"A \(AI Challenger\).*found 'X'$"),
        ("A C", "found ' '"),
        ("AC-C", "found '-'"),
        ("ac->c", "found 'a'; write 'A'"),
        ("ACC", "each letter once"),
        ("CA->C", "order 'AC', found 'CA'"),
        ("H", "A or C beside H"),
        ("AC->H", "stage 2: expected A or C beside H"),
        ("HU", "A or C beside H"),
    ],
)
def test_wrong_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    """The message quotes the recipe and says which stage cannot be."""
    with pytest.raises(ValueError, match=reason) as error:
        Recipe.parse(text)
    assert repr(text) in str(error.value)


def test_what_is_no_text_is_refused() -> None:
    """A list, or letters that are no stages, are not taken apart by chance."""
    with pytest.raises(TypeError, match="found a list"):
        Recipe.parse(["AC", "C"])  # type: ignore[arg-type] # what is tested
    for sources in ((), "AC"):
        with pytest.raises(ValueError, match="in a tuple"):
            Recipe(sources)  # type: ignore[arg-type] # what is tested


def test_letters_are_those_of_all_stages() -> None:
    """Each once, in the paper's order."""
    assert Recipe.parse("A->CH->C").letters == ("A", "C", "H")
    assert "".join(LETTERS) == "ACHU"


@pytest.mark.parametrize("name", ZOO)
def test_the_zoos_recipes_are_recipes(name: str) -> None:
    """What an entry says it was trained by can be read, and is written as it would be here."""
    assert str(Recipe.parse(ZOO[name].recipe)) == ZOO[name].recipe


def test_a_saved_recipe_comes_back(tmp_path: Path) -> None:
    """From a stage's folder or a checkpoint inside it, with what else was noted."""
    recipe = Recipe.parse("ACHU->CH")
    write_recipe(tmp_path, recipe, recipe.stages[1], {"samples": {"C": 8}})
    (tmp_path / "last").mkdir()

    assert read_recipe(tmp_path) == read_recipe(str(tmp_path / "last")) == recipe
    content = json.loads((tmp_path / "recipe.json").read_text())
    assert content == {"version": 1, "recipe": "ACHU->CH", "stage": 2, "samples": {"C": 8}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "recipe.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "recipe of version 1"),
        ('{"version": 2, "recipe": "C"}', "recipe of version 1"),
        ('{"version": 1, "recipe": 3}', "recipe of version 1"),
        ('{"version": 1, "recipe": "X"}', r"recipe\.json: recipe 'X', stage 1"),
    ],
)
def test_a_broken_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    """What was not written by us is refused with the file's name."""
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_recipe(tmp_path)
    assert str(tmp_path / "recipe.json") in str(error.value)


def test_a_folder_without_a_recipe_is_an_error(tmp_path: Path) -> None:
    """Nothing is guessed from the folder's name."""
    with pytest.raises(FileNotFoundError, match="found none"):
        read_recipe(tmp_path / "stage-1-AC")
