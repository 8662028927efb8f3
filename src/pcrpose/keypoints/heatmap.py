"""Heatmap codec: keypoints to training targets, and predicted heatmaps back to keypoints."""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from pcrpose.files.checks import one_of, positive
from pcrpose.keypoints import decoding as peaks
from pcrpose.keypoints import decoding_cpu
from pcrpose.keypoints.arrays import Indices
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment
from pcrpose.keypoints.decoding import Decoding

_MERGED_AT_ONCE = 8  # persons
_SMALLEST_MAP = 5  # cells; DARK's differences reach two cells each way


@dataclass(frozen=True, kw_only=True)
class HeatmapCodec:
    """Encode the keypoints of a crop as heatmaps, and decode heatmaps.

    Attributes:
        input_size: of the crops, a multiple of the stride.
        stride: crop pixels a cell.
        sigma: of the target's Gaussian, crop pixels; 8 is two cells of stride 4.
        alignment: ``"center"`` is ours: a cell covers ``stride`` crop pixels, ``crop = stride * (cell + 0.5) - 0.5``,
            the Gaussian has a real-valued center, and a map without a peak still gives its highest cell with its low
            score. ``"edge"`` reproduces the published HRNet and Simple Baselines code: ``crop = stride * cell``,
            centers rounded to a cell, a window of 3 sigma, and (0, 0) where the maximum is not positive. ``"udp"``
            reproduces the published ViTPose code: the outermost cells' centers lie on the outermost pixels' centers,
            ``crop = cell * (W - 1) / (w - 1)``, and the Gaussian has a real-valued center and a window of 3 sigma round
            the nearest cell.
        decoding: how to refine the highest cell; see `locate`.
        blur_kernel: width in cells of the blur of ``"dark"`` and ``"udp"`` and of the window of ``"soft_argmax"``, odd.

    Raises:
        ValueError: if a field has no meaning.

    Examples:
        >>> codec = HeatmapCodec(input_size=Size(width=192, height=256))
        >>> heatmaps, weights = codec.encode(torch.tensor([[[100.3, 61.2]]]), torch.ones(1, 1))
        >>> heatmaps.shape
        torch.Size([1, 1, 64, 48])
        >>> keypoints_crop, keypoint_scores = codec.decode(heatmaps)
        >>> [round(value, 1) for value in keypoints_crop.flatten().tolist()]
        [100.3, 61.2]
    """

    input_size: Size
    stride: int = 4
    sigma: float = 8.0
    alignment: Alignment = "center"
    decoding: Decoding = "dark"
    blur_kernel: int = 11

    def __post_init__(self) -> None:
        positive("sigma", self.sigma, of="crop pixels")
        one_of("alignment", self.alignment, get_args(Alignment))
        one_of("decoding", self.decoding, get_args(Decoding))
        if not (isinstance(self.blur_kernel, int) and self.blur_kernel > 0 and self.blur_kernel % 2):
            raise ValueError(f"blur_kernel: expected an odd number of cells, found {self.blur_kernel!r}")
        size = self.heatmap_size()
        if min(size.width, size.height) < _SMALLEST_MAP:
            raise ValueError(f"expected heatmaps of at least {_SMALLEST_MAP}x{_SMALLEST_MAP} cells, found {size}")

    def heatmap_size(self, stride: int | None = None) -> Size:
        """Return the heatmaps' size in cells; raises ValueError if the stride does not divide the crop."""
        step = self.stride if stride is None else stride
        size = self.input_size
        if not (isinstance(step, int) and step > 0) or size.width % step or size.height % step:
            raise ValueError(f"stride: expected a divisor of the {size} (height x width) crop, found {step!r}")
        return Size(width=size.width // step, height=size.height // step)

    def to_heatmap(self, keypoints_crop: Tensor, stride: int | None = None) -> Tensor:
        """Map ``(..., 2)`` points from crop pixels to cells."""
        step = self.stride if stride is None else stride
        if self.alignment == "udp":
            cells, pixels = self.heatmap_size(step), self.input_size
            across, down = (cells.width - 1) / (pixels.width - 1), (cells.height - 1) / (pixels.height - 1)
            return keypoints_crop * _pair(keypoints_crop, across, down)
        return keypoints_crop / step if self.alignment == "edge" else (keypoints_crop + 0.5) / step - 0.5

    def to_crop(self, keypoints_heatmap: Tensor) -> Tensor:
        """Map ``(..., 2)`` points from cells of `stride` to crop pixels."""
        if self.alignment == "edge":
            return keypoints_heatmap * self.stride
        if self.alignment == "udp":
            cells, pixels = self.heatmap_size(), self.input_size
            across, down = (pixels.width - 1) / (cells.width - 1), (pixels.height - 1) / (cells.height - 1)
            return keypoints_heatmap * _pair(keypoints_heatmap, across, down)
        return (keypoints_heatmap + 0.5) * self.stride - 0.5

    def covariances_to_crop(self, covariances_heatmap: Tensor) -> Tensor:
        """Map ``(..., 2, 2)`` covariances of points from cells squared to crop pixels squared."""
        ends = self.to_crop(_pair(covariances_heatmap, 0, 1)[:, None].expand(2, 2))
        steps = ends[1] - ends[0]
        return covariances_heatmap * steps[:, None] * steps

    def encode(
        self, keypoints_crop: Tensor, keypoint_weights: Tensor, *, stride: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a Gaussian of height 1 for every keypoint that has a weight and lies on the map.

        Args:
            keypoints_crop: ``(B, J, 2)`` float, x then y, crop pixels; anything, NaN included, where the weight is 0.
            keypoint_weights: ``(B, J)`` float, 0 for keypoints that are not labelled.
            stride: of the heatmaps to draw, the codec's if None. ``sigma`` is in crop pixels, so it scales.

        Returns:
            ``(B, J, h, w)`` float32 heatmaps, all zero where nothing is drawn, and ``(B, J)`` float32 weights: the
            given ones, 0 where the keypoint is off the map. ``"center"``: outside the map's outermost cells.
            ``"edge"`` and ``"udp"``: where the Gaussian's window misses the map, by the published rule, and nothing is
            drawn at a weight of 0.5 or less.

        Raises:
            ValueError: if the shapes do not fit or the stride does not divide the crop.
        """
        if keypoints_crop.ndim != 3 or keypoints_crop.shape[-1] != 2:  # noqa: PLR2004 - (B, J, 2)
            raise ValueError(f"keypoints_crop: expected shape (B, J, 2), found {tuple(keypoints_crop.shape)}")
        if keypoint_weights.shape != keypoints_crop.shape[:2]:
            expected, found = tuple(keypoints_crop.shape[:2]), tuple(keypoint_weights.shape)
            raise ValueError(f"keypoint_weights: expected shape {expected}, found {found}")
        size = self.heatmap_size(stride)
        sigma = self.sigma / (self.stride if stride is None else stride)
        cells = self.to_heatmap(keypoints_crop, stride)
        last = _pair(cells, size.width - 1, size.height - 1)
        if self.alignment == "center":
            nearest, reach = cells, math.inf
            inside = ((cells + 0.5 >= 0) & (cells - 0.5 <= last)).all(dim=-1)
            drawn = inside & (keypoint_weights > 0)
        else:
            nearest, reach = torch.trunc(cells + 0.5), 3 * sigma
            inside = ((nearest - reach <= last) & (nearest + reach + 1 >= 0)).all(dim=-1)
            drawn = inside & (keypoint_weights > 0.5)  # noqa: PLR2004 - the published threshold
        if self.alignment == "edge":
            cells = nearest
        across = _gaussians(cells[..., 0], nearest[..., 0], size.width, sigma, reach)
        down = _gaussians(cells[..., 1], nearest[..., 1], size.height, sigma, reach) * drawn[..., None]
        return down[..., :, None] * across[..., None, :], torch.where(inside, keypoint_weights, 0).float()

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Find the keypoints in crop pixels.

        Args:
            heatmaps: ``(B, J, h, w)`` float, of the codec's stride; not changed.

        Returns:
            ``(B, J, 2)`` keypoints, x then y, crop pixels, and ``(B, J)`` scores: the highest value of each heatmap.
            At least float32.

        Raises:
            ValueError: if ``heatmaps`` is not floating point or has another shape.
        """
        keypoints_heatmap, keypoint_scores = self.locate(heatmaps)
        return self.to_crop(keypoints_heatmap), keypoint_scores

    def locate(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Find the keypoints in cells: the highest cell, the first in reading order if several tie, then refined.

        ``"argmax"`` leaves it there. ``"quarter"`` steps a quarter cell towards the higher neighbors. ``"dark"`` and
        ``"udp"`` fit a parabola to the blurred logarithm. ``"soft_argmax"`` averages a window round the peak. What
        happens at the border, and which steps count, depends on the alignment; `pcrpose.keypoints.decoding` says how.
        ``"edge"`` follows the published code in all of them, ``"udp"`` in ``"udp"`` alone, save that a map without a
        positive value gives its highest cell.

        Args:
            heatmaps: ``(B, J, h, w)`` float, of the codec's stride; not changed.

        Returns:
            ``(B, J, 2)`` keypoints, x then y, cells, and ``(B, J)`` scores; at least float32.

        Raises:
            ValueError: if ``heatmaps`` is not floating point or has another shape.
        """
        size = self.heatmap_size()
        if heatmaps.ndim != 4 or heatmaps.shape[-2:] != (size.height, size.width):  # noqa: PLR2004 - (B, J, h, w)
            expected, found = f"(B, J, {size.height}, {size.width})", tuple(heatmaps.shape)
            raise ValueError(f"heatmaps: expected shape {expected}, found {found}")
        if not heatmaps.is_floating_point():
            raise ValueError(f"heatmaps: expected floating point, found {heatmaps.dtype}")
        heatmaps = heatmaps.contiguous()
        if heatmaps.numel() and self.alignment != "udp" and decoding_cpu.decodable(heatmaps, self.decoding):
            published = self.alignment == "edge"
            keypoints, scores = decoding_cpu.locate(heatmaps, self.decoding, self.blur_kernel, published=published)
            return (torch.where((scores > 0)[..., None], keypoints, 0) if published else keypoints), scores
        found_peaks = peaks.find_peaks(heatmaps)
        keypoints = self._refined(heatmaps, found_peaks)
        if self.alignment == "edge":
            keypoints = torch.where((found_peaks.scores > 0)[..., None], keypoints, 0)
        if self.alignment == "udp":  # where the published code reads beside the map
            peaked = (found_peaks.scores > 0) & (found_peaks.scores < math.inf)
            keypoints = torch.where(peaked[..., None], keypoints, found_peaks.xy)
        return keypoints, found_peaks.scores

    def _refined(self, heatmaps: Tensor, found: peaks.Peaks) -> Tensor:
        published = self.alignment == "edge"
        match self.decoding:
            case "argmax":
                return found.xy
            case "quarter":
                return found.xy + peaks.quarter_step(heatmaps, found, published=published)
            case "dark":
                return peaks.dark(heatmaps, found, self.blur_kernel, published=published)
            case "udp":
                return peaks.udp(heatmaps, found, self.blur_kernel, published=self.alignment != "center")
        return peaks.soft_argmax(heatmaps, found, self.blur_kernel)


def _pair(like: Tensor, x: float, y: float) -> Tensor:
    """Return ``(2,)`` numbers on a tensor's device without copying them there."""
    return torch.stack([like.new_full((), x), like.new_full((), y)])


def _gaussians(centers: Tensor, nearest: Tensor, length: int, sigma: float, reach: float) -> Tensor:
    """``(B, J)`` centers to ``(B, J, length)`` float32 bells of height 1, 0 beyond ``reach`` cells from ``nearest``."""
    cells = torch.arange(length, device=centers.device, dtype=centers.dtype)
    distance = cells - centers[..., None]
    bells = torch.exp(distance * distance / (-2 * sigma * sigma))
    # no NaN is within reach, so none comes out
    return torch.where((cells - nearest[..., None]).abs() <= reach, bells, 0).float()


def mirror_heatmaps(heatmaps: Tensor, flip_indices: Tensor | Indices, *, shift: bool = False) -> Tensor:
    """Convert the heatmaps of a mirrored crop to heatmaps of the crop.

    Args:
        heatmaps: ``(B, J, h, w)`` float; not changed.
        flip_indices: ``(J,)`` integers, as `Skeleton.flip_indices`.
        shift: afterwards move everything one cell to the right, column 0 kept, as the published code for the
            ``"edge"`` alignment does; ``"center"`` needs no shift.

    Returns:
        ``(B, J, h, w)``, a new tensor.
    """
    order = flip_indices if isinstance(flip_indices, Tensor) else torch.tensor(flip_indices)
    mirrored = heatmaps.index_select(1, order.to(heatmaps.device, non_blocking=True)).flip(-1)
    return torch.cat([mirrored[..., :1], mirrored[..., :-1]], dim=-1) if shift else mirrored


def merge_mirrored(
    heatmaps: Tensor, mirrored_heatmaps: Tensor, flip_indices: Tensor | Indices, *, shift: bool = False
) -> Tensor:
    """Average the heatmaps of a crop with those of the mirrored crop.

    Args:
        heatmaps: ``(B, J, h, w)`` float, of the crop; not changed.
        mirrored_heatmaps: ``(B, J, h, w)`` float, of the mirrored crop; not changed.
        flip_indices: ``(J,)`` integers, as `Skeleton.flip_indices`.
        shift: see `mirror_heatmaps`.

    Returns:
        ``(B, J, h, w)``, the mean.

    Raises:
        ValueError: if the two shapes differ.
    """
    if heatmaps.shape != mirrored_heatmaps.shape:
        first, second = tuple(heatmaps.shape), tuple(mirrored_heatmaps.shape)
        raise ValueError(f"expected heatmaps of one shape, found {first} and {second}")
    differentiated = torch.is_grad_enabled() and (heatmaps.requires_grad or mirrored_heatmaps.requires_grad)
    # Traced first: len() would make the number of persons a constant of what torch.export writes.
    if _is_traced() or len(heatmaps) <= _MERGED_AT_ONCE or not heatmaps.is_cpu or differentiated:
        return (heatmaps + mirror_heatmaps(mirrored_heatmaps, flip_indices, shift=shift)) * 0.5
    merged = torch.empty_like(heatmaps, memory_format=torch.contiguous_format)
    for start in range(0, len(heatmaps), _MERGED_AT_ONCE):  # in the cache; whole temporaries cost fresh memory
        part = slice(start, start + _MERGED_AT_ONCE)
        mirrored = mirror_heatmaps(mirrored_heatmaps[part], flip_indices, shift=shift)
        torch.add(heatmaps[part], mirrored, out=merged[part]).mul_(0.5)
    return merged


def _is_traced() -> bool:
    traced: bool = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined,no-untyped-call]  # public, but not typed
    return traced
