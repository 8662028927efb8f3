"""The person score as a value; how it is fitted is tested with the evaluation."""

import numpy as np
import pytest
from scipy.special import expit

from pcrpose.keypoints.presence import PersonScore


def test_probabilities_at_the_ends_of_the_scale() -> None:
    """A logit too large for an exponential is a probability of one or zero, without a warning."""
    score = PersonScore(slope=1e5, intercept=0.0)

    assert score([[1.0], [0.0], [-1.0]]).tolist() == [1.0, 0.5, 0.0]


def test_the_map_is_logistic() -> None:
    """As scipy has it, between the ends."""
    means = np.linspace(-1, 2, 7)

    np.testing.assert_allclose(PersonScore(slope=4.0, intercept=-1.5)(means[:, None]), expit(4 * means - 1.5))


def test_json_keeps_it() -> None:
    """What is saved is what is loaded; other statistics are refused."""
    score = PersonScore(slope=2.0, intercept=-1.0, statistic="max")

    assert PersonScore.from_dict(score.to_dict()) == score
    with pytest.raises(ValueError, match=r"statistic: expected one of \['mean', 'max'\], found 'median'"):
        PersonScore.from_dict(score.to_dict() | {"statistic": "median"})
