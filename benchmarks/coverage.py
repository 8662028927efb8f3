"""Coverage: how often the ellipses of keypoints hold the true places, on persons that nothing was fitted on.

    python benchmarks/coverage.py --coco COCO --json benchmarks/coverage.json

COCO holds annotations/person_keypoints_val.json and val/. Annotated boxes, with and without the mirrored crop. The
covariances are those of the models' own calibrations, fitted on benchmarks/set_aside.json. Intervals are a bootstrap
over images, 95 %.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcrpose import COCO_17, CocoEvaluator, PosePredictor, Poses, list_pretrained, load_model, read_coco
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.calibration import within_falloff
from pcrpose.evaluation.coverage import LEVELS, coverage_interval
from pcrpose.inference.validate import validate
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.ellipses import inside_ellipses

SHOWN = (0.5, 0.68, 0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """The labelled keypoints of all persons.

    Attributes:
        errors: ``(M, 2)`` image pixels.
        covariances: ``(M, 2, 2)`` image pixels squared.
        images: ``(M,)``.
        keypoints: ``(M,)`` which of the skeleton's.
        right: ``(M,)`` bool, within the OKS falloff.
        likely: ``(M,)`` bool, probability above one half; all false without probabilities.
        sizes: ``(M,)`` geometric mean of the standard deviations over the root of the person's area.
    """

    errors: Floats
    covariances: Floats
    images: Floats
    keypoints: Floats
    right: Bools
    likely: Bools
    sizes: Floats


def main() -> None:
    """Measure every model, with and without the mirrored crop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--model", action="append", help="name or folder; by default every model of the zoo")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    annotations = options.coco / "annotations" / "person_keypoints_val.json"
    persons = read_coco(annotations, options.coco / "val")
    rows = []
    for name in options.model or list_pretrained():
        for flip in (True, False):
            found = find(PosePredictor(load_model(name), flip=flip), persons, CocoEvaluator(annotations))
            rows.append({"model": name, "mirrored": flip} | summary(found))
            print(json.dumps(rows[-1]), flush=True)
    images, count, fitted = len(persons.image_paths), len(persons.samples), " and ".join(map(str, LEVELS))
    content = {
        "command": "python benchmarks/coverage.py --coco COCO --json benchmarks/coverage.json",
        "what": f"subset of COCO val2017 ({images} images, {count} persons), annotated boxes; fraction of the labelled "
        f"keypoints that lie in the ellipse of a probability, and its interval: bootstrap over images, 95 %; "
        f"fitted at {fitted} on persons set aside",
        "rows": rows,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def find(predictor: PosePredictor, persons: AnnotatedPersons, evaluator: CocoEvaluator) -> Found:
    """Predict every person of the annotated boxes."""
    predicted: list[Poses] = []
    validate(predictor, persons, evaluator, on_image=predicted.append)
    poses = dict(zip(persons.image_paths, predicted, strict=True))
    seen = dict.fromkeys(poses, 0)
    parts: list[tuple[np.ndarray[Any, Any], ...]] = []
    for sample in persons.samples:
        one = poses[sample.image_id][seen[sample.image_id]]
        seen[sample.image_id] += 1
        if one.keypoint_covariances is None:
            raise ValueError("expected a model with a calibration that has covariances, found None")
        labelled = np.flatnonzero(sample.labelled)
        covariances, probabilities = one.keypoint_covariances[0, labelled], one.keypoint_probabilities
        likely = np.zeros(len(labelled)) if probabilities is None else probabilities[0, labelled] > SHOWN[0]
        right = within_falloff(one.keypoints, sample.keypoints[None], [sample.area], COCO_17.sigmas)[0, labelled]
        sizes = np.linalg.det(covariances.astype(np.float64)) ** 0.25 / np.sqrt(max(sample.area, 1.0))
        errors = sample.keypoints[labelled] - one.keypoints[0, labelled]
        parts.append((errors, covariances, np.full(len(labelled), sample.image_id), labelled, right, likely, sizes))
    errors, covariances, images, keypoints, right, likely, sizes = map(np.concatenate, zip(*parts, strict=True))
    return Found(
        errors=errors,
        covariances=covariances,
        images=images,
        keypoints=keypoints,
        right=right > 0,
        likely=likely > 0,
        sizes=sizes,
    )


def summary(found: Found) -> dict[str, Any]:
    """Return the coverage of all keypoints, of some kinds, and of each."""
    everyone = np.ones(len(found.errors), dtype=bool)
    kinds = {
        "all": (everyone, SHOWN),
        "probability above one half": (found.likely, LEVELS),
        "within the OKS falloff": (found.right, LEVELS),
        "smaller half of the ellipses": (found.sizes <= np.median(found.sizes), LEVELS),
        "larger half of the ellipses": (found.sizes > np.median(found.sizes), LEVELS),
    }
    return {
        "keypoints": len(found.errors),
        "median_deviation_over_root_area": round(float(np.median(found.sizes)), 4),
        "coverage": {kind: coverage(found, rows, levels) for kind, (rows, levels) in kinds.items() if rows.any()},
        "coverage_by_keypoint": {
            name: [round(float(held(found, found.keypoints == index, level)), 3) for level in LEVELS]
            for index, name in enumerate(COCO_17.keypoints)
        },
    }


def coverage(found: Found, rows: Bools, levels: tuple[float, ...]) -> dict[str, Any]:
    """Return coverage and interval of each level."""
    numbers: dict[str, Any] = {"keypoints": int(rows.sum())}
    for level in levels:
        rate, interval = coverage_interval(
            found.errors[rows], found.covariances[rows], found.images[rows], probability=level
        )
        numbers[f"{level:.2f}"] = [round(value, 4) for value in (rate, interval.low, interval.high)]
    return numbers


def held(found: Found, rows: Bools, level: float) -> float:
    """Return the fraction of some keypoints that lie in their ellipse."""
    return float(inside_ellipses(found.errors[rows], found.covariances[rows], level).mean())


if __name__ == "__main__":
    main()
