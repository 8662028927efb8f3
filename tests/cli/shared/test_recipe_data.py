"""What the letters of a recipe stand for: files and folders, checked and read."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pcrpose.cli.shared.recipe_data import RecipeData
from pcrpose.data.augment import Augmentation
from pcrpose.data.readers.negatives import Negative, write_negatives
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.training.recipe import Recipe

Check: TypeAlias = Callable[..., RecipeData]


@pytest.fixture
def check(here: Path) -> Check:
    """Draw data of two kinds; give a function that checks options."""
    write_synthetic_coco(here / "c", 3)
    write_synthetic_coco(here / "u", 2, seed=1)
    write_negatives("h.json", [Negative(image_id=0, file_name="000000.png", bbox=(2, 2, 30, 40), score=0.7)], {})
    assert here == Path.cwd()

    def run(recipe: str, *data: str, **options: Any) -> RecipeData:  # noqa: ANN401 - any option
        usual = {"format": [], "per_epoch": [], "verified_only": False, "reduce_jpegs": False, "val": None}
        given = [tuple(each.split()) for each in data]
        return RecipeData.check(argparse.Namespace(recipe=Recipe.parse(recipe), data=given, **{**usual, **options}))

    return run


C, U, H = "C c/annotations.json c/images", "U u/annotations.json u/images", "H h.json c/images"


def test_what_is_read(check: Check) -> None:
    """Persons by letter, and sources of all letters in the order in which they were given."""
    data = check("CHU", U, H, C, per_epoch=[("U", 5)])

    persons = data.read_persons()
    sources = data.sources(persons, Augmentation())

    assert data.main == "C"
    assert {letter: len(part) for letter, part in persons.items()} == {"U": 2, "C": 3}
    assert {letter: len(source.samples) for letter, source in sources.items()} == {"U": 2, "H": 1, "C": 3}
    assert {letter: source.per_epoch for letter, source in sources.items()} == {"U": 5, "H": None, "C": None}
    assert sources["C"].cache == "decoded"


def test_a_home_folder(check: Check, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is understood in files and folders."""
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    assert check("C", "C ~/c/annotations.json ~/c/images").files == {"C": here / "c/annotations.json"}


def test_the_skeleton_given_is_the_main_datas(check: Check) -> None:
    """That of the model in the end: C's, else U's."""
    mine = Skeleton("mine", COCO_17.keypoints, [], [], [0.05] * 17)
    found = check("CU", C, U).read_persons(mine)
    assert (found["C"].skeleton, found["U"].skeleton) == (mine, COCO_17)
    assert check("U", U).read_persons(mine)["U"].skeleton == mine


def test_another_format(check: Check, here: Path) -> None:
    """A and C are read in any format, told from the file or named."""
    keypoints = [number for point in range(14) for number in (10 + point, 20 + 2 * point, 1)]
    entry = {
        "image_id": "000000",
        "human_annotations": {"human1": [5, 5, 40, 60]},
        "keypoint_annotations": {"human1": keypoints},
    }
    Path("aic.json").write_text(json.dumps([entry]))
    (here / "c/images/000000.png").rename(here / "c/images/000000.jpg")

    for formats in ([], [("C", "aic")]):
        found = check("C", "C aic.json c/images", format=formats).read_persons()
        assert found["C"].skeleton.num_keypoints == 14
    with pytest.raises(ValueError, match="--data C: "):
        check("C", "C aic.json c/images", format=[("C", "mpii")]).read_persons()


@pytest.mark.parametrize(
    ("recipe", "data", "options", "message"),
    [
        ("CHU->CH", [C], {}, r"CHU->CH: .* --data H FILE IMAGES \(hard negatives\), --data U FILE IMAGES \(pseudo"),
        ("C", [C, U], {}, r"--data U u/annotations\.json: expected a letter of C, found 'U'"),
        ("C", [C, "c c/annotations.json c/images"], {}, "expected a letter of C, found 'c'"),
        (
            "C",
            [C, "C u/annotations.json u/images"],
            {},
            r"expected one file per letter, found c/annotations\.json for C",
        ),
        ("C", [C], {"per_epoch": [("C", 4), ("C", 2)]}, "--per-epoch C=4: expected one value per letter, found 2"),
        ("C", [C], {"per_epoch": [("U", 4)]}, "--per-epoch U=4: expected a letter of C, found 'U'"),
        ("C", [C], {"format": [("A", "aic")]}, "--format A=aic: expected a letter of C, found 'A'"),
        ("C", [C], {"format": [("C", "voc")]}, "--format C=voc: expected A or C and one of coco, aic"),
        ("C", [C], {"verified_only": True}, "--verified-only: expected with H in the recipe, found C"),
        ("CU", [C, U], {"format": [("U", "coco")]}, "--format U=coco: expected A or C"),
    ],
)
def test_what_cannot_be_meant(
    recipe: str, data: list[str], options: dict[str, Any], message: str, check: Check
) -> None:
    """It is refused before anything is read."""
    with pytest.raises(ValueError, match=message):
        check(recipe, *data, **options)


def test_what_is_not_there(check: Check) -> None:
    """Files and folders are looked for at once."""
    with pytest.raises(FileNotFoundError, match=r"--data C none\.json: expected a file, found none"):
        check("C", "C none.json c/images")
    with pytest.raises(FileNotFoundError, match="--data C c/images: expected a file, found a folder"):
        check("C", "C c/images c/annotations.json")
    with pytest.raises(FileNotFoundError, match=r"--data C c/annotations\.json: expected none to be the folder"):
        check("C", "C c/annotations.json none")


@pytest.mark.parametrize("letter", "CHU")
def test_a_wrong_folder_of_images(letter: str, check: Check, caplog: pytest.LogCaptureFixture) -> None:
    """None of the images there is a mistake, one that is missing is told."""
    folder = {"C": "c/images", "H": "c/images", "U": "u/images"}[letter]
    data = [each.replace(folder, ".") if each.startswith(letter) else each for each in (C, H, U)]
    wrong = check("CHU", *data)

    def read() -> None:
        wrong.sources(wrong.read_persons(), Augmentation())

    with pytest.raises(FileNotFoundError, match=rf"--data {letter} .*: expected its images, found none of [123], "):
        read()

    Path("u/images/000001.png").unlink()
    check("CHU", C, H, U).read_persons()
    assert any("--data U u/annotations.json: 1 of 2 images are missing" in message for message in caplog.messages)


def test_negatives_that_nobody_has_seen(check: Check, caplog: pytest.LogCaptureFixture) -> None:
    """They are used, but not without a word."""
    data = check("CH", C, H)
    data.sources(data.read_persons(), Augmentation())
    assert "h.json: nobody has looked at 1 of 1 negatives; --verified-only leaves them out" in caplog.messages


def test_files_of_another_kind(check: Check) -> None:
    """Persons are no negatives and the other way round; files without any are said as such."""
    data = check("CH", C, "H c/annotations.json c/images")
    persons = data.read_persons()
    with pytest.raises(
        ValueError, match=r"--data H: c/annotations\.json: expected a file of negatives, .* pcrpose mine"
    ):
        data.sources(persons, Augmentation())
    for letter in "CU":
        with pytest.raises(ValueError, match=rf"--data {letter}: h\.json: "):
            check(letter, f"{letter} h.json c/images").read_persons()
    content = json.loads(Path("c/annotations.json").read_text())
    Path("empty.json").write_text(json.dumps(content | {"annotations": []}))
    with pytest.raises(ValueError, match=r"--data C empty\.json: expected persons with keypoints, found none"):
        check("C", "C empty.json c/images").read_persons()


def test_negatives_that_nobody_has_looked_at(check: Check) -> None:
    """Where only verified ones are asked for there may be none."""
    data = check("CH", C, H, verified_only=True)
    persons = data.read_persons()
    with pytest.raises(ValueError, match=r"--data H h\.json: expected verified boxes without a person, found none"):
        data.sources(persons, Augmentation())
