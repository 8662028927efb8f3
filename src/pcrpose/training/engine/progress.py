"""Progress of a training: a bar on the terminal."""

import sys

from tqdm import tqdm

_REFRESH_SECONDS = 0.5


class _Bar(tqdm):  # type: ignore[misc] # tqdm comes without types
    """A bar without tqdm's watching thread: data workers are forked while it is shown."""

    monitor_interval = 0


class ProgressLine:
    """Steps, speed and time left, with loss, last validation metric and waiting; nothing where stderr is no terminal.

    Args:
        total_steps: of the run.
        batch_size: persons per step.
    """

    def __init__(self, total_steps: int, batch_size: int) -> None:
        self.total_steps, self.batch_size = total_steps, batch_size
        self.loss: float | None = None
        self.validation: float | None = None
        self.data_wait: float | None = None
        self._bar: _Bar | None = None

    def show(self, step: int) -> None:
        """Count up to a step; the bar begins at the first one that it is shown."""
        if self._bar is None:
            self._bar = _Bar(
                total=self.total_steps,
                initial=step,
                unit="step",
                leave=False,
                dynamic_ncols=True,
                mininterval=_REFRESH_SECONDS,
                miniters=1,
                disable=not sys.stderr.isatty(),
            )
        self._bar.set_postfix_str(self._facts(self._bar), refresh=False)
        self._bar.update(step - self._bar.n)

    def _facts(self, bar: _Bar) -> str:
        """Write what is known, as ``loss 2.31, validation 0.412, 120 persons/s, 2% waiting``."""
        rate = None if bar.disable else bar.format_dict["rate"]
        facts = {
            "loss {:.4g}": self.loss,
            "validation {:.3f}": self.validation,
            "{:.0f} persons/s": rate and rate * self.batch_size,
            "{:.0%} waiting": self.data_wait,
        }
        return ", ".join(form.format(value) for form, value in facts.items() if value is not None)

    def clear(self) -> None:
        """Take the bar off the screen until the next step, before something else is written there."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Take the bar away for good."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
