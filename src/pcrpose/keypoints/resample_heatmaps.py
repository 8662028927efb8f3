"""Resampling of heatmaps: from the cells of one crop of a person to the cells of another crop of the same person.

A cell of the target is found in the image, and the image's point in the source: sizes, paddings, strides and pixel
conventions may all differ. Crops must not be rotated.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.heatmap import HeatmapCodec

_REACH = 2  # cells that Keys' kernel reads on either side of a point


class HeatmapFrame(NamedTuple):
    """Where the cells of a batch of heatmaps lie in the image.

    Attributes:
        codec: size, stride and pixel convention.
        matrices: ``(B, 2, 3)`` float64, from image pixels to crop pixels, as `Crops.matrices`.
    """

    codec: HeatmapCodec
    matrices: Floats


class Resampled(NamedTuple):
    """Heatmaps of another crop.

    Attributes:
        heatmaps: ``(B, J, h, w)`` in the target's cells; 0 where the source shows nothing.
        shown: ``(B, 1, h, w)`` of the same dtype, 1 where a cell's center lies on the source's map, else 0.
    """

    heatmaps: Tensor
    shown: Tensor


def resample_heatmaps(heatmaps: Tensor, source: HeatmapFrame, target: HeatmapFrame) -> Resampled:
    """Evaluate heatmaps at the cells of another crop of the same persons.

    Values between cells come from Keys' cubic kernel (a = -1/2), which keeps every parabola as it is, so that peaks
    neither move nor sink; a map continues half a cell beyond its outermost cells with their values.

    Args:
        heatmaps: ``(B, J, h', w')`` float, of the source.
        source: of ``heatmaps``; its crops may be mirrored only if the target's are.
        target: whose cells are asked for.

    Raises:
        ValueError: if the shapes do not fit, or a crop is rotated.

    Source:
        R. Keys, Cubic convolution interpolation for digital image processing, 1981.

    Examples:
        >>> import numpy as np
        >>> from pcrpose.keypoints.boxes import Size
        >>> small, large = (HeatmapCodec(input_size=Size(width=side, height=side)) for side in (32, 64))
        >>> crop = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
        >>> inside = HeatmapFrame(small, crop), HeatmapFrame(large, crop)
        >>> resample_heatmaps(torch.ones(1, 1, 8, 8), *inside).heatmaps.sum()
        tensor(64.)
    """
    sizes = source.codec.heatmap_size(), target.codec.heatmap_size()
    expected = (len(source.matrices), sizes[0].height, sizes[0].width)
    if (heatmaps.shape[0], *heatmaps.shape[2:]) != expected or len(target.matrices) != expected[0]:
        found = tuple(heatmaps.shape), len(target.matrices)
        raise ValueError(f"heatmaps: expected (B, J, h, w) with B, h, w = {expected}, found {found[0]} for {found[1]}")
    across, shown_across = _axis(heatmaps, source, target, axis=0, lengths=(sizes[0].width, sizes[1].width))
    down, shown_down = _axis(heatmaps, source, target, axis=1, lengths=(sizes[0].height, sizes[1].height))
    moved = down[:, None] @ heatmaps @ across[:, None].transpose(2, 3)
    return Resampled(moved, shown_down[:, None, :, None] * shown_across[:, None, None, :])


def _axis(
    like: Tensor, source: HeatmapFrame, target: HeatmapFrame, *, axis: int, lengths: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return one axis' ``(B, target, source)`` weights and ``(B, target)`` whether the source shows the cell."""
    (to_crop, start), (to_other, other_start) = (_image_to_cells(frame, axis) for frame in (source, target))
    cells = np.arange(lengths[1]) - other_start[:, None]
    at = cells * (to_crop / to_other)[:, None] + start[:, None]
    shown = np.abs(at - (lengths[0] - 1) / 2) <= lengths[0] / 2
    first = np.floor(at).astype(np.intp) - _REACH + 1
    rows, columns = np.ogrid[: at.shape[0], : at.shape[1]]
    weights = np.zeros((*at.shape, lengths[0]))
    for tap in (first + step for step in range(2 * _REACH)):
        np.add.at(weights, (rows, columns, tap.clip(0, lengths[0] - 1)), _keys(np.abs(at - tap)) * shown)
    return torch.from_numpy(weights).to(like), torch.from_numpy(shown).to(like)


def _image_to_cells(frame: HeatmapFrame, axis: int) -> tuple[Floats, Floats]:
    """Return ``(B,)`` factors and offsets from image pixels to cells on one axis."""
    matrices, codec = frame.matrices, frame.codec
    if matrices[:, axis, 1 - axis].any():
        raise ValueError("crops: expected none that is rotated")
    ends = codec.to_crop(torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64))[:, axis]
    first, step = float(ends[0]), float(ends[1] - ends[0])  # crop pixels
    return matrices[:, axis, axis] / step, (matrices[:, axis, 2] - first) / step


def _keys(distance: Floats) -> Floats:
    """Return Keys' cubic kernel, a = -1/2, at distances of 0 and more."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < _REACH, far, 0.0))
