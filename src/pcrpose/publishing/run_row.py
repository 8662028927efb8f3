"""Run a row of the paper's tables: its trainings, its test, and the results file.

`run_row` is the whole thing. `check_row` takes the same steps with the same configurations, for two optimizer steps per
stage and a few persons: a pipeline check, not a result.
"""

import json
import logging
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcrpose.data.readers.aic import read_aic
from pcrpose.data.readers.coco import read_coco, read_detections
from pcrpose.data.readers.negatives import read_negatives
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_object, records
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.load import build_model, load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.publishing.coco_folder import CocoFolder
from pcrpose.publishing.reproduce import IMAGENET, TableRow, Training
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.engine.distributed import Processes
from pcrpose.training.run_recipe import Source, run_recipe
from pcrpose.training.start import Encoder

logger = logging.getLogger(__name__)

CHECK = "pipeline check, not a result"
CHECK_STEPS, CHECK_BATCH, CHECK_PERSONS = 2, 2, 16
AIC_ANNOTATIONS, AIC_IMAGES = "keypoint_train_annotations_20170909.json", "keypoint_train_images_20170902"
ENCODER_SUFFIXES = (".safetensors", ".pth")
METRIC_FIELDS: Mapping[str, str] = {
    "AP": "ap",
    "AP50": "ap50",
    "AP75": "ap75",
    "APM": "ap_medium",
    "APL": "ap_large",
    "AR": "ar",
}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where the data of a row are, and how this machine trains.

    Attributes:
        coco: COCO's files.
        aic: folder of AI Challenger's annotations and images, for rows with A.
        encoders: folder of ImageNet's weights, one file per encoder: ``resnet50.pth``, ``hrnet_w48.safetensors``. None
            takes `IMAGENET`'s, from the Hub.
        detections: boxes to test with instead of the published ones, in COCO's results form.
        precision: see `TrainConfig`.
        parts: of a batch, see ``gradient_accumulation_steps`` of `TrainConfig`.
        num_workers: processes that prepare crops.
        runtime: of the test.
    """

    coco: CocoFolder
    aic: Path | None = None
    encoders: Path | None = None
    detections: Path | None = None
    precision: Precision = "float32"
    parts: int = 1
    num_workers: int = 2
    runtime: Runtime = Runtime()


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """The results of a row.

    Attributes:
        results: the poses, as the COCO server takes them.
        metrics: None where the annotations are not public, or after a pipeline check.
        num_poses: in the results file.
    """

    results: Path
    metrics: CocoMetrics | None
    num_poses: int


def require_runnable(row: TableRow) -> None:
    """Raise ValueError for a row without trainings."""
    if not row.trainings:
        raise ValueError(f"{row.name}: expected a row that can be run, found {row.label}: {row.note}")


def run_row(row: TableRow, setup: Setup, output_dir: Path) -> RowResult | None:
    """Train the networks of a row, test them as the paper does, and write the results file.

    The same call goes on after an interruption. Trainings have folders of their own, which rows share. Several
    processes train together, and the first one tests.

    Args:
        row: of the table.
        setup: the data.
        output_dir: created if missing.

    Returns:
        The results; None in every process but the first.

    Raises:
        ValueError: if the row cannot be run, or as `run_recipe`.
        FileNotFoundError: naming the first file that is missing, before anything is trained.
        ImportError: without the ``train`` extra.
    """
    require_runnable(row)
    encoders = {training.name: _encoder_weights(training, setup.encoders) for training in row.trainings}
    images, detections = _test_data(row, setup)
    evaluator = CocoEvaluator(setup.coco.path("val annotations")) if row.split == "val2017" else None
    sources = {training.name: _sources(training, setup) for training in row.trainings}
    for training in row.trainings:
        if not (output_dir / training.name).exists():  # the second network's weights would be missed after days
            load_encoder(build_model(training.model), encoders[training.name])
    finals = []
    for training in row.trainings:
        config = replace(
            training.config,
            precision=setup.precision,
            gradient_accumulation_steps=setup.parts,
            num_workers=setup.num_workers,
        )
        final = run_recipe(
            training.recipe,
            sources[training.name],
            training.model,
            output_dir / training.name,
            configs=(config,),
            start=Encoder(encoders[training.name]),
        )
        finals.append(final)
    if Processes.current().rank > 0:
        return None
    folder = output_dir / row.name.replace("/", "-")
    model = _load(finals)
    if isinstance(model, Ensemble):
        model.save(folder / "ensemble")
    rows = _predict(model, images, detections, setup.runtime)
    path = folder / f"person_keypoints_{row.split}_pcrpose_results.json"
    write_text(path, json.dumps(rows, allow_nan=False, separators=(",", ":")))
    if evaluator is None:
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(path, path.name)
        return RowResult(results=path, metrics=None, num_poses=len(rows))
    metrics = evaluator.evaluate_file(path)
    write_text(folder / "measured.json", json.dumps(percent(metrics), indent=2) + "\n")
    return RowResult(results=path, metrics=metrics, num_poses=len(rows))


def check_row(row: TableRow, coco: CocoFolder, output_dir: Path, *, runtime: Runtime | None = None) -> RowResult:
    """Run a row's own configurations for two optimizer steps per stage and 16 persons: a pipeline check.

    Encoders start from random weights. Persons of C stand for A, reduced to AI Challenger's keypoints, and for U; a
    corner of their images stands for H. Whatever the row's split, the persons to test are val's, in detected boxes.

    Args:
        row: of the table.
        coco: annotations, images and detected boxes; any part of COCO will do.
        output_dir: gets ``ROW-check/results.json``, and beside it ``check.json`` with what it is.
        runtime: of the test.

    Raises:
        ValueError: if the row cannot be run, or the folder holds too few persons or boxes.
        FileNotFoundError: naming the first file that is missing.
        ImportError: without the ``train`` extra.
    """
    require_runnable(row)
    persons = read_coco(coco.path("train annotations"), coco.path("train images"))
    few = _few(persons)
    images, detections = _few_boxes(coco)
    evaluator = CocoEvaluator(coco.path("val annotations"), image_ids=images)
    folder = output_dir / f"{row.name.replace('/', '-')}-check"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        model = _load([_check_training(training, few, Path(work) / training.name) for training in row.trainings])
    rows = _predict(model, images, detections, runtime or Runtime())
    path = folder / "results.json"
    write_text(path, json.dumps(rows, allow_nan=False, separators=(",", ":")))
    evaluator.evaluate_file(path)  # that it can be measured; the metrics would mean nothing
    facts = {"note": CHECK, "row": row.name, "steps_per_stage": CHECK_STEPS, "batch_size": CHECK_BATCH}
    counts = {"persons": sum(map(len, detections.values())), "images": len(images), "poses": len(rows)}
    write_text(folder / "check.json", json.dumps(facts | counts, indent=2) + "\n")
    return RowResult(results=path, metrics=None, num_poses=len(rows))


def percent(metrics: CocoMetrics) -> dict[str, float]:
    """Return metrics in percent by the paper's names."""
    return {name: round(100 * getattr(metrics, field), 1) for name, field in METRIC_FIELDS.items()}


def _encoder_weights(training: Training, folder: Path | None) -> str | Path:
    encoder = training.encoder
    if folder is None:
        if encoder not in IMAGENET:
            raise ValueError(f"encoders: expected a folder with ImageNet's weights of {encoder}, found none")
        return IMAGENET[encoder]
    for suffix in ENCODER_SUFFIXES:
        if (folder / f"{encoder}{suffix}").is_file():
            return folder / f"{encoder}{suffix}"
    raise FileNotFoundError(f"{folder}: expected {encoder}{ENCODER_SUFFIXES[1]}, ImageNet's weights, found none")


def _sources(training: Training, setup: Setup) -> dict[str, Source]:
    """Read the data of each letter."""
    coco, found = setup.coco, dict[str, tuple[Sequence[Sample], Skeleton]]()
    for letter in training.recipe.letters:
        if letter == "A":
            if setup.aic is None:
                raise ValueError(f"aic: expected the folder of AI Challenger for {training.recipe}, found none")
            external = read_aic(setup.aic / AIC_ANNOTATIONS, setup.aic / AIC_IMAGES)
            found[letter] = external.samples, external.skeleton
        elif letter == "C":
            found[letter] = read_coco(coco.path("train annotations"), coco.path("train images")).samples, COCO_17
        elif letter == "H":
            found[letter] = read_negatives(coco.path("negatives"), coco.path("train images")), COCO_17
        else:
            labelled = read_coco(coco.path("pseudo-labels"), coco.path("unlabelled images"))
            found[letter] = labelled.samples, COCO_17
    return {
        letter: Source(samples=samples, skeleton=skeleton, augmentation=training.augmentation)
        for letter, (samples, skeleton) in found.items()
    }


def _test_data(row: TableRow, setup: Setup) -> tuple[dict[int, Path], Mapping[int, Detections]]:
    """Return the images of a row's split by id, and the boxes to test with."""
    coco, boxes = setup.coco, setup.detections
    if row.own_detections and boxes is None:
        raise ValueError(f"{row.name}: expected --detections, boxes of a detector of your own; {row.note}")
    if row.split == "val2017":
        dataset = read_coco(coco.path("val annotations"), coco.path("val images"))
        dataset.require_images()
        return dict(dataset.image_paths), read_detections(boxes or coco.path("val detections"))
    listed = coco.path("test list" if row.split == "test-dev2017" else "challenge list")
    folder, where = coco.path("test images"), str(listed)
    images = {
        int(image["id"]): folder / str(image["file_name"]) for image in records(read_object(listed), "images", where)
    }
    return images, read_detections(boxes or coco.path("test detections"))


def _load(finals: Sequence[Path]) -> PoseModel[Any] | Ensemble:
    return load_model(finals[0]) if len(finals) == 1 else Ensemble(finals)


def _predict(
    model: PoseModel[Any] | Ensemble,
    images: Mapping[int, Path],
    detections: Mapping[int, Detections],
    runtime: Runtime,
) -> list[dict[str, Any]]:
    """Predict as the paper's baselines do: mirrored crops averaged in, a quarter of a cell, rescoring, OKS-NMS."""
    predictor = PosePredictor(model, flip=True, decoding="quarter", runtime=runtime)
    with_boxes = [image_id for image_id in images if image_id in detections]
    poses = predictor.stream((images[each] for each in with_boxes), (detections[each] for each in with_boxes))
    return [result for image_id, found in zip(with_boxes, poses, strict=True) for result in found.to_coco(image_id)]


def _check_training(training: Training, few: Mapping[str, Sequence[Sample]], folder: Path) -> Path:
    """Train two steps per stage on stand-ins, with the real configuration but for its length and batch."""
    recipe = training.recipe
    alone = {stage.sources for stage in recipe.stages if len(stage.sources) == 1} | {"C"}
    per_epoch = {letter: CHECK_BATCH if letter in alone else 1 for letter in recipe.letters}
    sources = {
        letter: Source(
            samples=few[letter],
            skeleton=AIC_14 if letter == "A" else COCO_17,
            per_epoch=count,
            augmentation=training.augmentation,
        )
        for letter, count in per_epoch.items()
    }
    configs = [
        _shortened(stage.configure(training.config), sum(per_epoch[letter] for letter in stage.sources))
        for stage in recipe.stages
    ]
    return run_recipe(recipe, sources, training.model, folder, configs=configs)


def _shortened(config: TrainConfig, samples: int) -> TrainConfig:
    """Return a configuration of two steps, for so many samples per epoch."""
    epochs = CHECK_STEPS // (samples // CHECK_BATCH)
    return replace(config, epochs=epochs, batch_size=CHECK_BATCH, num_workers=0)


def _few(persons: AnnotatedPersons) -> dict[str, list[Sample]]:
    """Return a few samples of each letter, made of persons of C whose images are there."""
    found = [sample for sample in persons.samples[: 50 * CHECK_PERSONS] if _is_there(sample)][: 2 * CHECK_BATCH]
    if len(found) < CHECK_BATCH:
        raise ValueError(f"expected {CHECK_BATCH} persons of the training annotations with their images, found fewer")
    return {"A": [_as_aic(sample) for sample in found], "C": found, "H": list(map(_corner, found)), "U": found[::-1]}


def _is_there(sample: Sample) -> bool:
    return isinstance(sample.image, Path) and sample.image.is_file()


def _as_aic(sample: Sample) -> Sample:
    """Return a person with the keypoints that AI Challenger has in common with COCO."""
    values = np.column_stack([sample.keypoints, sample.visibility])
    converted = COCO_17.convert(values, AIC_14)
    return replace(sample, keypoints=converted[:, :2], visibility=converted[:, 2].astype(np.int64))


def _corner(sample: Sample) -> Sample:
    """Return the corner of a person's image as a box that holds nobody."""
    return replace(
        sample,
        box_xyxy=np.array([0.0, 0.0, 24.0, 32.0]),
        visibility=np.zeros_like(sample.visibility),
        keypoints=np.zeros_like(sample.keypoints),
        is_background=True,
    )


def _few_boxes(coco: CocoFolder) -> tuple[dict[int, Path], dict[int, Detections]]:
    """Return the first detected boxes of val and the images that they are of."""
    dataset = read_coco(coco.path("val annotations"), coco.path("val images"))
    detections = read_detections(coco.path("val detections"))
    images, boxes, left = dict[int, Path](), dict[int, Detections](), CHECK_PERSONS
    for image_id, path in dataset.image_paths.items():
        if left and image_id in detections and path.is_file():
            images[image_id], boxes[image_id] = path, detections[image_id][:left]
            left -= len(boxes[image_id])
    if left:
        raise ValueError(f"{coco.root}: expected {CHECK_PERSONS} detected boxes on val, found {CHECK_PERSONS - left}")
    return images, boxes
