"""Pairs of poses and persons: by OKS as COCO matches, by boxes alone, and who counts."""

from typing import Any

import numpy as np
import pytest

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.pairs import PersonTable, box_overlaps, pairs_by_box, pairs_by_oks
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])


def person(image_id: int, left: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """Annotate an upright person, 40 pixels wide and 100 high."""
    fields = {"image_id": image_id, "category_id": 1, "keypoints": [left + 20, 90, 2, left + 20, 10, 1]}
    return {**fields, "area": 4000.0, "bbox": [left, 0, 40, 100], **changes}


def evaluator_of(*persons: dict[str, Any]) -> CocoEvaluator:
    """Evaluate persons of the images 5 and 9."""
    content = {"images": [{"id": 5}, {"id": 9}], "categories": [{"id": 1}], "annotations": list(persons)}
    return CocoEvaluator(content, skeleton=STICK)


def poses_at(*lefts: float) -> Poses:
    """Predict upright persons, the best first."""
    number = len(lefts)
    return Poses(
        keypoints=[[[left + 20, 90], [left + 20, 10]] for left in lefts],  # type: ignore[arg-type] # lists do, too
        keypoint_scores=np.ones((number, 2)),
        boxes_xyxy=[[left, 0, left + 40, 100] for left in lefts],  # type: ignore[arg-type]
        box_scores=np.ones(number),
        pose_scores=np.linspace(0.9, 0.5, number),
        skeleton=STICK,
    )


def test_persons() -> None:
    """Crowds and persons without a label do not count; a missing box is that of the labelled keypoints."""
    without_box = person(9, 0.0)
    del without_box["bbox"]
    unlabelled = person(5, 50.0, keypoints=[0] * 6)
    persons = PersonTable.of(evaluator_of(person(5, 0.0), unlabelled, person(5, 100.0, iscrowd=1), without_box))

    assert persons.image_ids.tolist() == [5, 5, 5, 9]
    assert persons.counted.tolist() == [True, False, False, True]
    assert persons.crowd.tolist() == [False, False, True, False]
    assert persons.labelled.tolist() == [[True, True], [False, False], [True, True], [True, True]]
    assert persons.boxes_xyxy.tolist() == [[0, 0, 40, 100], [50, 0, 90, 100], [100, 0, 140, 100], [20, 10, 20, 90]]


def test_pairs_by_oks() -> None:
    """Per image the better-scored pose takes the person; what is alike to nobody stays alone."""
    evaluator = evaluator_of(person(5, 0.0), person(9, 0.0), person(9, 200.0))
    evaluator.update(9, poses_at(202.0, 200.0, 0.0))
    evaluator.update(5, poses_at(500.0))

    pairs = pairs_by_oks(evaluator, threshold=0.1)

    assert list(zip(pairs.poses.tolist(), pairs.persons.tolist(), strict=True)) == [(0, 2), (2, 1)]


def test_pairs_by_box() -> None:
    """The closest boxes are paired first, one to one, within their image, from an overlap of a half."""
    persons = PersonTable.of(evaluator_of(person(5, 0.0), person(5, 10.0), person(9, 0.0), person(9, 300.0, iscrowd=1)))
    boxes = [[9, 0, 49, 100], [0, 0, 40, 100], [15, 0, 55, 100], [300, 0, 340, 100], [0, 0, 40, 49]]

    pairs = pairs_by_box(persons, [5, 5, 9, 9, 9], boxes)

    assert list(zip(pairs.poses.tolist(), pairs.persons.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert len(pairs_by_box(persons, [], [])) == 0


def test_overlaps() -> None:
    """Intersection over union by hand; a box without an area overlaps nothing."""
    overlaps = box_overlaps([[0, 0, 10, 10], [3, 3, 3, 3]], [[5, 0, 15, 10], [0, 0, 10, 10], [3, 3, 3, 3]])

    assert overlaps == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))
