"""What lies beyond a person's box is black."""

import numpy as np
import pytest

from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size, grow_boxes
from pcrpose.keypoints.crop import Crops, CropSpec

SIZE = Size(width=48, height=64)
BOXES = [[40.0, 30.0, 60.0, 70.0], [10.0, 10.0, 70.0, 90.0]]


def white() -> Image:
    """An image without a dark pixel."""
    return np.full((100, 120, 3), 200, dtype=np.uint8)


def test_boxes_grow_about_their_centers() -> None:
    """Both sides are multiplied, the center stays; a factor of one changes nothing."""
    assert grow_boxes([[10, 20, 30, 40]], 1.5).tolist() == [[5, 15, 35, 45]]
    assert grow_boxes(BOXES, 1.0).tolist() == BOXES
    assert grow_boxes(np.zeros((0, 4)), 2.0).shape == (0, 4)


@pytest.mark.parametrize("rotation", [0.0, 30.0, -75.0])
def test_a_pixel_stays_if_its_center_is_in_the_box(rotation: float) -> None:
    """Each crop pixel's center, taken back to the image, decides; rotated crops included."""
    crops = Crops.from_windows([[50, 50], [45, 55]], [[60, 80], [90, 120]], SIZE, rotations=rotation)
    pixels = np.full((2, SIZE.height, SIZE.width, 3), 9, dtype=np.uint8)

    crops.black_out(pixels, BOXES)

    grid = np.stack(np.meshgrid(np.arange(SIZE.width), np.arange(SIZE.height)), axis=-1)
    for index, (left, top, right, bottom) in enumerate(BOXES):
        x, y = np.moveaxis(crops.inverse(np.stack([grid, grid]))[index], -1, 0)
        inside = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)
        assert 0 < inside.sum() < inside.size
        np.testing.assert_array_equal(pixels[index], np.where(np.repeat(inside[..., None], 3, axis=2), 9, 0))


def test_the_border_of_the_box_is_visible() -> None:
    """A pixel whose center lies on the side stays, the next one is black."""
    crops = Crops.from_windows([[23.5, 31.5]], [[48, 64]], SIZE)  # the crop's pixels are the image's
    pixels = np.full((1, SIZE.height, SIZE.width, 3), 9, dtype=np.uint8)

    crops.black_out(pixels, [[5.0, 7.0, 20.0, 30.0]])

    rows, columns = np.nonzero(pixels[0, ..., 0])
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (5, 20, 7, 30)


def test_a_specification_cuts_and_blackens() -> None:
    """`CropSpec.cut` gives the crops of the boxes; without a blackout they are what `warp` gives."""
    spec = CropSpec(input_size=SIZE, blackout=1.1)
    plain = CropSpec(input_size=SIZE)

    crops, pixels = spec.cut(white(), BOXES)
    whole = plain.cut(white(), BOXES)[1]

    np.testing.assert_array_equal(whole, crops.warp(white()))
    expected = whole.copy()
    crops.black_out(expected, grow_boxes(BOXES, 1.1))
    np.testing.assert_array_equal(pixels, expected)
    assert (pixels == 0).sum() > (whole == 0).sum()


def test_there_is_one_box_a_crop() -> None:
    """Another number of boxes is an error that says both."""
    crops = Crops.from_boxes(BOXES, SIZE)
    with pytest.raises(ValueError, match=r"visible_xyxy: expected .*2.*, found .*\(1, 4\)"):
        crops.black_out(np.zeros((2, 64, 48, 3), dtype=np.uint8), BOXES[:1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding": 0.0}, "padding: expected a positive number, found 0"),
        ({"blackout": -1.0}, "blackout: expected a positive number, found -1"),
        ({"blackout": float("inf")}, "blackout: expected a positive number, found inf"),
        ({"alignment": "middle"}, r"alignment: expected one of \['center', 'edge', 'udp'\], found 'middle'"),
    ],
)
def test_a_wrong_specification_is_refused(fields: dict[str, float], message: str) -> None:
    """The field, what was expected and what was found."""
    with pytest.raises(ValueError, match=message):
        CropSpec(input_size=SIZE, **fields)  # type: ignore[arg-type] # that is the point
