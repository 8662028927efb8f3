"""Crops of a picture: the way of points into a crop and back, and the pixels.

An integer is a pixel's centre, in the picture as in the crop.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from torch.nn.functional import grid_sample

from pcrpose.keypoints.arrays import Bools, Floats, Image, Indices, as_floats
from pcrpose.keypoints.boxes import Size, check_boxes, windows

Alignment: TypeAlias = Literal["centre", "edge"]

_SIMILARITY_TOLERANCE = 1e-3  # matrices written down elsewhere are often rounded to float32
_LARGEST_REGION = 2**29  # pixels; a window that needs more is a mistake, not a person
_SLACK = 1e-6  # pixels; rounding noise must not decide which whole pixels are touched


@dataclass(frozen=True, eq=False, kw_only=True)
class Crop:
    """N crops of one picture, all of one size.

    Attributes:
        matrices: ``(N, 2, 3)`` float64, similarities (perhaps mirroring) from image pixels to crop pixels.
        size: of every crop.
        antialias: average the picture's pixels when a crop shrinks it; without, four pixels are mixed however
            many lie between them, as the published HRNet and Simple Baselines code does.

    Raises:
        ValueError: if ``matrices`` has another shape or holds anything but finite similarities.

    Examples:
        >>> crop = Crop.from_boxes([[10, 20, 40, 60]], Size(width=192, height=256))
        >>> crop.forward([[25.0, 40.0]]).tolist()
        [[95.5, 127.5]]
        >>> crop.inverse([[95.5, 127.5]]).tolist()
        [[25.0, 40.0]]
    """

    matrices: Floats
    size: Size
    antialias: bool = True

    def __post_init__(self) -> None:
        matrices = as_floats(self.matrices, shape=(None, 2, 3), name="matrices").copy()
        for index in np.flatnonzero(~_similar(matrices))[:1]:
            raise ValueError(f"crop {index}: expected a finite similarity, found {matrices[index].tolist()}")
        matrices.flags.writeable = False
        object.__setattr__(self, "matrices", matrices)  # the dataclass is frozen for everybody else

    @classmethod
    def from_boxes(
        cls, boxes_xyxy: npt.ArrayLike, size: Size, *, padding: float = 1.25, alignment: Alignment = "centre"
    ) -> "Crop":
        """Crop the windows round boxes: grown to the aspect ratio of ``size``, then padded.

        Args:
            boxes_xyxy: ``(N, 4)`` float, left, top, right, bottom, image pixels; may be empty.
            size: of every crop.
            padding: factor on both sides of the window, positive.
            alignment: see `from_windows`.

        Raises:
            ValueError: if a box is not finite, empty or inverted, or ``padding`` is not positive.
        """
        if not (math.isfinite(padding) and padding > 0):
            raise ValueError(f"padding: expected a positive number, found {padding!r}")
        centers, extents = windows(check_boxes(boxes_xyxy), size.aspect, padding)
        return cls.from_windows(centers, extents, size, alignment=alignment)

    @classmethod
    def from_windows(
        cls,
        centers: npt.ArrayLike,
        extents: npt.ArrayLike,
        size: Size,
        *,
        rotations: npt.ArrayLike = 0.0,
        mirrored: bool | Bools = False,
        alignment: Alignment = "centre",
    ) -> "Crop":
        """Crop windows given by centre and extent.

        Args:
            centers: ``(N, 2)`` float, x then y, image pixels.
            extents: ``(N, 2)`` float, width and height, image pixels, positive. The width becomes the crop's width;
                the height follows from the crop's aspect ratio.
            size: of every crop.
            rotations: degrees, one number or ``(N,)``; positive turns the picture counter-clockwise as seen on screen.
            mirrored: one value or ``(N,)``; the finished crop is mirrored, so who mirrors the picture before
                rotating it passes the negative angle.
            alignment: ``"centre"`` sends a window's centre to the crop's, ``((W-1)/2, (H-1)/2)``, and mirrors as
                ``W-1-x``; ``"edge"`` sends it to ``(W/2, H/2)``, mirrors as ``W-x`` and does not anti-alias,
                as the published HRNet and Simple Baselines code does.

        Raises:
            ValueError: if shapes differ, a number is not finite, an extent is not positive or the alignment unknown.
        """
        if alignment not in get_args(Alignment):
            raise ValueError(f"alignment: expected one of {get_args(Alignment)}, found {alignment!r}")
        center = as_floats(centers, shape=(None, 2), name="centers")
        extent = as_floats(extents, shape=(len(center), 2), name="extents") if len(center) else np.ones((0, 2))
        for index in np.flatnonzero(~(np.isfinite(extent) & (extent > 0)).all(axis=1))[:1]:
            raise ValueError(f"window {index}: expected a positive width and height, found {extent[index].tolist()}")
        middle = (np.array([size.width, size.height]) - (alignment == "centre")) / 2
        linear = _rotations(rotations, len(center)) * (size.width / extent[:, 0])[:, None, None]
        offset = middle - np.einsum("nij,nj->ni", linear, center)
        flags = _per_crop(np.asarray(mirrored, dtype=bool), len(center), "mirrored")
        linear[flags, 0] *= -1
        offset[flags, 0] = 2 * middle[0] - offset[flags, 0]
        matrices = np.concatenate([linear, offset[:, :, None]], axis=2)
        return cls(matrices=matrices, size=size, antialias=alignment == "centre")

    def __len__(self) -> int:
        return len(self.matrices)

    def forward(self, points_image: npt.ArrayLike) -> Floats:
        """Take ``(N, ..., 2)`` points, x then y, from image pixels to crop pixels, float64."""
        return _apply(self.matrices, points_image, "points_image")

    def inverse(self, points_crop: npt.ArrayLike) -> Floats:
        """Take ``(N, ..., 2)`` points, x then y, from crop pixels to image pixels, float64."""
        return _apply(_inverted(self.matrices), points_crop, "points_crop")

    def warp(self, image: Image) -> Image:
        """Cut the crops out of the picture.

        Only the part of the picture that a crop touches is read. A crop that is not rotated is resized by a filter
        that widens as the picture shrinks; a rotated one is shrunk first and then sampled bilinearly. The crop of a
        mirrored picture at the mirrored window is the mirrored crop, bit for bit where nothing is rotated.

        Args:
            image: ``(H, W, 3)`` uint8, not empty; any colour order.

        Returns:
            ``(N, size.height, size.width, 3)`` uint8, the same colour order; 0 outside the picture.

        Raises:
            ValueError: if ``image`` has another shape or type, or a window is absurdly larger than the picture.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
            found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f"image: expected uint8 (H, W, 3), not empty, found {found}")
        crops = np.zeros((len(self), self.size.height, self.size.width, 3), dtype=np.uint8)
        for crop, matrix in zip(crops, self.matrices, strict=True):
            if self.antialias and matrix[0, 1] == 0 and matrix[1, 0] == 0:
                _resize(image, matrix, crop)
            else:
                _sample(image, matrix, crop, antialias=self.antialias)
        return crops


def mirror_keypoints(keypoints: npt.ArrayLike, width: int, flip_indices: Indices) -> Floats:
    """Mirror ``(..., J, 2)`` keypoints in a picture ``width`` pixels wide; left and right change places.

    Args:
        keypoints: ``(..., J, 2)`` float, x then y.
        width: of the picture, in the keypoints' pixels; x becomes ``width - 1 - x``.
        flip_indices: ``(J,)`` intp, as `Skeleton.flip_indices`.

    Returns:
        ``(..., J, 2)`` float64.
    """
    mirrored: Floats = np.asarray(keypoints, dtype=np.float64)[..., flip_indices, :]  # a copy: the index is an array
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def _similar(matrices: Floats) -> Bools:
    """``(N,)``: which matrices turn, scale and mirror, and do nothing else."""
    linear = matrices[:, :, :2]
    with np.errstate(over="ignore", invalid="ignore"):  # whatever overflows is not finite, and refused
        gram = linear @ linear.transpose(0, 2, 1)
        zoom = (gram[:, 0, 0] + gram[:, 1, 1]) / 2
        error = np.abs(gram - zoom[:, None, None] * np.eye(2)).max(axis=(1, 2), initial=0)
    similar: Bools = np.isfinite(matrices).all(axis=(1, 2)) & (zoom > 0) & (error <= _SIMILARITY_TOLERANCE * zoom)
    return similar


def _per_crop(values: npt.NDArray[np.generic], count: int, name: str) -> npt.NDArray[np.generic]:
    if values.shape not in ((), (count,)):
        raise ValueError(f"{name}: expected one value or shape ({count},), found {values.shape}")
    return np.broadcast_to(values, (count,))


def _rotations(degrees: npt.ArrayLike, count: int) -> Floats:
    angles = _per_crop(np.radians(np.asarray(degrees, dtype=np.float64)), count, "rotations")
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, sine], axis=1), np.stack([-sine, cosine], axis=1)], axis=1)


def _inverted(matrices: Floats) -> Floats:
    linear = np.linalg.inv(matrices[:, :, :2])
    return np.concatenate([linear, -linear @ matrices[:, :, 2:]], axis=2)


def _apply(matrices: Floats, points: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim <= 1 and len(matrices) == 0:
        return np.zeros((0, 2))
    if array.ndim < 2 or len(array) != len(matrices) or array.shape[-1] != 2:  # noqa: PLR2004 - x and y
        raise ValueError(f"{name}: expected shape ({len(matrices)}, ..., 2), found {array.shape}")
    flat = array.reshape(len(matrices), -1, 2) if array.size else array.reshape(len(matrices), 0, 2)
    moved: Floats = flat @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    return moved.reshape(array.shape)


class _Axis(NamedTuple):
    """What one axis of an unrotated crop takes from the picture."""

    crop: slice  # crop pixels that see anything of the picture
    region: tuple[int, int]  # picture pixels needed for them, perhaps beyond the border
    box: tuple[float, float]  # edges of those crop pixels, counted from the region's edge


def _axis(zoom: float, offset: float, length: int, picture: int) -> _Axis | None:
    """Lay one axis out; ``zoom`` is positive, ``offset`` the crop position of image pixel 0."""
    step = 1 / zoom
    start = (-0.5 - offset) * step + 0.5  # from here on positions count from the picture's edge
    reach = max(step, 1.0)  # half-width of the filter
    first = max(0, math.floor((-reach - start) * zoom - 0.5 - _SLACK))
    last = min(length, math.ceil((picture + reach - start) * zoom + 0.5 + _SLACK))
    if first >= last:
        return None
    box = (start + first * step, start + last * step)
    low, high = math.floor(box[0] - reach - _SLACK), math.ceil(box[1] + reach + _SLACK)
    # The resizer takes float32: on this grid the numbers are exact, and so are those of the mirrored picture.
    grid = 2.0 ** (23 - (high - low).bit_length())
    left, right = (round((edge - low) * grid) / grid for edge in box)
    return _Axis(slice(first, last), (low, high), (left, max(right, left + 1 / grid)))


def _resize(image: Image, matrix: Floats, crop: Image) -> None:
    """Fill one unrotated crop by a resize of the region that it touches."""
    axes = []
    for index, (length, picture) in enumerate(zip(crop.shape[1::-1], image.shape[1::-1], strict=True)):
        zoom, offset = float(matrix[index, index]), float(matrix[index, 2])
        axes.append(_axis(abs(zoom), offset if zoom > 0 else length - 1 - offset, length, picture))
    across, down = axes
    if across is None or down is None:
        return
    region = PIL.Image.fromarray(_region(image, across.region, down.region))
    size = (across.crop.stop - across.crop.start, down.crop.stop - down.crop.start)
    box = (across.box[0], down.box[0], across.box[1], down.box[1])
    upright = crop[:: 1 if matrix[1, 1] > 0 else -1, :: 1 if matrix[0, 0] > 0 else -1]
    upright[down.crop, across.crop] = np.asarray(region.resize(size, PIL.Image.Resampling.BILINEAR, box=box))


def _region(image: Image, columns: tuple[int, int], rows: tuple[int, int]) -> Image:
    """Copy a rectangle that may leave the picture; zeros outside."""
    (left, right), (top, bottom) = columns, rows
    if (right - left) * (bottom - top) > _LARGEST_REGION:
        raise ValueError(f"a window needs {right - left} x {bottom - top} pixels; the picture has {image.shape[:2]}")
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(image[top:bottom, left:right])
    region = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    y, x = max(-top, 0), max(-left, 0)
    region[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return region


def _sample(image: Image, matrix: Floats, crop: Image, *, antialias: bool) -> None:
    """Fill one crop by bilinear sampling, of the shrunk region if ``antialias`` asks for it."""
    height, width = crop.shape[:2]
    to_image = _inverted(matrix[None])[0]
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2]))) if antialias else 1.0
    reach = math.ceil(2 * max(1 / zoom, 1.0)) + 1
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    touched = corners @ to_image[:, :2].T + to_image[:, 2]
    limits = np.array([image.shape[1], image.shape[0]])
    low = np.maximum(np.floor(touched.min(axis=0)) - reach, -reach).astype(int)
    high = np.minimum(np.ceil(touched.max(axis=0)) + 1 + reach, limits + reach).astype(int)
    if (low >= limits).any() or (high <= 0).any():
        return
    region = _region(image, (low[0], high[0]), (low[1], high[1]))
    if zoom < 1:
        shrunk = (max(1, math.ceil(region.shape[1] * zoom)), max(1, math.ceil(region.shape[0] * zoom)))
        region = np.asarray(PIL.Image.fromarray(region).resize(shrunk, PIL.Image.Resampling.BILINEAR))
    # grid_sample counts from -1 to 1 between the region's edges, whatever its resolution.
    span = (high - low)[:, None]
    linear, offset = 2 * to_image[:, :2] / span, 2 * (to_image[:, 2] - low + 0.5) / span[:, 0] - 1
    columns, rows = np.arange(width), np.arange(height)[:, None]
    grid = np.stack([linear[i, 0] * columns + linear[i, 1] * rows + offset[i] for i in range(2)], axis=-1)
    source = torch.from_numpy(region.astype(np.float32)).permute(2, 0, 1)[None]
    sampled = grid_sample(source, torch.from_numpy(grid)[None].float(), padding_mode="zeros", align_corners=False)
    crop[:] = sampled[0].round_().to(torch.uint8).permute(1, 2, 0).numpy()
