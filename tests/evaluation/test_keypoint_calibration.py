"""Fitting what a heatmap's shape says about its keypoint."""

import logging
import math

import numpy as np
import pytest

from pcrpose.evaluation.calibration import fit_keypoint_calibration, fit_keypoint_rates, within_falloff
from pcrpose.evaluation.reliability import reliability
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.oks import oks

SIGMA = 2.0


def drawn(persons: int, *, shifts: tuple[float, ...] = (0.0, 1.5, -1.0), seed: int = 0) -> tuple[Floats, Bools, Floats]:
    """Draw features, outcomes and the probabilities that the outcomes were drawn with."""
    rng = np.random.default_rng(seed)
    features = rng.normal([-1.0, 0.6, 0.3, 0.1], [0.6, 0.2, 0.2, 0.1], (persons, len(shifts), 4))
    logits = features @ [1.5, 2.0, -2.0, -1.0] + 1 + np.array(shifts)
    probabilities = 1 / (1 + np.exp(-logits))
    return features, rng.random(probabilities.shape) < probabilities, probabilities


def test_the_probabilities_that_made_the_outcomes_come_back() -> None:
    """On other persons than those fitted on, each keypoint with its own shift."""
    features, correct, _ = drawn(4000)
    calibration = fit_keypoint_calibration(features, correct, np.ones_like(correct), sigma=SIGMA)
    others, outcomes, truth = drawn(4000, seed=1)

    found = calibration.of_numbers(others)

    assert np.abs(found - truth).mean() < 0.02
    assert max(reliability(found[:, k], outcomes[:, k]).calibration_error for k in range(3)) < 0.035
    assert calibration.counts == (4000, 4000, 4000)


def test_a_rare_keypoint_takes_the_pooled_map(caplog: pytest.LogCaptureFixture) -> None:
    """With 199 labels there is no map of its own, with 200 there is."""
    features, correct, _ = drawn(1000)
    labelled = np.ones_like(correct)
    labelled[200:, 1] = False
    labelled[199:, 2] = False
    with caplog.at_level(logging.WARNING):
        calibration = fit_keypoint_calibration(features, correct, labelled, sigma=SIGMA)

    assert calibration.slopes[2] == 1.0 != calibration.slopes[1]
    assert caplog.messages == ["too few labelled instances, so the pooled map is taken, by keypoint (2: 199)"]


def test_maps_without_a_peak_and_unlabelled_keypoints_do_not_count() -> None:
    """Neither NaN features nor wild outcomes of unlabelled keypoints change the fit."""
    features, correct, _ = drawn(600)
    expected = fit_keypoint_calibration(features, correct, np.ones_like(correct), sigma=SIGMA)
    more = np.concatenate([features, np.full((50, 3, 4), np.nan), np.zeros((50, 3, 4))])
    outcomes = np.concatenate([correct, np.ones((100, 3), dtype=bool)])
    labelled = np.concatenate([np.ones((650, 3), dtype=bool), np.zeros((50, 3), dtype=bool)])

    assert fit_keypoint_calibration(more, outcomes, labelled, sigma=SIGMA) == expected


@pytest.mark.parametrize("outcome", [True, False])
def test_one_kind_of_outcome_is_refused(outcome: bool) -> None:  # noqa: FBT001 - a parameter
    """There is nothing to tell apart."""
    features, correct, _ = drawn(300)
    with pytest.raises(ValueError, match="expected right and wrong keypoints"):
        fit_keypoint_calibration(features, np.full_like(correct, outcome), np.ones_like(correct), sigma=SIGMA)


def test_shapes_have_to_agree() -> None:
    """The message names all three."""
    features, correct, _ = drawn(300)
    with pytest.raises(ValueError, match=r"expected correct and labelled of \(300, 3\), found \(299, 3\)"):
        fit_keypoint_calibration(features, correct[1:], np.ones_like(correct), sigma=SIGMA)


def test_right_is_where_the_keypoints_own_similarity_is_above_a_half() -> None:
    """The same as OKS of a person with that one keypoint labelled, on both sides of the border."""
    truth, area, sigmas = np.zeros((1, 2, 2)), 900.0, np.array([0.05, 0.1])
    radius = 2 * sigmas * math.sqrt(2 * math.log(2) * area)
    for factor in (0.99, 1.01):
        found = truth + (radius * factor)[:, None] * [0.6, 0.8]
        each = [
            oks(truth, found, [area], sigmas=sigmas, labelled=np.arange(2)[None] == k)[0, 0] > 0.5 for k in range(2)
        ]
        assert within_falloff(found, truth, [area], sigmas)[0].tolist() == each == [factor < 1] * 2


def test_fractions_are_fitted_to_their_means() -> None:
    """Similarities that scatter round a known mean of the features: that mean comes back on other persons."""
    features, _, means = drawn(3000)
    rng = np.random.default_rng(2)
    rates = rng.beta(4 * means + 1e-3, 4 * (1 - means) + 1e-3)
    others, _, expected = drawn(3000, seed=1)

    found = fit_keypoint_rates(features, rates, np.ones(rates.shape, dtype=bool), sigma=SIGMA)

    assert np.abs(found.of_numbers(others) - expected).mean() < 0.02


@pytest.mark.parametrize("rate", [0.0, 1.0, 1.5])
def test_rates_have_to_differ_and_lie_between(rate: float) -> None:
    """All nothing, all everything, or more than that."""
    features, correct, _ = drawn(300)
    with pytest.raises(ValueError, match="rates: expected numbers from 0 to 1 that differ"):
        fit_keypoint_rates(features, np.full(correct.shape, rate), np.ones_like(correct), sigma=SIGMA)


def test_a_bent_truth_is_fitted() -> None:
    """Where even the worst heatmaps are right one time in three, a straight line is not enough and a bend is."""
    features, _, probabilities = drawn(6000)
    bent = 1 / 3 + probabilities * 2 / 3
    rng = np.random.default_rng(3)
    calibration = fit_keypoint_calibration(
        features, rng.random(bent.shape) < bent, np.ones(bent.shape, dtype=bool), sigma=SIGMA
    )

    found = calibration.of_numbers(features)
    worst = probabilities < 0.15
    assert found[worst].mean() == pytest.approx(bent[worst].mean(), abs=0.03)
    assert calibration.bend[0] < 0.5
