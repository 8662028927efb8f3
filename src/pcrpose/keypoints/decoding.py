"""Decoding of heatmaps: the highest cell, and five ways to refine it to a fraction of a cell.

Everything is batched over ``(B, J, h, w)`` heatmaps, counts in cells, x then y, and asks the device for no value. After
the search only a window round each peak is read. Windows stand in front, ``(P, Q, B, J)``: sums over them then run
along the batch, faster than many small matrix products, which TF32 and autocast would round.
"""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

Decoding: TypeAlias = Literal["argmax", "quarter", "dark", "udp", "soft_argmax"]
Border: TypeAlias = Literal["zero", "reflect", "shrink"]

FLOOR = 1e-10  # before the logarithm
_UDP_RANGE, _UDP_RIDGE = (1e-3, 50.0), 1.19e-7
TRUSTED_STEP = 1.5  # cells from the highest cell; a parabola that peaks further away is not this peak


class Peaks(NamedTuple):
    """The highest cell of every heatmap: ``(B, J)`` int64 columns and rows, ``(B, J)`` float scores."""

    x: Tensor
    y: Tensor
    scores: Tensor

    @property
    def xy(self) -> Tensor:
        """Columns and rows, ``(B, J, 2)`` in the scores' dtype."""
        return torch.stack([self.x, self.y], dim=-1).to(self.scores.dtype)


class _Parabola(NamedTuple):
    """Differences of ``(B, J)`` log-heatmaps at one cell."""

    dx: Tensor
    dy: Tensor
    dxx: Tensor
    dyy: Tensor
    dxy: Tensor

    @property
    def determinant(self) -> Tensor:
        return self.dxx * self.dyy - self.dxy * self.dxy

    def step(self) -> Tensor:
        """Return ``(B, J, 2)`` offsets from the cell to the parabola's extremum; 0 where it has none."""
        determinant = self.determinant
        flat = determinant == 0
        xy = [self.dxy * self.dy - self.dyy * self.dx, self.dxy * self.dx - self.dxx * self.dy]
        return torch.where(flat, 0, torch.stack(xy) / torch.where(flat, 1, determinant)).movedim(0, -1)


def find_peaks(heatmaps: Tensor) -> Peaks:
    """Find the highest cell of ``(B, J, h, w)`` heatmaps; the first in reading order where several tie."""
    flat = heatmaps.flatten(-2)
    index = _numpy_argmax(flat) if readable_by_numpy(flat) else flat.argmax(dim=-1)
    scores = flat.gather(-1, index[..., None])[..., 0]
    width = heatmaps.shape[-1]
    y = index.div(width, rounding_mode="floor")
    return Peaks(index - y * width, y, _at_least_float32(scores))


def readable_by_numpy(values: Tensor) -> bool:
    """Return whether numpy may search the same memory, ten times faster than torch does on a CPU."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]  # public, but not typed
        and type(values) is Tensor
        and values.device.type == "cpu"
        and values.dtype in (torch.float32, torch.float64)
    )


def _numpy_argmax(values: Tensor) -> Tensor:
    return torch.from_numpy(values.detach().numpy().argmax(axis=-1))


def quarter_step(heatmaps: Tensor, peaks: Peaks, *, published: bool) -> Tensor:
    """Move a quarter of a cell towards the higher neighbor on each axis.

    Args:
        heatmaps: ``(B, J, h, w)``.
        peaks: of the same heatmaps.
        published: step only where ``1 < p < size - 1`` on both axes; otherwise each axis with both neighbors does.

    Returns:
        ``(B, J, 2)`` cells to add to the peak.
    """
    height, width = heatmaps.shape[-2:]
    flat, index = heatmaps.flatten(-2), peaks.y * width + peaks.x
    lowest = 1 if published else 0
    inside = [(at > lowest) & (at < length - 1) for at, length in ((peaks.x, width), (peaks.y, height))]
    if published:
        inside = [inside[0] & inside[1]] * 2
    steps = []
    for allowed, stride in zip(inside, (1, width), strict=True):
        away = torch.where(allowed, stride, 0)
        ends = flat.gather(-1, torch.stack([index - away, index + away], dim=-1))
        before, after = ends[..., 0], ends[..., 1]
        steps.append((after > before).to(peaks.scores.dtype) - (after < before).to(peaks.scores.dtype))
    return torch.stack(steps, dim=-1) / 4


def dark(heatmaps: Tensor, peaks: Peaks, kernel: int, *, published: bool) -> Tensor:
    """Move to the extremum of the parabola that fits the blurred log-heatmap, differences two cells wide.

    Args:
        heatmaps: ``(B, J, h, w)``, at least 5 x 5 cells.
        peaks: of the same heatmaps.
        kernel: width of the blur in cells, odd.
        published: the rules of the published code: the map is taken as zero outside, a peak within two cells of the
            border keeps its position and the step has no bound. Otherwise the differences are taken at the nearest cell
            that has two neighbors each way, the blur narrows to what fits between them and the border, and the step
            is taken where the parabola has a maximum near the peak.

    Returns:
        ``(B, J, 2)`` cells.

    Source:
        DarkPose. The published code also scales the blurred map to its old maximum, which costs a blur of the whole
        map; the logarithm takes the factor out again, save where values meet the floor, so ours leaves it out.
    """
    if not published:
        return _trusted_parabola(heatmaps, peaks, kernel, reach=2)
    height, width = heatmaps.shape[-2:]
    values = _blurred(heatmaps, peaks.x, peaks.y, kernel, reach=2, border="zero")
    step = _parabola(_log(values * (peaks.scores / blurred_maximum(heatmaps, kernel)))).step()
    inside = (peaks.x > 1) & (peaks.x < width - 2) & (peaks.y > 1) & (peaks.y < height - 2)
    return peaks.xy + torch.where(inside[..., None], step, 0)


def udp(heatmaps: Tensor, peaks: Peaks, kernel: int, *, published: bool) -> Tensor:
    """Move as `dark` does, with differences one cell wide.

    Args:
        heatmaps: ``(B, J, h, w)``, at least 3 x 3 cells.
        peaks: of the same heatmaps.
        kernel: width of the blur in cells, odd.
        published: the rules of the published code: the map is reflected at its border for the blur and repeated for
            the differences, values are clipped, every peak steps. Otherwise `dark`'s rules.

    Returns:
        ``(B, J, 2)`` cells.

    Source:
        UDP-Pose.
    """
    if not published:
        return _trusted_parabola(heatmaps, peaks, kernel, reach=1)
    values = _blurred(heatmaps, peaks.x, peaks.y, kernel, reach=1, border="reflect")
    logs = values.clamp(*_UDP_RANGE).log()
    parabola = _parabola(logs)
    # The published mixed difference reads one diagonal only, so it is not the same in a mirrored map.
    diagonal = logs[2, 2] - 2 * logs[1, 1] + logs[0, 0]
    ridged = parabola._replace(
        dxx=parabola.dxx + _UDP_RIDGE, dyy=parabola.dyy + _UDP_RIDGE, dxy=(diagonal - parabola.dxx - parabola.dyy) / 2
    )
    return peaks.xy + ridged.step()


def soft_argmax(heatmaps: Tensor, peaks: Peaks, kernel: int) -> Tensor:
    """Compute the mean position in a window round the peak, weighted by the positive part of the heatmap.

    The window is ``kernel`` cells wide, narrower on an axis where the border is nearer, down to the peak's own cell on
    the border, so that it stays centered. Differentiable with respect to the heatmaps.

    Args:
        heatmaps: ``(B, J, h, w)``.
        peaks: of the same heatmaps.
        kernel: width of the window in cells, odd.

    Returns:
        ``(B, J, 2)`` cells; the peak itself where no value in the window is positive, or one is not finite.
    """
    values, rows, columns = _window(heatmaps, peaks.x, peaks.y, kernel)
    height, width = heatmaps.shape[-2:]
    down = _within(rows - peaks.y, _room(peaks.y, height, kernel // 2))
    across = _within(columns - peaks.x, _room(peaks.x, width, kernel // 2))
    weights = values.clamp(min=0) * (down[:, None] & across)
    total = weights.sum(dim=(0, 1))
    empty = ~((total > 0) & (total < math.inf))
    x = (weights.sum(dim=0) * (columns - peaks.x)).sum(dim=0)
    y = (weights.sum(dim=1) * (rows - peaks.y)).sum(dim=0)
    mean = torch.stack([x, y], dim=-1) / torch.where(empty, 1, total)[..., None]
    return peaks.xy + torch.where(empty[..., None], 0, mean)


def _trusted_parabola(heatmaps: Tensor, peaks: Peaks, kernel: int, *, reach: int) -> Tensor:
    """Return our own offsets: differences where the map has neighbors, and only a maximum near the peak counts."""
    height, width = heatmaps.shape[-2:]
    x, y = peaks.x.clamp(reach, width - 1 - reach), peaks.y.clamp(reach, height - 1 - reach)
    parabola = _parabola(_log(_blurred(heatmaps, x, y, kernel, reach=reach, border="shrink")))
    found = torch.stack([x, y], dim=-1) + parabola.step()
    near = _within(found - peaks.xy, TRUSTED_STEP).all(dim=-1)
    is_maximum = (parabola.dxx < 0) & (parabola.determinant > 0)
    return torch.where((near & is_maximum)[..., None], found, peaks.xy)


def _log(values: Tensor) -> Tensor:
    return values.clamp(min=FLOOR).log()


def _parabola(logs: Tensor) -> _Parabola:
    """Compute differences at the center of ``(S, S, B, J)``; the second ones reach as far as the stencil does."""
    middle = len(logs) // 2
    low, high, last = middle - 1, middle + 1, 2 * middle
    row, column, here = logs[middle], logs[:, middle], logs[middle, middle]
    diagonal = logs[high, high] + logs[low, low] - logs[low, high] - logs[high, low]
    return _Parabola(
        dx=(row[high] - row[low]) / 2,
        dy=(column[high] - column[low]) / 2,
        dxx=(row[last] - 2 * here + row[0]) / middle**2,
        dyy=(column[last] - 2 * here + column[0]) / middle**2,
        dxy=diagonal / 4,
    )


def _window(heatmaps: Tensor, x: Tensor, y: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gather a window that lies inside the map and covers what a centered one would share with it.

    Returns:
        ``(P, Q, B, J)`` values, at least float32; their ``(P, B, J)`` rows and ``(Q, B, J)`` columns.
    """
    height, width = heatmaps.shape[-2:]
    rows, columns = window_cells(y, cells, height), window_cells(x, cells, width)
    starts = torch.arange(x.numel(), device=x.device).view_as(x) * (height * width)
    index = (rows * width + starts)[:, None] + columns
    values = heatmaps.flatten().index_select(0, index.flatten()).view_as(index)
    return _at_least_float32(values), rows, columns


def window_cells(center: Tensor, cells: int, length: int) -> Tensor:
    """Return ``(cells, B, J)``: the rows or columns of the windows round ``(B, J)`` centers."""
    cells = min(cells, length)
    start = (center - cells // 2).clamp(0, length - cells)
    return start + torch.arange(cells, device=center.device)[:, None, None]


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _blurred(heatmaps: Tensor, x: Tensor, y: Tensor, kernel: int, *, reach: int, border: Border) -> Tensor:
    """Blur the heatmaps by a Gaussian, at the ``(S, S, B, J)`` cells up to ``reach`` from a center.

    Each heatmap is left with a constant factor, save at a reflecting border.
    """
    values, rows, columns = _window(heatmaps, x, y, kernel + 2 * reach)
    height, width = heatmaps.shape[-2:]
    down = blur_taps(rows.to(values.dtype), y, height, kernel, reach=reach, border=border)
    across = blur_taps(columns.to(values.dtype), x, width, kernel, reach=reach, border=border)
    lines = (down[:, :, None] * values).sum(dim=1)  # (S, Q, B, J)
    return (lines[:, None] * across).sum(dim=2)


def blur_taps(cells: Tensor, center: Tensor, length: int, kernel: int, *, reach: int, border: Border) -> Tensor:
    """Return ``(S, P, B, J)``: the weights of cells in the blurred values at 2 reach + 1 cells round the center."""
    half, center = kernel // 2, center.to(cells.dtype)
    position = (center + torch.arange(-reach, reach + 1, device=center.device)[:, None, None])[:, None]
    if border == "reflect":
        position = position.clamp(0, length - 1)
    if border == "shrink":
        return _gaussian(cells - position, _room(center, length, half + reach) - reach)
    weights = _gaussian(cells - position, half)
    if border == "zero":
        return weights
    before, after = -cells, 2 * (length - 1) - cells
    weights = weights + torch.where(before < 0, _gaussian(before - position, half), 0)
    weights = weights + torch.where(after > length - 1, _gaussian(after - position, half), 0)
    return weights / weights.sum(dim=1, keepdim=True)


def _room(center: Tensor, length: int, most: int) -> Tensor:
    """Count the cells between a center and the nearer border, ``most`` at most."""
    return torch.minimum(center, length - 1 - center).clamp(max=most)


def _within(distance: Tensor, half: Tensor | float) -> Tensor:
    return distance.abs() <= half


def _gaussian(distance: Tensor, half: Tensor | float) -> Tensor:
    """Return a Gaussian kernel that ends at ``half`` cells, with OpenCV's choice of its sigma."""
    sigma = 0.3 * (half - 1) + 0.8
    return torch.exp(distance * distance * (-0.5 / (sigma * sigma))) * _within(distance, half)


def blurred_maximum(heatmaps: Tensor, kernel: int) -> Tensor:
    """Blur ``(B, J, h, w)`` heatmaps, zero outside, by `_blurred`'s taps and return the ``(B, J)`` maxima."""
    blurred, half = _at_least_float32(heatmaps), kernel // 2
    taps = _gaussian(torch.arange(half + 1, device=blurred.device, dtype=blurred.dtype), half)
    for axis in (-2, -1):
        values, blurred = blurred, blurred.clone()
        for distance in range(1, min(half + 1, values.shape[axis])):
            count = values.shape[axis] - distance
            for to, source in ((0, distance), (distance, 0)):
                blurred.narrow(axis, to, count).addcmul_(values.narrow(axis, source, count), taps[distance])
    return blurred.amax(dim=(-2, -1))
