"""A canvas and the strokes blended into it.

Every stroke is a thick line with round ends, blended by how much of each pixel it covers. So edges are smooth without a
second, larger image, and a panorama costs what the strokes on it cost.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps

from pcrpose.keypoints.arrays import Floats, Image

Color: TypeAlias = tuple[int, int, int]

_BAND = 64  # rows blended at once: a long slanted stroke never needs its whole bounding box


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A line with round ends; from a point to itself it is a disc.

    Attributes:
        start: ``(2,)`` float, x then y, finite, pixels of the canvas or beyond.
        end: the same.
        radius: half the line's width, pixels.
        color: RGB.
        opacity: 0 to 1.
    """

    start: Floats
    end: Floats
    radius: float
    color: Color
    opacity: float = 1.0


def open_canvas(image: Image | PIL.Image.Image) -> Image:
    """Copy an image to draw on.

    Args:
        image: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` uint8, RGB, or a PIL image, which is turned
            upright by its EXIF orientation, as predictors read it. Opacity is dropped.

    Returns:
        ``(H, W, 3)`` uint8, RGB, writable, nobody else's.

    Raises:
        ValueError: if an array is not a uint8 image.
        TypeError: if ``image`` is neither, a path for example.
    """
    if isinstance(image, PIL.Image.Image):
        image = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"image: expected an array or a PIL image, found {type(image).__name__}; "
            "pcrpose.data.images.open_image opens files"
        )
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or array.shape[2:] not in {(), (1,), (3,), (4,)}:
        raise ValueError(f"image: expected uint8 of shape (H, W, 3), found {array.dtype} of shape {array.shape}")
    if array.shape[2:] in {(), (1,)}:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return array[..., :3].copy()


def blend(canvas: Image, stroke: Stroke) -> None:
    """Blend one stroke into the ``(H, W, 3)`` canvas, band by band; parts outside are never computed."""
    reach = stroke.radius + 1.0
    ends = np.stack([stroke.start, stroke.end]).astype(np.float64)
    first, last = _span(ends[:, 1], reach, canvas.shape[0])
    for top in range(first, last, _BAND):
        bottom = min(top + _BAND, last)
        left, right = _span(_between(ends, top - reach, bottom + reach), reach, canvas.shape[1])
        if left < right:
            cover = _coverage(ends, stroke.radius, slice(top, bottom), slice(left, right)) * stroke.opacity
            part = canvas[top:bottom, left:right]
            part[:] = np.rint(part + (np.array(stroke.color) - part) * cover[..., None])


def _span(positions: Floats, reach: float, limit: int) -> tuple[int, int]:
    """Return the first and one past the last pixel within ``reach`` of positions along an axis of ``limit`` pixels."""
    low, high = np.clip([positions.min() - reach, positions.max() + reach + 1], 0, limit)
    return int(np.floor(low)), int(np.ceil(high))


def _between(ends: Floats, top: float, bottom: float) -> Floats:
    """Return the positions in x of the ends of the part of a line that lies between two rows."""
    (_, start_y), (_, end_y) = ends
    rise = end_y - start_y
    fractions = np.array([0.0, 1.0]) if rise == 0 else np.clip((np.array([top, bottom]) - start_y) / rise, 0.0, 1.0)
    positions: Floats = ends[0, 0] + fractions * (ends[1, 0] - ends[0, 0])
    return positions


def _coverage(ends: Floats, radius: float, rows: slice, columns: slice) -> Floats:
    """Compute how much of each pixel of a region the stroke covers, 0 to 1, by the distance of its center."""
    y, x = np.ogrid[rows, columns]
    from_start_x, from_start_y = x - ends[0, 0], y - ends[0, 1]
    along = ends[1] - ends[0]
    length = float(along @ along)
    fraction = (from_start_x * along[0] + from_start_y * along[1]) / length if length else np.zeros((1, 1))
    fraction = np.clip(fraction, 0.0, 1.0)
    distance = np.hypot(from_start_x - fraction * along[0], from_start_y - fraction * along[1])
    cover: Floats = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    return cover
