"""What a run tells: a file that can be cut back, TensorBoard if it is there."""

import json
import logging
import sys
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
from pcrpose.training.engine.log import RunLog
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


def test_the_log_is_cut_back(tmp_path: Path) -> None:
    """What was written after the checkpoint goes."""
    log = RunLog(tmp_path, total_steps=9, batch_size=2)
    log.open(Progress())
    log.write({"step": 1, "loss": 2.0})
    size = log.size
    log.write({"step": 2, "loss": 1.0})
    log.open(Progress(step=1, log_bytes=size))
    log.write({"step": 2, "loss": 0.5})

    assert [json.loads(line)["loss"] for line in log.path.read_text().splitlines()] == [2.0, 0.5]


def test_waiting_is_told_but_not_kept(
    model: PCR,
    dataset: KeypointDataset,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log line has the share, 0 to 1; the file holds only what the same run gives again."""
    trainer = Trainer(model, dataset, tmp_path, make_config())
    with caplog.at_level(logging.INFO):
        trainer.train()

    told = [record.args for record in caplog.records if isinstance(record.args, dict)]
    assert [values["step"] for values in told] == [1, 2, 3]
    assert all(0 < values["data_wait"] < 1 for values in told)  # crops are made in this process: that is all waiting
    assert "data_wait" not in (tmp_path / "log.jsonl").read_text()
    assert trainer.log.line is not None
    assert trainer.log.line.data_wait == pytest.approx(told[-1]["data_wait"], abs=1e-3)


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    """The others leave no file."""
    log = RunLog(tmp_path, total_steps=9, batch_size=2, tensorboard=True, active=False)
    log.open(Progress())
    log.write({"step": 1, "loss": 2.0})
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
