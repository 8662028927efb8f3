"""Learning rates as a function of the step."""

import pytest

from pcrpose.training.schedule import rate_factor


def test_step_schedule_is_the_published_one() -> None:
    """Of 210 epochs the rate falls to a tenth at 170 and to a hundredth at 200."""
    milestones = (170 / 210, 200 / 210)

    factors = [rate_factor(epoch, 210, schedule="step", milestones=milestones) for epoch in (0, 169, 170, 199, 200)]

    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_cosine_falls_from_one_to_zero() -> None:
    """Half-way it is a half, and never does it rise."""
    factors = [rate_factor(step, 100, schedule="cosine") for step in range(101)]

    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)


def test_warm_up_rises_to_the_base_rate() -> None:
    """The first step already moves; the last of the warm-up has the whole rate."""
    factors = [rate_factor(step, 100, schedule="cosine", warmup_steps=4) for step in range(5)]

    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_constant_stays() -> None:
    """A constant schedule ignores the step."""
    assert {rate_factor(step, 10, schedule="constant") for step in range(10)} == {1.0}
