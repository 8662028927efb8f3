"""How much of a training's time goes by while it waits for data."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class DataWait:
    """The share of the time that was spent waiting for the next of some values.

    On a GPU the network may still be at work while Python waits, so there the share is an upper bound.

    Args:
        clock: gives seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: float | None = None
        self._waited = 0.0

    def watch(self, values: Iterable[T]) -> Iterator[T]:
        """Hand the values on, and count the time until each of them is there."""
        self._begun, self._waited = self._clock(), 0.0
        source = iter(values)
        while True:
            asked = self._clock()
            try:
                value = next(source)
            except StopIteration:
                return
            finally:
                self._waited += self._clock() - asked
            yield value

    def share(self) -> float:
        """Tell the share since the last call, or since `watch` began; 0 to 1."""
        now, waited = self._clock(), self._waited
        elapsed = 0.0 if self._begun is None else now - self._begun
        self._begun, self._waited = now, 0.0
        return waited / elapsed if elapsed > 0 else 0.0
