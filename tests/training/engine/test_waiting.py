"""The share of the time that goes by while somebody waits."""

from collections.abc import Iterator

import pytest

from pcrpose.training.engine.waiting import DataWait


class Clock:
    """Seconds that a test lets go by."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def slow(clock: Clock, count: int) -> Iterator[int]:
    """Values that take a second each."""
    for value in range(count):
        clock.now += 1.0
        yield value


def test_the_share_is_that_since_the_last_call() -> None:
    """A second of waiting and three of work are a quarter; without waiting it is none."""
    clock = Clock()
    wait = DataWait(clock)
    clock.now += 50.0  # before anybody waits
    seen, shares = list[int](), list[float]()
    for value in wait.watch(slow(clock, 3)):
        seen.append(value)
        clock.now += 3.0
        if value != 1:
            shares.append(wait.share())
    clock.now += 1.0

    assert seen == [0, 1, 2]
    assert shares == [0.25, 0.25]
    assert wait.share() == 0.0


def test_nothing_has_gone_by() -> None:
    """Before the first value, and when the clock stands still, there is no share."""
    clock = Clock()
    wait = DataWait(clock)
    assert wait.share() == 0.0
    assert wait.share() == 0.0
    next(wait.watch(slow(clock, 1)))
    assert wait.share() == 1.0


def test_errors_come_through() -> None:
    """What breaks behind it breaks in front of it."""

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    values = DataWait().watch(broken())
    assert next(values) == 1
    with pytest.raises(OSError, match="gone"):
        next(values)
