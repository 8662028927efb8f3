"""What a run tells: its log file, TensorBoard, and a line on the terminal."""

import json
from pathlib import Path
from typing import Any, Protocol

from pcrpose.keypoints.arrays import Image
from pcrpose.training.checkpoint import Progress
from pcrpose.training.engine.progress import ProgressLine

LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"


class Board(Protocol):
    """What is used of TensorBoard's writer."""

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
        batch_size: persons a step.
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

    def write(self, values: dict[str, float], *, data_wait: float | None = None) -> None:
        """Add one line of figures.

        Args:
            values: what the same run gives again; ``step`` is one of them.
            data_wait: share of the time spent waiting for data. No two runs have the same, so it is not in the file.
        """
        if not self.active:
            return
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(values) + "\n")
        if self._board is not None:
            points = values if data_wait is None else {**values, "data_wait": data_wait}
            for name in points.keys() - {"step", "last_validation"}:
                self._board.add_scalar(name, points[name], int(values["step"]))
        if self.line is not None:
            self.line.validation = values.get("validation", self.line.validation)
            self.line.data_wait = self.line.data_wait if data_wait is None else data_wait
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
        """Give the terminal back and write what TensorBoard still holds."""
        if self.line is not None:
            self.line.close()
        if self._board is not None:
            self._board.close()


def _board_class() -> Any:  # noqa: ANN401 - a class of an extra
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - few want it
    except ImportError as error:
        raise ImportError("tensorboard=True needs one more package: pip install tensorboard") from error
    return SummaryWriter
