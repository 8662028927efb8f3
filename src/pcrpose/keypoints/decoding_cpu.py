"""Decoding of heatmaps in the processor's memory: the quarter offset and DARK by numpy, a few hundred maps at a time.

`pcrpose.keypoints.decoding` says what is computed; this is the same for a processor, where torch spends most of its
time between its operators. Maps are ``(N, h, w)``, one a keypoint. Windows are blurred by matrix products: all peaks
that lie alike to the border share one.
"""

import functools
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from pcrpose.keypoints import decoding
from pcrpose.keypoints.arrays import Bools, Floats, Indices

Located: TypeAlias = tuple[Tensor, Tensor]

_CHUNK = 544  # maps; 32 persons of 17 keypoints are read a second time before they leave the cache
_REACH = 2  # cells; DARK's differences


class _Peaks(NamedTuple):
    x: Indices
    y: Indices
    scores: Floats
    cells: Indices  # among those of all maps

    @property
    def xy(self) -> Floats:
        return np.stack([self.x, self.y], axis=-1).astype(self.scores.dtype)


def decodable(heatmaps: Tensor, refinement: str) -> bool:
    """Return whether `locate` may decode these heatmaps: it knows the refinement, and nobody wants gradients."""
    wanted = torch.is_grad_enabled() and heatmaps.requires_grad
    return refinement in {"argmax", "quarter", "dark"} and not wanted and decoding.readable_by_numpy(heatmaps)


def locate(heatmaps: Tensor, refinement: str, kernel: int, *, published: bool) -> Located:
    """Find the highest cell of each map and refine it.

    Args:
        heatmaps: ``(B, J, h, w)`` float32 or float64, contiguous.
        refinement: ``"argmax"``, ``"quarter"`` or ``"dark"``.
        kernel: width of DARK's blur in cells, odd.
        published: as for `decoding.quarter_step` and `decoding.dark`.

    Returns:
        ``(B, J, 2)`` keypoints in cells, x then y, and ``(B, J)`` scores.
    """
    maps = heatmaps.detach().numpy().reshape(-1, *heatmaps.shape[-2:])
    keypoints, scores = np.empty((len(maps), 2), dtype=maps.dtype), np.empty(len(maps), dtype=maps.dtype)
    with np.errstate(all="ignore"):  # maps of garbage are no reason to warn
        for start in range(0, len(maps), _CHUNK):
            chunk = maps[start : start + _CHUNK]
            peaks = _find_peaks(chunk)
            keypoints[start : start + _CHUNK] = _refined(chunk, peaks, refinement, kernel, published=published)
            scores[start : start + _CHUNK] = peaks.scores
    shape = heatmaps.shape[:2]
    return torch.from_numpy(keypoints).view(*shape, 2), torch.from_numpy(scores).view(shape)


def _refined(maps: Floats, peaks: _Peaks, refinement: str, kernel: int, *, published: bool) -> Floats:
    if refinement == "argmax":
        return peaks.xy
    if refinement == "quarter":
        return peaks.xy + _quarter_step(maps, peaks, published=published)
    return _dark_published(maps, peaks, kernel) if published else _dark(maps, peaks, kernel)


def _find_peaks(maps: Floats) -> _Peaks:
    flat = maps.reshape(len(maps), -1)
    cell = flat.argmax(axis=1)
    y, x = np.divmod(cell, maps.shape[2])
    index = cell + np.arange(0, flat.size, flat.shape[1])
    return _Peaks(x, y, flat.ravel().take(index), index)


def _quarter_step(maps: Floats, peaks: _Peaks, *, published: bool) -> Floats:
    flat, (height, width) = maps.ravel(), maps.shape[1:]
    lowest = 1 if published else 0
    across = (peaks.x > lowest) & (peaks.x < width - 1)
    down = (peaks.y > lowest) & (peaks.y < height - 1)
    if published:
        across = down = across & down
    steps = np.empty((len(maps), 2), dtype=maps.dtype)
    for axis, (allowed, stride) in enumerate(((across, 1), (down, width))):
        away = allowed * stride
        before, after = flat.take(peaks.cells - away), flat.take(peaks.cells + away)
        np.subtract(after > before, after < before, out=steps[:, axis], dtype=maps.dtype)
    steps /= 4
    return steps


def _dark(maps: Floats, peaks: _Peaks, kernel: int) -> Floats:
    height, width = maps.shape[1:]
    x, y = peaks.x.clip(_REACH, width - 1 - _REACH), peaks.y.clip(_REACH, height - 1 - _REACH)
    step, is_maximum = _extremum(_blurred(maps, x, y, kernel, "shrink"))
    at, found = peaks.xy, step
    found[:, 0] += x
    found[:, 1] += y
    near = (np.abs(found - at) <= decoding.TRUSTED_STEP).all(axis=1)
    return np.where((near & is_maximum)[:, None], found, at)


def _dark_published(maps: Floats, peaks: _Peaks, kernel: int) -> Floats:
    """Return the published code's positions.

    It scales the blurred map to its old maximum, which matters only where that lifts a value over the floor of the
    logarithm or not. Only there the whole map is blurred.
    """
    height, width = maps.shape[1:]
    values = _blurred(maps, peaks.x, peaks.y, kernel, "zero")
    gain = float(_table(width, kernel, "zero", maps.dtype.name).gain) ** 2
    inside = (peaks.x > 1) & (peaks.x < width - 2) & (peaks.y > 1) & (peaks.y < height - 2)
    near_floor = np.flatnonzero(inside & ~(values.min(axis=(1, 2)) > 2 * gain * decoding.FLOOR))
    if len(near_floor):
        maxima = decoding.blurred_maximum(torch.from_numpy(maps[near_floor])[None], kernel)[0].numpy()
        values[near_floor] *= (peaks.scores[near_floor] / maxima)[:, None, None]
    step, _ = _extremum(values)
    return peaks.xy + np.where(inside[:, None], step, 0)


def _extremum(values: Floats) -> tuple[Floats, Bools]:
    """Return the ``(N, 2)`` steps to the extremum of the parabola, 0 where there is none, and whether it is a maximum.

    Args:
        values: ``(N, 5, 5)`` heatmaps round a cell, x before y; overwritten.
    """
    logs = np.log(np.maximum(values, decoding.FLOOR, out=values), out=values).transpose(1, 2, 0).copy()
    here, twice = logs[2, 2], 2 * logs[2, 2]
    dx, dy = (logs[3, 2] - logs[1, 2]) / 2, (logs[2, 3] - logs[2, 1]) / 2
    dxx, dyy = (logs[4, 2] - twice + logs[0, 2]) / 4, (logs[2, 4] - twice + logs[2, 0]) / 4
    dxy = (logs[3, 3] + logs[1, 1] - logs[1, 3] - logs[3, 1]) / 4
    determinant = dxx * dyy - dxy * dxy
    flat = determinant == 0
    divisor = np.where(flat, 1, determinant)
    steps = np.empty((len(here), 2), dtype=values.dtype)
    steps[:, 0] = np.where(flat, 0, (dxy * dy - dyy * dx) / divisor)
    steps[:, 1] = np.where(flat, 0, (dxy * dx - dxx * dy) / divisor)
    return steps, (dxx < 0) & (determinant > 0)


def _blurred(maps: Floats, x: Indices, y: Indices, kernel: int, border: decoding.Border) -> Floats:
    """Return ``(N, 5, 5)`` blurred values at the cells round a center, x before y."""
    height, width = maps.shape[1:]
    across = _table(width, kernel, border, maps.dtype.name)
    down = _table(height, kernel, border, maps.dtype.name)
    windows = as_strided(
        maps,
        (len(maps), height - down.cells + 1, width - across.cells + 1, down.cells, across.cells),
        (*maps.strides, *maps.strides[1:]),
        writeable=False,
    )[np.arange(len(maps)), down.starts[y], across.starts[x]]
    lines = across.contracted(windows, x)  # (N, rows, 5)
    return down.contracted(np.ascontiguousarray(lines.transpose(0, 2, 1)), y)


class _Table(NamedTuple):
    """What the blur reads on an axis, by the center's cell."""

    cells: int  # of the window
    starts: Indices  # (length,)
    kinds: Indices  # (length,) row of the next: centers as far from the border share one
    taps: Floats  # (K, cells, 5)
    gain: Floats  # the largest sum of taps

    def contracted(self, values: Floats, center: Indices) -> Floats:
        """Sum ``(N, M, cells)`` values, weighted by the taps of ``(N,)`` centers, to ``(N, M, 5)``."""
        kinds = self.kinds[center]
        first = kinds[:1]
        if (kinds == first).all():
            return _product(values, self.taps[int(first[0])])
        sums = np.empty((*values.shape[:2], self.taps.shape[2]), dtype=values.dtype)
        for kind in np.flatnonzero(np.bincount(kinds)):
            rows = np.flatnonzero(kinds == kind)
            sums[rows] = _product(values[rows], self.taps[kind])
        return sums


def _product(values: Floats, taps: Floats) -> Floats:
    flat: npt.NDArray[np.floating] = values.reshape(-1, values.shape[2]) @ taps
    return flat.reshape(*values.shape[:2], taps.shape[1])


@functools.lru_cache(maxsize=64)
def _table(length: int, kernel: int, border: decoding.Border, dtype: str) -> _Table:
    """Compute the taps for every center, exactly as `decoding` does."""
    # A center nearer than the reach is moved or its value not used; then any taps do.
    centers = torch.arange(length).clamp(_REACH, length - 1 - _REACH) if border == "shrink" else torch.arange(length)
    cells = min(kernel + 2 * _REACH, length)
    at = decoding.window_cells(centers[:, None], cells, length)
    kind = torch.float64 if dtype == "float64" else torch.float32
    taps = decoding.blur_taps(at.to(kind), centers[:, None], length, kernel, reach=_REACH, border=border)
    by_center = taps[..., 0].permute(2, 1, 0).numpy()
    unique, kinds = np.unique(by_center, axis=0, return_inverse=True)
    starts = at[0, :, 0].numpy()
    return _Table(cells, starts, kinds.reshape(-1), np.ascontiguousarray(unique), by_center.sum(axis=1).max())
