"""How well the shipped models' probabilities keep what they promise, and whether they rank poses better.

    python benchmarks/calibration.py --coco COCO --model pcr-nano --model pcr-small --fit \
        --json benchmarks/calibration.json

With --fit, each model is first calibrated on the persons of ``benchmarks/set_aside.json`` and the boxes of
``benchmarks/negatives_coco_subset.json`` at which somebody has looked, and the calibration is written into the
config.json beside its weights. Measured is on COCO/val, which neither training nor calibration has seen: expected
calibration error and Brier score of the peak and of the probability, with and without the mirrored crop, in all and
per keypoint; the same in bfloat16; and AP ranked by expected OKS minus AP as published code ranks. Intervals are 95 %,
bootstraps over images. A model's part of the JSON replaces the one of the same name.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from set_aside import read_set_aside

from pcrpose.data.readers.coco import read_coco, read_detections
from pcrpose.data.readers.negatives import read_negatives
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.bootstrap import paired_difference
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.reliability import reliability, reliability_interval
from pcrpose.files.atomic import write_text
from pcrpose.inference.calibrate import Evidence, collect_evidence, fit_calibration
from pcrpose.inference.predictor import PosePredictor, Thresholds
from pcrpose.inference.readout import expected_oks
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.boxes import windows
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.oks import oks_nms, pose_scores
from pcrpose.keypoints.poses import Poses
from pcrpose.models.hub import CONFIG_FILE, find_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_config import config_text
from pcrpose.models.pose_model import PoseModel

NEGATIVES = Path(__file__).with_name("negatives_coco_subset.json")
DATA = "subset of COCO val2017"
DRAWS = 1000
HALF_PERSONS = 60  # predicted in bfloat16: slow on most processors
RANKINGS = ("mean_keypoint", "expected_oks")


def main() -> None:
    """Fit what is asked for, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument(
        "--model", action="append", required=True, help="zoo name or folder; may be given several times"
    )
    parser.add_argument("--fit", action="store_true", help="calibrate first, and write the models' config.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.model:
        model = load_model(name)
        if options.fit:
            fit(model, name, options.coco)
        if model.config.calibration is None:
            parser.error(f"{name} has no calibration; --fit fits one")
        measured = measure(model, model.config.calibration, options.coco)
        content = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
        content["data"] = DATA
        content.setdefault("models", {})[Path(name).name] = measured
        write_text(options.json, json.dumps(content, indent=1) + "\n")


def fit(model: PoseModel[Any], name: str, coco: Path) -> None:
    """Calibrate, and write the configuration beside the weights."""
    persons, _ = read_set_aside(coco)
    negatives = read_negatives(NEGATIVES, coco / "train", verified_only=True)
    evidence, nobody = (collect_evidence(model, samples) for samples in (persons.samples, negatives))
    calibration = fit_calibration(evidence, nobody, model.config, decoding="dark")
    model.config = replace(model.config, calibration=calibration)
    write_text(find_folder(name) / CONFIG_FILE, config_text(type(model).__name__, model.config))
    print(f"{name}: calibrated on {len(persons)} persons and {len(negatives)} negatives", flush=True)


def measure(model: PoseModel[Any], calibration: Calibration, coco: Path) -> dict[str, Any]:
    """Measure one model on the validation images."""
    annotations = coco / "annotations" / "person_keypoints_val.json"
    persons = read_coco(annotations, coco / "val")
    evidence = collect_evidence(model, persons.samples)
    names = model.config.skeleton.keypoints
    passes = {
        word: rates(evidence, calibration.of_pass(flip=flip), names, flip=flip)
        for word, flip in (("mirrored", True), ("plain", False))
    }
    for word, found in passes.items():
        before, after = (found[which]["calibration_error"] for which in ("peak", "probability"))
        print(f"{word}: calibration error {before:.3f} -> {after:.3f}", flush=True)
    return {
        "images": len(persons.image_paths),
        "persons": len(persons),
        "passes": passes,
        "bfloat16": half_precision(model, persons, evidence, calibration),
        "ranking": rankings(model, calibration, persons, evidence, coco),
    }


def rates(evidence: Evidence, maps: PassCalibration, names: tuple[str, ...], *, flip: bool) -> dict[str, Any]:
    """Compare promised and observed rates, of the peak and of the probability, in all and per keypoint."""
    if maps.probabilities is None:
        raise ValueError("expected a calibration with probabilities, found none")
    seen, right, labelled = evidence.of_pass(flip=flip), evidence.right(flip=flip), evidence.labelled
    images = np.broadcast_to(evidence.images[:, None], labelled.shape)
    promised = {"peak": seen.scores.clip(0, 1), "probability": maps.probabilities.of_numbers(seen.features)}
    found: dict[str, Any] = {"keypoints": int(labelled.sum()), "right": float(right[labelled].mean())}
    for which, values in promised.items():
        found[which] = compared(values[labelled], right[labelled], images[labelled])
        found[which]["per_keypoint"] = {
            name: compared(values[rows, k], right[rows, k], images[rows, k], bins=False)
            for k, (name, rows) in enumerate(zip(names, labelled.T, strict=True))
        }
    return found


def compared(values: Floats, right: Bools, images: Any, *, bins: bool = True) -> dict[str, Any]:  # noqa: ANN401 - numbers
    """Return calibration error and Brier score with intervals, and the bins of the diagram."""
    found = reliability(values, right)
    intervals = reliability_interval(values, right, images, draws=DRAWS)
    summary = {
        "calibration_error": found.calibration_error,
        "calibration_error_interval": list(intervals["calibration_error"]),
        "brier": found.brier,
        "brier_interval": list(intervals["brier"]),
    }
    filled = found.counts > 0
    diagram = {
        "promised": found.promised[filled].tolist(),
        "observed": found.observed[filled].tolist(),
        "counts": found.counts[filled].tolist(),
    }
    return summary | ({"bins": diagram} if bins else {"labelled": len(values)})


def half_precision(
    model: PoseModel[Any], persons: AnnotatedPersons, evidence: Evidence, calibration: Calibration
) -> dict[str, float]:
    """Compare the probabilities of a model computed in bfloat16 with those in float32."""
    maps = calibration.mirrored.probabilities
    if maps is None:
        raise ValueError("expected a calibration with probabilities, found none")
    half = collect_evidence(model, persons.samples[:HALF_PERSONS], runtime=Runtime(dtype=torch.bfloat16))
    expected = maps.of_numbers(evidence.mirrored.features[:HALF_PERSONS])
    away = np.abs(maps.of_numbers(half.mirrored.features) - expected)[evidence.labelled[:HALF_PERSONS]]
    return {"persons": HALF_PERSONS, "mean": float(away.mean()), "p95": float(np.quantile(away, 0.95))}


def rankings(
    model: PoseModel[Any], calibration: Calibration, persons: AnnotatedPersons, evidence: Evidence, coco: Path
) -> dict[str, Any]:
    """Measure AP by both rankings, in annotated boxes and in a detector's, and the paired difference."""
    file = coco / "annotations" / "person_detections_val.json"
    evaluators = {"annotated": annotated(calibration.mirrored, persons, evidence, coco)}
    if file.exists():
        evaluators["YOLOX-nano"] = detected(model, persons, coco)
    found: dict[str, Any] = {}
    for boxes, by_rank in evaluators.items():
        ap = {rank: evaluator.compute().ap for rank, evaluator in by_rank.items()}
        interval = paired_difference(by_rank["expected_oks"], by_rank["mean_keypoint"], draws=DRAWS)
        found[boxes] = ap | {"difference": ap["expected_oks"] - ap["mean_keypoint"], "interval": list(interval)}
        print(f"{boxes} boxes: {found[boxes]}", flush=True)
    return found


def annotated(
    maps: PassCalibration, persons: AnnotatedPersons, evidence: Evidence, coco: Path
) -> Mapping[str, CocoEvaluator]:
    """Rank the poses of annotated boxes in both ways; no pose is left out."""
    seen = evidence.mirrored
    expected = expected_oks(maps, torch.from_numpy(seen.features))
    presence = np.ones(len(expected)) if maps.presence is None else maps.presence(seen.scores)
    ranks = {"mean_keypoint": pose_scores(np.ones(len(expected)), seen.scores), "expected_oks": expected * presence}
    boxes = np.stack([sample.box_xyxy for sample in persons.samples])
    evaluators = {rank: CocoEvaluator(coco / "annotations" / "person_keypoints_val.json") for rank in RANKINGS}
    for image in persons.image_paths:
        rows = np.flatnonzero(evidence.images == image)
        for rank, evaluator in evaluators.items():
            poses = Poses(
                keypoints=seen.keypoints[rows],
                keypoint_scores=seen.scores[rows],
                boxes_xyxy=boxes[rows],
                box_scores=np.ones(len(rows)),
                pose_scores=ranks[rank][rows],
            )
            evaluator.update(image, poses)
    return evaluators


def detected(model: PoseModel[Any], persons: AnnotatedPersons, coco: Path) -> Mapping[str, CocoEvaluator]:
    """Rank the poses of a detector's boxes in both ways; each ranking has its own OKS-NMS."""
    annotations = coco / "annotations"
    detections = read_detections(annotations / "person_detections_val.json")
    predictor = PosePredictor(model, pose_score="expected_oks", thresholds=Thresholds(nms=1))
    evaluators = {rank: CocoEvaluator(annotations / "person_keypoints_val.json") for rank in RANKINGS}
    images = [image for image in persons.image_paths if image in detections]
    found = predictor.stream([persons.image_paths[image] for image in images], (detections[each] for each in images))
    spec, sigmas = model.config.crop_spec, model.config.skeleton.sigmas
    for image, poses in zip(images, found, strict=True):
        areas = windows(poses.boxes_xyxy, spec.input_size.aspect, spec.padding)[1].prod(axis=1)
        usual = replace(poses, pose_scores=pose_scores(poses.box_scores, poses.keypoint_scores))
        for rank, ranked in (("mean_keypoint", usual), ("expected_oks", poses)):
            kept = oks_nms(ranked.keypoints, ranked.pose_scores, areas, sigmas=sigmas, threshold=Thresholds().nms)
            evaluators[rank].update(image, ranked[kept])
    return evaluators


if __name__ == "__main__":
    main()
