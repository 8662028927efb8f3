"""Warping: the pixels of a crop, computed from the part of the image that it touches."""

import math
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from torch.nn.functional import grid_sample

from pcrpose.keypoints.arrays import Floats, Image

_LARGEST_REGION = 2**29  # pixels; a window that needs more is a mistake, not a person
_LARGEST_PIL_REGION = 2**26  # pixels; beyond it Pillow's crop warns of a bomb
_SLACK = 1e-6  # pixels; rounding noise must not decide which whole pixels are touched


def fill_crop(image: Image | PIL.Image.Image, matrix: Floats, crop: Image, *, antialias: bool) -> None:
    """Compute the pixels of one crop.

    Args:
        image: ``(H, W, 3)`` uint8, or a PIL image of mode RGB; not empty.
        matrix: ``(2, 3)`` float64, a similarity from image pixels to crop pixels.
        crop: ``(h, w, 3)`` uint8, zeros; where the image lies, its pixels are written.
        antialias: see `Crops`.

    Raises:
        ValueError: if the window is absurdly larger than the image.
    """
    if antialias and matrix[0, 1] == 0 and matrix[1, 0] == 0:
        _resize(image, matrix, crop)
    else:
        _sample(image, matrix, crop, antialias=antialias)


class _Axis(NamedTuple):
    """What one axis of an unrotated crop takes from the image."""

    crop: slice  # crop pixels that see anything of the image
    region: tuple[int, int]  # image pixels needed for them, perhaps beyond the border
    box: tuple[float, float]  # edges of those crop pixels, counted from the region's edge


def _axis(zoom: float, offset: float, length: int, image: int) -> _Axis | None:
    """Compute the layout of one axis; ``zoom`` is positive, ``offset`` the crop position of image pixel 0."""
    step = 1 / zoom
    start = (-0.5 - offset) * step + 0.5  # from here on positions count from the image's edge
    reach = max(step, 1.0)  # half-width of the filter
    first = max(0, math.floor((-reach - start) * zoom - 0.5 - _SLACK))
    last = min(length, math.ceil((image + reach - start) * zoom + 0.5 + _SLACK))
    if first >= last:
        return None
    box = (start + first * step, start + last * step)
    low, high = math.floor(box[0] - reach - _SLACK), math.ceil(box[1] + reach + _SLACK)
    # The resizer takes float32: on this grid the numbers are exact, and so are those of the mirrored image.
    grid = 2.0 ** (23 - (high - low).bit_length())
    left, right = (round((edge - low) * grid) / grid for edge in box)
    return _Axis(slice(first, last), (low, high), (left, max(right, left + 1 / grid)))


def _resize(image: Image | PIL.Image.Image, matrix: Floats, crop: Image) -> None:
    """Fill one unrotated crop by a resize of the region that it touches."""
    axes = []
    for index, (length, side) in enumerate(zip(crop.shape[1::-1], _width_height(image), strict=True)):
        zoom, offset = float(matrix[index, index]), float(matrix[index, 2])
        axes.append(_axis(abs(zoom), offset if zoom > 0 else length - 1 - offset, length, side))
    across, down = axes
    if across is None or down is None:
        return
    region = _region(image, across.region, down.region)
    size = (across.crop.stop - across.crop.start, down.crop.stop - down.crop.start)
    box = (across.box[0], down.box[0], across.box[1], down.box[1])
    upright = crop[:: 1 if matrix[1, 1] > 0 else -1, :: 1 if matrix[0, 0] > 0 else -1]
    upright[down.crop, across.crop] = _shrunk(region, size, box)


def _width_height(image: Image | PIL.Image.Image) -> tuple[int, int]:
    return image.size if isinstance(image, PIL.Image.Image) else (image.shape[1], image.shape[0])


def _shrunk(
    region: Image | PIL.Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image:
    image = region if isinstance(region, PIL.Image.Image) else PIL.Image.fromarray(region)
    return np.asarray(image.resize(size, PIL.Image.Resampling.BILINEAR, box=box))


def _region(image: Image | PIL.Image.Image, columns: tuple[int, int], rows: tuple[int, int]) -> Image | PIL.Image.Image:
    """Copy a rectangle that may leave the image, as what the image is; zeros outside."""
    (left, right), (top, bottom) = columns, rows
    width, height = _width_height(image)
    pixels = (right - left) * (bottom - top)
    if pixels > _LARGEST_REGION:
        raise ValueError(f"a window needs {right - left} x {bottom - top} pixels; the image has {(height, width)}")
    if isinstance(image, PIL.Image.Image):
        if pixels <= _LARGEST_PIL_REGION:
            return image.crop((left, top, right, bottom))
        image = np.asarray(image)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(image[top:bottom, left:right])
    region = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    y, x = max(-top, 0), max(-left, 0)
    region[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return region


def _sample(image: Image | PIL.Image.Image, matrix: Floats, crop: Image, *, antialias: bool) -> None:
    """Fill one crop by bilinear sampling, of the shrunk region if ``antialias`` asks for it."""
    height, width = crop.shape[:2]
    inverse = np.linalg.inv(matrix[:, :2])
    to_image = np.concatenate([inverse, -inverse @ matrix[:, 2:]], axis=1)
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2]))) if antialias else 1.0
    reach = math.ceil(2 * max(1 / zoom, 1.0)) + 1
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    touched = corners @ to_image[:, :2].T + to_image[:, 2]
    limits = np.array(_width_height(image))
    low = np.maximum(np.floor(touched.min(axis=0)) - reach, -reach).astype(int)
    high = np.minimum(np.ceil(touched.max(axis=0)) + 1 + reach, limits + reach).astype(int)
    if (low >= limits).any() or (high <= 0).any():
        return
    region = _region(image, (low[0], high[0]), (low[1], high[1]))
    if zoom < 1:
        across, down = (max(1, math.ceil(int(length) * zoom)) for length in high - low)
        region = _shrunk(region, (across, down))
    # grid_sample counts from -1 to 1 between the region's edges, whatever its resolution.
    span = (high - low)[:, None]
    linear, offset = 2 * to_image[:, :2] / span, 2 * (to_image[:, 2] - low + 0.5) / span[:, 0] - 1
    columns, rows = np.arange(width), np.arange(height)[:, None]
    grid = np.empty((1, height, width, 2), dtype=np.float32)
    for axis in range(2):
        grid[0, :, :, axis] = linear[axis, 0] * columns + linear[axis, 1] * rows + offset[axis]
    source = torch.from_numpy(np.asarray(region, dtype=np.float32)).permute(2, 0, 1)[None]
    sampled = grid_sample(source, torch.from_numpy(grid), padding_mode="zeros", align_corners=False)
    torch.from_numpy(crop).copy_(sampled[0].round_().permute(1, 2, 0))
