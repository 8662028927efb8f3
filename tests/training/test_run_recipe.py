"""Recipes at work: stage after stage, what is carried over, how an interrupted run goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.samples import Sample
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import Recipe, read_recipe
from pcrpose.training.run_recipe import Source, epoch_counts, run_recipe
from pcrpose.training.start import Encoder, Weights

MODEL = PCRConfig(
    encoder="resnet_nano",
    channels=(8, 8, 8),
    se_norm="none",
    input_size=Size(width=32, height=64),
    sigma=6.0,
    heatmaps="probability",
)
BASE = TrainConfig(
    epochs=2,
    batch_size=4,
    loss="cross_entropy",
    ema_decay=0.5,
    num_workers=0,
    checkpoint_every_steps=100,
    validate_every_epochs=1,
    log_every_steps=1,
)


def people(count: int, seed: int, skeleton: Skeleton = COCO_17) -> list[Sample]:
    """Draw persons with the keypoints of a skeleton; those that COCO lacks are not labelled."""
    samples = SyntheticPoses(count=count, seed=seed, size=Size(width=48, height=64)).samples()
    return [
        replace(
            sample,
            keypoints=COCO_17.convert(sample.keypoints, skeleton),
            visibility=COCO_17.convert(sample.visibility[:, None], skeleton)[:, 0],
        )
        for sample in samples
    ]


def nobody(count: int, keypoints: int = 17) -> list[Sample]:
    """Draw boxes that hold no person."""
    rng = np.random.default_rng(count)
    return [
        Sample(
            image=rng.integers(0, 256, (64, 48, 3), dtype=np.uint8),
            image_id=1000 + number,
            box_xyxy=np.array([4.0, 4.0, 40.0, 60.0]),
            keypoints=np.zeros((keypoints, 2)),
            visibility=np.zeros(keypoints, dtype=np.int64),
            area=1000.0,
            is_background=True,
            box_score=0.7,
        )
        for number in range(count)
    ]


@pytest.fixture
def sources() -> dict[str, Source]:
    """Give each letter a few drawn images."""
    return {
        "A": Source(samples=people(8, 1, AIC_14), skeleton=AIC_14),
        "C": Source(samples=people(8, 2), skeleton=COCO_17),
        "H": Source(samples=nobody(3), skeleton=COCO_17),
        "U": Source(samples=people(8, 3), skeleton=COCO_17, per_epoch=4),
    }


def tensors(folder: Path) -> dict[str, Tensor]:
    """Read a saved model's tensors."""
    return load_model(folder).state_dict()


def losses(folder: Path) -> list[float]:
    """Read the losses a stage has logged."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def same(first: Path, second: Path) -> bool:
    """Tell whether two saved models have the same tensors, bit for bit."""
    ours, theirs = tensors(first), tensors(second)
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_stages_leave_their_folders(sources: dict[str, Source], tmp_path: Path) -> None:
    """Each stage has the trainer's files and its recipe; the last one's final weights are the result."""
    recipe = Recipe.parse("ACHU->CH")
    (tmp_path / "run/stage-1-ACHU").mkdir(parents=True)  # as a run leaves it that was stopped at once

    final = run_recipe(recipe, sources, MODEL, tmp_path / "run", configs=(BASE,))

    assert final == tmp_path / "run" / "stage-2-CH" / "final"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["stage-1-ACHU", "stage-2-CH"]
    assert isinstance(load_model(final), PCR)
    assert load_model(final).config == MODEL
    for place in (final, final.parent, final.parent / "last", tmp_path / "run" / "stage-1-ACHU"):
        assert read_recipe(place) == recipe
    noted = json.loads((tmp_path / "run/stage-1-ACHU/recipe.json").read_text())
    assert noted["stage"] == 1
    assert noted["samples"] == {"A": 8, "C": 8, "H": 3, "U": 8}
    assert noted["per_epoch"] == {"A": 8, "C": 8, "H": 2, "U": 4}


class Recorder:
    """A validation that keeps the models it is shown, and may cut the run off."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.skeletons: list[Skeleton] = []
        self.stop_at = stop_at

    def __call__(self, model: PoseModel[Any]) -> float:
        """Stand for a figure that stays."""
        self.skeletons.append(model.config.skeleton)
        if len(self.skeletons) == self.stop_at:
            raise InterruptedRunError
        return 0.5


class InterruptedRunError(Exception):
    """Stands for a power cut."""


@pytest.mark.slow  # one that started from a model is stopped below
def test_an_interrupted_recipe_goes_on_to_the_same_end(sources: dict[str, Source], tmp_path: Path) -> None:
    """Cut off in the first stage or in the second: weights and logs equal the uninterrupted run's."""
    recipe, base = Recipe.parse("AC->CH"), replace(BASE, checkpoint_every_steps=3)
    slow = replace(base, epochs=3, learning_rate=3e-4)
    whole = run_recipe(recipe, sources, MODEL, tmp_path / "whole", configs=(base, slow), validate=Recorder())

    for stop_at in (1, 4):
        cut = tmp_path / f"cut-{stop_at}"
        with pytest.raises(InterruptedRunError):
            run_recipe(recipe, sources, MODEL, cut, configs=(base, slow), validate=Recorder(stop_at))
        assert (cut / "stage-2-CH").exists() == (stop_at > 2)
        torch.manual_seed(99)  # another process would have another random state
        resumed = run_recipe(recipe, sources, MODEL, cut, configs=(base, slow), validate=Recorder())

        assert same(whole, resumed)
        assert same(whole.parent / "last", resumed.parent / "last")
        assert same(tmp_path / "whole/stage-1-AC/final", cut / "stage-1-AC/final")
        assert losses(resumed.parent) == losses(whole.parent)
        assert len(losses(whole.parent)) == 6


def test_a_finished_recipe_stays_as_it_is(sources: dict[str, Source], tmp_path: Path) -> None:
    """The same call again gives the same weights without a further step."""
    recipe = Recipe.parse("C->C")
    first = tensors(run_recipe(recipe, sources, MODEL, tmp_path, configs=(BASE,)))
    log = (tmp_path / "stage-2-C/log.jsonl").read_text()

    again = tensors(run_recipe(recipe, sources, MODEL, tmp_path, configs=(BASE,)))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (tmp_path / "stage-2-C/log.jsonl").read_text() == log


def still(learning_rate: float = 1e-30) -> TrainConfig:
    """Give a training that moves no weight: what a stage starts from is what it ends with."""
    return replace(BASE, epochs=1, learning_rate=learning_rate, ema_decay=0.0)


def test_transfer_keeps_all_but_the_heads(sources: dict[str, Source], tmp_path: Path) -> None:
    """From 14 to 17 keypoints encoder and decoder arrive; every head's row is new, the common keypoints' too."""
    final = run_recipe(Recipe.parse("A->C"), sources, MODEL, tmp_path, configs=(BASE, still()))

    before, after = tensors(tmp_path / "stage-1-A/final"), tensors(final)
    assert load_model(tmp_path / "stage-1-A/final").config == replace(MODEL, skeleton=AIC_14)
    assert load_model(final).config == MODEL
    learnt = [name for name in before if "heads" not in name and "running" not in name and "tracked" not in name]
    assert learnt
    assert all(torch.allclose(before[name], after[name]) for name in learnt)
    there, here = map(torch.from_numpy, AIC_14.shared_with(COCO_17))
    assert before["heads.0.weight"].shape[0] == 14
    assert not torch.isclose(before["heads.0.weight"][there], after["heads.0.weight"][here]).flatten(1).all(1).any()
    assert after["heads.0.weight"].std() == pytest.approx(0.001, rel=0.3)
    assert after["heads.0.bias"].abs().max() < 1e-20


def test_joint_training_keeps_the_heads(sources: dict[str, Source], tmp_path: Path) -> None:
    """With the same keypoints the second stage starts from every weight of the first."""
    final = run_recipe(Recipe.parse("AC->C"), sources, MODEL, tmp_path, configs=(BASE, still()))

    before, after = tensors(tmp_path / "stage-1-AC/final"), tensors(final)
    learnt = [name for name in before if "running" not in name and "tracked" not in name]
    assert any("heads" in name for name in learnt)
    assert all(torch.allclose(before[name], after[name]) for name in learnt)


def test_the_first_stage_may_start_from_an_encoder(sources: dict[str, Source], tmp_path: Path) -> None:
    """Encoder weights come from the file, the rest from the seed. Who goes on needs the file no more."""
    torch.manual_seed(7)
    PCR(MODEL).save_pretrained(tmp_path / "pretrained")
    given = tensors(tmp_path / "pretrained")

    recipe, encoder = Recipe.parse("C"), tmp_path / "pretrained"
    final = run_recipe(recipe, sources, MODEL, tmp_path / "run", configs=(still(),), start=Encoder(encoder))

    found = tensors(final)
    assert torch.allclose(found["encoder.conv1.weight"], given["encoder.conv1.weight"])
    assert not torch.allclose(found["heads.0.weight"], given["heads.0.weight"])
    noted = json.loads((final / "recipe.json").read_text())["initial_encoder"]
    assert (noted["name"], len(noted["sha256"])) == ("pretrained", 64)
    encoder.rename(tmp_path / "elsewhere")
    assert run_recipe(recipe, sources, MODEL, tmp_path / "run", configs=(still(),), start=Encoder(encoder)) == final
    with pytest.raises(FileNotFoundError, match="pretrained"):
        run_recipe(recipe, sources, MODEL, tmp_path / "other", configs=(still(),), start=Encoder(encoder))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Save a network of COCO's keypoints, for larger crops, whose heads are not near zero."""
    torch.manual_seed(7)
    model = PCR(replace(MODEL, input_size=Size(width=64, height=96), sigma=8.0))
    for name, tensor in model.state_dict().items():
        if "heads" in name:
            torch.nn.init.normal_(tensor)
    model.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


def test_the_first_stage_may_start_from_a_model(sources: dict[str, Source], trained: Path, tmp_path: Path) -> None:
    """All of its weights arrive, the common keypoints' rows of the heads too; the stages' files name it."""
    before = tensors(trained)

    final = run_recipe(
        Recipe.parse("A->C"), sources, MODEL, tmp_path / "run", configs=(still(), still()), start=Weights(trained)
    )

    first = tmp_path / "run/stage-1-A/final"
    assert load_model(first).config == replace(MODEL, skeleton=AIC_14)
    after = tensors(first)
    learnt = [name for name in before if "heads" not in name and "running" not in name and "tracked" not in name]
    assert all(torch.allclose(before[name], after[name]) for name in learnt)
    there, here = map(torch.from_numpy, COCO_17.shared_with(AIC_14))
    assert torch.allclose(before["heads.0.weight"][there], after["heads.0.weight"][here])
    assert tensors(final)["heads.0.weight"].abs().max() < 0.01  # the paper's new heads between the stages
    for place in (first, first.parent, final):
        noted = json.loads((place / "recipe.json").read_text())["initial_model"]
        assert (noted["name"], len(noted["sha256"])) == ("trained", 64)


def test_a_run_that_started_from_a_model_goes_on(sources: dict[str, Source], trained: Path, tmp_path: Path) -> None:
    """Bit for bit, wherever it was cut off; with other weights it is another run."""
    recipe, base = Recipe.parse("AC->C"), replace(BASE, checkpoint_every_steps=3)
    whole = run_recipe(recipe, sources, MODEL, tmp_path / "whole", configs=(base,), start=Weights(trained))

    for stop_at in (1, 3):
        cut = tmp_path / f"cut-{stop_at}"
        with pytest.raises(InterruptedRunError):
            run_recipe(recipe, sources, MODEL, cut, configs=(base,), start=Weights(trained), validate=Recorder(stop_at))
        resumed = run_recipe(recipe, sources, MODEL, cut, configs=(base,), start=Weights(trained))
        assert same(whole, resumed)
        assert losses(resumed.parent) == losses(whole.parent)

    renamed = trained.rename(tmp_path / "renamed")
    assert run_recipe(recipe, sources, MODEL, tmp_path / "whole", configs=(base,), start=Weights(renamed)) == whole
    PCR(MODEL).save_pretrained(renamed)
    for start in (Weights(renamed), None):
        with pytest.raises(ValueError, match=r"stage-1-AC: began with initial_model .*trained.*another folder"):
            run_recipe(recipe, sources, MODEL, tmp_path / "whole", configs=(base,), start=start)


def test_a_model_to_start_from_has_to_fit(sources: dict[str, Source], trained: Path, tmp_path: Path) -> None:
    """Another network is refused with what is different about it; so are two beginnings."""
    recipe, out = Recipe.parse("C"), tmp_path / "run"
    with pytest.raises(ValueError, match=r"trained: expected the network .*, found \['channels \(8, 8, 8\)'\]"):
        run_recipe(recipe, sources, replace(MODEL, channels=(16, 16, 16)), out, configs=(BASE,), start=Weights(trained))
    with pytest.raises(FileNotFoundError):
        run_recipe(recipe, sources, MODEL, out, configs=(BASE,), start=Weights(tmp_path / "none"))
    assert not out.exists()


def test_another_encoder_is_another_run(sources: dict[str, Source], trained: Path, tmp_path: Path) -> None:
    """A run does not go on under the name of an encoder that it did not start from."""
    run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path / "run", configs=(BASE,), start=Encoder(trained))
    with pytest.raises(ValueError, match=r"began with initial_encoder trained \([0-9a-f]{12}\), found none now"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path / "run", configs=(BASE,))
    PCR(MODEL).save_pretrained(trained)  # of the same name, but other weights
    with pytest.raises(ValueError, match="began with initial_encoder"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path / "run", configs=(BASE,), start=Encoder(trained))


def test_a_start_that_is_gone_is_known_by_its_name(sources: dict[str, Source], trained: Path, tmp_path: Path) -> None:
    """A run goes on without what it started from, but not under another name."""
    recipe, out = Recipe.parse("C"), tmp_path / "run"
    final = run_recipe(recipe, sources, MODEL, out, configs=(BASE,), start=Weights(trained))
    trained.rename(tmp_path / "elsewhere")

    assert run_recipe(recipe, sources, MODEL, out, configs=(BASE,), start=Weights(trained)) == final
    with pytest.raises(ValueError, match="began with initial_model"):
        run_recipe(recipe, sources, MODEL, out, configs=(BASE,), start=Weights(tmp_path / "another"))


def test_stages_and_a_training_do_not_share_a_folder(sources: dict[str, Source], tmp_path: Path) -> None:
    """A recipe does not put its stages beside a training."""
    final = run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE,))
    with pytest.raises(ValueError, match=r"expected a folder for the stages of C, found a training"):
        run_recipe(Recipe.parse("C"), sources, MODEL, final.parent, configs=(BASE,))


def test_images_are_opened_once(
    sources: dict[str, Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where they are to be kept in memory, before the stage begins; what an epoch takes is told in words."""
    kept: list[int] = []
    monkeypatch.setattr(KeypointDataset, "preload", lambda self: kept.append(len(self)))
    some = {"C": replace(sources["C"], cache="decoded"), "U": sources["U"]}

    with caplog.at_level("INFO", "pcrpose.training.run_recipe"):
        run_recipe(Recipe.parse("CU"), some, MODEL, tmp_path, configs=(BASE,))

    assert kept == [8]
    with pytest.raises(ValueError, match=r"cache: expected one of .*, found 'whole'"):
        run_recipe(Recipe.parse("C"), {"C": replace(some["C"], cache="whole")}, MODEL, tmp_path / "b", configs=(BASE,))  # type: ignore[arg-type]
    assert "CU: stage 1 of 1, samples of an epoch: 8 of 8 from C, 4 of 8 from U" in caplog.messages


def test_the_seed_decides_alone(sources: dict[str, Source], tmp_path: Path) -> None:
    """The caller's random state does not matter; another seed is another model."""
    recipe, short = Recipe.parse("C"), replace(BASE, epochs=1)
    torch.manual_seed(5)
    first = run_recipe(recipe, sources, MODEL, tmp_path / "first", configs=(short,))
    torch.manual_seed(6)
    second = run_recipe(recipe, sources, MODEL, tmp_path / "second", configs=(short,))
    third = run_recipe(recipe, sources, MODEL, tmp_path / "third", configs=(replace(short, seed=1),))

    assert same(first, second)
    assert not same(first, third)


def test_every_stage_has_a_seed_one_higher(sources: dict[str, Source], tmp_path: Path) -> None:
    """Order of samples and augmentation are other ones in each stage."""
    base = replace(BASE, epochs=1, seed=3)

    run_recipe(Recipe.parse("AC->C->CH"), sources, MODEL, tmp_path, configs=(base, base))

    records = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("stage-*/train_config.json"))]
    assert [(record["seed"], record["part 1: seed"]) for record in records] == [(3, 3), (4, 4), (5, 5)]


def test_validation_sees_only_models_of_the_final_keypoints(sources: dict[str, Source], tmp_path: Path) -> None:
    """A stage with other keypoints cannot be measured on the last one's annotations."""
    seen = Recorder()
    run_recipe(Recipe.parse("A->C"), sources, MODEL, tmp_path, configs=(BASE,), validate=seen)
    assert seen.skeletons == [COCO_17]
    assert not (tmp_path / "stage-1-A/best").exists()
    assert (tmp_path / "stage-2-C/best").is_dir()


def test_a_users_own_keypoints(sources: dict[str, Source], tmp_path: Path) -> None:
    """C is whatever the model's skeleton is, and negatives need no keypoints in common with it."""
    face = Skeleton("face", ["right_eye", "nose", "left_eye"], [(0, 2)], [], [0.03] * 3)
    mine = {**sources, "C": Source(samples=people(8, 4, face), skeleton=face)}
    mine["H"] = Source(samples=nobody(2, keypoints=1), skeleton=Skeleton("box", ["center"], [], [], [0.1]))

    final = run_recipe(Recipe.parse("CH"), mine, replace(MODEL, skeleton=face), tmp_path, configs=(BASE,))

    assert load_model(final).config.skeleton == face


def test_one_negative_to_eight_persons(sources: dict[str, Source]) -> None:
    """By default; persons count as an epoch takes them, and a source may say otherwise."""
    many = {**sources, "C": replace(sources["C"], per_epoch=80)}
    assert epoch_counts({"C": many["C"], "H": many["H"]}) == {"C": 80, "H": 10}
    assert epoch_counts(many) == {"A": 8, "C": 80, "H": 12, "U": 4}
    assert epoch_counts({"C": sources["C"], "H": replace(sources["H"], per_epoch=3)}) == {"C": 8, "H": 3}
    assert epoch_counts({"C": replace(sources["C"], per_epoch=1), "H": sources["H"]}) == {"C": 1, "H": 1}


def test_stages_of_another_recipe_are_refused(sources: dict[str, Source], tmp_path: Path) -> None:
    """Neither a folder of the same name nor one beside it is mixed with another recipe."""
    run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE,))
    for text in ("C->C", "AC->C"):
        with pytest.raises(ValueError, match=f"stage-1-C: expected a stage of {text}, found one of C"):
            run_recipe(Recipe.parse(text), sources, MODEL, tmp_path, configs=(BASE,))

    (tmp_path / "stage-1-C/recipe.json").unlink()
    with pytest.raises(ValueError, match=r"training without recipe\.json"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE,))


def test_another_configuration_is_refused(sources: dict[str, Source], tmp_path: Path) -> None:
    """A finished stage is not taken for one with another schedule or other data."""
    run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE,))
    with pytest.raises(ValueError, match="epochs"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(replace(BASE, epochs=3),))
    fewer = {"C": Source(samples=people(7, 2), skeleton=COCO_17)}
    with pytest.raises(ValueError, match="samples"):
        run_recipe(Recipe.parse("C"), fewer, MODEL, tmp_path, configs=(BASE,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"C": s["C"]}, r"expected data for A, H of ACH->CH, found \['C'\]"),
        (lambda s: {**s, "X": s["C"]}, "expected the letters A, C, H, U, found 'X'"),
        (lambda s: {**s, "H": s["C"]}, "source H: expected negatives alone, found 8 persons"),
        (lambda s: {**s, "C": s["H"]}, "source C: expected persons alone, found 3 negatives"),
    ],
)
def test_sources_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Source]], dict[str, Source]],
    message: str,
    sources: dict[str, Source],
    tmp_path: Path,
) -> None:
    """Before anything is written."""
    with pytest.raises(ValueError, match=message):
        run_recipe(Recipe.parse("ACH->CH"), change(sources), MODEL, tmp_path / "run", configs=(BASE,))
    assert not (tmp_path / "run").exists()


def test_quotas_belong_to_the_sources(sources: dict[str, Source], tmp_path: Path) -> None:
    """A configuration's quotas would be those of one stage only."""
    wrong = replace(BASE, quotas=(3,))
    with pytest.raises(ValueError, match="per_epoch"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(wrong,))
    with pytest.raises(ValueError, match="per_epoch"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE, wrong))


def test_a_source_checks_itself() -> None:
    """No samples, or none an epoch, is no source."""
    with pytest.raises(ValueError, match="found none"):
        Source(samples=[], skeleton=COCO_17)
    with pytest.raises(ValueError, match="per_epoch"):
        Source(samples=nobody(1), skeleton=COCO_17, per_epoch=0)


def test_one_or_two_configurations(sources: dict[str, Source], tmp_path: Path) -> None:
    """The first stage's, and that of all others; a third has no stage."""
    with pytest.raises(ValueError, match="configs: expected one or two, found 3"):
        run_recipe(Recipe.parse("C"), sources, MODEL, tmp_path, configs=(BASE, BASE, BASE))
