"""Poses paired with the annotated persons they are of: by OKS, as COCO matches them, or by their boxes.

Persons and poses of all images are numbered through: persons as the annotations list them, poses as they were added to
the evaluator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.matching import MAX_POSES
from pcrpose.keypoints.arrays import Bools, Floats, Indices, as_floats
from pcrpose.keypoints.boxes import intersection_areas, xywh_to_xyxy
from pcrpose.keypoints.oks import keypoint_similarities

BOX_OVERLAP = 0.5  # intersection over union from which a pose's box and a person's can be the same


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonTable:
    """Annotated persons of all images that an evaluator counts.

    Attributes:
        image_ids: ``(P,)`` whole numbers.
        keypoints: ``(P, J, 2)`` float64, x then y, image pixels.
        labelled: ``(P, J)`` bool: which keypoints carry a label, hidden ones included.
        visible: ``(P, J)`` bool: which are not hidden.
        areas: ``(P,)`` float64, image pixels squared.
        boxes_xyxy: ``(P, 4)`` float64; where the file has no box, that of the labelled keypoints.
        crowd: ``(P,)`` bool: regions of many persons.
        counted: ``(P,)`` bool: who counts in COCO's metrics: has a labelled keypoint, and is no crowd.
    """

    image_ids: Indices
    keypoints: Floats
    labelled: Bools
    visible: Bools
    areas: Floats
    boxes_xyxy: Floats
    crowd: Bools
    counted: Bools

    @classmethod
    def of(cls, evaluator: CocoEvaluator) -> "PersonTable":
        """Collect the persons of an evaluator's images."""
        persons = evaluator._persons  # noqa: SLF001 - of the same room
        boxes = xywh_to_xyxy(persons.boxes_xywh)
        for index in np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(axis=1)):
            boxes[index] = _extent(persons.keypoints[index, persons.labelled[index]])
        return cls(
            image_ids=np.array(sorted(evaluator.image_ids), dtype=np.intp)[persons.images],
            keypoints=persons.keypoints,
            labelled=persons.labelled,
            visible=evaluator._visible.reshape(persons.labelled.shape),  # noqa: SLF001
            areas=persons.areas,
            boxes_xyxy=boxes,
            crowd=persons.crowds,
            counted=~persons.ignored & persons.labelled.any(axis=1),
        )

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Pairs of a pose and a person of the same image; each is in at most one.

    Attributes:
        poses: ``(M,)`` intp, numbers of poses.
        persons: ``(M,)`` intp, number of each one's person.
    """

    poses: Indices
    persons: Indices

    def __len__(self) -> int:
        return len(self.poses)


def pairs_by_oks(evaluator: CocoEvaluator, *, threshold: float) -> Pairs:
    """Match poses with persons who count as COCO does at one OKS threshold: the best-scored pose chooses first.

    Args:
        evaluator: with the poses of every image; not changed. The 20 best per image are matched.
        threshold: OKS below which a pose is of nobody.
    """
    persons, poses = PersonTable.of(evaluator), evaluator._collected()  # noqa: SLF001 - of the same room
    owners = np.array(sorted(evaluator.image_ids), dtype=np.intp)[poses.images]
    found: list[tuple[int, int]] = []
    for image_id in np.intersect1d(owners, persons.image_ids):
        here = np.flatnonzero((persons.image_ids == image_id) & persons.counted)
        mine = np.flatnonzero(owners == image_id)
        best_first = mine[np.argsort(-poses.scores[mine], kind="stable")][:MAX_POSES]
        counts = persons.labelled[here]
        free = np.ones(len(here), dtype=np.bool_)
        for pose in best_first.tolist():
            alike = keypoint_similarities(
                poses.keypoints[pose], persons.keypoints[here], persons.areas[here], sigmas=evaluator.sigmas
            )
            oks = np.where(free, (alike * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1), -1.0)
            if len(here) and oks.max() >= threshold:
                chosen = len(oks) - 1 - int(oks[::-1].argmax())  # of equally alike persons the last, as COCO has it
                free[chosen] = False
                found.append((pose, int(here[chosen])))
    return _pairs(found)


def pairs_by_box(persons: PersonTable, image_ids: npt.ArrayLike, boxes_xyxy: npt.ArrayLike) -> Pairs:
    """Pair each person with the pose whose box overlaps the person's most, the closest pairs of an image first.

    What the poses look like plays no part, so whatever is measured on the pairs is not flattered by the choice.

    Args:
        persons: crowds are left out.
        image_ids: ``(D,)`` whole numbers, the image of each pose.
        boxes_xyxy: ``(D, 4)`` float, the poses' boxes, image pixels.

    Returns:
        Pairs whose boxes overlap by at least `BOX_OVERLAP`, intersection over union.
    """
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    owners = np.asarray(image_ids, dtype=np.intp)
    found: list[tuple[int, int]] = []
    for image_id in np.intersect1d(owners, persons.image_ids):
        here = np.flatnonzero((persons.image_ids == image_id) & ~persons.crowd)
        poses = np.flatnonzero(owners == image_id)
        overlaps = box_overlaps(boxes[poses], persons.boxes_xyxy[here])
        while overlaps.size and overlaps.max() >= BOX_OVERLAP:
            row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
            found.append((int(poses[row]), int(here[column])))
            overlaps[row], overlaps[:, column] = -1.0, -1.0
    return _pairs(found)


def box_overlaps(boxes_a: npt.ArrayLike, boxes_b: npt.ArrayLike) -> Floats:
    """Compute the intersection over union of every box of one set with every box of another.

    Args:
        boxes_a: ``(A, 4)`` float, left, top, right, bottom.
        boxes_b: ``(B, 4)`` float.

    Returns:
        ``(A, B)`` float64 in ``[0, 1]``; 0 for boxes without an area.

    Examples:
        >>> box_overlaps([[0, 0, 10, 10]], [[0, 0, 10, 10], [0, 5, 10, 15], [20, 20, 30, 30]]).round(2)
        array([[1.  , 0.33, 0.  ]])
    """
    first, second = as_floats(boxes_a, shape=(None, 4), name="a"), as_floats(boxes_b, shape=(None, 4), name="b")
    shared = intersection_areas(first, second)
    union = _areas(first)[:, None] + _areas(second) - shared
    overlaps: Floats = np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
    return overlaps


def _areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas


def _extent(points: Floats) -> Floats:
    return np.concatenate([points.min(axis=0), points.max(axis=0)]) if len(points) else np.zeros(4)


def _pairs(found: Sequence[tuple[int, int]]) -> Pairs:
    numbers: np.ndarray[Any, np.dtype[np.intp]] = np.array(sorted(found), dtype=np.intp).reshape(-1, 2)
    return Pairs(poses=numbers[:, 0], persons=numbers[:, 1])
