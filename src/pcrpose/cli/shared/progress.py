"""Progress of work on images: a bar on a terminal, and one line at the end everywhere."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm


class ProgressLine:
    """Count images and persons; the bar is shown on a terminal only.

    Args:
        total: how many images there are.
        label: what is being done, where it is not clear; as ``"poses: "``.
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
        """The persons so far, and how many per second."""
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


def counted(number: int, what: str) -> str:
    """Write as 1 image, 2 images."""
    return f"{number} {what}{'' if number == 1 else 's'}"
