"""Checkpoints are whole or not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training import checkpoint
from pcrpose.training.checkpoint import (
    Progress,
    find_checkpoint,
    load_checkpoint,
    read_progress,
    save_checkpoint,
    settle_checkpoint,
)
from pcrpose.training.ema import WeightAverage


def stepped(model: PCR) -> tuple[torch.optim.Adam, WeightAverage]:
    """Take one optimizer step, so that there are moments to save."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    average = WeightAverage(model, 0.5)
    model.train()(torch.randn(2, 3, 96, 64)).final.square().sum().backward()
    optimizer.step()
    average.update(model, 0)
    return optimizer, average


def test_everything_comes_back(make_model: Callable[[], PCR], tmp_path: Path) -> None:
    """Weights, moments, average and progress are the same after a round trip."""
    model = make_model()
    optimizer, average = stepped(model)
    progress = Progress(step=7, best=0.25, log_bytes=11)

    save_checkpoint(tmp_path / "last", model, optimizer, average, progress)
    other = make_model()
    other_optimizer, other_average = torch.optim.Adam(other.parameters(), lr=0.01), WeightAverage(other, 0.5)
    found = load_checkpoint(tmp_path / "last", other, other_optimizer, other_average)

    assert found == progress
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(average.tensors[name], other_average.tensors[name]) for name in average.tensors)
    expected, restored = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert expected.keys() == restored.keys()
    assert all(
        torch.equal(expected[index][kind], restored[index][kind]) for index in expected for kind in expected[index]
    )


def test_a_crash_while_saving_leaves_the_previous_one(
    model: PCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails half-way, the checkpoint that stood is found whole."""
    optimizer, average = stepped(model)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=1))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=2))

    assert find_checkpoint(tmp_path / "last") == tmp_path / "last"
    assert load_checkpoint(tmp_path / "last", model, optimizer, average).step == 1


def test_a_crash_between_the_renames_is_survived(model: PCR, tmp_path: Path) -> None:
    """The predecessor counts when the newest has no name yet."""
    optimizer, average = stepped(model)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=1))
    (tmp_path / "last").rename(tmp_path / "last.old")

    assert find_checkpoint(tmp_path / "last") == tmp_path / "last.old"


def test_two_crashes_between_the_renames_are_survived(
    model: PCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save after the first crash keeps the only whole checkpoint until the new one has its name."""
    optimizer, average = stepped(model)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=1))
    (tmp_path / "last").rename(tmp_path / "last.old")

    def no_rename(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", no_rename)
        with pytest.raises(OSError, match="Input"):
            save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=2))

    found = find_checkpoint(tmp_path / "last")
    assert found is not None
    assert load_checkpoint(found, model, optimizer, average).step in {1, 2}


def test_what_a_crash_left_gets_its_name(model: PCR, tmp_path: Path) -> None:
    """The newer of the two takes the place of the checkpoint, so that no save removes it half-way."""
    optimizer, average = stepped(model)
    for step, name in ((1, "last.old"), (2, "last.new")):
        save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=step))
        (tmp_path / "last").rename(tmp_path / name)

    settle_checkpoint(tmp_path / "last")

    assert find_checkpoint(tmp_path / "last") == tmp_path / "last"
    assert read_progress(tmp_path / "last").step == 2
    settle_checkpoint(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    """An empty folder holds no checkpoint."""
    assert find_checkpoint(tmp_path / "last") is None


def test_another_models_checkpoint_is_refused(model: PCR, tmp_path: Path) -> None:
    """A checkpoint of another configuration is not loaded."""
    optimizer, average = stepped(model)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress())
    other = PCR(PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), input_size=Size(width=64, height=64)))

    with pytest.raises(ValueError, match="another configuration"):
        load_checkpoint(tmp_path / "last", other, torch.optim.Adam(other.parameters()), WeightAverage(other, 0.5))
