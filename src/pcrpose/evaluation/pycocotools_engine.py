"""COCO's own evaluation, pycocotools, on the arrays of `pcrpose.evaluation.matching`: slower, and the reference."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pcrpose.evaluation.matching import Curves, Persons, PoseResults
from pcrpose.keypoints.arrays import Floats


def evaluate(persons: Persons, poses: PoseResults, num_images: int, *, sigmas: Floats) -> COCOeval:
    """Match poses to persons, image by image; not yet accumulated.

    Persons are numbered from 1, because pycocotools takes one whose id is 0 for one never found.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # it prints; a library does not
        evaluation = COCOeval(
            _indexed(_annotations(persons), num_images), _indexed(_results(poses), num_images), "keypoints"
        )
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
    return evaluation


def accumulated(evaluation: COCOeval) -> tuple[Floats, Curves]:
    """Return the ten metrics and the curves of an evaluation."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    precision, recall, scores = (evaluation.eval[key] for key in ("precision", "recall", "scores"))
    found = Curves(
        precision=precision[:, :, 0, :, 0].transpose(2, 0, 1),
        recall=recall[:, 0, :, 0].T,
        scores=scores[:, :, 0, :, 0].transpose(2, 0, 1),
    )
    return np.asarray(evaluation.stats), found


def _annotations(persons: Persons) -> list[dict[str, Any]]:
    triples = np.concatenate([persons.keypoints, persons.labelled[..., None]], axis=2)
    return [
        {
            "image_id": int(persons.images[row]),
            "keypoints": triples[row].ravel(),
            "num_keypoints": int(persons.crowds[row] or not persons.ignored[row]),
            "iscrowd": int(persons.crowds[row]),
            "bbox": persons.boxes_xywh[row],
            "area": float(persons.areas[row]),
        }
        for row in range(len(triples))
    ]


def _results(poses: PoseResults) -> list[dict[str, Any]]:
    triples = np.concatenate([poses.keypoints, np.ones((*poses.keypoints.shape[:2], 1))], axis=2)
    return [
        {"image_id": int(image), "keypoints": numbers.ravel(), "score": float(score), "area": float(area)}
        for image, numbers, score, area in zip(poses.images, triples, poses.scores, poses.areas, strict=True)
    ]


def _indexed(rows: list[dict[str, Any]], num_images: int) -> COCO:
    """Build pycocotools' data set; its own way needs at least one annotation."""
    indexed = COCO()
    indexed.dataset = {
        "images": [{"id": image} for image in range(num_images)],
        "categories": [{"id": 1}],
        "annotations": [{**row, "id": number, "category_id": 1} for number, row in enumerate(rows, 1)],
    }
    indexed.createIndex()
    return indexed
