"""A run's folder: locked, continued only as it began, and errors in one line."""

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import Item, KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.sampler import SampleKey
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.files.lock import HOLDER_FILE, LOCK_FILE, FolderInUseError, FolderLock
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.training import checkpoint
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import OLD_NAMES, TrainConfig
from pcrpose.training.engine.distributed import Processes
from pcrpose.training.engine.run import RECORD_FILE, check_record, locked, plain_errors, write_record
from pcrpose.training.trainer import Trainer

CONFIG = TrainConfig(milestones=(0.5,))
NEW = ("gradient_accumulation_steps", "base_batch_size", "sync_batch_norm", "max_broken_images", "tensorboard")

MakeConfig = Callable[..., TrainConfig]


def test_a_run_holds_its_folder(tmp_path: Path) -> None:
    """The folder is made, refused to others while the run lasts, and free afterwards, also after an error."""
    folder = tmp_path / "a/b"

    with pytest.raises(ValueError, match="stop"), locked(folder, Processes()):  # noqa: PT012 - what happens inside is meant
        assert json.loads((folder / HOLDER_FILE).read_text())["pid"] == os.getpid()
        with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}"):
            FolderLock(folder).acquire()
        raise ValueError("stop")

    with locked(folder, Processes()):
        pass
    assert not (folder / HOLDER_FILE).exists()


def test_the_first_process_holds_it_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process of the run neither takes the folder nor gives it back."""
    monkeypatch.setattr(Processes, "first", lambda _self, _action: None)  # the first process acts, elsewhere

    with locked(tmp_path, Processes()), locked(tmp_path, Processes(rank=1, count=2)):
        pass

    assert list(tmp_path.iterdir()) == []


def drawn(count: int, **options: Any) -> KeypointDataset:  # noqa: ANN401 - of the data set
    """Make crops of drawn people."""
    given = {"augmentation": Augmentation(), **options}
    samples = SyntheticPoses(count=count).samples()
    return KeypointDataset(
        samples, source_skeleton=COCO_17, crop=CropSpec(input_size=Size(width=32, height=64)), **given
    )


def test_what_decides_nothing_may_change(tmp_path: Path) -> None:
    """Workers and intervals are free; a rate is not, and is named with both values."""
    both = MixedDataset([drawn(5), drawn(6)])
    write_record(tmp_path, CONFIG, both)
    check_record(tmp_path, TrainConfig(milestones=(0.5,), num_workers=7, max_broken_images=1, tensorboard=True), both)
    with pytest.raises(ValueError, match=r"another configuration \(learning_rate 0.001 then, 0.5 now\)"):
        check_record(tmp_path, TrainConfig(milestones=(0.5,), learning_rate=0.5), both)
    with pytest.raises(ValueError, match=r"another configuration \(seed 0 then, 1 now\)"):
        check_record(tmp_path, TrainConfig(milestones=(0.5,), seed=1), both)
    with pytest.raises(ValueError, match=r"samples \[5, 6\] then, \[5\] now"):
        check_record(tmp_path, CONFIG, drawn(5))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 3}, "part 2: seed 0 then, 3 now"),
        ({"cache": "reduced"}, "part 2: reduce_jpegs False then, True now"),
        ({"augmentation": None}, "part 2: scale 0.35 then, None now"),
        ({"augmentation": Augmentation(scale=0.2)}, "part 2: scale 0.35 then, 0.2 now"),
    ],
)
def test_what_a_crop_looks_like_may_not_change(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    """Seed, augmentation and decoding of each part are held against what they were."""
    write_record(tmp_path, CONFIG, MixedDataset([drawn(5), drawn(6)]))
    with pytest.raises(ValueError, match=told):
        check_record(tmp_path, CONFIG, MixedDataset([drawn(5), drawn(6, **other)]))


def test_a_record_with_the_old_names_of_fields_is_read(tmp_path: Path) -> None:
    """A run that version 0.1.0 began goes on, and what decides its result is still compared."""
    people = drawn(5)
    write_record(tmp_path, CONFIG, people)
    names = {new: old for old, new in OLD_NAMES.items()}
    noted = json.loads((tmp_path / RECORD_FILE).read_text())
    old = {names.get(name, name): value for name, value in noted.items() if not name.startswith("teacher")}
    assert OLD_NAMES.keys() <= old.keys()
    (tmp_path / RECORD_FILE).write_text(json.dumps(old))

    check_record(tmp_path, CONFIG, people)

    with pytest.raises(ValueError, match=r"encoder_learning_rate_factor 1\.0 then, 0\.5 now"):
        check_record(tmp_path, replace(CONFIG, encoder_learning_rate_factor=0.5), people)


def test_a_changed_visibility_is_other_data(tmp_path: Path) -> None:
    """A keypoint that is now hidden, not visible, changes the digest of what is annotated, though no number moved."""
    samples = SyntheticPoses(count=5).samples()
    visibility = samples[3].visibility.copy()
    seen = int(np.flatnonzero(visibility == 2)[0])
    visibility[seen] = 1
    other = [replace(sample, visibility=visibility) if sample is samples[3] else sample for sample in samples]
    people, changed = (
        KeypointDataset(part, source_skeleton=COCO_17, crop=CropSpec(input_size=Size(width=32, height=64)))
        for part in (samples, other)
    )
    write_record(tmp_path, CONFIG, people)

    with pytest.raises(ValueError, match="part 1: annotations"):
        check_record(tmp_path, CONFIG, changed)


def test_what_an_augmentation_could_not_do_yet_is_off(tmp_path: Path) -> None:
    """A run that began before an option was there goes on without it, and not with it."""
    both = MixedDataset([drawn(5), drawn(6, augmentation=None)])
    write_record(tmp_path, CONFIG, both)
    record = json.loads((tmp_path / RECORD_FILE).read_text())
    before = {name: value for name, value in record.items() if "box_jitter" not in name and "erase" not in name}
    assert len(before) == len(record) - 3
    (tmp_path / RECORD_FILE).write_text(json.dumps(before))

    check_record(tmp_path, CONFIG, both)
    other = MixedDataset([drawn(5, augmentation=Augmentation(erase_probability=0.5)), drawn(6, augmentation=None)])
    with pytest.raises(ValueError, match=r"part 1: erase_probability 0.0 then, 0.5 now"):
        check_record(tmp_path, CONFIG, other)


def test_other_people_are_another_run(tmp_path: Path) -> None:
    """As many samples, but not the same ones; where their images lie does not matter."""
    people = SyntheticPoses(count=4)
    here, there = (
        [replace(s, image=folder / f"{s.image_id}.png") for s in people.samples()] for folder in (Path("a"), Path("b"))
    )
    crops = [
        KeypointDataset(samples, source_skeleton=COCO_17, crop=CropSpec(input_size=Size(width=32, height=64)))
        for samples in (here, there)
    ]
    write_record(tmp_path, CONFIG, crops[0])
    check_record(tmp_path, CONFIG, crops[1])

    moved = [replace(here[0], keypoints=here[0].keypoints + 1), *here[1:]]
    other = KeypointDataset(moved, source_skeleton=COCO_17, crop=CropSpec(input_size=Size(width=32, height=64)))
    with pytest.raises(ValueError, match=r"part 1: annotations [0-9a-f]+ then, [0-9a-f]+ now"):
        check_record(tmp_path, CONFIG, other)


def test_a_run_of_an_earlier_version_goes_on(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Fields that its files lack have their defaults, and nothing but those."""
    Trainer(model, dataset, tmp_path, make_config()).train()
    record = json.loads((tmp_path / RECORD_FILE).read_text())
    (tmp_path / RECORD_FILE).write_text(
        json.dumps({name: record[name] for name in record if name not in NEW and ":" not in name})
    )
    progress = json.loads((tmp_path / "last/progress.json").read_text())
    for name in ("validation", "scaler"):
        del progress[name]
    (tmp_path / "last/progress.json").write_text(json.dumps(progress))

    trainer = Trainer(model, dataset, tmp_path, make_config())
    trainer.train()
    assert trainer.progress.step == 3
    with pytest.raises(ValueError, match="gradient_accumulation_steps 1 then, 2 now"):
        Trainer(model, dataset, tmp_path, make_config(gradient_accumulation_steps=2)).train()


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
    dying = DyingDataset(dataset.samples, source_skeleton=dataset.skeleton, crop=dataset.crop)

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

    def stopped(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        after_step(self, done, outcome)
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

    def spoilt(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        if done == 2:
            self._watch.add(2, (5, 6), loss=torch.tensor(float("nan")))
        seen.append(done)
        after_step(self, done, outcome)

    monkeypatch.setattr(Trainer, "_after_step", spoilt)

    with pytest.raises(FloatingPointError, match="at step 2"):
        trainer.train()

    assert seen == [1, 2, 3]
