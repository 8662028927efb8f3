"""Boxes, sizes and windows."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.keypoints.boxes import (
    Size,
    check_boxes,
    clip_boxes,
    intersection_areas,
    whole_image_box,
    windows,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

IMAGE = Size(width=100, height=80)
Box = tuple[float, float, float, float]

# Eighths add without rounding, so that what must be equal can be compared as equal.
EIGHTHS = st.integers(-(10**6), 10**6).map(lambda count: count / 8)
BOXES = st.lists(st.tuples(EIGHTHS, EIGHTHS, EIGHTHS, EIGHTHS), max_size=5)


def test_a_size_prints_height_first_and_reads_it_back() -> None:
    """The paper's 384x288 is 288 wide."""
    size = Size(width=288, height=384)

    assert str(size) == "384x288"
    assert Size.parse("384x288") == size
    assert size.aspect == 0.75


@pytest.mark.parametrize("text", ["", "384", "384x", "x288", "384x288x3", "384 x 288", "-384x288", "3.5x2"])
def test_other_texts_are_no_size(text: str) -> None:
    """Only HEIGHTxWIDTH is read, and the error shows what stood there."""
    with pytest.raises(ValueError, match="expected HEIGHTxWIDTH"):
        Size.parse(text)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, -1), (5.0, 5), (None, 5)])
def test_a_size_is_positive_and_whole(width: Any, height: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """Nothing else can be a number of pixels."""
    with pytest.raises(ValueError, match="expected a positive whole width and height"):
        Size(width=width, height=height)


@given(boxes=BOXES)
@example(boxes=[])
@example(boxes=[(0.0, 0.0, 0.0, 0.0), (-1.0, -1.0, -0.125, 0.125)])
def test_the_two_formats_convert_back_and_forth(boxes: list[Box]) -> None:
    """Left, top, width, height and back are the same numbers; no box stays no box."""
    there_and_back = xyxy_to_xywh(xywh_to_xyxy(boxes))

    assert there_and_back.shape == (len(boxes), 4)
    np.testing.assert_array_equal(there_and_back, np.reshape(boxes, (-1, 4)))


def test_width_counts_from_left_to_right() -> None:
    """A worked example of both formats."""
    assert xywh_to_xyxy([[10, 20, 5, 7]]).tolist() == [[10, 20, 15, 27]]
    assert xyxy_to_xywh([[10, 20, 15, 27]]).tolist() == [[10, 20, 5, 7]]


def test_the_whole_image_ends_at_its_last_pixel() -> None:
    """An integer is a pixel's center, so 100 columns end at 99."""
    assert whole_image_box(IMAGE).tolist() == [[0, 0, 99, 79]]


@pytest.mark.parametrize(
    ("box_xywh", "expected"),
    [
        ((0, 0, 100, 80), (0, 0, 99, 79)),
        ((10, 20, 30, 40), (10, 20, 39, 59)),
        ((-5, -6, 30, 40), (0, 0, 29, 39)),
        ((90, 70, 30, 40), (90, 70, 99, 79)),
        ((10, 20, 0.5, 1), (10, 20, 10, 20)),
        ((10, 20, -3, 5), (10, 20, 10, 24)),
        ((200, 300, 5, 5), (200, 300, 200, 300)),
    ],
)
def test_annotated_boxes_are_clipped(box_xywh: Box, expected: Box) -> None:
    """The published cleaning: the left side moves in first, then the width counts; nothing comes out inverted."""
    assert clip_boxes([box_xywh], IMAGE).tolist() == [list(expected)]


def test_no_box_is_clipped_to_no_box() -> None:
    """Empty input is a case for every function of the room."""
    for boxes in (clip_boxes([], IMAGE), check_boxes([], IMAGE), *windows([], 0.75)):
        assert len(boxes) == 0
        assert boxes.ndim == 2
    assert intersection_areas([], [[0, 0, 1, 1]]).shape == (0, 1)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, math.nan, 5), "box 1: expected finite"),
        ((0, 0, math.inf, 5), "box 1: expected finite"),
        ((5, 5, 5, 9), "box 1: expected x1 < x2 and y1 < y2"),
        ((5, 9, 8, 5), "box 1: expected x1 < x2 and y1 < y2"),
        ((100, 5, 120, 9), r"box 1: .* lies outside the 80x100 \(height x width\) image"),
        ((5, -9, 8, -1), "box 1: .* lies outside"),
    ],
)
def test_boxes_that_cannot_be_cropped_are_refused(box: Box, message: str) -> None:
    """The first bad box is named with what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        check_boxes([(0, 0, 9, 9), box, box], IMAGE if "outside" in message else None)
    with pytest.raises(ValueError, match=message.replace("box 1", "^box")):  # one alone needs no number
        check_boxes([box], IMAGE if "outside" in message else None)


def test_good_boxes_are_copied() -> None:
    """Boxes over the border are good, those beside the image too if no image is given; the result is a copy."""
    boxes = np.array([[-10.0, -10.0, 0.0, 0.0], [99.0, 79.0, 200.0, 200.0]])
    checked = check_boxes(boxes, IMAGE)

    np.testing.assert_array_equal(checked, boxes)
    assert not np.shares_memory(checked, boxes)
    assert check_boxes([[500, 500, 600, 600]]).tolist() == [[500, 500, 600, 600]]


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], "box", [["a", 0, 1, 1]]])
def test_other_shapes_are_refused(boxes: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """The error tells the shape that was expected."""
    with pytest.raises(ValueError, match=r"boxes_xyxy: expected (shape|numbers of shape) \(any, 4\)"):
        check_boxes(boxes)


def test_intersections_are_products_of_overlaps() -> None:
    """Overlapping, touching, apart and contained, each box with each."""
    areas = intersection_areas([[0, 0, 10, 10], [20, 0, 30, 10]], [[5, 5, 25, 8], [10, 0, 20, 10], [2, 2, 4, 6]])

    assert areas.tolist() == [[15, 0, 8], [15, 0, 0]]


def test_windows_grow_the_shorter_side() -> None:
    """A wide box grows in height, a high one in width; the center stays and the padding multiplies."""
    centers, extents = windows([[0, 0, 75, 10], [0, 0, 10, 100]], 0.75, 1.0)

    assert centers.tolist() == [[37.5, 5], [5, 50]]
    assert extents.tolist() == [[75, 100], [75, 100]]
    np.testing.assert_array_equal(windows([[0, 0, 75, 10]], 0.75)[1], [[93.75, 125]])


@pytest.mark.parametrize("size", [Size(width=192, height=256), Size(width=288, height=384)])
def test_published_windows(golden: Callable[[str], Any], size: Size) -> None:
    """Centers and extents are the reference's, whose scale counts 200 pixels; its degenerate rows are not copied."""
    reference, name = golden("affine"), f"{size.width}x{size.height}"
    sound = np.r_[0:2, 10:60]

    centers, extents = windows(xywh_to_xyxy(reference["in_box_xywh"][sound]), size.aspect)

    np.testing.assert_array_equal(centers.astype(np.float32), reference[f"out_box_center_{name}"][sound])
    np.testing.assert_allclose(extents / 200, reference[f"out_box_scale_{name}"][sound], rtol=0, atol=1e-6)
