"""Drawn images: ellipses of keypoints, and how consistent left and right are."""

import dataclasses
import math

import numpy as np
import pytest

from pcrpose.keypoints.arrays import Bools, Image
from pcrpose.keypoints.drawing.palette import LEFT
from pcrpose.keypoints.drawing.poses import draw_poses
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ("left", "right", "top"), [("left", "right")], [], [0.1] * 3)
CANVAS = np.zeros((300, 400, 3), dtype=np.uint8)


def person(scores: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Poses:
    """Make a person whose left keypoint may be far to the side, whose right one up or down; the top is sure."""
    return Poses(
        keypoints=np.array([[[100.0, 150.0], [300.0, 150.0], [200.0, 40.0]]]),
        keypoint_scores=np.array([scores]),
        boxes_xyxy=np.array([[50.0, 20.0, 350.0, 280.0]]),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
        skeleton=STICK,
        keypoint_covariances=np.array([[np.diag([400.0, 100.0]), np.diag([100.0, 400.0]), np.diag([0.01, 0.01])]]),
        left_right_consistency=np.array([0.43]),
    )


def differs(poses: Poses, **options: float) -> Bools:
    """``(H, W)``: which pixels ellipses change."""
    drawn, without = (np.asarray(draw_poses(CANVAS, poses, **given)) for given in (options, {}))  # type: ignore[arg-type]
    return np.asarray((drawn != without).any(axis=2))


def extent(changed: Bools, axis: int) -> tuple[int, int]:
    """Return first and last row or column with a change."""
    found = np.flatnonzero(changed.any(axis=axis))
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize("probability", [0.5, 0.95])
def test_an_ellipse_reaches_as_far_as_its_probability(probability: float) -> None:
    """Along its axes, by hand: the standard deviation times the root of -2 log(1 - p)."""
    radius = math.sqrt(-2 * math.log(1 - probability))
    changed = differs(person(), ellipses=probability)

    left, right = changed[:, :200].copy(), changed[:, 200:].copy()
    left[:60], right[:60] = False, False
    assert extent(left, 0) == pytest.approx((100 - 20 * radius, 100 + 20 * radius), abs=1.5)
    assert extent(left, 1) == pytest.approx((150 - 10 * radius, 150 + 10 * radius), abs=1.5)
    assert extent(right, 1) == pytest.approx((150 - 20 * radius, 150 + 20 * radius), abs=1.5)


def test_true_is_the_ellipse_of_95_percent() -> None:
    """The usual one needs no number."""
    usual, asked = (draw_poses(CANVAS, person(), ellipses=value) for value in (True, 0.95))

    assert usual.tobytes() == asked.tobytes()


def test_ellipses_have_the_colors_of_the_sides_and_lie_below() -> None:
    """A quarter of sky blue on black, far from the keypoint; the keypoint itself is as before."""
    drawn = np.asarray(draw_poses(CANVAS, person(), ellipses=True))

    assert drawn[150, 100 + 30].tolist() == pytest.approx(np.array(LEFT) / 4, abs=1)
    assert drawn[150, 100].tolist() == np.asarray(draw_poses(CANVAS, person()))[150, 100].tolist()


def test_faint_keypoints_have_none() -> None:
    """What scores too low for bones may be anywhere; its ellipse would cover the others."""
    changed = differs(person((1.0, 0.1, 1.0)), ellipses=0.95)

    assert changed[:, :200].any()
    assert not changed[60:, 200:].any()


def test_what_is_not_finite_has_none() -> None:
    """A keypoint or covariance that could not be computed."""
    covariances = person().keypoint_covariances
    assert covariances is not None
    broken = covariances.copy()
    broken[0, :2] = math.nan

    assert not differs(dataclasses.replace(person(), keypoint_covariances=broken), ellipses=0.95)[60:].any()


def label_width(drawn: Image) -> int:
    """Return how wide the dark plate is."""
    _, x = np.nonzero((drawn == 20).all(axis=2))
    return int(x.max() - x.min())


def test_consistency_is_written_behind_the_score() -> None:
    """Alone, with the score, and what the letters say."""
    gray = np.full((300, 400, 3), 90, dtype=np.uint8)
    score, sides, both = (
        np.asarray(person().draw(gray, threshold=1.0, scores=scores, left_right=left_right))
        for scores, left_right in ((True, False), (False, True), (True, True))
    )

    assert label_width(score) < label_width(sides) < label_width(both)
    other = dataclasses.replace(person(), left_right_consistency=np.array([0.98]))
    assert other.draw(gray, threshold=1.0, left_right=True).tobytes() != sides.tobytes()


def test_what_is_not_known_cannot_be_drawn() -> None:
    """The error says what is missing, and which ellipses there are."""
    nothing = dataclasses.replace(person(), keypoint_covariances=None, left_right_consistency=None)

    with pytest.raises(ValueError, match="ellipses: expected poses with keypoint_covariances, of a model with a cal"):
        nothing.draw(CANVAS, ellipses=True)
    with pytest.raises(ValueError, match="left_right: expected poses with left_right_consistency, predicted with flip"):
        nothing.draw(CANVAS, left_right=True)
    with pytest.raises(ValueError, match="probability: expected a number above 0 and below 1, found 2"):
        person().draw(CANVAS, ellipses=2)


def test_nobody_leaves_the_image_as_it_is() -> None:
    """Arrays of length zero."""
    drawn = person()[[]].draw(CANVAS, ellipses=True, left_right=True, scores=True)

    assert not np.asarray(drawn).any()
