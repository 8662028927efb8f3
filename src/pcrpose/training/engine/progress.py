"""How far a training is: one line on the terminal, rewritten in place."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

_REFRESH_SECONDS = 0.5
_MEMORY = 0.9  # share of the old speed that stays at each refresh


class ProgressLine:
    """Step, loss, speed, time left, waiting and the last validation figure; nothing where the stream is no terminal.

    Args:
        total_steps: of the run.
        batch_size: persons a step.
        stream: stderr as it is now, by default.
        clock: gives seconds, from any beginning.
    """

    def __init__(
        self,
        total_steps: int,
        batch_size: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total_steps, self.batch_size = total_steps, batch_size
        self.loss: float | None = None
        self.validation: float | None = None
        self.data_wait: float | None = None
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._rate: float | None = None
        self._last: tuple[float, int] | None = None
        self._width = 0

    def show(self, step: int) -> None:
        """Rewrite the line after a step, unless it was rewritten just now."""
        if not self._stream.isatty():
            return
        now = self._clock()
        if self._last is None:
            self._last = now, step
            return
        seconds, steps = now - self._last[0], step - self._last[1]
        if seconds < _REFRESH_SECONDS and step < self.total_steps:
            return
        if seconds > 0:
            rate = steps / seconds
            self._rate = rate if self._rate is None else _MEMORY * self._rate + (1 - _MEMORY) * rate
        self._last = now, step
        self.clear()
        text = self.text(step)[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be taken away
        self._width = len(text)
        self._stream.write(text)
        self._stream.flush()

    def text(self, step: int) -> str:
        """Write the line, as ``step 50/400, loss 2.31, 120 persons/s, 0:12:30 left, 2% waiting``."""
        parts = [f"step {step}/{self.total_steps}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4g}")
        if self.validation is not None:
            parts.append(f"validation {self.validation:.3f}")
        if self._rate:
            left = round((self.total_steps - step) / self._rate)
            parts.append(f"{self._rate * self.batch_size:.0f} persons/s")
            parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        if self.data_wait is not None:
            parts.append(f"{self.data_wait:.0%} waiting")
        return ", ".join(parts)

    def clear(self) -> None:
        """Take the line away, before something else is written there."""
        if self._width:
            self._stream.write(f"\r{'':{self._width}}\r")
            self._stream.flush()
            self._width = 0
