"""Metrics of groups: who belongs to which, and whose poses count."""

from typing import Any

import numpy as np
import pytest

from pcrpose.evaluation.bootstrap import bootstrap_interval
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.pairs import PersonTable, pairs_by_box
from pcrpose.evaluation.slices import groups_by_overlap, groups_by_visible, measure_slices, slices_by_size
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])


def evaluator_of(boxes: list[list[float]], **changes: list[Any]) -> CocoEvaluator:
    """Annotate a person of two visible keypoints in each box, left, top, width, height; all in one image."""
    persons = []
    for index, (left, top, width, height) in enumerate(boxes):
        keypoints = [left, top, 2, left + width, top + height, 2]
        fields = {"image_id": 1, "category_id": 1, "keypoints": keypoints, "area": width * height}
        own = {name: values[index] for name, values in changes.items()}
        persons.append({**fields, "bbox": [left, top, width, height], **own})
    content = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": persons}
    return CocoEvaluator(content, skeleton=STICK)


def with_poses(evaluator: CocoEvaluator, boxes: list[list[float]], wrong: set[int]) -> CocoEvaluator:
    """Add a pose in each box, perfect unless its index is among the wrong ones; the best first."""
    corners = np.array([[[x, y], [x + w, y + h]] for x, y, w, h in boxes])
    corners[list(wrong)] += 900.0
    poses = Poses(
        keypoints=corners,
        keypoint_scores=np.ones((len(boxes), 2)),
        boxes_xyxy=np.array([[x, y, x + w, y + h] for x, y, w, h in boxes]),
        box_scores=np.ones(len(boxes)),
        pose_scores=np.linspace(0.9, 0.5, len(boxes)),
        skeleton=STICK,
    )
    evaluator.update(1, poses)
    return evaluator


def test_groups_by_visible() -> None:
    """Hidden keypoints are not visible; of COCO's seventeen the groups end at 5, 10, 15 and 17."""
    numbers = [0, 1, 5, 6, 10, 11, 15, 16, 17]
    persons = [
        {"image_id": 1, "category_id": 1, "area": 9.0, "keypoints": [1, 1, 2] * count + [1, 1, 1] * (17 - count)}
        for count in numbers
    ]
    content = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": persons}

    groups = groups_by_visible(PersonTable.of(CocoEvaluator(content, skeleton=COCO_17)))

    found = {name: np.array(numbers)[members].tolist() for name, members in groups.items()}
    assert found == {"none": [0], "1 to 5": [1, 5], "6 to 10": [6, 10], "11 to 15": [11, 15], "16 to 17": [16, 17]}


def test_groups_of_a_small_skeleton() -> None:
    """Two keypoints make two groups beside none."""
    assert list(groups_by_visible(PersonTable.of(evaluator_of([[0, 0, 9, 9]])))) == ["none", "1", "2"]


def test_groups_by_overlap() -> None:
    """The neighbor who overlaps most decides; crowds and touching boxes are no neighbors."""
    boxes = [[left, 0.0, 100.0, 100.0] for left in (0.0, 50.0, 150.0, 500.0, 500.0)]
    persons = PersonTable.of(evaluator_of(boxes, iscrowd=[0, 0, 0, 0, 1]))

    groups = groups_by_overlap(persons)

    assert {name: np.flatnonzero(members).tolist() for name, members in groups.items()} == {
        "none": [2, 3, 4],
        "up to 0.1": [],
        "0.1 to 0.3": [],
        "above 0.3": [0, 1],
    }


def test_only_the_group_counts() -> None:
    """A wrong pose counts against its person's group, one of nobody against every group."""
    boxes = [[0.0, 0.0, 100.0, 100.0], [200.0, 0.0, 100.0, 100.0], [400.0, 0.0, 100.0, 100.0]]
    evaluator = with_poses(evaluator_of(boxes), boxes, wrong={0})
    persons = PersonTable.of(evaluator)
    shapes = [[x, y, x + w, y + h] for x, y, w, h in boxes]
    first, others = np.array([True, False, False]), np.array([False, True, True])
    pairs = pairs_by_box(persons, [1] * 3, shapes)

    groups = {"first": first, "others": others, "nobody": first & others}
    found = list(measure_slices(evaluator, pairs, groups, draws=5))

    assert [(one.name, one.num_persons) for one in found] == [("first", 1), ("others", 2), ("nobody", 0)]
    assert [(one.ap, one.ar) for one in found] == [(0.0, 0.0), (pytest.approx(1.0), 1.0), (-1.0, -1.0)]
    assert found[1].interval == pytest.approx((1.0, 1.0))
    assert found[2].interval == (-1.0, -1.0)
    alone = pairs_by_box(persons, [1] * 3, [[900.0, 900.0, 999.0, 999.0], *shapes[1:]])
    # The best-scored pose is a mistake now: precision is 1/2 at the first hit and 2/3 from then on, read as 2/3.
    assert next(iter(measure_slices(evaluator, alone, {"others": others}, draws=5))).ap == pytest.approx(2 / 3)
    assert evaluator.compute().num_poses == 3


def test_sizes_are_cocos() -> None:
    """The groups by size repeat COCO's own metrics, and count their persons."""
    boxes = [[0.0, 0.0, 20.0, 20.0], [200.0, 0.0, 50.0, 50.0], [400.0, 0.0, 100.0, 100.0], [600.0, 0.0, 96.0, 96.0]]
    evaluator = with_poses(evaluator_of(boxes), boxes, wrong={2})
    metrics, intervals = evaluator.compute(), bootstrap_interval(evaluator, draws=5)

    found = slices_by_size(PersonTable.of(evaluator), metrics, intervals)

    assert [(one.name, one.num_persons) for one in found] == [("all", 4), ("medium", 2), ("large", 2)]
    assert [one.ap for one in found] == [metrics.ap, metrics.ap_medium, metrics.ap_large]
    assert [one.ar for one in found] == [metrics.ar, metrics.ar_medium, metrics.ar_large]
    assert [one.interval for one in found] == [intervals["ap"], intervals["ap_medium"], intervals["ap_large"]]
