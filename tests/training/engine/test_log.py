"""The log of a run: file, TensorBoard, progress bar."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.pcr import PCR
from pcrpose.training.checkpoint import Progress
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine import log as module
from pcrpose.training.engine.log import ProgressLine, RunLog
from pcrpose.training.events import Event, Step
from pcrpose.training.trainer import Trainer


class FakeWriter:
    """Stands for TensorBoard's writer, which is not installed here."""

    made: "list[FakeWriter]"

    def __init__(self, folder: str, *, purge_step: int) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, Any, int]] = []
        self.closed = False
        self.made.append(self)

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Remember a point."""
        self.scalars.append((tag, scalar_value, global_step))

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:  # noqa: ANN401 - an array
        """Remember an image."""
        assert dataformats == "HWC"
        self.images.append((tag, img_tensor, global_step))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    """Put a fake in the place of TensorBoard, and collect what is made of it."""
    module: Any = ModuleType("torch.utils.tensorboard")
    made: list[FakeWriter] = []
    module.SummaryWriter = type("Writer", (FakeWriter,), {"made": made})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return made


def step(number: int, loss: float) -> Step:
    """Return the event of a step."""
    return Step(step=number, total_steps=9, loss=loss, learning_rate=0.1, data_wait=0.0)


def test_the_log_is_cut_back(tmp_path: Path) -> None:
    """What was written after the checkpoint goes."""
    log = RunLog(tmp_path, total_steps=9, batch_size=2)
    log.open(Progress())
    log.write(step(1, 2.0))
    size = log.size
    log.write(step(2, 1.0))
    log.open(Progress(step=1, log_bytes=size))
    log.write(step(2, 0.5))

    assert [json.loads(line)["loss"] for line in log.path.read_text().splitlines()] == [2.0, 0.5]


def test_waiting_is_told_but_not_kept(
    model: PCR,
    dataset: KeypointDataset,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event has the fraction, 0 to 1; the file holds only what the same run gives again."""
    told: list[Event] = []
    trainer = Trainer(model, dataset, tmp_path, make_config(), on_event=told.append)
    with caplog.at_level(logging.INFO):
        trainer.train()

    steps = [event for event in told if isinstance(event, Step)]
    assert [event.step for event in steps] == [1, 2, 3]
    assert all(0 < event.data_wait < 1 for event in steps)  # crops are made in this process: that is all waiting
    assert [str(event) for event in steps] == [line for line in caplog.messages if line.startswith("step ")]
    assert "data_wait" not in (tmp_path / "log.jsonl").read_text()
    assert trainer.log.line is not None
    assert trainer.log.line.data_wait == pytest.approx(steps[-1].data_wait)


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    """The others leave no file."""
    log = RunLog(tmp_path, total_steps=9, batch_size=2, tensorboard=True, active=False)
    log.open(Progress())
    log.write(step(1, 2.0))
    log.show(1, 2.0)
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_tensorboard(
    model: PCR,
    dataset: KeypointDataset,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    writers: list[FakeWriter],
) -> None:
    """Curves have a point a log line, images come with validations, and the writer is closed."""
    config = make_config(tensorboard=True, validate_every_epochs=1)

    Trainer(model, dataset, tmp_path, config, validate=lambda _: 0.25).train()

    (writer,) = writers
    assert (writer.folder, writer.purge_step, writer.closed) == (str(tmp_path / "tensorboard"), 1, True)
    assert {(tag, step) for tag, _, step in writer.scalars} == {
        *((tag, step) for tag in ("loss", "learning_rate", "data_wait") for step in (1, 2, 3)),
        ("validation", 3),
    }
    ((_, image, step),) = writer.images
    assert (step, image.dtype, image.shape[2:]) == (3, np.uint8, (3,))


def test_without_tensorboard_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it learns what to install."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        RunLog(tmp_path, total_steps=1, batch_size=1, tensorboard=True)


def test_a_logged_loss_carries_the_last_validation(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Lines after a validation show its figure; a resumed run still knows it."""
    config = make_config(epochs=2, validate_every_epochs=1)
    figures = iter([0.25, 0.5])

    Trainer(model, dataset, tmp_path, config, validate=lambda _: next(figures)).train()

    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row.get("last_validation") for row in rows if "loss" in row] == [None] * 3 + [0.25] * 3
    trainer = Trainer(model, dataset, tmp_path, config, validate=lambda _: 0.0)
    trainer.train()
    assert trainer.progress.validation == 0.5


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stand for stderr, wide enough, refreshed at every step; pytest sets its own between fixtures and the test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(module, "_REFRESH_SECONDS", 0)
    return stream


def test_the_bar_says_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step, loss, validation, speed and waiting; the bar begins at the step from which the run goes on."""
    stream = terminal(monkeypatch)
    line = ProgressLine(100, 32)
    line.show(40)
    begun = stream.getvalue()
    line.loss, line.validation, line.data_wait = 2.3456789, 0.4123, 0.024
    line.show(44)
    line.show(45)
    shown = stream.getvalue().split("\r")[-1]
    line.close()

    assert "40/100" in begun
    assert "loss" not in begun
    assert "45/100" in shown
    assert "loss 2.346, validation 0.412, " in shown
    assert "persons/s, 2% waiting" in shown


def test_the_bar_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while, so that something else can be written there, and at the end for good."""
    stream = terminal(monkeypatch)
    line = ProgressLine(3, 1)
    line.clear()
    line.show(0)
    for leave in (line.clear, line.close):
        line.show(1)
        leave()

        assert stream.getvalue().endswith("\r")
        assert stream.getvalue().split("\r")[-2].strip() == ""
    line.close()
    assert "\n" not in stream.getvalue()


def test_nothing_is_written_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a pipe gets log lines instead; and there is no thread of a bar."""
    line = ProgressLine(1, 1)
    threads = threading.active_count()
    line.show(0)
    line.loss = 1.0
    line.show(1)
    line.clear()
    line.close()

    assert capsys.readouterr().err == ""
    assert threading.active_count() == threads
