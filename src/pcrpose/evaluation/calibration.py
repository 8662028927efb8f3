"""Calibration: from keypoint scores to the probability that a box holds a person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import rankdata

from pcrpose.files.checks import one_of
from pcrpose.keypoints.arrays import Bools, Floats, as_floats

Statistic: TypeAlias = Literal["mean", "max"]

_STATISTICS: Mapping[Statistic, Callable[[Floats], Floats]] = {
    "mean": lambda scores: np.asarray(scores.mean(axis=1)),
    "max": lambda scores: np.asarray(scores.max(axis=1)),
}
_STEPS, _SMALLEST_STEP = 100, 1e-10
_RIDGE = 1e-3  # keeps the fit finite where one threshold separates persons from negatives without an error


@dataclass(frozen=True, kw_only=True)
class PersonScore:
    """A logistic map from a pose's keypoint scores to the probability that there is a person.

    Attributes:
        slope: of the logit, per unit of the statistic.
        intercept: of the logit.
        statistic: what is taken of a pose's keypoint scores, the peaks of its heatmaps.
    """

    slope: float
    intercept: float
    statistic: Statistic = "mean"

    def __post_init__(self) -> None:
        one_of("statistic", self.statistic, get_args(Statistic))

    def __call__(self, keypoint_scores: npt.ArrayLike) -> Floats:
        """Map ``(N, J)`` keypoint scores to ``(N,)`` probabilities, persons and negatives being equally frequent."""
        values = _summary(keypoint_scores, self.statistic)
        probabilities: Floats = expit(self.slope * values + self.intercept)
        return probabilities


def fit_person_score(
    keypoint_scores: npt.ArrayLike, is_person: npt.ArrayLike, *, statistic: Statistic = "mean"
) -> PersonScore:
    """Fit the map on boxes of persons and boxes where nobody is; both kinds count alike, however many there are.

    Args:
        keypoint_scores: ``(N, J)`` float, of a predictor on all the boxes.
        is_person: ``(N,)`` bool; false for hard negatives.
        statistic: see `PersonScore`.

    Raises:
        ValueError: if the shapes differ, a score is not finite, or one of the two kinds is missing.

    Source:
        Platt's logistic calibration, with balanced classes and a slight ridge (ours).

    Examples:
        >>> import numpy as np
        >>> score = fit_person_score(np.array([[0.9, 0.7], [0.8, 0.6], [0.1, 0.3]]), [True, True, False])
        >>> (score([[0.9, 0.8], [0.2, 0.1]]) > 0.5).tolist()
        [True, False]
    """
    one_of("statistic", statistic, get_args(Statistic))
    values = _summary(keypoint_scores, statistic)
    persons = _labels(is_person, len(values))
    weights = np.where(persons, 0.5 / persons.sum(), 0.5 / (~persons).sum())
    mean, deviation = values.mean(), values.std() or 1.0
    design = np.stack([(values - mean) / deviation, np.ones(len(values))], axis=1)
    slope, intercept = _newton(design, persons.astype(np.float64), weights)
    return PersonScore(
        slope=float(slope / deviation), intercept=float(intercept - slope * mean / deviation), statistic=statistic
    )


def area_under_roc(scores: npt.ArrayLike, is_person: npt.ArrayLike) -> float:
    """Compute the probability that a person has a higher score than a negative; a tie counts half.

    Args:
        scores: ``(N,)`` float, any scale, larger for persons.
        is_person: ``(N,)`` bool.

    Raises:
        ValueError: as `fit_person_score`.

    Examples:
        >>> area_under_roc([0.9, 0.4, 0.5, 0.1], [True, True, False, False])
        0.75
    """
    values = as_floats(scores, shape=(None,), name="scores")
    persons = _labels(is_person, len(values))
    if not np.isfinite(values).all():
        raise ValueError("scores: expected finite numbers, found nan or inf")
    positive = int(persons.sum())
    ranks = float(rankdata(values)[persons].sum()) - positive * (positive + 1) / 2
    return ranks / (positive * (len(values) - positive))


def _summary(keypoint_scores: npt.ArrayLike, statistic: Statistic) -> Floats:
    scores = as_floats(keypoint_scores, shape=(None, None), name="keypoint_scores")
    if not np.isfinite(scores).all() or not scores.shape[1]:
        raise ValueError(f"keypoint_scores: expected finite numbers of at least one keypoint, found {scores!r:.80}")
    return _STATISTICS[statistic](scores)


def _labels(is_person: npt.ArrayLike, count: int) -> Bools:
    persons = np.asarray(is_person, dtype=bool)
    if persons.shape != (count,):
        raise ValueError(f"is_person: expected shape ({count},), found {persons.shape}")
    if persons.all() or not persons.any():
        raise ValueError(f"is_person: expected persons and negatives, found {persons.sum()} persons of {count}")
    return persons


def _newton(design: Floats, target: Floats, weights: Floats) -> Floats:
    """Minimize the weighted logistic loss by Newton's steps, each halved until the loss falls."""
    ridge = np.diag([_RIDGE, 0.0])

    def loss(parameters: Floats) -> float:
        logits = design @ parameters
        return float(weights @ (np.logaddexp(0, logits) - target * logits) + parameters @ ridge @ parameters / 2)

    parameters = np.zeros(2)
    for _ in range(_STEPS):
        probability = expit(design @ parameters)
        gradient = design.T @ (weights * (probability - target)) + ridge @ parameters
        curvature = (design * (weights * probability * (1 - probability))[:, None]).T @ design + ridge
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        while loss(parameters - step) > loss(parameters) and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        parameters = parameters - step
        if np.abs(step).max() < _SMALLEST_STEP:
            break
    return parameters
