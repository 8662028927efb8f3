"""The person score is a calibrated probability, and the area under the curve is what it is defined to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from pcrpose.evaluation.calibration import area_under_roc, fit_person_score
from pcrpose.keypoints.presence import PersonScore, Statistic


def drawn(slope: float, intercept: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Draw keypoint scores, and persons with the probability of a logistic map of their mean."""
    rng = np.random.default_rng(0)
    scores = np.clip(rng.uniform(0, 1, (count, 1)) + rng.normal(0, 0.01, (count, 4)), 0, None)
    return scores, rng.uniform(size=count) < expit(slope * scores.mean(axis=1) + intercept)


def test_the_map_that_made_the_data_is_found() -> None:
    """With as many persons as negatives the fit gives slope and intercept back."""
    scores, persons = drawn(8.0, -4.0)

    found = fit_person_score(scores, persons)

    assert found.slope == pytest.approx(8.0, rel=0.06)
    assert found.intercept == pytest.approx(-4.0, rel=0.06)


def test_probabilities_are_shares() -> None:
    """Of the boxes with a probability near p, a fraction p are persons."""
    scores, persons = drawn(8.0, -4.0)
    probability = fit_person_score(scores, persons)(scores)

    for low in (0.1, 0.4, 0.7):
        chosen = (probability >= low) & (probability < low + 0.1)
        assert persons[chosen].mean() == pytest.approx(low + 0.05, abs=0.05)


def test_both_kinds_count_alike() -> None:
    """Ten times the same persons are as good as once: the probability is that of equal numbers."""
    scores, persons = drawn(8.0, -4.0, count=500)
    more = np.concatenate([scores, *[scores[persons]] * 9])

    once = fit_person_score(scores, persons)
    often = fit_person_score(more, np.concatenate([persons, np.ones(9 * persons.sum(), dtype=bool)]))

    assert often(scores) == pytest.approx(once(scores), abs=0.02)


@pytest.mark.parametrize("statistic", ["mean", "max"])
def test_the_statistic_is_what_it_says(statistic: Statistic) -> None:
    """The mean of the peaks, or the highest of them."""
    score = PersonScore(slope=2.0, intercept=-1.0, statistic=statistic)
    value = {"mean": 0.5, "max": 0.9}[statistic]

    assert score([[0.1, 0.9]]) == pytest.approx(expit(2 * value - 1))


def test_scores_that_part_the_kinds_give_a_finite_map() -> None:
    """Where one threshold separates persons from negatives without an error, the slope does not run away."""
    score = fit_person_score([[0.9], [0.8], [0.1], [0.2]], [True, True, False, False])

    assert np.isfinite([score.slope, score.intercept]).all()
    assert score([[0.85], [0.15]]) == pytest.approx([1, 0], abs=0.05)


def test_scores_that_say_nothing_give_even_odds() -> None:
    """Equal scores for all leave one half."""
    assert fit_person_score([[0.4]] * 4, [True, False, False, False])([[0.4]]) == pytest.approx(0.5)


@given(
    scores=st.lists(st.integers(0, 5), min_size=2, max_size=12),
    labels=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_the_area_is_the_share_of_right_pairs(scores: list[int], labels: list[bool]) -> None:
    """Counted over all pairs of a person and a negative, ties half."""
    persons = np.array(labels[: len(scores)])
    values = np.array(scores, dtype=np.float64)
    if persons.all() or not persons.any():
        with pytest.raises(ValueError, match="expected persons and negatives"):
            area_under_roc(values, persons)
        return
    pairs = values[persons][:, None] - values[~persons]

    assert area_under_roc(values, persons) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_bad_input_is_refused() -> None:
    """Shapes, numbers, kinds and names."""
    with pytest.raises(ValueError, match=r"is_person: expected shape \(2,\), found \(3,\)"):
        fit_person_score([[0.1], [0.2]], [True, False, True])
    with pytest.raises(ValueError, match="found 2 persons of 2"):
        fit_person_score([[0.1], [0.2]], [True, True])
    with pytest.raises(ValueError, match="keypoint_scores: expected finite numbers"):
        fit_person_score([[0.1], [np.nan]], [True, False])
    with pytest.raises(ValueError, match="scores: expected finite numbers"):
        area_under_roc([0.1, np.inf], [True, False])
    with pytest.raises(ValueError, match=r"statistic: expected one of \['mean', 'max'\], found 'median'"):
        PersonScore(slope=1.0, intercept=0.0, statistic="median")  # type: ignore[arg-type] # what is tested
    with pytest.raises(ValueError, match="statistic: expected one of"):
        fit_person_score([[0.1], [0.2]], [True, False], statistic="median")  # type: ignore[arg-type] # what is tested
