"""Keypoint covariances: how far, and in which direction, the shape of a heatmap lets the true place be."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from pcrpose.files.json import check_keys, finite_numbers, number
from pcrpose.keypoints.probability import FEATURES, heatmap_features

COVARIANCE_FEATURES = (*FEATURES, "log extent")
_FLOOR = 0.01  # of the peak; what is lower is the background's noise, and there is much of it
_CELL = 1 / 12  # variance of a place that is uniform in one cell
_LEAST = 1e-2  # cells squared, of the geometric mean of the two variances
_TINY = 1e-12  # before the logarithm


def second_moments(heatmaps: Tensor, keypoints_heatmap: Tensor) -> Tensor:
    """Compute the second moments of heatmaps about their keypoints, and about nothing else: no mean is taken off.

    Args:
        heatmaps: ``(B, J, h, w)`` float, ready to decode.
        keypoints_heatmap: ``(B, J, 2)`` float, x then y, cells.

    Returns:
        ``(B, J, 2, 2)`` of at least float32, cells squared: of what is above a hundredth of the peak, plus a cell's
        own. Of a map without a positive or finite value: those of a uniform one about its center.

    Examples:
        >>> heatmaps = torch.zeros(1, 1, 9, 9)
        >>> heatmaps[0, 0, 4, 2] = heatmaps[0, 0, 4, 6] = 1.0
        >>> moments = second_moments(heatmaps, torch.full((1, 1, 2), 4.0))[0, 0]
        >>> [[round(value, 2) for value in row] for row in moments.tolist()]
        [[4.08, 0.0], [0.0, 0.08]]
    """
    values = heatmaps if heatmaps.dtype == torch.float64 else heatmaps.float()
    centers = keypoints_heatmap.to(values)
    height, width = values.shape[-2:]
    x = torch.arange(width, device=values.device) - centers[..., 0:1]
    y = torch.arange(height, device=values.device) - centers[..., 1:2]
    positive = values.clamp(min=0)
    mass = torch.where(positive > _FLOOR * positive.amax(dim=(-2, -1), keepdim=True), positive, 0)
    columns, rows = mass.sum(dim=-2), mass.sum(dim=-1)
    total = rows.sum(dim=-1)
    mixed = ((mass * x[..., None, :]).sum(dim=-1) * y).sum(dim=-1)
    sums = torch.stack([(columns * x * x).sum(dim=-1), mixed, mixed, (rows * y * y).sum(dim=-1)], dim=-1)
    usable = (total > 0) & sums.isfinite().all(dim=-1)
    moments = (sums / torch.where(usable, total, 1)[..., None]).view(*total.shape, 2, 2)
    moments = moments + _CELL * torch.eye(2, device=values.device, dtype=values.dtype)
    return torch.where(usable[..., None, None], moments, _uniform(values))


@dataclass(frozen=True, kw_only=True)
class CovarianceCalibration:
    """From the shape of a heatmap to the covariance of its keypoint, scaled so that ellipses hold what they say.

    The covariance has the axes and the proportions of the heatmap's second moments about the keypoint. Its size, the
    logarithm of the root of its determinant, is ``features @ weights + intercepts[k]``. No weight lets a sharper peak
    mean less certainty, so that no heatmap, however strange, makes a guess look sure.

    Attributes:
        weights: of each of ``COVARIANCE_FEATURES``: not positive for the first two, not negative for the others.
        intercepts: of each keypoint.
        sigma: of the target's Gaussian, cells, that the features were measured with.

    Raises:
        ValueError: if the lengths do not fit, a weight has the wrong sign, or a number is not finite.
    """

    weights: tuple[float, ...]
    intercepts: tuple[float, ...]
    sigma: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(COVARIANCE_FEATURES):
            raise ValueError(f"weights: expected {len(COVARIANCE_FEATURES)}, found {len(self.weights)}")
        numbers = (*self.weights, *self.intercepts, self.sigma)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"expected finite numbers, found {numbers}")
        if max(self.weights[:2]) > 0 or min(self.weights[2:]) < 0:
            raise ValueError(f"weights: expected two of at most 0 and three of at least 0, found {self.weights}")

    @property
    def num_keypoints(self) -> int:
        """J, the number of keypoints."""
        return len(self.intercepts)

    def __call__(self, heatmaps: Tensor, keypoints_heatmap: Tensor) -> Tensor:
        """Map heatmaps to covariances.

        Args:
            heatmaps: ``(B, J, h, w)`` float, ready to decode.
            keypoints_heatmap: ``(B, J, 2)`` float, decoded from them, x then y, cells.

        Returns:
            ``(B, J, 2, 2)`` of at least float32, cells squared, symmetric, positive definite. Where a map has no peak,
            that of a place that may be anywhere on it.

        Raises:
            ValueError: if there are not as many heatmaps as intercepts.
        """
        return self.of_features(heatmap_features(heatmaps, self.sigma), heatmaps, keypoints_heatmap)

    def of_features(self, features: Tensor, heatmaps: Tensor, keypoints_heatmap: Tensor) -> Tensor:
        """Map heatmaps whose ``(B, J, 4)`` features are known already; otherwise as a call."""
        if heatmaps.shape[1] != self.num_keypoints:
            raise ValueError(f"heatmaps: expected {self.num_keypoints} keypoints, found {heatmaps.shape[1]}")
        moments = second_moments(heatmaps, keypoints_heatmap)
        weights, intercepts = (
            torch.tensor(values, device=moments.device, dtype=moments.dtype)
            for values in (self.weights, self.intercepts)
        )
        extent = log_extents(moments)
        sizes = torch.cat([features.to(moments), extent[..., None]], dim=-1) @ weights + intercepts
        height, width = heatmaps.shape[-2:]
        sizes = sizes.clamp(min=math.log(_LEAST), max=math.log(width * width + height * height))
        scaled = moments * (sizes - extent).exp()[..., None, None]
        return torch.where(sizes.isfinite()[..., None, None], scaled, _uniform(moments, height, width))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for a missing or unknown key, or what is no number."""
        check_keys(values, cls.__dataclass_fields__, "covariances")
        weights, intercepts = (finite_numbers(values, name, "covariances") for name in ("weights", "intercepts"))
        return cls(weights=weights, intercepts=intercepts, sigma=number(values, "sigma", "covariances"))


def log_extents(moments: Tensor) -> Tensor:
    """Compute the logarithm of the root of the determinant of ``(..., 2, 2)`` moments; ``(...)``."""
    determinants = moments[..., 0, 0] * moments[..., 1, 1] - moments[..., 0, 1] * moments[..., 1, 0]
    return determinants.clamp(min=_TINY).log() / 2


def _uniform(like: Tensor, height: int | None = None, width: int | None = None) -> Tensor:
    """Return the ``(2, 2)`` covariance of a place that may be anywhere on a map of a size, ``like``'s own if None."""
    rows, columns = height or like.shape[-2], width or like.shape[-1]
    return torch.diag(torch.stack([like.new_full((), side * side / 12) for side in (columns, rows)]))
