"""Strokes: how much of each pixel they color; canvases: whose they are."""

import numpy as np
import PIL.Image
import pytest

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
