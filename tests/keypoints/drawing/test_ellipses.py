"""Blended ellipses: where they are, how large, and cut off at the border."""

import math

import numpy as np
import pytest

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.drawing.ellipses import Ellipse, blend_ellipse

WHITE = (255, 255, 255)
SLANTED = np.array([[500.0, 260.0], [260.0, 300.0]])


def drawn(center: tuple[float, float], shape: Floats, width: float = 1.0, size: tuple[int, int] = (200, 150)) -> Image:
    """Draw one white ellipse on black; ``(H, W)``."""
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    blend_ellipse(canvas, Ellipse(center=np.array(center), shape=shape, width=width, color=WHITE))
    return canvas[..., 0]


def levels(center: tuple[float, float], shape: Floats, size: tuple[int, int] = (200, 150)) -> Floats:
    """Compute, for each pixel's center, how far from the middle it is: 1 on the ellipse."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    away = np.stack([x, y], axis=-1) - np.array(center)
    found: Floats = np.sqrt(np.einsum("...i,ij,...j->...", away, np.linalg.inv(shape), away))
    return found


@pytest.mark.parametrize("shape", [np.diag([900.0, 900.0]), np.diag([1600.0, 100.0]), SLANTED])
def test_it_is_where_its_equation_says(shape: Floats) -> None:
    """Inside is sheer, the edge bright, and outside nothing."""
    values, level = drawn((90.3, 71.8), shape), levels((90.3, 71.8), shape)
    margin = 1.5 / math.sqrt(np.linalg.eigvalsh(shape)[0])  # in pixels, where the ellipse is narrow

    assert (values[level > 1 + margin] == 0).all()
    assert (values[level < 1 - margin] == 64).all()  # a quarter of white
    assert values.max() > 200


def test_the_edge_is_as_wide_as_asked() -> None:
    """The light of the edge of a circle: its length times its width, beyond what the area gives."""
    for width in (1.0, 4.0):
        values = drawn((90.0, 70.0), np.diag([2500.0, 2500.0]), width).astype(float) / 255
        ring = np.where(values > 0.26, values, 0).sum()

        assert ring == pytest.approx(2 * math.pi * 50 * width, rel=0.15)


def test_a_sure_keypoint_still_shows() -> None:
    """An ellipse far smaller than a pixel, between pixels, is a dot."""
    values = drawn((90.5, 70.5), np.diag([1e-6, 1e-6]))

    assert values[70:72, 90:92].min() > 0
    assert np.count_nonzero(values) < 40


@pytest.mark.parametrize("center", [(-900.0, 20.0), (90.0, 900.0)])
def test_outside_nothing_changes(center: tuple[float, float]) -> None:
    """Beyond the canvas."""
    assert not drawn(center, SLANTED).any()


def test_an_ellipse_larger_than_the_image_is_cut_off() -> None:
    """At the corner, and one that covers everything."""
    corner = drawn((0.0, 0.0), SLANTED)
    whole = drawn((200.0, 200.0), SLANTED, size=(400, 350))

    np.testing.assert_array_equal(corner[:100, :100], whole[200:300, 200:300])
    assert (drawn((90.0, 70.0), np.diag([1e9, 1e9])) == 64).all()
