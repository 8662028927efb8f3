"""How heads are supervised."""

import pytest

from pcrpose.models.supervision import HeadSupervision, Supervision, check_hardest


def test_values_without_a_meaning_are_refused() -> None:
    """A spread is positive, a weight not negative, and at least one keypoint counts."""
    for values in ({"sigma": 0.0}, {"weight": -0.5}, {"hardest": 0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            HeadSupervision(**values)


def test_mining_is_seen_in_any_head() -> None:
    """The final head and the auxiliary ones count alike; by default nothing is mined."""
    mining = HeadSupervision(hardest=8)
    assert not Supervision().mines_keypoints
    assert Supervision(final=mining).mines_keypoints
    assert Supervision(auxiliary=(HeadSupervision(), mining)).mines_keypoints


def test_hard_keypoints_need_squared_error() -> None:
    """In heatmaps that are trained by cross-entropy nothing is mined."""
    check_hardest(8, "gaussian")
    check_hardest(None, "probability")
    with pytest.raises(ValueError, match="hardest: expected None with 'probability' heatmaps, found 8"):
        check_hardest(8, "probability")
    with pytest.raises(ValueError, match="hardest"):
        check_hardest(0, "gaussian")
