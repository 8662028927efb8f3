"""Troubles from outside end a run in one clear error, and leave its last checkpoint."""

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pcrpose.data.dataset import Item, KeypointDataset
from pcrpose.data.sampler import SampleKey
from pcrpose.files.lock import HOLDER_FILE, LOCK_FILE, FolderInUseError
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.training import checkpoint
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.faults import plain_errors
from pcrpose.training.engine.lock import locked
from pcrpose.training.engine.processes import Processes
from pcrpose.training.trainer import Trainer

MakeConfig = Callable[..., TrainConfig]


class Overflow(torch.autograd.Function):
    """Keep the values and break the gradient."""

    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        """Give the values."""
        return values.clone()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        """Give infinity."""
        return gradient * float("inf")


class DyingDataset(KeypointDataset):
    """A data set whose worker is killed, as a system without memory does."""

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Kill the process that asks for the fourth sample."""
        if isinstance(key, tuple) and key.index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(key)


def test_a_dead_worker_is_one_clear_error(
    model: PCR, dataset: KeypointDataset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """The error says what died, what to try and what is left; the folder is free again."""
    dying = DyingDataset(dataset.samples, source_skeleton=dataset.skeleton, input_size=dataset.input_size)

    with pytest.raises(ChildProcessError, match=r"lower num_workers .*step|no checkpoint") as raised:
        Trainer(model, dying, tmp_path, make_config(num_workers=1)).train()

    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert not (tmp_path / HOLDER_FILE).exists()


def test_other_runtime_errors_stay_what_they_are(tmp_path: Path) -> None:
    """A mistake in a network is not taken for a dead worker, nor a missing file for a full disk."""
    with pytest.raises(RuntimeError, match=r"^shapes differ$"), plain_errors(tmp_path / "last"):
        raise RuntimeError("shapes differ")
    with pytest.raises(FileNotFoundError, match="nothing"), plain_errors(tmp_path / "last"):
        raise FileNotFoundError(errno.ENOENT, "nothing here")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_leaves_the_last_checkpoint(
    model: PCR,
    dataset: KeypointDataset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """The error names its step; nothing half-written stays."""
    saved = list[Path]()

    def full_at_the_second(tensors: dict[str, Tensor], path: Path) -> None:
        saved.append(path)
        if len(saved) == 2:
            raise error
        save_file(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full_at_the_second)

    with pytest.raises(OSError, match="the disk is full; the checkpoint of step 1 is kept") as raised:
        Trainer(model, dataset, tmp_path, make_config()).train()

    assert raised.value.errno == errno.ENOSPC
    found = find_checkpoint(tmp_path / "last")
    assert found is not None
    assert read_progress(found).step == 1
    assert not (tmp_path / "last.new").exists()


def test_a_folder_in_use_is_refused(
    model: PCR, dataset: KeypointDataset, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Nothing in it is touched."""
    with locked(tmp_path, Processes()):
        with pytest.raises(FolderInUseError, match="in use"):
            Trainer(model, dataset, tmp_path, make_config()).train()
        assert {path.name for path in tmp_path.iterdir()} == {LOCK_FILE, HOLDER_FILE}


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_batch_that_breaks_the_run_is_told(
    model: PCR,
    dataset: KeypointDataset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The second step's samples are written, the message names the file, the first step's checkpoint is kept."""
    forward, calls = PCR.forward, list[int]()

    def broken(self: PCR, crops: Tensor) -> HeatmapOutput:
        output = forward(self, crops)
        calls.append(len(crops))
        if len(calls) != 2:
            return output
        if where == "loss":
            return HeatmapOutput(output.final * float("nan"))
        final: Tensor = Overflow.apply(output.final)  # type: ignore[no-untyped-call] # torch's
        return HeatmapOutput(final, output.auxiliary)

    monkeypatch.setattr(PCR, "forward", broken)
    trainer = Trainer(model, dataset, tmp_path, make_config(max_grad_norm=1.0, log_every_steps=50))
    keys = trainer.sampler.keys(0)[8:16]

    with pytest.raises(FloatingPointError, match=rf"the {where} is (nan|inf) at step 2; .*not_finite\.json"):
        trainer.train()

    content = json.loads((tmp_path / "not_finite.json").read_text())
    assert content["step"] == 2
    assert [sample["index"] for sample in content["samples"]] == [key.index for key in keys]
    assert read_progress(tmp_path / "last").step == 1
    assert all(tensor.isfinite().all() for tensor in PCR.from_pretrained(tmp_path / "last").state_dict().values())


def test_ctrl_c_says_what_is_left(
    model: PCR,
    dataset: KeypointDataset,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before the first checkpoint nothing, afterwards the step from which the run goes on."""
    after_step = Trainer._after_step

    def stopped(self: Trainer, done: int, loss: Tensor) -> None:
        after_step(self, done, loss)
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_after_step", stopped)
    for every, told in (
        (3, "stopped; no checkpoint was written yet"),
        (1, "stopped; the checkpoint of step 2 is kept"),
    ):
        with pytest.raises(KeyboardInterrupt):
            Trainer(model, dataset, tmp_path / str(every), make_config(checkpoint_every_steps=every)).train()
        assert told in caplog.text


def test_a_device_is_asked_only_now_and_then(
    model: PCR, dataset: KeypointDataset, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the CPU steps are looked at when a line is logged, and the first broken one is told all the same."""
    trainer = Trainer(model, dataset, tmp_path, make_config(log_every_steps=3, checkpoint_every_steps=50))
    trainer._looks_always = False  # as where looking is waiting, which tests have not
    after_step, seen = Trainer._after_step, list[int]()

    def spoilt(self: Trainer, done: int, loss: Tensor) -> None:
        if done == 2:
            self._watch.add(2, (5, 6), loss=torch.tensor(float("nan")))
        seen.append(done)
        after_step(self, done, loss)

    monkeypatch.setattr(Trainer, "_after_step", spoilt)

    with pytest.raises(FloatingPointError, match="at step 2"):
        trainer.train()

    assert seen == [1, 2, 3]
