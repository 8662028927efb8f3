"""Scored boxes of one image, whatever a detector returns them as."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.keypoints.detections import Detections

BOXES = [[10.0, 20.0, 40.0, 60.0], [5.0, 5.0, 9.0, 30.0]]
SCORES = [0.9, 0.4]


def test_boxes_and_scores() -> None:
    """Lists become float64 arrays that nobody can write into, the caller's own are left alone."""
    boxes = np.array(BOXES)

    found = Detections(boxes, SCORES)

    boxes[:] = 0
    assert (found.boxes_xyxy.tolist(), found.scores.tolist()) == (BOXES, SCORES)
    assert found.boxes_xyxy.dtype == found.scores.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 1
    assert repr(found) == "Detections(2, scores=[0.90, 0.40])"


def test_nothing_found() -> None:
    """An image without a box has arrays of the right shape all the same."""
    found = Detections.empty()

    assert (len(found), found.boxes_xyxy.shape, found.scores.shape) == (0, (0, 4), (0,))
    assert list(found) == []


def test_indexing() -> None:
    """One index, a slice, a list and a mask select boxes with their scores."""
    found = Detections(BOXES, SCORES)

    selected = [found[1], found[-1:], found[[1]], found[np.array([False, True])], *list(found)[1:]]

    assert [each.boxes_xyxy.tolist() for each in selected] == [BOXES[1:]] * 5
    assert [each.scores.tolist() for each in selected] == [SCORES[1:]] * 5
    assert (found[[1, 0]].boxes_xyxy.tolist(), found[[1, 0]].scores.tolist()) == (BOXES[::-1], SCORES[::-1])
    assert (found[:].boxes_xyxy.tolist(), found[:].scores.tolist()) == (BOXES, SCORES)
    with pytest.raises(IndexError):
        found[2]


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        (BOXES, [0.9], "as many scores as boxes, found 1 and 2"),
        (BOXES[0], [0.9], r"detected boxes: expected shape \(any, 4\), found \(4,\)"),
        ([[1, 2, 3]], [0.9], r"detected boxes: expected shape \(any, 4\), found \(1, 3\)"),
        (BOXES, [[0.9, 0.4]], r"detection scores: expected shape \(any\), found \(1, 2\)"),
        ("boxes", [0.9], "detected boxes: expected numbers"),
    ],
)
def test_shapes_that_are_refused(boxes: Any, scores: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    """The message says which of the two is wrong, and how."""
    with pytest.raises(ValueError, match=message):
        Detections(boxes, scores)


@pytest.mark.parametrize(
    "found",
    [
        Detections(BOXES, SCORES),
        (BOXES, SCORES),
        [np.array(BOXES), np.array(SCORES)],
        (torch.tensor(BOXES), torch.tensor(SCORES, dtype=torch.float64)),
        SimpleNamespace(xyxy=np.array(BOXES), confidence=np.array(SCORES), class_id=None),
    ],
)
def test_what_detectors_return(found: Any) -> None:  # noqa: ANN401 - of many types
    """Our own type, a pair, and the attributes that other libraries have all become the same value."""
    converted = Detections.of(found)

    assert (converted.boxes_xyxy.tolist(), converted.scores.tolist()) == (BOXES, SCORES)


def test_own_detections_are_not_copied() -> None:
    """What is `Detections` already is handed on."""
    found = Detections(BOXES, SCORES)

    assert Detections.of(found) is found


@pytest.mark.parametrize("found", [np.array(BOXES), (BOXES,), None, SimpleNamespace(xyxy=BOXES)])
def test_what_no_detector_returns(found: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """Boxes without scores are refused with what would do."""
    with pytest.raises(TypeError, match=r"expected Detections, an object with \.xyxy and \.confidence, or a pair"):
        Detections.of(found)


def test_boxes_whose_scores_are_missing() -> None:
    """Other libraries allow boxes without scores; a pose cannot be rescored without one."""
    with pytest.raises(ValueError, match=r"expected scores in SimpleNamespace\.confidence, found None"):
        Detections.of(SimpleNamespace(xyxy=BOXES, confidence=None))
