"""Progress of work on images: a bar on a terminal, one line at the end everywhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class ProgressLine:
    """Count images and persons; the bar is shown on a terminal only.

    Args:
        total: how many images there are.
        label: what is being done, where that needs saying; as ``"poses: "``.
    """

    def __init__(self, total: int, *, label: str = "") -> None:
        self.total = total
        self.label = label
        self.images = 0
        self.persons = 0
        self._start = time.monotonic()
        self._bar = tqdm(
            total=total,
            desc=label.removesuffix(": ") or None,
            unit="image",
            leave=False,
            dynamic_ncols=True,
            disable=None,  # unless stderr is a terminal
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        done = f"{self.label}{self.images}/{counted(self.total, 'image')}"
        sys.stderr.write(f"{done}, {self.results}, {tqdm.format_interval(self.seconds)}\n")
        sys.stderr.flush()

    @property
    def results(self) -> str:
        """How many persons, and how fast."""
        return f"{counted(self.persons, 'person')}, {self.rate:.1f} persons/s"

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return time.monotonic() - self._start

    @property
    def rate(self) -> float:
        """Persons per second so far."""
        return self.persons / self.seconds if self.seconds > 0 else 0.0

    def advance(self, *, images: int = 1, persons: int = 0) -> None:
        """Count more work done."""
        self.images += images
        self.persons += persons
        self._bar.set_postfix_str(self.results, refresh=False)
        self._bar.update(images)

    def watch(self, items: Iterable[T], persons: Iterable[int]) -> Iterator[T]:
        """Yield items, counting each with its persons once the next one is asked for."""
        for item, count in zip(items, persons, strict=True):
            yield item
            self.advance(persons=count)


def counted(number: int, what: str) -> str:
    """Write as 1 image, 2 images."""
    return f"{number} {what}{'' if number == 1 else 's'}"
