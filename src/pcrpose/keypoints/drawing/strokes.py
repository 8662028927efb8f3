"""A canvas and the strokes blended into it.

Every stroke is a thick line with round ends, blended by how much of each pixel it covers. So edges are smooth without a
second, larger image, and a panorama costs what the strokes on it cost.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps

from pcrpose.files.checks import one_of
from pcrpose.keypoints.arrays import Floats, Image

Color: TypeAlias = tuple[int, int, int]
Source: TypeAlias = "str | Path | bytes | PIL.Image.Image | Image"  # what predictors take, too

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
        hole: radius of what is left out in the middle; of a disc, a ring is left.
    """

    start: Floats
    end: Floats
    radius: float
    color: Color
    opacity: float = 1.0
    hole: float = 0.0


def open_canvas(image: Source, *, color: Literal["rgb", "bgr"] = "rgb") -> Image:
    """Open or copy an image to draw on, with the pixels that a predictor reads.

    Args:
        image: path, encoded bytes, PIL image, or array ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` uint8.
            All but arrays are turned upright by their EXIF orientation. What is transparent is laid on white.
        color: order of an array's channels.

    Returns:
        ``(H, W, 3)`` uint8, RGB, writable, nobody else's.

    Raises:
        ValueError: if an array is not a uint8 image, or a file is no image.
        FileNotFoundError: for a path that does not exist.
        TypeError: if ``image`` is none of these.
    """
    one_of("color", color, ("rgb", "bgr"))
    if isinstance(image, str | Path | bytes):
        return np.array(_upright(_read(image)))
    if isinstance(image, PIL.Image.Image):
        return np.array(_upright(image))
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image: expected a path, bytes, an array or a PIL image, found {type(image).__name__}")
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or array.shape[2:] not in {(), (1,), (3,), (4,)}:
        raise ValueError(f"image: expected uint8 of shape (H, W, 3), found {array.dtype} of shape {array.shape}")
    if array.shape[2:] in {(), (1,)}:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if color == "bgr":
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    return np.array(_upright(PIL.Image.fromarray(np.ascontiguousarray(array))))


def _read(source: str | Path | bytes) -> PIL.Image.Image:
    name = "encoded image" if isinstance(source, bytes) else str(source)
    try:
        with PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: no such image file") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{name}: expected an image, found {error}") from error


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return an image as RGB, as a predictor sees it: upright, 16 bits scaled to 8, on white."""
    image = PIL.ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = PIL.Image.fromarray(((np.asarray(image).astype(np.int64) + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def blend(canvas: Image, stroke: Stroke) -> None:
    """Blend one stroke into the ``(H, W, 3)`` canvas, band by band; parts outside are never computed."""
    reach = stroke.radius + 1.0
    ends = np.stack([stroke.start, stroke.end]).astype(np.float64)
    first, last = _span(ends[:, 1], reach, canvas.shape[0])
    for top in range(first, last, _BAND):
        bottom = min(top + _BAND, last)
        left, right = _span(_between(ends, top - reach, bottom + reach), reach, canvas.shape[1])
        if left < right:
            cover = _coverage(ends, stroke, slice(top, bottom), slice(left, right)) * stroke.opacity
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


def _coverage(ends: Floats, stroke: Stroke, rows: slice, columns: slice) -> Floats:
    """Compute how much of each pixel of a region the stroke covers, 0 to 1, by the distance of its center."""
    y, x = np.ogrid[rows, columns]
    from_start_x, from_start_y = x - ends[0, 0], y - ends[0, 1]
    along = ends[1] - ends[0]
    length = float(along @ along)
    fraction = (from_start_x * along[0] + from_start_y * along[1]) / length if length else np.zeros((1, 1))
    fraction = np.clip(fraction, 0.0, 1.0)
    distance = np.hypot(from_start_x - fraction * along[0], from_start_y - fraction * along[1])
    cover: Floats = np.clip(stroke.radius + 0.5 - distance, 0.0, 1.0)
    if stroke.hole > 0:
        cover = np.minimum(cover, np.clip(distance - stroke.hole + 0.5, 0.0, 1.0))
    return cover
