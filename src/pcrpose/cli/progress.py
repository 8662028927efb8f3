"""A line on stderr that says how far the work is, how fast it goes and how long it will take."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO, TypeVar

T = TypeVar("T")

LINE_WIDTH = 79
_REFRESH_SECONDS = 0.1


class ProgressLine:
    """Count images and persons; rewritten in place on a terminal, elsewhere written once, at the end.

    Args:
        total: how many images there are.
        label: what is being done, where that needs saying.
        stream: to write to; by default stderr as it is now.
        clock: gives seconds, from any beginning.
    """

    def __init__(
        self,
        total: int,
        *,
        label: str = "",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.label = label
        self.images = 0
        self.persons = 0
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = clock()
        self._shown = self._start

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.write(f"{self._clear()}{self}, {_minutes(self.seconds)}\n")
        self._stream.flush()

    def __str__(self) -> str:
        return f"{self.label}{self.images}/{counted(self.total, 'image')}, {self.results}"

    @property
    def results(self) -> str:
        """How many persons, and how fast."""
        return f"{counted(self.persons, 'person')}, {self.rate:.1f} persons/s"

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self._clock() - self._start

    @property
    def rate(self) -> float:
        """Persons a second so far."""
        return self.persons / self.seconds if self.seconds > 0 else 0.0

    def advance(self, *, images: int = 1, persons: int = 0) -> None:
        """Count more work done."""
        self.images += images
        self.persons += persons
        if self._stream.isatty() and self._clock() - self._shown >= _REFRESH_SECONDS:
            self._shown = self._clock()
            left = self.seconds * (self.total - self.images) / max(self.images, 1)
            self._stream.write(f"{self._clear()}{self}, {_minutes(left)} left")
            self._stream.flush()

    def watch(self, items: Iterable[T], persons: Iterable[int]) -> Iterator[T]:
        """Hand items on, counting each with its persons once the next one is asked for."""
        for item, count in zip(items, persons, strict=True):
            yield item
            self.advance(persons=count)

    def _clear(self) -> str:
        return f"\r{'':{LINE_WIDTH}}\r" if self._stream.isatty() else ""


def counted(number: int, what: str) -> str:
    """Write as 1 image, 2 images."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _minutes(seconds: float) -> str:
    """Write as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
