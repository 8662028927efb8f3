"""Reliability: whether probabilities come true as often as they say."""

import numpy as np
import pytest

from pcrpose.evaluation.reliability import reliability, reliability_interval


def test_two_bins_by_hand() -> None:
    """Of four promises of 0.75 two come true, of four of 0.25 one does."""
    found = reliability([0.75] * 4 + [0.25] * 4, [True, True, False, False, True, False, False, False], bins=2)

    assert found.calibration_error == pytest.approx((0.25 * 4 + 0 * 4) / 8)
    assert found.brier == pytest.approx((4 * 0.0625 * 1 + (0.5625 - 0.0625) * 2 + 0.5625 + 3 * 0.0625) / 8)
    assert found.observed.tolist() == [0.25, 0.5]
    assert found.counts.tolist() == [4, 4]


def test_both_ends_have_a_bin_and_an_empty_one_has_no_rate() -> None:
    """1 belongs to the last bin; a bin without predictions adds nothing."""
    found = reliability([0.0, 1.0], [False, True])

    assert found.counts.tolist() == [1, *[0] * 8, 1]
    assert np.isnan(found.promised[1:-1]).all()
    assert (found.calibration_error, found.brier) == (0, 0)


def test_honest_probabilities_have_a_small_error() -> None:
    """Outcomes drawn with the promised probability; promises too high by 0.2 show that much."""
    rng = np.random.default_rng(0)
    promised = rng.uniform(0, 0.8, 20_000)
    outcomes = rng.random(20_000) < promised

    assert reliability(promised, outcomes).calibration_error < 0.015
    assert reliability(promised + 0.2, outcomes).calibration_error == pytest.approx(0.2, abs=0.015)


def test_images_are_drawn_whole() -> None:
    """With one image a resample is the same again; with many it varies, round the value itself."""
    rng = np.random.default_rng(0)
    promised = rng.random(500)
    outcomes = rng.random(500) < promised**2
    value = reliability(promised, outcomes)

    one = reliability_interval(promised, outcomes, np.zeros(500), draws=5)
    many = reliability_interval(promised, outcomes, np.arange(500) // 5, draws=200)

    assert one["brier"] == (value.brier, value.brier)
    assert many["brier"].low < value.brier < many["brier"].high
    assert many["calibration_error"].low < value.calibration_error < many["calibration_error"].high


@pytest.mark.parametrize(
    ("probabilities", "outcomes", "message"),
    [
        ([0.5], [True, False], "expected one outcome per probability"),
        ([], [], "expected one outcome per probability"),
        ([1.5], [True], "expected numbers from 0 to 1"),
        ([float("nan")], [True], "expected numbers from 0 to 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(probabilities: list[float], outcomes: list[bool], message: str) -> None:
    """Shapes and ranges are checked."""
    with pytest.raises(ValueError, match=message):
        reliability(probabilities, outcomes)
