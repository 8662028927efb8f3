"""The fit of covariances on made-up heatmap shapes, and the measured coverage of ellipses."""

import logging
import math

import numpy as np
import pytest
import torch

from pcrpose.evaluation.coverage import coverage_interval, fit_covariances
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.covariance import log_extents
from pcrpose.keypoints.ellipses import inside_ellipses

Persons = tuple[Floats, Floats, Floats, Bools]
FACTORS = np.array([0.5, 1.0, 3.0])  # of the variances of three keypoints


def persons(count: int, seed: int) -> Persons:
    """Make features, moments, errors and labels whose variance is the spread squared times a keypoint's factor."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, 0.6, (count, 3))
    features = np.stack([rng.normal(size=(count, 3)), rng.random((count, 3)), rng.random((count, 3)), spread], axis=2)
    roots = rng.normal(size=(count, 3, 2, 2))
    moments = roots @ roots.swapaxes(2, 3) + 0.1 * np.eye(2)
    unit = moments / np.exp(log_extents(torch.from_numpy(moments)).numpy())[..., None, None]
    variances = np.exp(2 * spread) * FACTORS
    errors = (np.linalg.cholesky(unit * variances[..., None, None]) @ rng.normal(size=(count, 3, 2, 1)))[..., 0]
    return features, moments, errors, rng.random((count, 3)) < 0.9


def test_the_fit_finds_what_made_the_errors() -> None:
    """The weight of the spread is 2, the others near 0, the factors those of the keypoints."""
    features, moments, errors, labelled = persons(4000, 0)

    fitted = fit_covariances(features, moments, np.where(labelled[..., None], errors, 1e6), labelled, sigma=2.0)

    assert fitted.weights == pytest.approx((0.0, 0.0, 0.0, 2.0, 0.0), abs=0.08)
    assert fitted.intercepts == pytest.approx(np.log(FACTORS), abs=0.12)
    assert fitted.sigma == 2.0


def test_ellipses_of_other_persons_hold_what_they_say() -> None:
    """Gaussian errors: both levels are right, on persons that were not fitted."""
    fitted = fit_covariances(*persons(4000, 0), sigma=2.0)
    features, moments, errors, labelled = persons(4000, 1)
    extents = log_extents(torch.from_numpy(moments)).numpy()
    sizes = np.concatenate([features, extents[..., None]], axis=2) @ fitted.weights + fitted.intercepts
    covariances = moments * np.exp(sizes - extents)[..., None, None]

    for probability in (0.68, 0.95):
        held = inside_ellipses(errors, covariances, probability)

        assert held[labelled].mean() == pytest.approx(probability, abs=0.015)


def test_weights_keep_their_signs() -> None:
    """Errors that shrink as the spread grows do not make a wide heatmap look sure."""
    features, moments, errors, labelled = persons(1000, 0)
    features[..., 3] *= -1

    fitted = fit_covariances(features, moments, errors, labelled, sigma=2.0)

    assert max(fitted.weights[:2]) <= 0
    assert min(fitted.weights[2:]) >= 0


def test_few_instances_take_the_pooled_size(caplog: pytest.LogCaptureFixture) -> None:
    """A keypoint that is labelled 199 times has the common factor, which is said; maps without a peak do not count."""
    features, moments, errors, labelled = persons(2000, 0)
    labelled[:, 2] = np.arange(2000) < 199
    features[:20, 0, 0] = math.nan

    with caplog.at_level(logging.WARNING):
        fitted = fit_covariances(features, moments, errors, labelled, sigma=2.0)

    assert [record.getMessage() for record in caplog.records] == [
        "keypoint 2: 199 labelled instances, so it takes the pooled size"
    ]
    first, second, pooled = fitted.intercepts
    assert first < pooled < second  # nearly the mean of the two that there are


def test_wrong_arguments() -> None:
    """The error says what was expected and what was found."""
    features, moments, errors, labelled = persons(10, 0)

    with pytest.raises(ValueError, match=r"moments: expected shape \(10, 3, 2, 2\), found \(9, 3, 2, 2\)"):
        fit_covariances(features, moments[1:], errors, labelled, sigma=2.0)
    with pytest.raises(ValueError, match=r"labelled: expected shape \(10, 3\), found \(10,\)"):
        fit_covariances(features, moments, errors, labelled[:, 0], sigma=2.0)
    with pytest.raises(ValueError, match="labelled: expected keypoints that are, found none"):
        fit_covariances(features, moments, errors, np.zeros((10, 3), bool), sigma=2.0)


def test_coverage_counts_and_its_interval_draws_images() -> None:
    """Two images, one of which is missed: of four equally likely draws one has it alone, and one is without it."""
    errors = np.array([[0.1, 0.0], [0.0, 0.1], [0.1, 0.1], [5.0, 0.0]])
    rate, interval = coverage_interval(errors, np.tile(np.eye(2), (4, 1, 1)), [7, 7, 7, 3], probability=0.95)
    _, middle = coverage_interval(errors, np.tile(np.eye(2), (4, 1, 1)), [7, 7, 7, 3], probability=0.95, confidence=0.2)

    assert (rate, *interval) == (0.75, 0.0, 1.0)
    assert tuple(middle) == (0.75, 0.75)  # of the two draws that have both


def test_a_coverage_of_nothing_is_refused() -> None:
    """No keypoints, or arrays that do not fit."""
    with pytest.raises(ValueError, match="errors: expected one at least, found none"):
        coverage_interval(np.zeros((0, 2)), np.zeros((0, 2, 2)), [], probability=0.95)
    with pytest.raises(ValueError, match=r"covariances: expected shape \(1, 2, 2\), found"):
        coverage_interval(np.zeros((1, 2)), np.zeros((2, 2, 2)), [1], probability=0.95)
