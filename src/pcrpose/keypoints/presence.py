"""The probability that a box holds a person: a fitted map from a pose's keypoint scores."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from pcrpose.files.checks import one_of
from pcrpose.files.json import check_keys, number, text
from pcrpose.keypoints.arrays import Floats, as_floats

Statistic: TypeAlias = Literal["mean", "max"]

_STATISTICS: Mapping[Statistic, Callable[[Floats], Floats]] = {
    "mean": lambda scores: np.asarray(scores.mean(axis=1)),
    "max": lambda scores: np.asarray(scores.max(axis=1)),
}


@dataclass(frozen=True, kw_only=True)
class PersonScore:
    """A logistic map from a pose's keypoint scores to the probability that there is a person.

    Attributes:
        slope: of the logit, per unit of the statistic.
        intercept: of the logit.
        statistic: what is taken of a pose's keypoint scores, the peaks of its heatmaps.

    Raises:
        ValueError: for an unknown statistic.
    """

    slope: float
    intercept: float
    statistic: Statistic = "mean"

    def __post_init__(self) -> None:
        one_of("statistic", self.statistic, get_args(Statistic))

    def __call__(self, keypoint_scores: npt.ArrayLike) -> Floats:
        """Map ``(N, J)`` keypoint scores to ``(N,)`` probabilities, persons and negatives being equally frequent."""
        logits = self.slope * summary_of_scores(keypoint_scores, self.statistic) + self.intercept
        probabilities: Floats = np.exp(-np.logaddexp(0, -logits))
        return probabilities

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for a missing or unknown key, or what is no number."""
        check_keys(values, cls.__dataclass_fields__, "presence")
        slope, intercept = (number(values, name, "presence") for name in ("slope", "intercept"))
        return cls(slope=slope, intercept=intercept, statistic=text(values, "statistic", "presence"))  # type: ignore[arg-type] # checked by the class


def summary_of_scores(keypoint_scores: npt.ArrayLike, statistic: Statistic) -> Floats:
    """Compute the statistic of ``(N, J)`` keypoint scores, ``(N,)``.

    Raises:
        ValueError: if the shape is another, a score is not finite, or there is no keypoint.
    """
    scores = as_floats(keypoint_scores, shape=(None, None), name="keypoint_scores")
    if not np.isfinite(scores).all() or not scores.shape[1]:
        raise ValueError(f"keypoint_scores: expected finite numbers of at least one keypoint, found {scores!r:.80}")
    return _STATISTICS[statistic](scores)
