"""Keypoint probabilities: a fitted map from the shape of a heatmap to how likely its keypoint is right."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pcrpose.files.json import check_keys, finite_numbers, number
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.decoding import find_peaks

FEATURES = ("log peak", "mass near the peak", "second peak", "log spread")
_REACH = 3.0  # of the target's sigma: what counts as near the peak
_LEAST, _MOST = 1e-4, 4.0  # of what goes into a logarithm; a heatmap below the least says nothing


def heatmap_features(heatmaps: Tensor, sigma: float) -> Tensor:
    """Measure the shape of heatmaps round their peaks.

    Args:
        heatmaps: ``(B, J, h, w)`` float, ready to decode.
        sigma: of the target's Gaussian, cells.

    Returns:
        ``(B, J, 4)`` of at least float32, in the order of ``FEATURES``: the logarithm of the peak; the fraction of the
        positive mass that lies within three sigma of it; the highest value beyond, as a fraction of the peak; and the
        logarithm of the root mean square distance within, in sigmas. NaN where a map has no peak: it is constant, not
        positive, or not finite.
    """
    values = heatmaps if heatmaps.dtype == torch.float64 else heatmaps.float()
    peaks = find_peaks(values)
    height, width = values.shape[-2:]
    rows = torch.arange(height, device=values.device)[:, None] - peaks.y[..., None, None]
    columns = torch.arange(width, device=values.device) - peaks.x[..., None, None]
    distances = (rows * rows + columns * columns).to(values.dtype) / (sigma * sigma)
    near, positive = distances <= _REACH * _REACH, values.clamp(min=0)
    inside = torch.where(near, positive, 0)
    mass, total = inside.sum(dim=(-2, -1)), positive.sum(dim=(-2, -1))
    peak = peaks.scores.clamp(_LEAST, _MOST)
    second = torch.where(near, 0, positive).amax(dim=(-2, -1)) / peak
    spread = ((inside * distances).sum(dim=(-2, -1)) / mass).sqrt()
    features = torch.stack([peak.log(), mass / total, second.clamp(max=1), spread.clamp(_LEAST, _MOST).log()], dim=-1)
    found = (peaks.scores > _LEAST) & (values.amin(dim=(-2, -1)) < peaks.scores) & (total < math.inf)
    return torch.where(found[..., None], features, math.nan)


@dataclass(frozen=True, kw_only=True)
class KeypointCalibration:
    """From the features of a heatmap to the probability that its keypoint lies within its OKS falloff.

    With ``z = slopes[k] * (features @ weights) + intercepts[k]``, one ranking of heatmaps for all keypoints and a line
    for each, the logit is ``low * log(sigmoid(z)) - high * log(sigmoid(-z)) + shift``. All of it is monotone.

    Attributes:
        weights: of each of ``FEATURES``.
        slopes: of each keypoint, positive.
        intercepts: of each keypoint.
        counts: labelled instances of each keypoint that it was fitted on.
        sigma: of the target's Gaussian, cells, that the features were measured with.
        bend: ``low``, ``high`` (positive) and ``shift``; 1, 1 and 0 leave the logit as it is.

    Raises:
        ValueError: if the lengths do not fit, a slope, ``low`` or ``high`` is not positive, or a number is not finite.

    Source:
        Kull et al., *Beta calibration*, 2017, equation of their family of maps.
    """

    weights: tuple[float, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    counts: tuple[int, ...]
    sigma: float
    bend: tuple[float, float, float] = (1.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES):
            raise ValueError(f"weights: expected {len(FEATURES)}, found {len(self.weights)}")
        if not len(self.slopes) == len(self.intercepts) == len(self.counts):
            found = (len(self.slopes), len(self.intercepts), len(self.counts))
            raise ValueError(f"expected a slope, an intercept and a count per keypoint, found {found}")
        if len(self.bend) != 3:  # noqa: PLR2004 - low, high, shift
            raise ValueError(f"bend: expected low, high and shift, found {self.bend}")
        numbers = (*self.weights, *self.slopes, *self.intercepts, self.sigma, *self.bend)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"expected finite numbers, found {numbers}")
        for name, least in (("slopes", min(self.slopes, default=1)), ("bend", min(self.bend[:2]))):
            if least <= 0:
                raise ValueError(f"{name}: expected positive ones, found {least}")

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """Map ``(B, J, h, w)`` heatmaps to ``(B, J)`` probabilities; 0 where a map has no peak.

        Raises:
            ValueError: if there are not as many heatmaps as slopes.
        """
        return self.of_features(heatmap_features(heatmaps, self.sigma))

    def of_features(self, features: Tensor) -> Tensor:
        """Map the ``(B, J, 4)`` features of heatmaps to ``(B, J)`` probabilities; raises as a call."""
        if features.shape[1] != self.num_keypoints:
            raise ValueError(f"heatmaps: expected {self.num_keypoints} keypoints, found {features.shape[1]}")
        weights, slopes, intercepts = (
            torch.tensor(values, device=features.device, dtype=features.dtype)
            for values in (self.weights, self.slopes, self.intercepts)
        )
        logits = slopes * (features @ weights) + intercepts
        low, high, shift = self.bend
        bent = low * functional.logsigmoid(logits) - high * functional.logsigmoid(-logits) + shift
        return torch.nan_to_num(bent.sigmoid(), nan=0.0)

    def of_numbers(self, features: npt.ArrayLike) -> Floats:
        """Map ``(N, J, 4)`` features to ``(N, J)`` float64 probabilities; as `of_features`, for numpy."""
        found: Floats = self.of_features(torch.as_tensor(np.asarray(features, dtype=np.float64))).numpy()
        return found

    @property
    def num_keypoints(self) -> int:
        """J, the number of keypoints."""
        return len(self.slopes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for a missing or unknown key, or what is no number."""
        check_keys(values, cls.__dataclass_fields__, "calibration")
        listed = {name: finite_numbers(values, name, "calibration") for name in values if name != "sigma"}
        return cls(**listed, sigma=number(values, "sigma", "calibration"))  # type: ignore[arg-type] # checked by the class
