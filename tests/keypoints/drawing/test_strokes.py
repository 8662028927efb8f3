"""Strokes: how much of each pixel they color; canvases: whose they are."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import open_image
from pcrpose.keypoints.drawing.strokes import Color, Stroke, blend, open_canvas

WHITE: Color = (255, 255, 255)


def test_a_disc_has_its_area() -> None:
    """What a disc colors adds up to pi r squared, wherever between the pixels it lies."""
    for place in ([20.0, 20.0], [20.4, 19.7], [19.5, 20.5]):
        canvas = np.zeros((40, 40, 3), dtype=np.uint8)

        blend(canvas, Stroke(start=np.array(place), end=np.array(place), radius=8.3, color=WHITE))

        assert canvas[..., 0].sum() / 255 == pytest.approx(np.pi * 8.3**2, rel=0.01)
        share = canvas[..., 0] / canvas[..., 0].sum()
        middle = (share.sum(axis=0) @ np.arange(40), share.sum(axis=1) @ np.arange(40))
        assert middle == pytest.approx(place, abs=0.02)


def test_bands_leave_no_seam() -> None:
    """A stroke over many bands of rows is the same stroke lying on its side."""
    upright, lying = np.zeros((300, 120, 3), dtype=np.uint8), np.zeros((120, 300, 3), dtype=np.uint8)
    ends = np.array([[15.3, 8.1], [101.7, 290.4]])

    blend(upright, Stroke(start=ends[0], end=ends[1], radius=4.6, color=WHITE))
    blend(lying, Stroke(start=ends[0, ::-1], end=ends[1, ::-1], radius=4.6, color=WHITE))

    np.testing.assert_array_equal(upright, lying.transpose(1, 0, 2))
    assert upright.any(axis=(1, 2)).sum() == pytest.approx(290.4 - 8.1 + 2 * 4.6, abs=2)


def test_opacity_mixes() -> None:
    """Half a color on the ground is their mean."""
    canvas = np.full((20, 20, 3), 100, dtype=np.uint8)
    middle = np.array([10.0, 10.0])

    blend(canvas, Stroke(start=middle, end=middle, radius=5, color=(200, 0, 50), opacity=0.5))

    assert canvas[10, 10].tolist() == [150, 50, 75]
    assert canvas[0, 0].tolist() == [100, 100, 100]


def test_a_stroke_outside_colors_nothing() -> None:
    """Beyond every side, however far."""
    canvas = np.zeros((20, 30, 3), dtype=np.uint8)
    for place in ([-50, 10], [80, 10], [10, -50], [10, 1e9]):
        blend(canvas, Stroke(start=np.array(place), end=np.array(place), radius=5, color=WHITE))

    assert not canvas.any()


def test_a_canvas_is_a_copy() -> None:
    """Drawing never reaches the image that was given, array or PIL."""
    array = np.full((4, 5, 3), 90, dtype=np.uint8)
    image = PIL.Image.fromarray(array)

    for canvas in (open_canvas(array), open_canvas(image)):
        canvas[:] = 0

    assert (array == 90).all()
    assert (np.asarray(image) == 90).all()


def test_a_hole() -> None:
    """Of a disc with a hole a ring is left: its middle is untouched, and its area is that of the difference."""
    canvas = np.zeros((60, 60, 3), dtype=np.uint8)
    middle = np.array([30.0, 30.0])

    blend(canvas, Stroke(start=middle, end=middle, radius=20, color=(200, 200, 200), hole=10))

    assert (canvas[30, 30] == 0).all()
    assert (canvas[30, 45] == 200).all()
    np.testing.assert_allclose(canvas[..., 0].sum() / 200, np.pi * (20**2 - 10**2), rtol=0.01)


@pytest.mark.parametrize("kind", ["exif", "RGBA", "LA", "P", "I;16", "CMYK", "L", "1"])
def test_the_pixels_are_those_that_predictors_read(tmp_path: Path, kind: str) -> None:
    """A path, its bytes and its PIL image open as `open_image` opens them, whatever is stored."""
    values = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    image = PIL.Image.fromarray(values)
    options: dict[str, Any] = {}
    if kind == "exif":
        options["exif"] = image.getexif()
        options["exif"][0x0112] = 6
    elif kind in {"RGBA", "LA"}:
        image = image.convert(kind)
        image.putalpha(PIL.Image.fromarray(values.T.reshape(6, 8).copy()))
    elif kind == "I;16":
        image = PIL.Image.fromarray(values.astype(np.uint16) * 257)
    else:
        image = image.convert(kind)
    path = tmp_path / ("image.tif" if kind == "CMYK" else "image.png")
    image.save(path, **options)

    expected = open_image(path)

    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(open_canvas(source), expected)
    with PIL.Image.open(path) as opened:
        np.testing.assert_array_equal(open_canvas(opened), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_colors_of_arrays(channels: int) -> None:
    """Arrays of OpenCV and transparent ones are drawn on as predictors read them."""
    array = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)

    np.testing.assert_array_equal(open_canvas(array), open_image(array))
    np.testing.assert_array_equal(open_canvas(array, color="bgr"), open_image(array, color="bgr"))
