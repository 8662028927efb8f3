"""Ellipses blended into a canvas: a sheer area with a thin edge."""

from dataclasses import dataclass

import numpy as np

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.drawing.strokes import Color

_BAND = 64  # rows blended at once
_THINNEST = 0.5  # pixels of a half-axis; a narrower one could fall between the pixels
_AREA = 0.25  # opacity of the area


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """An ellipse.

    Attributes:
        center: ``(2,)`` float, x then y, finite, pixels of the canvas or beyond.
        shape: ``(2, 2)`` float, finite, symmetric, positive definite: points on the ellipse have ``d S^-1 d = 1``.
        width: of the edge, pixels.
        color: RGB.
    """

    center: Floats
    shape: Floats
    width: float
    color: Color


def blend_ellipse(canvas: Image, ellipse: Ellipse) -> None:
    """Blend an ellipse into the ``(H, W, 3)`` canvas, band by band; parts outside are never computed."""
    values, axes = np.linalg.eigh(np.asarray(ellipse.shape, dtype=np.float64))
    shape = (axes * np.maximum(values, _THINNEST**2)) @ axes.T
    reach = np.sqrt(np.diag(shape)) + ellipse.width / 2 + 1
    limits = np.array([canvas.shape[1], canvas.shape[0]])
    first = np.floor(np.clip(ellipse.center - reach, 0, limits)).astype(int)
    last = np.ceil(np.clip(ellipse.center + reach + 1, 0, limits)).astype(int)
    if (first >= last).any():
        return
    inverse, columns = np.linalg.inv(shape), slice(int(first[0]), int(last[0]))
    for top in range(int(first[1]), int(last[1]), _BAND):
        rows = slice(top, min(top + _BAND, int(last[1])))
        cover = _coverage(ellipse, inverse, rows, columns)
        part = canvas[rows, columns]
        part[:] = np.rint(part + (np.array(ellipse.color) - part) * cover[..., None])


def _coverage(ellipse: Ellipse, inverse: Floats, rows: slice, columns: slice) -> Floats:
    """Return the opacity of each pixel of a region, by the distance of its center from the ellipse."""
    y, x = np.ogrid[rows, columns]
    across, down = x - ellipse.center[0], y - ellipse.center[1]
    along_x = inverse[0, 0] * across + inverse[0, 1] * down
    along_y = inverse[1, 0] * across + inverse[1, 1] * down
    level = np.sqrt(np.maximum(across * along_x + down * along_y, 1e-12))
    # To first order: how far the level is from 1, by how steeply it rises.
    distance = (level - 1) * level / np.maximum(np.hypot(along_x, along_y), 1e-12)
    edge = np.clip(ellipse.width / 2 + 0.5 - np.abs(distance), 0, min(1.0, ellipse.width))
    cover: Floats = np.maximum(edge, _AREA * np.clip(0.5 - distance, 0, 1))
    return cover
