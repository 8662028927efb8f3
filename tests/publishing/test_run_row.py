"""Running a row of the paper's tables: on a drawn part of COCO, and with tiny networks all the way."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pcrpose.data.augment import Augmentation
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.publishing import run_row as module
from pcrpose.publishing.coco_folder import CocoFolder
from pcrpose.publishing.reproduce import ROWS, TableRow, Training
from pcrpose.publishing.run_row import CHECK, Setup, check_row, percent, run_row
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import Recipe
from pcrpose.training.run_recipe import Source
from pcrpose.training.start import Encoder
from pcrpose.training.trainer import Trainer


@pytest.fixture
def tiny_row(tiny_config: Callable[..., PCRConfig]) -> TableRow:
    """Return an ensemble of two tiny networks, one of all letters."""
    training = Training(
        name="tiny", model=tiny_config(), parameters=0, gmacs=0.0, recipe=Recipe.parse("ACHU->CH"), config=TrainConfig()
    )
    other = replace(training, name="other", model=tiny_config(sigma=6.0), recipe=Recipe.parse("A->C"))
    return TableRow(
        name="table9/tiny", label="tiny", split="test-dev2017", published={"AP": 1.0}, trainings=(training, other)
    )


def test_a_check_takes_every_step(
    tiny_row: TableRow, coco_part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps of two crops per stage, all letters, an ensemble, mirrored crops, 16 persons, a results file."""
    trained: list[tuple[str, int, int, float]] = []
    train = Trainer.train

    def noting(trainer: Trainer) -> Path:
        config = trainer.config
        trained.append((trainer.output_dir.name, trainer.total_steps, config.batch_size, config.learning_rate))
        return train(trainer)

    predictors: list[PosePredictor] = []

    def building(*arguments: Any, **keywords: Any) -> PosePredictor:  # noqa: ANN401 - as the class
        predictors.append(PosePredictor(*arguments, **keywords))
        return predictors[-1]

    monkeypatch.setattr(Trainer, "train", noting)
    monkeypatch.setattr(module, "PosePredictor", building)

    found = check_row(tiny_row, CocoFolder(coco_part), tmp_path / "runs")

    assert trained == [
        ("stage-1-ACHU", 2, 2, 1e-3),
        ("stage-2-CH", 2, 2, 1e-4),
        ("stage-1-A", 2, 2, 1e-3),
        ("stage-2-C", 2, 2, 1e-4),
    ]
    (predictor,) = predictors
    assert isinstance(predictor.model, Ensemble)
    assert (predictor.flip, predictor.codec.decoding) == (True, "quarter")
    folder = tmp_path / "runs/table9-tiny-check"
    assert sorted(path.name for path in folder.iterdir()) == ["check.json", "results.json"]
    assert json.loads((folder / "check.json").read_text()) == {
        "note": CHECK,
        "row": "table9/tiny",
        "steps_per_stage": 2,
        "batch_size": 2,
        "persons": 16,
        "images": 16,
        "poses": found.num_poses,
    }
    results = json.loads(found.results.read_text())
    assert len(results) == found.num_poses == 16
    assert {len(result["keypoints"]) for result in results} == {51}
    assert found.metrics is None


def test_the_real_configurations_are_taken(monkeypatch: pytest.MonkeyPatch, coco_part: Path, tmp_path: Path) -> None:
    """A check changes how long a row is trained and in which batches, and nothing else."""
    asked: list[tuple[object, ...]] = []

    def noting(
        _recipe: Recipe, sources: dict[str, Source], model: object, _folder: Path, *, configs: list[TrainConfig]
    ) -> Path:
        asked.append((sources["C"].augmentation, model, configs))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_recipe", noting)
    row = ROWS["table3/baseline-r50"]
    with pytest.raises(KeyboardInterrupt):
        check_row(row, CocoFolder(coco_part), tmp_path)

    (training,) = row.trainings
    config = replace(training.config, epochs=2, batch_size=2, num_workers=0)
    assert asked == [(training.augmentation, training.model, [config])]


@pytest.fixture
def encoders(tmp_path: Path, tiny_config: Callable[..., PCRConfig]) -> Path:
    """Save the encoder of a tiny network under the name of its kind."""
    PCR(tiny_config()).save_pretrained(tmp_path / "saved")
    (tmp_path / "encoders").mkdir()
    (tmp_path / "saved/model.safetensors").rename(tmp_path / "encoders/resnet_nano.safetensors")
    return tmp_path / "encoders"


def test_a_row_is_trained_and_measured(tiny_row: TableRow, coco_part: Path, encoders: Path, tmp_path: Path) -> None:
    """On val the metrics are those of the results file; the same call again trains nothing."""
    training = replace(
        tiny_row.trainings[0], recipe=Recipe.parse("C"), config=TrainConfig(epochs=1, batch_size=9, milestones=())
    )
    row = replace(tiny_row, split="val2017", trainings=(training,))
    setup = Setup(coco=CocoFolder(coco_part), encoders=encoders, num_workers=0, parts=3)

    found = run_row(row, setup, tmp_path / "runs")

    assert found is not None
    assert found.metrics is not None
    evaluator = CocoEvaluator(coco_part / "annotations/person_keypoints_val.json")
    measured = json.loads((tmp_path / "runs/table9-tiny/measured.json").read_text())
    assert measured == percent(found.metrics) == percent(evaluator.evaluate_file(found.results))
    record = json.loads((tmp_path / "runs/tiny/stage-1-C/train_config.json").read_text())
    assert (record["epochs"], record["batch_size"], record["gradient_accumulation_steps"]) == (1, 9, 3)
    weights = tmp_path / "runs/tiny/stage-1-C/last/model.safetensors"
    before = weights.stat().st_mtime_ns
    assert run_row(row, setup, tmp_path / "runs") is not None
    assert weights.stat().st_mtime_ns >= before


def test_test_dev_gives_an_archive_and_an_ensemble(
    tiny_row: TableRow, coco_part: Path, encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without annotations there is a file to upload, under the name that the server wants, and no metric."""
    listed = json.loads((coco_part / "annotations/person_keypoints_val.json").read_text())["images"]
    (coco_part / "annotations/image_info_test-dev2017.json").write_text(json.dumps({"images": listed}))
    (coco_part / "val").rename(coco_part / "test2017")
    (coco_part / "person_detection_results").mkdir()
    (coco_part / "annotations/person_detections_val.json").rename(
        coco_part / "person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json"
    )
    still = Augmentation(rotation=0.0)
    trainings = tuple(
        replace(training, recipe=Recipe.parse("C"), augmentation=still) for training in tiny_row.trainings
    )
    for training in trainings:
        torch.manual_seed(0)
        build_model(training.model).save_pretrained(tmp_path / training.name)

    def trained(_recipe: Recipe, sources: dict[str, Source], _model: object, folder: Path, **_: object) -> Path:
        assert {source.augmentation for source in sources.values()} == {still}
        return tmp_path / folder.name

    monkeypatch.setattr(module, "run_recipe", trained)

    found = run_row(
        replace(tiny_row, trainings=trainings),
        Setup(coco=CocoFolder(coco_part), encoders=encoders),
        tmp_path / "runs",
    )

    assert found is not None
    assert found.metrics is None
    name = "person_keypoints_test-dev2017_pcrpose_results"
    with zipfile.ZipFile(tmp_path / f"runs/table9-tiny/{name}.zip") as archive:
        assert archive.namelist() == [f"{name}.json"]
        assert len(json.loads(archive.read(f"{name}.json"))) == found.num_poses == 18
    saved = Ensemble.load(tmp_path / "runs/table9-tiny/ensemble")
    assert [member.config for member in saved.members] == [training.model for training in trainings]


def test_encoders_start_from_the_baselines_weights(
    coco_part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the Hub where no folder is named; they are loaded once before anything is trained."""
    asked: list[object] = []

    def noting(*_: object, start: Encoder, **__: object) -> Path:
        asked.append(start)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "load_encoder", lambda _, name: asked.append(name))
    monkeypatch.setattr(module, "build_model", lambda config: config)
    monkeypatch.setattr(module, "run_recipe", noting)
    row = replace(ROWS["table1/pcr-plus-external"], split="val2017")
    row = replace(row, trainings=tuple(replace(each, recipe=Recipe.parse("C")) for each in row.trainings))
    with pytest.raises(KeyboardInterrupt):
        run_row(row, Setup(coco=CocoFolder(coco_part)), tmp_path / "runs")

    r152, w48 = "timm/resnet152.tv_in1k", "timm/hrnet_w48.ms_in1k"
    assert asked == [r152, w48, Encoder(r152)]


@pytest.mark.parametrize(
    ("folder", "missing"),
    [
        (None, "encoders: expected a folder with ImageNet's weights of resnet_nano"),
        ("nowhere", r"nowhere: expected resnet_nano\.pth"),
        ("encoders", r"expected annotations/image_info_test-dev2017\.json"),
    ],
)
def test_what_is_missing_is_said_before_training(
    tiny_row: TableRow, coco_part: Path, encoders: Path, folder: str | None, missing: str
) -> None:
    """Hours of training would be lost otherwise."""
    setup = Setup(coco=CocoFolder(coco_part), encoders=None if folder is None else encoders.with_name(folder))

    with pytest.raises((ValueError, FileNotFoundError), match=missing):
        run_row(tiny_row, setup, Path("never"))


def test_data_of_other_letters_is_asked_for(tiny_row: TableRow, coco_part: Path, encoders: Path) -> None:
    """A needs AI Challenger's folder; a row without published boxes needs some."""
    setup = Setup(coco=CocoFolder(coco_part), encoders=encoders)

    with pytest.raises(ValueError, match="aic: expected the folder of AI Challenger for ACHU->CH, found none"):
        run_row(replace(tiny_row, split="val2017"), setup, Path("never"))
    with pytest.raises(ValueError, match="expected --detections, boxes of a detector of your own"):
        run_row(replace(tiny_row, own_detections=True), setup, Path("never"))


def test_rows_that_cannot_be_run(coco_part: Path, encoders: Path) -> None:
    """A rival's ensemble has no networks here."""
    row, coco = ROWS["table1/megvii-plus-external"], CocoFolder(coco_part)

    with pytest.raises(ValueError, match=r"table1/megvii-plus-external: expected a row that can be run, found Megvii"):
        check_row(row, coco, Path("never"))
    with pytest.raises(ValueError, match="a rival's ensemble"):
        run_row(row, Setup(coco=coco, encoders=encoders), Path("never"))


def test_too_few_boxes_are_said(tiny_row: TableRow, coco_part: Path) -> None:
    """A check needs 16."""
    path = coco_part / "annotations/person_detections_val.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:15]))

    with pytest.raises(ValueError, match="expected 16 detected boxes on val, found 15"):
        check_row(tiny_row, CocoFolder(coco_part), Path("never"))


@pytest.mark.slow  # minutes each: networks of up to 130 million parameters
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.trainings])
def test_every_row_can_be_checked(name: str, coco_part: Path, tmp_path: Path) -> None:
    """The row's own networks at their own size, with all their stages."""
    found = check_row(ROWS[name], CocoFolder(coco_part), tmp_path)

    assert 0 < found.num_poses <= 16
