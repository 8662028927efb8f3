"""COCO's keypoint evaluation: ours beside pycocotools, faster-coco-eval and hotcoco, 5,000 images, 102,000 poses.

    python benchmarks/coco_evaluation.py --rounds 5 --json benchmarks/results/coco_evaluation.json

Persons and poses are made from a seed. Timed is what comes after the files are read: matching and accumulation; hotcoco
uses all cores, the others one. Before timing, the ten metrics and, against pycocotools, the curves must be equal.
"""

import contextlib
import importlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import arguments, installed, measure, report, save

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.poses import Poses

IMAGES, POSES = 5000, 20
CROWDS, NEAR = 0.02, 0.6  # fractions of the persons, and of the poses beside one
RIVALS = {
    "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval"),
    "faster-coco-eval": ("faster_coco_eval", "faster_coco_eval", "COCOeval_faster"),
    "hotcoco": ("hotcoco", "hotcoco", "COCOeval"),
}


def persons(rng: np.random.Generator) -> dict[str, Any]:
    """Annotate as many persons as val2017 has per image; some are crowds, some have no labelled keypoint."""
    rows: list[dict[str, Any]] = []
    for image_id in range(1, IMAGES + 1):
        for _ in range(rng.choice([0, 1, 2, 3, 5, 12], p=[0.45, 0.2, 0.12, 0.1, 0.08, 0.05])):
            size = np.exp(rng.uniform(np.log(20), np.log(300)))
            points = (rng.uniform(0, 500, 2) + rng.uniform(-0.5, 0.5, (17, 2)) * size * [0.5, 1]).round()
            visibility = 2 * (rng.random(17) < rng.choice([0, 0.3, 0.7, 1], p=[0.1, 0.2, 0.4, 0.3]))
            low, extent = points.min(axis=0), np.ptp(points, axis=0)
            triples = np.concatenate([points, visibility[:, None]], axis=1)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": int(rng.random() < CROWDS),
                    "bbox": [*low.tolist(), *extent.tolist()],
                    "area": float(extent.prod() / 2),
                    "keypoints": triples.ravel().tolist(),
                    "num_keypoints": int(np.count_nonzero(visibility)),
                }
            )
    images = [{"id": number, "width": 640, "height": 480, "file_name": ""} for number in range(1, IMAGES + 1)]
    names = [f"keypoint_{number}" for number in range(17)]
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": []}
    return {"info": {}, "images": images, "categories": [category], "annotations": rows}


def results(truth: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Find persons more or less beside themselves, and some where nobody is."""
    by_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in truth["images"]}
    for row in truth["annotations"]:
        by_image[row["image_id"]].append(row)
    found = []
    for image_id, rows in by_image.items():
        for _ in range(POSES + int(rng.integers(-2, 4))):
            points = rng.uniform(0, 500, 2) + rng.normal(0, 40, (17, 2))
            if rows and rng.random() < NEAR:
                row = rows[rng.integers(len(rows))]
                spread = rng.choice([0.02, 0.05, 0.1, 0.2]) * np.sqrt(2 * row["area"])
                points = np.reshape(row["keypoints"], (17, 3))[:, :2] + rng.normal(0, 1, (17, 2)) * spread
            triples = np.concatenate([points, np.ones((17, 1))], axis=1).ravel().tolist()
            score = round(float(rng.random()), 4)
            found.append({"image_id": image_id, "category_id": 1, "keypoints": triples, "score": score})
    return found


def evaluator_of(truth: dict[str, Any], found: list[dict[str, Any]]) -> CocoEvaluator:
    """Give our evaluator the same poses."""
    evaluator = CocoEvaluator(truth)
    by_image: dict[int, list[dict[str, Any]]] = {}
    for row in found:
        by_image.setdefault(row["image_id"], []).append(row)
    for image_id, rows in by_image.items():
        triples = np.array([row["keypoints"] for row in rows]).reshape(-1, 17, 3)
        scores = np.array([row["score"] for row in rows])
        boxes, ones = np.zeros((len(rows), 4)), np.ones(len(rows))
        poses = Poses(
            keypoints=triples[..., :2],
            keypoint_scores=triples[..., 2],
            boxes_xyxy=boxes,
            box_scores=ones,
            pose_scores=scores,
        )
        evaluator.update(image_id, poses)
    return evaluator


def rival(name: str, truth_path: Path, results_path: Path) -> Callable[[], Any]:
    """Return a rival's evaluation, its files read."""
    data_module, evaluation_module, class_name = RIVALS[name]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = importlib.import_module(data_module).COCO(str(truth_path))
        found = truth.loadRes(str(results_path))
    evaluation_class = getattr(importlib.import_module(evaluation_module), class_name)

    def run() -> Any:  # noqa: ANN401 - of whichever library
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = evaluation_class(truth, found, "keypoints")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation

    return run


def main() -> None:
    """Make the data, check that all agree, time them."""
    options = arguments(__doc__)
    rng = np.random.default_rng(0)
    truth = persons(rng)
    found = results(truth, rng)
    evaluator = evaluator_of(truth, found)
    ours = evaluator.compute()
    contestants: dict[str, Callable[[], object]] = {"ours": evaluator.compute}
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "truth.json"), Path(folder, "results.json")
        for path, content in zip(paths, (truth, found), strict=True):
            path.write_text(json.dumps(content), encoding="utf-8")
        for name in RIVALS:
            if installed(RIVALS[name][0].split(".")[0]):
                contestants[name] = rival(name, *paths)
                stats = contestants[name]().stats  # type: ignore[attr-defined]  # of whichever library
                expected = np.array(stats[:10], dtype=float)
                differences[name] = float(np.abs(expected - list(vars(ours).values())[:10]).max())
    curves = contestants["pycocotools"]().eval["precision"]  # type: ignore[attr-defined]  # pycocotools'
    differences["pycocotools, precision"] = float(np.abs(curves - ours.precision).max())
    print(f"{len(truth['annotations'])} persons, {len(found)} poses; largest differences {differences}")
    if max(differences[name] for name in ("pycocotools", "pycocotools, precision")) > 1e-12:  # noqa: PLR2004 - the target
        raise SystemExit("the metrics differ from pycocotools'")
    seconds = measure(contestants, rounds=options.rounds)
    table = report("COCO evaluation", seconds, ours="ours", per=IMAGES, unit="image")
    save(options.json, [table], differences=differences, poses=len(found))


if __name__ == "__main__":
    main()
