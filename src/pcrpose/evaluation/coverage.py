"""Coverage: how often the ellipses of keypoints hold their true places, and the fit that makes them do so."""

import logging
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit

from pcrpose.evaluation.bootstrap import Interval
from pcrpose.files.checks import at_least
from pcrpose.keypoints.arrays import Bools, Floats, Indices, as_floats
from pcrpose.keypoints.covariance import COVARIANCE_FEATURES, CovarianceCalibration, log_extents
from pcrpose.keypoints.ellipses import ellipse_radius, inside_ellipses
from pcrpose.keypoints.probability import FEATURES

logger = logging.getLogger(__name__)

Bound: TypeAlias = tuple[float | None, float | None]

LEVELS = (0.68, 0.95)  # probabilities of the ellipses that are fitted
_FEWEST = 200  # labelled instances of a keypoint for a size of its own
_PRIOR = 0.5  # pull of a keypoint's intercept towards the pooled one
_ROUNDING = 0.05  # of the corner of the loss, in the logarithm of squared distances
_NEAREST = 1e-6  # cells squared; before the logarithm
_SIGNS: tuple[Bound, ...] = (
    (None, 0.0),
    (None, 0.0),
    (0.0, None),
    (0.0, None),
    (0.0, None),
)  # of the weights, see CovarianceCalibration


def fit_covariances(
    features: npt.ArrayLike,
    moments: npt.ArrayLike,
    errors: npt.ArrayLike,
    labelled: npt.ArrayLike,
    *,
    sigma: float,
    quiet: bool = False,
) -> CovarianceCalibration:
    """Fit the sizes of covariances so that the ellipses of .68 and of .95 hold as many true places as they say.

    Errors have longer tails than a Gaussian, so one covariance cannot get both exactly right: what the one holds too
    much, the other lacks.

    Args:
        features: ``(N, J, 4)`` float, of `heatmap_features`; NaN where a map has no peak, which is left out.
        moments: ``(N, J, 2, 2)`` float, of `second_moments`, cells squared.
        errors: ``(N, J, 2)`` float, from the decoded keypoint to the true one, cells; not read where not labelled.
        labelled: ``(N, J)`` bool, keypoints that count.
        sigma: that the features were measured with, cells.
        quiet: do not log which keypoints take the pooled factor.

    Returns:
        One size for all keypoints as a function of the heatmap, and a factor of it for each. A keypoint with fewer
        than 200 labelled instances takes the factor that is fitted on all, which is logged.

    Raises:
        ValueError: if the shapes differ, or nothing is labelled.

    Source:
        Quantile regression (Koenker and Bassett, 1978) of the logarithm of squared distances at two quantiles that
        are tied by the Gaussian's; the features, and the signs of their weights, are ours.
    """
    values = as_floats(features, shape=(None, None, len(FEATURES)), name="features")
    persons, joints = values.shape[:2]
    spread = as_floats(moments, shape=(persons, joints, 2, 2), name="moments")
    away = as_floats(errors, shape=(persons, joints, 2), name="errors")
    counts = np.asarray(labelled, dtype=bool)
    if counts.shape != (persons, joints):
        raise ValueError(f"labelled: expected shape {(persons, joints)}, found {counts.shape}")
    extents = log_extents(torch.from_numpy(spread)).numpy()
    design = np.concatenate([values, extents[..., None]], axis=2)
    used = counts & np.isfinite(design).all(axis=2) & np.isfinite(away).all(axis=2)
    if not used.any():
        raise ValueError("labelled: expected keypoints that are, found none with a peak")
    targets = np.log(_unit_distances(away[used], spread[used], extents[used]) + _NEAREST)
    fewest = used.sum(axis=0) < _FEWEST
    for index in np.flatnonzero(fewest & (not quiet)):
        logger.warning("keypoint %d: %d labelled instances, so it takes the pooled size", index, used[:, index].sum())
    weights, intercepts = _fitted(design[used], targets, np.nonzero(used)[1], fewest)
    return CovarianceCalibration(
        weights=tuple(weights.tolist()), intercepts=tuple(intercepts.tolist()), sigma=float(sigma)
    )


def coverage_interval(
    errors: npt.ArrayLike,
    covariances: npt.ArrayLike,
    images: npt.ArrayLike,
    *,
    probability: float,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Measure which fraction of ellipses holds its keypoint's true place, and how far that would move.

    Args:
        errors: ``(M, 2)`` float, from the predicted to the true place.
        covariances: ``(M, 2, 2)`` float, of the same frame.
        images: ``(M,)`` whole numbers, the image that each keypoint is of; images are drawn, with all that is theirs.
        probability: that the ellipses promise.
        draws: how many resamples.
        confidence: fraction of them that lies inside the interval.
        seed: equal seeds resample alike.

    Raises:
        ValueError: if the shapes differ, there is nothing, or the probability is none.

    Examples:
        >>> coverage_interval([[0.1, 0.0], [9.0, 0.0]], [np.eye(2)] * 2, [1, 1], probability=0.95)
        (0.5, Interval(low=0.5, high=0.5))
    """
    away = as_floats(errors, shape=(None, 2), name="errors")
    spread = as_floats(covariances, shape=(len(away), 2, 2), name="covariances")
    owners = np.unique(as_floats(images, shape=(len(away),), name="images"), return_inverse=True)[1]
    at_least("draws", draws, 1)
    if not len(away):
        raise ValueError("errors: expected one at least, found none")
    inside = inside_ellipses(away, spread, probability)
    held, all_ = np.bincount(owners, inside), np.bincount(owners)
    drawn = np.random.default_rng(seed).integers(0, len(all_), (draws, len(all_)))
    rates = held[drawn].sum(axis=1) / all_[drawn].sum(axis=1)
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(inside.mean()), Interval(float(low), float(high))


def _unit_distances(errors: Floats, moments: Floats, extents: Floats) -> Floats:
    """Return ``(M,)`` squared distances by covariances of the moments' proportions and determinant 1."""
    x, y = errors.T
    squared = moments[:, 1, 1] * x * x - 2 * moments[:, 0, 1] * x * y + moments[:, 0, 0] * y * y
    distances: Floats = squared / np.exp(extents)
    return distances


def _fitted(features: Floats, targets: Floats, keypoints: Indices, pooled: Bools) -> tuple[Floats, Floats]:
    """Minimize both quantiles' losses; return the weights of the features as given, and the intercepts.

    First with one intercept for all, then with those of the keypoints that are not pooled.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    design, count = (features - mean) / deviation, len(COVARIANCE_FEATURES)
    logs = [2 * math.log(ellipse_radius(level)) for level in LEVELS]

    def loss(found: Floats) -> tuple[float, Floats]:
        own = found[count + 1 :]
        sizes = design @ found[:count] + found[count] + own[keypoints]
        total, slopes = _PRIOR * float(own @ own), np.zeros(len(sizes))
        for level, log in zip(LEVELS, logs, strict=True):
            beyond = targets - sizes - log
            total += float((_ROUNDING * np.logaddexp(0, beyond / _ROUNDING) - (1 - level) * beyond).sum())
            slopes += (1 - level) - expit(beyond / _ROUNDING)
        of_keypoints = np.bincount(keypoints, slopes, minlength=len(own)) + 2 * _PRIOR * own
        return total / len(sizes), np.concatenate([design.T @ slopes, [slopes.sum()], of_keypoints]) / len(sizes)

    def minimum(start: Floats, intercept: Bound, own: list[Bound]) -> Floats:
        bounds = [*_SIGNS, intercept, *own]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
        return np.asarray(found.x)

    fixed, free = (0.0, 0.0), (None, None)
    common = minimum(np.zeros(count + 1 + len(pooled)), free, [fixed] * len(pooled))
    intercept = float(common[count])
    found = minimum(common, (intercept, intercept), [fixed if few else free for few in pooled])
    weights = found[:count] / deviation
    return weights, found[count] - weights @ mean + found[count + 1 :]
