"""Heatmaps on images: in the right place, as bright as they should be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, Crops
from pcrpose.keypoints.drawing.heatmaps import RAMP, draw_heatmaps
from pcrpose.keypoints.heatmap import HeatmapCodec

SIZE = Size(width=96, height=128)
CODEC = HeatmapCodec(input_size=SIZE)
BOX = [[40.0, 30.0, 100.0, 150.0]]
GRAY = 90


def canvas(height: int = 200, width: int = 160) -> Image:
    """Make a plain gray image."""
    return np.full((height, width, 3), GRAY, dtype=np.uint8)


def heatmaps(keypoints_crop: npt.ArrayLike, codec: HeatmapCodec = CODEC) -> npt.NDArray[np.float32]:
    """Draw the target heatmaps of one crop."""
    points = torch.tensor(np.asarray(keypoints_crop, dtype=float))[None]
    maps: npt.NDArray[np.float32] = codec.encode(points, torch.ones(points.shape[:2]))[0][0].numpy()
    return maps


def change(drawn: PIL.Image.Image, image: Image) -> Floats:
    """``(H, W)``: how much of the overlay's brightest color was mixed in, by its strongest channel."""
    mixed: Floats = (np.asarray(drawn).astype(float) - image)[..., 0] / (RAMP[-1][0] - GRAY)
    return mixed


def center(weights: Floats) -> Floats:
    """Mean place, x then y, of what is at least half as high as the highest."""
    y, x = np.nonzero(weights >= 0.5 * weights.max())
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize("alignment", ["center", "edge", "udp"])
@pytest.mark.parametrize(("rotation", "mirrored"), [(0.0, False), (30.0, False), (-110.0, True)])
def test_the_glow_is_where_the_keypoint_is(alignment: Alignment, rotation: float, mirrored: bool) -> None:  # noqa: FBT001 - a case
    """A heatmap's peak comes back to the keypoint's place in the image, however the crop was cut."""
    codec = replace(CODEC, alignment=alignment)
    crop = Crops.from_windows([[70, 90]], [[90, 120]], SIZE, rotations=rotation, mirrored=mirrored, alignment=alignment)
    place = np.array([80.0, 75.0])

    drawn = draw_heatmaps(canvas(), heatmaps(crop.forward([place]), codec), crop, alignment=alignment)

    tolerance = 2.0 if alignment == "edge" else 0.5  # the published targets are rounded to a cell
    np.testing.assert_allclose(center(change(drawn, canvas())), place, atol=tolerance)


@pytest.mark.parametrize("scale", [0.3, 1.0, 7.0])
def test_the_highest_value_is_brightest(scale: float) -> None:
    """Whatever the maps' own scale, the peak has the brightest color at the opacity asked for."""
    crop = Crops.from_boxes(BOX, SIZE)
    middle_of_a_cell = [[49.5, 65.5]]
    x, y = crop.inverse([middle_of_a_cell])[0, 0].round().astype(int)

    drawn = draw_heatmaps(canvas(), scale * heatmaps(middle_of_a_cell), crop, opacity=0.5)

    expected = GRAY + 0.5 * (np.array(RAMP[-1]) - GRAY)
    np.testing.assert_allclose(np.asarray(drawn)[y, x], expected, atol=3)


def test_nothing_found_does_not_glow() -> None:
    """Maps without a value above 0.2 stay dark in proportion."""
    crop = Crops.from_boxes(BOX, SIZE)

    faint = change(draw_heatmaps(canvas(), 0.04 * heatmaps([[47.5, 61.5]]), crop), canvas())
    found = change(draw_heatmaps(canvas(), 0.4 * heatmaps([[47.5, 61.5]]), crop), canvas())

    assert np.abs(faint).max() < 0.3 * found.max()


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan, -np.inf, np.inf])
def test_no_value_no_change(value: float) -> None:
    """Zero, negative and infinite cells leave the image as it is."""
    drawn = draw_heatmaps(canvas(), np.full((17, 32, 24), value), Crops.from_boxes(BOX, SIZE))

    np.testing.assert_array_equal(np.asarray(drawn), canvas())


def test_negative_cells_count_as_zero() -> None:
    """A trained model's small negative values do not show, however low they go."""
    crop, maps = Crops.from_boxes(BOX, SIZE), heatmaps([[47.5, 61.5]])

    drawn = draw_heatmaps(canvas(), np.where(maps < 1e-3, -5, maps), crop)

    expected = draw_heatmaps(canvas(), np.where(maps < 1e-3, 0, maps), crop)
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(expected))


def test_one_keypoint_or_all() -> None:
    """All maps show the highest value at each place; one keypoint is as bright alone as among the others."""
    crop = Crops.from_boxes(BOX, SIZE)
    maps = heatmaps([[20, 61.5], [75, 61.5]]) * np.array([1.0, 0.5])[:, None, None]

    first, second, both = (change(draw_heatmaps(canvas(), maps, crop, keypoint=k), canvas()) for k in (0, 1, None))

    np.testing.assert_allclose(both, np.where(np.abs(first) > np.abs(second), first, second), atol=0.1)
    assert second.max() < 0.95 * first.max()
    assert center(first)[0] < 70 < center(second)[0]


def test_only_the_crop_is_touched() -> None:
    """Outside the crop's window nothing changes, and the image that was given stays as it is."""
    image, crop = canvas(), Crops.from_boxes(BOX, SIZE)

    drawn = np.asarray(draw_heatmaps(image, np.ones((1, 32, 24)), crop))

    left, top = np.floor(crop.inverse([[-0.5, -0.5]])[0]).astype(int)
    right, bottom = np.ceil(crop.inverse([[95.5, 127.5]])[0]).astype(int)
    outside = np.ones(image.shape[:2], dtype=bool)
    outside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = False
    assert (drawn[outside] == GRAY).all()
    assert (drawn[max(top, 0) + 1 : bottom - 1, left + 1 : right - 1] != GRAY).any(axis=2).all()
    assert (image == GRAY).all()


@pytest.mark.parametrize(
    ("box", "seen"), [([-300, -300, -200, -200], False), ([5000, 10, 5100, 90], False), ([-60, -40, 20, 30], True)]
)
def test_crops_that_leave_the_image(box: list[float], seen: bool) -> None:  # noqa: FBT001 - a case
    """A crop outside changes nothing, one that overlaps the border is cut off."""
    drawn = draw_heatmaps(canvas(), np.ones((1, 32, 24)), Crops.from_boxes([box], SIZE))

    assert (np.asarray(drawn) != GRAY).any() == seen
    assert (np.asarray(drawn)[-1, -1] == GRAY).all()


def test_the_smallest_image() -> None:
    """One pixel takes the color of its place."""
    drawn = draw_heatmaps(canvas(1, 1), np.ones((1, 32, 24)), Crops.from_boxes([[-5, -5, 5, 5]], SIZE), opacity=1)

    assert np.asarray(drawn)[0, 0].tolist() == list(RAMP[-1])


def test_pil_images_are_turned_upright() -> None:
    """As predictors read them."""
    image = PIL.Image.fromarray(canvas())
    image.getexif()[0x0112] = 6

    assert draw_heatmaps(image, np.ones((1, 32, 24)), Crops.from_boxes(BOX, SIZE)).size == (200, 160)


def test_the_ramp_is_even_for_everybody(seen: Callable[[npt.ArrayLike], dict[str, Floats]]) -> None:
    """Lightness rises at every step in all eyes; in ordinary ones equal steps look equal, to a quarter."""
    steps = np.linspace(0, len(RAMP) - 1, 33)
    colors = np.stack([np.interp(steps, np.arange(len(RAMP)), channel) for channel in np.array(RAMP).T], axis=1)

    for eye, lab in seen(colors).items():
        lengths = np.linalg.norm(np.diff(lab, axis=0), axis=1)

        assert np.diff(lab[:, 0]).min() > 1, eye
        assert lab[-1, 0] - lab[0, 0] > 70, eye
        assert lengths.max() / lengths.min() < (1.25 if eye == "ordinary" else 3), eye


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"heatmaps": np.ones((32, 24))}, ValueError, r"heatmaps: expected shape \(any, any, any\), found \(32, 24\)"),
        ({"heatmaps": np.ones((0, 32, 24))}, ValueError, "not empty"),
        ({"crop": Crops.from_boxes(BOX * 2, SIZE)}, ValueError, "one crop, found 2"),
        ({"opacity": 1.1}, ValueError, "from 0 to 1, found 1.1"),
        ({"opacity": np.nan}, ValueError, "from 0 to 1"),
        ({"keypoint": 2}, IndexError, "index of 2 heatmaps, found 2"),
        ({"image": np.ones((4, 5, 3))}, ValueError, "image: expected uint8"),
        ({"image": "image.jpg"}, FileNotFoundError, "image.jpg: no such image file"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """The error says what was expected and what was found."""
    arguments = {"image": canvas(), "heatmaps": np.ones((2, 32, 24)), "crop": Crops.from_boxes(BOX, SIZE)}

    with pytest.raises(error, match=message):
        draw_heatmaps(**{**arguments, **changes})
