"""The log of a run: its file, TensorBoard, and a progress bar on the terminal."""

import json
import sys
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from pcrpose.keypoints.arrays import Image
from pcrpose.training.checkpoint import Progress
from pcrpose.training.events import Step, Validated

LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"

_REFRESH_SECONDS = 0.5


class Board(Protocol):
    """The part of TensorBoard's writer that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a point to a curve."""

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:  # noqa: ANN401 - an array
        """Add an image."""

    def close(self) -> None:
        """Write what is left."""


class RunLog:
    """The log of a run, in the process that writes; elsewhere it does nothing.

    Args:
        folder: of the run.
        total_steps: of the run.
        batch_size: persons per step.
        tensorboard: write for TensorBoard too.
        active: this process writes.

    Raises:
        ImportError: if TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: Path, *, total_steps: int, batch_size: int, tensorboard: bool = False, active: bool = True
    ) -> None:
        self.path, self.active = folder / LOG_FILE, active
        self.line = ProgressLine(total_steps, batch_size) if active else None
        self._writer = _board_class() if tensorboard and active else None
        self._board: Board | None = None

    def open(self, progress: Progress) -> None:
        """Begin, or go on from a checkpoint: what was written after it is cut off."""
        if not self.active:
            return
        with self.path.open("ab") as log:
            log.truncate(min(log.tell(), progress.log_bytes))
        if self.line is not None:
            self.line.validation = progress.validation
        if self._writer is not None:
            self._board = self._writer(str(self.path.parent / BOARD_FOLDER), purge_step=progress.step + 1)

    def write(self, event: Step | Validated) -> None:
        """Add one line to the file: what the same run gives again, so not the time spent waiting for data."""
        if not self.active:
            return
        values = _values(event)
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": event.step, **values}) + "\n")
        if isinstance(event, Step):
            values = {**values, "data_wait": event.data_wait}
        if self._board is not None:
            for name in values.keys() - {"last_validation"}:
                self._board.add_scalar(name, values[name], event.step)
        if self.line is not None:
            self.line.validation = values.get("validation", self.line.validation)
            self.line.data_wait = values.get("data_wait", self.line.data_wait)
            self.line.clear()

    def image(self, step: int, image: Image) -> None:
        """Show ``(H, W, 3)`` uint8 RGB example crops in TensorBoard."""
        if self._board is not None:
            self._board.add_image("examples", image, step, dataformats="HWC")

    def show(self, step: int, loss: float | None) -> None:
        """Renew the line on the terminal; the last known loss stays where there is no newer one."""
        if self.line is not None:
            self.line.loss = self.line.loss if loss is None else loss
            self.line.show(step)

    @property
    def wants_images(self) -> bool:
        """Whether somebody would see them."""
        return self._board is not None

    @property
    def size(self) -> int:
        """Length of the file, bytes."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Remove the bar and flush TensorBoard."""
        if self.line is not None:
            self.line.close()
        if self._board is not None:
            self._board.close()


def _values(event: Step | Validated) -> dict[str, float]:
    if isinstance(event, Validated):
        return {"validation": event.metric}
    values = {"loss": event.loss, "learning_rate": event.learning_rate}
    return values if event.last_validation is None else {**values, "last_validation": event.last_validation}


def _board_class() -> Any:  # noqa: ANN401 - a class of an extra
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - few want it
    except ImportError as error:
        raise ImportError("tensorboard=True needs one more package: pip install tensorboard") from error
    return SummaryWriter


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
        """Clear the bar until the next step, before something else is written there."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Remove the bar for good."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
