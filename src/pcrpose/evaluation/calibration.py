"""Calibration: from heatmaps to the probabilities that a keypoint is right, and that a box holds a person."""

import logging
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from pcrpose.files.checks import one_of
from pcrpose.keypoints.arrays import Bools, Floats, as_floats
from pcrpose.keypoints.oks import keypoint_similarities
from pcrpose.keypoints.presence import PersonScore, Statistic, summary_of_scores
from pcrpose.keypoints.probability import FEATURES, KeypointCalibration

logger = logging.getLogger(__name__)

_RIGHT = 0.5  # a keypoint's own part of OKS above which it is right
FEWEST = 200  # labelled instances of a keypoint for a map of its own
_RIDGE = 1e-3  # keeps a fit finite where one threshold separates both kinds without an error
_PRIOR = 20.0  # instances that the pooled map counts as, beside those of a keypoint
_FLATTEST = 0.1  # bend at either end: a map that is flat there would rank nothing
_GRADIENT = 1e-9  # at which a fit ends


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
    values = summary_of_scores(keypoint_scores, statistic)
    persons = _labels(is_person, len(values))
    weights = np.where(persons, 0.5 / persons.sum(), 0.5 / (~persons).sum())
    mean, deviation = values.mean(), values.std() or 1.0
    design = np.stack([(values - mean) / deviation, np.ones(len(values))], axis=1)
    slope, intercept = _minimized(design, persons, np.zeros(2), np.array([_RIDGE, 0.0]), weights)
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


def within_falloff(
    keypoints: npt.ArrayLike, truth: npt.ArrayLike, areas: npt.ArrayLike, sigmas: npt.ArrayLike
) -> Bools:
    """Return which keypoints are right: ``(N, J)`` bool, where their own part of OKS is above one half.

    Args:
        keypoints: ``(N, J, 2)`` float, predicted; any frame.
        truth: ``(N, J, 2)`` float, in the same frame.
        areas: ``(N,)`` float, of the persons, in the frame's pixels squared.
        sigmas: ``(J,)`` float, the skeleton's.

    Examples:
        >>> within_falloff([[[3.0, 0.0], [9.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]], [100.0], [0.2, 0.2]).tolist()
        [[True, False]]
    """
    right: Bools = keypoint_similarities(keypoints, truth, areas, sigmas=sigmas) > _RIGHT
    return right


def fit_keypoint_calibration(
    features: npt.ArrayLike, correct: npt.ArrayLike, labelled: npt.ArrayLike, *, sigma: float, quiet: bool = False
) -> KeypointCalibration:
    """Fit the map from heatmap features to the probability that a keypoint is right.

    Args:
        features: ``(N, J, 4)`` float, of `heatmap_features`; NaN where a map has no peak, which is left out.
        correct: ``(N, J)`` bool, see `within_falloff`.
        labelled: ``(N, J)`` bool, keypoints that count.
        sigma: that the features were measured with, cells.
        quiet: do not log which keypoints take the pooled map.

    Returns:
        One ranking for all keypoints, a line for each, and one bend for all. A keypoint with fewer than 200 labelled
        instances, or with right or wrong ones alone, takes the map that is fitted on all, which is logged.

    Raises:
        ValueError: if the shapes differ, or all that is labelled is right, or all is wrong.

    Source:
        Platt's logistic calibration, then Kull et al., *Beta calibration*, 2017; the features, and the pull of a
        keypoint's line towards the pooled one, are ours.
    """
    values = as_floats(features, shape=(None, None, len(FEATURES)), name="features")
    right, counts = np.asarray(correct, dtype=bool), np.asarray(labelled, dtype=bool)
    if not right.shape == counts.shape == values.shape[:2]:
        raise ValueError(f"expected correct and labelled of {values.shape[:2]}, found {right.shape}, {counts.shape}")
    used = counts & np.isfinite(values).all(axis=2)
    if right[used].all() or not right[used].any():
        raise ValueError(
            f"correct: expected right and wrong keypoints, found {right[used].sum()} of {used.sum()} right"
        )
    return _fit(values, right.astype(np.float64), used, sigma=sigma, quiet=quiet)


def fit_keypoint_rates(
    features: npt.ArrayLike, rates: npt.ArrayLike, counted: npt.ArrayLike, *, sigma: float
) -> KeypointCalibration:
    """Fit the map from heatmap features to the mean of any number from 0 to 1, such as a keypoint's similarity.

    Args:
        features: as for `fit_keypoint_calibration`.
        rates: ``(N, J)`` float from 0 to 1, what is to be expected.
        counted: ``(N, J)`` bool, keypoints that count.
        sigma: as for `fit_keypoint_calibration`.

    Raises:
        ValueError: if the shapes differ, a number that counts is not from 0 to 1, or all are 0 or all are 1.

    Source:
        Papke and Wooldridge, 1996: logistic regression of fractions.
    """
    values = as_floats(features, shape=(None, None, len(FEATURES)), name="features")
    numbers, used = np.asarray(rates, dtype=np.float64), np.asarray(counted, dtype=bool)
    if not numbers.shape == used.shape == values.shape[:2]:
        raise ValueError(f"expected rates and counted of {values.shape[:2]}, found {numbers.shape}, {used.shape}")
    used = used & np.isfinite(values).all(axis=2)
    there = numbers[used]
    if not ((there >= 0) & (there <= 1)).all() or there.min(initial=1) == 1 or there.max(initial=0) == 0:
        raise ValueError(f"rates: expected numbers from 0 to 1 that differ, found {there!r:.80}")
    return _fit(values, numbers, used, sigma=sigma, quiet=True)


def _fit(values: Floats, outcomes: Floats, used: Bools, *, sigma: float, quiet: bool) -> KeypointCalibration:
    """Fit one ranking on all that is used, and a map of it for each keypoint."""
    weights, intercept = _logistic(values[used], outcomes[used])
    ranking = values @ weights
    slopes, intercepts = np.ones(values.shape[1]), np.full(values.shape[1], intercept)
    rare: list[int] = []
    for index in range(values.shape[1]):
        rows = used[:, index]
        hits = outcomes[rows, index]
        if rows.sum() < FEWEST or hits.min() == 1 or hits.max() == 0:
            rare.append(index)
            continue
        slopes[index], intercepts[index] = _own_map(ranking[rows, index], hits, intercept)
    if rare and not quiet:
        counts = ", ".join(f"{index}: {used[:, index].sum()}" for index in rare)
        logger.warning("too few labelled instances, so the pooled map is taken, by keypoint (%s)", counts)
    logits = ranking * slopes + intercepts
    return KeypointCalibration(
        weights=tuple(weights.tolist()),
        slopes=tuple(slopes.tolist()),
        intercepts=tuple(intercepts.tolist()),
        counts=tuple(used.sum(axis=0).tolist()),
        sigma=sigma,
        bend=_bend(logits[used], outcomes[used]),
    )


def _labels(is_person: npt.ArrayLike, count: int) -> Bools:
    persons = np.asarray(is_person, dtype=bool)
    if persons.shape != (count,):
        raise ValueError(f"is_person: expected shape ({count},), found {persons.shape}")
    if persons.all() or not persons.any():
        raise ValueError(f"is_person: expected persons and negatives, found {persons.sum()} persons of {count}")
    return persons


def _logistic(features: Floats, right: Floats) -> tuple[Floats, float]:
    """Fit one logistic regression; return the weights of the features as given, and the intercept."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.column_stack([(features - mean) / deviation, np.ones(len(features))])
    ridge = np.append(np.full(features.shape[1], _RIDGE), 0)
    found = _minimized(design, right, np.zeros(design.shape[1]), ridge)
    weights = found[:-1] / deviation
    return weights, float(found[-1] - weights @ mean)


def _own_map(ranking: Floats, right: Floats, intercept: float) -> tuple[float, float]:
    """Fit the slope and intercept of one keypoint, pulled towards 1 and the pooled intercept."""
    design = np.column_stack([ranking, np.ones(len(ranking))])
    ridge = np.full(2, _PRIOR / len(ranking))
    slope, own = _minimized(design, right, np.array([1.0, intercept]), ridge)
    return max(float(slope), 1e-3), float(own)


def _bend(logits: Floats, outcomes: Floats) -> tuple[float, float, float]:
    """Fit the three numbers of a beta calibration of logits."""
    design = np.column_stack([-np.logaddexp(0, -logits), np.logaddexp(0, logits), np.ones(len(logits))])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        bent = design @ parameters
        return float(np.mean(np.logaddexp(0, bent) - outcomes * bent)), design.T @ (expit(bent) - outcomes) / len(bent)

    bounds = [(_FLATTEST, None), (_FLATTEST, None), (None, None)]
    low, high, shift = minimize(loss, [1.0, 1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(low), float(high), float(shift)


def _minimized(
    design: Floats, outcomes: Floats | Bools, prior: Floats, ridge: Floats, sample_weights: Floats | None = None
) -> Floats:
    """Minimize the weighted logistic loss plus ``ridge`` times the squared distances to ``prior``, halved."""
    weights = np.full(len(design), 1 / len(design)) if sample_weights is None else sample_weights

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logits, away = design @ parameters, parameters - prior
        value = weights @ (np.logaddexp(0, logits) - outcomes * logits) + ridge @ np.square(away) / 2
        return float(value), design.T @ (weights * (expit(logits) - outcomes)) + ridge * away

    solution: Floats = minimize(loss, prior, jac=True, method="BFGS", options={"gtol": _GRADIENT}).x
    return solution
