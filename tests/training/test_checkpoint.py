"""Checkpoints are whole or not there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pcrpose.files.atomic import interrupted_names
from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.training import checkpoint
from pcrpose.training.checkpoint import (
    PROGRESS_FILE,
    TRAINING_FILE,
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


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (("last", "last.new", "last.old"), "last"),
        (("last.new", "last.old"), "last.new"),
        (("last", "last.old"), "last"),
        (("last.old",), "last.old"),
    ],
)
def test_which_checkpoint_counts_after_a_crash(
    left: tuple[str, ...], expected: str, model: PCR, tmp_path: Path
) -> None:
    """The one that has its name; without one the newer; it gets the name, so that no save removes it half-way."""
    optimizer, average = stepped(model)
    steps = {"last": 7, "last.new": 9, "last.old": 5}
    for name in left:  # saved apart, because a save clears away what is beside its folder
        save_checkpoint(tmp_path / name / "last", model, optimizer, average, Progress(step=steps[name]))
    for name in left:
        (tmp_path / name).rename(tmp_path / f"around-{name}")
        (tmp_path / f"around-{name}" / "last").rename(tmp_path / name)

    assert find_checkpoint(tmp_path / "last") == tmp_path / expected
    settle_checkpoint(tmp_path / "last")

    assert find_checkpoint(tmp_path / "last") == tmp_path / "last"
    assert read_progress(tmp_path / "last").step == steps[expected]


def test_an_unfinished_checkpoint_does_not_count(model: PCR, tmp_path: Path) -> None:
    """A save that was killed half-way has weights, but no progress: the predecessor is taken."""
    optimizer, average = stepped(model)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=1))
    (tmp_path / "last").rename(tmp_path / "last.old")
    model.save_pretrained(tmp_path / "last.new")

    assert find_checkpoint(tmp_path / "last") == tmp_path / "last.old"


def test_a_checkpoint_without_its_last_file_is_unfinished(tmp_path: Path) -> None:
    """Weights and moments alone are what a crash has left: only the progress says that all is there."""
    last, (new, _) = tmp_path / "last", interrupted_names(tmp_path / "last")
    for folder, names in ((last, (TRAINING_FILE,)), (new, (TRAINING_FILE, PROGRESS_FILE))):
        folder.mkdir()
        for name in names:
            (folder / name).touch()

    assert find_checkpoint(last) == new


def test_nothing_is_settled_where_nothing_is(tmp_path: Path) -> None:
    """No folder appears."""
    settle_checkpoint(tmp_path / "none")

    assert list(tmp_path.iterdir()) == []


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


def test_what_says_that_a_checkpoint_is_whole_is_written_last(
    model: PCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the progress is written all other files have been flushed to the disk: a power cut leaves no empty ones."""
    optimizer, average = stepped(model)
    fsync, flushed = os.fsync, list[str]()

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        flushed.extend(name for name in names if os.path.samestat(os.fstat(descriptor), status(name)))

    def status(name: str) -> os.stat_result:
        parts = list((tmp_path / "last.new").glob(f".{name}.*.part")) or [tmp_path / "last.new" / name]
        return parts[0].stat() if parts[0].exists() else Path(os.devnull).stat()

    names = ("model.safetensors", "training.safetensors", "progress.json")
    monkeypatch.setattr(os, "fsync", watched)
    save_checkpoint(tmp_path / "last", model, optimizer, average, Progress(step=1))

    assert flushed[:3] == list(names)
