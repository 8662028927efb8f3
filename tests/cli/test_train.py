"""``pcrpose train``: a pretrained model, one annotation file, a model of its keypoints."""

import json
import logging
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pcrpose.cli.main import main
from pcrpose.cli.shared import training
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.training import fine_tune
from pcrpose.training.config import TrainConfig
from pcrpose.training.trainer import Validate

CONFIG = PCRConfig(
    encoder="resnet_nano",
    channels=(16, 16, 16),
    se_norm="none",
    input_size=Size(width=64, height=96),
    sigma=6.0,
    heatmaps="probability",
)
FACE = Skeleton("face", ["chin", "right_eye", "left_eye"], [(2, 1)], [], [0.04] * 3)
QUICK = ["--epochs", "2", "--batch", "4", "--workers", "0"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Leave the library's logging as it was."""
    logger = logging.getLogger("pcrpose")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """Save a tiny model of COCO's keypoints."""
    PCR(CONFIG).save_pretrained(tmp_path / "start")
    return tmp_path / "start"


@pytest.fixture
def drawn(tmp_path: Path) -> list[str]:
    """Draw eight people; give the file and the folder as arguments."""
    annotations = write_synthetic_coco(tmp_path / "drawn", 8)
    return [str(annotations), str(annotations.parent / "images")]


@pytest.fixture
def faces(drawn: list[str]) -> list[str]:
    """Name three of their keypoints otherwise, in another order."""
    content = json.loads(Path(drawn[0]).read_text())
    content["categories"][0].update(name="face", keypoints=list(FACE.keypoints), skeleton=[])
    for entry in content["annotations"]:
        nose, left, right = (entry["keypoints"][3 * place : 3 * place + 3] for place in range(3))
        entry.update(keypoints=[*nose, *right, *left], num_keypoints=sum(v > 0 for v in (nose[2], left[2], right[2])))
    Path(drawn[0]).write_text(json.dumps(content))
    return drawn


class Planned:
    """A trainer that only remembers what it was given."""

    def __init__(
        self,
        model: PoseModel[Any],
        dataset: KeypointDataset,
        output_dir: Path,
        config: TrainConfig,
        *,
        validate: Validate | None,
        teacher: PoseModel[Any] | None,
        on_event: object,
    ) -> None:
        self.model, self.dataset, self.output_dir, self.config = model, dataset, output_dir, config
        self.validate, self.teacher, self.on_event = validate, teacher, on_event
        self.total_steps = 0

    def train(self) -> Path:
        """Give the folder that a training would."""
        return self.output_dir / "final"


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """Collect what would be trained."""
    trainers: list[Planned] = []

    def build(*arguments: Any, **options: Any) -> Planned:  # noqa: ANN401 - whatever comes
        trainers.append(Planned(*arguments, **options))
        return trainers[-1]

    monkeypatch.setattr(fine_tune, "Trainer", build)
    return trainers


def test_a_model_of_other_keypoints(
    faces: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The skeleton comes from the file, the run is told in short lines, and the last lines say how to use the model."""
    out = tmp_path / "run"

    assert main(["train", *faces, "--start", str(start), "--out", str(out), *QUICK]) == 0

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"the model is in {out / 'final'}",
        f"  pcrpose predict photo.jpg --model {out / 'final'} --out drawn",
        f'  PosePredictor(load_model("{out / "final"}")).predict("photo.jpg")',
    ]
    assert "info: face: 2 of 3 keypoints keep their weights\n" in captured.err
    assert re.search(r"^info: step (\d+) of \1: loss \d", captured.err, re.MULTILINE)
    model = load_model(out / "final")
    assert model.config.skeleton.keypoints == FACE.keypoints
    assert model.config.skeleton.flip_pairs == FACE.flip_pairs
    assert replace(model.config, skeleton=COCO_17) == CONFIG


def test_the_best_model_is_kept(
    drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With persons to validate on, AP decides which model is the result; an area is not needed for it."""
    other = write_synthetic_coco(tmp_path / "val", 3, seed=7)
    content = json.loads(other.read_text())
    for entry in content["annotations"]:
        del entry["area"]
    other.write_text(json.dumps(content))
    arguments = ["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), *QUICK]

    assert main([*arguments, "--val", str(other), str(other.parent / "images")]) == 0

    captured = capsys.readouterr()
    logged = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    figures = [row["validation"] for row in logged if "validation" in row]
    assert len(figures) == 2
    assert captured.out.startswith(f"best AP {max(figures):.3f} on {other}, annotated boxes, no mirroring\n")
    assert f"the model is in {tmp_path / 'run' / 'best'}\n" in captured.out
    assert load_model(tmp_path / "run/best").config == CONFIG


def test_the_same_command_goes_on(
    drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run is not trained again; another configuration needs another folder."""
    arguments = ["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), *QUICK]
    assert main(arguments) == 0
    first = load_model(tmp_path / "run/final").state_dict()

    capsys.readouterr()
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "going on from step 4 of 4" in captured.err
    final = tmp_path / "run/final"
    assert captured.out.splitlines()[:2] == [
        "this training is finished: 2 of 2 epochs; nothing was left to do",
        f"the model is in {final}",
    ]
    assert captured.out.endswith(f"to train it further, begin another run from it: --start {final} --out ANOTHER\n")
    again = load_model(tmp_path / "run/final").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)

    assert main([*arguments, "--learning-rate", "0.01"]) == 2
    assert "another configuration (learning_rate" in capsys.readouterr().err
    assert main([*arguments, "--epochs", "3"]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'run'}: holds a training of 2 epochs, found 3" in told
    assert f"--start {final} --out ANOTHER" in told
    assert main([*arguments, "--start", str(final), "--out", str(tmp_path / "further"), "--epochs", "1"]) == 0


def test_options_reach_the_training(drawn: list[str], start: Path, tmp_path: Path, planned: list[Planned]) -> None:
    """Each option decides what it says; the batch is no larger than the data."""
    options = "--epochs 40 --learning-rate 0.002 --size 128x96 --seed 5 --workers 1 --precision bf16 --no-mirror"

    assert main(["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), *options.split()]) == 0

    (trainer,) = planned
    config = trainer.config
    assert (config.epochs, config.batch_size, config.learning_rate, config.seed) == (40, 8, 0.002, 5)
    assert (config.num_workers, config.precision, config.loss) == (1, "bf16", "cross_entropy")
    assert (config.freeze_statistics, config.schedule) == (True, "cosine")
    assert (config.validate_every_epochs, config.log_every_steps, config.warmup_steps) == (4, 2, 4)
    assert trainer.model.config == replace(CONFIG, input_size=Size(width=96, height=128))
    assert trainer.dataset.crop == trainer.model.config.crop_spec
    assert (trainer.dataset.seed, len(trainer.dataset)) == (5, 8)
    assert trainer.dataset.augmentation is not None
    assert trainer.dataset.augmentation.mirror_probability == 0
    assert trainer.validate is None
    assert trainer.output_dir == tmp_path / "run"
    assert trainer.dataset.cache == "decoded"


def test_large_images_are_decoded_smaller(
    drawn: list[str], start: Path, tmp_path: Path, planned: list[Planned]
) -> None:
    """Asked for, and then they are not kept in memory whole."""
    assert main(["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), "--reduce-jpegs"]) == 0

    assert planned[0].dataset.cache == "reduced"
    with pytest.raises(ValueError, match="expected a data set built with cache='decoded', found 'reduced'"):
        planned[0].dataset.preload()


def test_a_model_that_fits_is_taken_as_it_is(
    drawn: list[str], start: Path, tmp_path: Path, planned: list[Planned]
) -> None:
    """The data's own keypoints need no new heads; the loss is that of the model's heatmaps."""
    assert main(["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run")]) == 0
    PCR(replace(CONFIG, heatmaps="gaussian")).save_pretrained(start)
    assert main(["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run")]) == 0

    assert [trainer.config.loss for trainer in planned] == ["cross_entropy", "squared_error"]
    assert planned[0].dataset.augmentation is not None
    assert planned[0].dataset.augmentation.mirror_probability == 0.5
    expected = load_model(start).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in planned[1].model.state_dict().items())


def test_a_teacher_is_loaded(drawn: list[str], start: Path, tmp_path: Path, planned: list[Planned]) -> None:
    """It is found by name, as the model to start from is."""
    command = ["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), "--teacher", str(start)]

    assert main(command) == 0

    teacher = planned[0].teacher
    assert teacher is not None
    assert teacher.config == CONFIG


def test_a_skeleton_of_ones_own(faces: list[str], start: Path, tmp_path: Path, planned: list[Planned]) -> None:
    """Pairs, bones and sigmas come from the JSON file that is given."""
    path = tmp_path / "face.json"
    path.write_text(json.dumps(FACE.to_dict()))

    assert main(["train", *faces, "--start", str(start), "--out", "run", "--skeleton", str(path)]) == 0

    assert planned[0].model.config.skeleton == planned[0].dataset.skeleton == FACE


def test_trouble_is_told_beforehand(
    drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], planned: list[Planned]
) -> None:
    """What the doctor calls an error is a warning here, images to validate on that are trained on too."""
    content = json.loads(Path(drawn[0]).read_text())
    content["annotations"][0]["num_keypoints"] = 0
    Path(drawn[0]).write_text(json.dumps(content))

    assert main(["train", *drawn, "--val", *drawn, "--start", str(start), "--out", str(tmp_path / "run")]) == 0

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1] for line in lines] == [
        " persons whose num_keypoints is wrong",
        " images that the other file has too",
        " these are errors; better fix the file before a long training",
    ]
    assert len(planned) == 1


def test_what_is_missing_is_told_at_once(
    drawn: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there, and an extra that is not installed, before anything is read."""
    out = ["--out", str(tmp_path / "run")]
    assert main(["train", drawn[0], str(tmp_path / "none"), *out]) == 2
    assert "none: expected the folder of the images" in capsys.readouterr().err
    monkeypatch.setattr(training, "find_spec", lambda _name: None)
    assert main(["train", *drawn, *out]) == 2
    assert re.search(r"pip install '.+\[train\]'", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--size", "100x64"], "multiples of 32"),
        (["--size", "large"], "expected HEIGHTxWIDTH"),
        (["--start", "pcr-giant"], "no pretrained model"),
        (["--epochs", "0"], "at least 1"),
        (["--learning-rate", "-1"], "positive"),
        (["--val", "none.json", "photos"], "--val none.json: expected an annotation file"),
        (["--val", __file__, "photos"], "expected photos to be the folder of its images"),
        (["--recipe", "CH->C"], """expected no recipe: "pcrpose train-recipe 'CH->C' ..." runs it"""),
        (["--teacher", "pcr-giant"], "no pretrained model"),
        (["--teacher", "pcr-nano"], "teacher: expected the student's"),
    ],
)
def test_mistakes(
    change: list[str], message: str, drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake ends in one line and exit code 2, and trains nothing."""
    out = tmp_path / "run"

    assert main(["train", *drawn, "--start", str(start), "--out", str(out), *change]) == 2

    assert message in capsys.readouterr().err
    assert not out.exists()


def test_images_to_measure_on_are_looked_for_first(
    drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after the first epochs; the file is named where its keypoints are not the model's."""
    (tmp_path / "empty").mkdir()
    command = ["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run"), *QUICK, "--val"]
    assert main([*command, drawn[0], str(tmp_path / "empty")]) == 2
    assert "8 of 8 images are missing" in capsys.readouterr().err

    content = json.loads(Path(drawn[0]).read_text())
    content["categories"][0]["keypoints"][0] = "snout"
    (tmp_path / "other.json").write_text(json.dumps(content))
    assert main([*command, str(tmp_path / "other.json"), drawn[1]]) == 2
    assert "other.json: category 'person': expected the keypoints" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipes_folder_is_refused(drawn: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One annotation file's training does not mix with stages."""
    (tmp_path / "run/stage-1-C").mkdir(parents=True)

    assert main(["train", *drawn, "--out", str(tmp_path / "run")]) == 2
    assert "run: holds the stages of a recipe; choose another --out" in capsys.readouterr().err


def test_data_without_persons(
    drawn: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to learn from is said as such."""
    content = json.loads(Path(drawn[0]).read_text())
    for entry in content["annotations"]:
        entry["keypoints"] = [0] * 51
    Path(drawn[0]).write_text(json.dumps(content))

    assert main(["train", *drawn, "--start", str(start), "--out", str(tmp_path / "run")]) == 2

    assert "expected persons with keypoints, found none; see pcrpose doctor" in capsys.readouterr().err


def test_the_example_does_the_same(
    faces: list[str], start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script that a user copies ends with a folder of the new model, and keeps the best."""
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples/fine_tune.py"))
    options = ["--start", str(start), "--output", str(tmp_path / "run"), "--epochs", "2", "--workers", "0"]

    script["main"]([*faces, *options, "--val", *faces])

    assert capsys.readouterr().out == f"{tmp_path / 'run/final'}\n"
    assert load_model(tmp_path / "run/best").config.skeleton.keypoints == FACE.keypoints
