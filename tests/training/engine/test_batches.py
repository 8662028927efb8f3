"""Batches: parts, order, broken images, and the time spent waiting for them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pcrpose.data.dataset import CropDataset, Item, KeypointDataset
from pcrpose.data.images import ImageError
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.sampler import EpochSampler, SampleKey
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.batches import (
    Batch,
    BatchStream,
    DataWait,
    PartSampler,
    RunSampler,
    SampleError,
    check_images_exist,
    whole_batches,
)

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def on_disk(tmp_path: Path) -> KeypointDataset:
    """Draw 16 images of one person, of which the first is missing and the second is cut off."""
    annotations = write_synthetic_coco(tmp_path / "data", count=16)
    source = read_coco(annotations, annotations.parent / "images")
    paths = [sample.image for sample in source.samples]
    assert len(set(map(str, paths))) == 16
    assert isinstance(paths[0], Path)
    assert isinstance(paths[1], Path)
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:500])
    return KeypointDataset(
        source.samples,
        source_skeleton=source.skeleton,
        crop=CropSpec(input_size=Size(width=64, height=96)),
        cache="decoded",
    )


def stream(dataset: CropDataset, config: TrainConfig) -> BatchStream:
    """Give the batches of one process."""
    return BatchStream(
        dataset, PartSampler(whole_batches(dataset, config), parts=config.gradient_accumulation_steps), config, CPU
    )


def indices(dataset: CropDataset, config: TrainConfig, first: int = 0) -> list[list[int]]:
    """List the samples of every step."""
    steps = stream(dataset, config).steps(first)
    return [[int(index) for part in parts for index in part["index"]] for _, parts in steps]


def test_parts_of_all_processes_are_the_batch() -> None:
    """Two processes with three parts each take every sample of a batch once, in equal parts."""
    whole = EpochSampler([24], batch_size=12)
    parts = [list(PartSampler(whole, parts=3, rank=rank, processes=2)) for rank in range(2)]

    assert {len(part) for own in parts for part in own} == {2}
    for number, batch in enumerate(whole):
        seen = [key for own in parts for part in own[3 * number : 3 * number + 3] for key in part]
        assert sorted(seen) == sorted(batch)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    """Parts of different sizes would count their samples differently."""
    with pytest.raises(ValueError, match="multiple of 3 processes x gradient_accumulation_steps 2, found 8"):
        PartSampler(EpochSampler([24], batch_size=8), parts=2, processes=3)


def test_steps_go_on_anywhere(dataset: KeypointDataset, make_config: MakeConfig) -> None:
    """From the middle of an epoch come the batches that would have come, each in its parts."""
    config = make_config(epochs=2, gradient_accumulation_steps=2)
    steps = [(step, [part["index"].tolist() for part in parts]) for step, parts in stream(dataset, config).steps(0)]
    later = [(step, [part["index"].tolist() for part in parts]) for step, parts in stream(dataset, config).steps(4)]

    assert [step for step, _ in steps] == list(range(6))
    assert {len(part) for _, parts in steps for part in parts} == {4}
    assert later == steps[4:]


@pytest.mark.parametrize("first", [0, 2, 5])
def test_epochs_are_one_row(first: int) -> None:
    """A run's batches are those of its epochs one after the other, so that workers never wait for an epoch's end."""
    whole = EpochSampler([25], batch_size=8, drop_last=True)
    expected: list[list[SampleKey]] = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        expected.extend(PartSampler(whole, parts=2))
    whole.set_epoch(1, first_batch=2)  # wherever it stood

    assert list(RunSampler(PartSampler(whole, parts=2), epochs=3, first=first)) == expected[2 * first :]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_replaced(
    on_disk: KeypointDataset, make_config: MakeConfig, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    """Batches keep their size, the others stay where they were, and each broken one is told once."""
    on_disk.preload()
    config = make_config(epochs=2)
    keys = [key.index for epoch in range(2) for key in whole_batches(on_disk, config).keys(epoch)]

    with caplog.at_level(logging.WARNING):
        found = indices(on_disk, make_config(epochs=2, num_workers=workers))

    seen = [index for step in found for index in step]
    assert [len(step) for step in found] == [8] * 4
    assert {key for key, index in zip(keys, seen, strict=True) if key != index} == {0, 1}
    assert not {0, 1} & set(seen)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert any("no such image file; another sample takes its place" in line for line in told)
    assert any("truncated" in line and line.endswith("; another sample takes its place") for line in told)
    assert indices(on_disk, config, first=1) == found[1:]


def test_a_replacement_is_of_the_same_part(on_disk: KeypointDataset, make_config: MakeConfig) -> None:
    """The mixture stays what its quotas say."""
    whole = replace_missing(on_disk)
    mixed = MixedDataset([whole, on_disk, whole])

    seen = {index for step in indices(mixed, make_config(quotas=(0, 16, 0), batch_size=16)) for index in step}

    assert seen <= set(range(18, 32))


def replace_missing(dataset: KeypointDataset) -> KeypointDataset:
    """Leave the two broken images out, and put whole ones in their place."""
    samples = [replace(dataset.samples[index], image=dataset.samples[5].image) for index in (0, 1)]
    return KeypointDataset(
        [*samples, *dataset.samples[2:]],
        source_skeleton=dataset.source_skeleton,
        crop=dataset.crop,
    )


def test_too_many_broken_images_stop_the_run(on_disk: KeypointDataset, make_config: MakeConfig) -> None:
    """The error names them and the option."""
    with pytest.raises(ImageError, match=r"max_broken_images: expected at most 1 samples .*, found 2: .*png.*; .*png"):
        indices(on_disk, make_config(max_broken_images=1, batch_size=16))


def test_a_folder_that_is_not_there_is_said_at_once(on_disk: KeypointDataset, make_config: MakeConfig) -> None:
    """When every replacement is missing too, the first sample is enough."""
    for sample in on_disk.samples:
        if isinstance(sample.image, Path):
            sample.image.unlink(missing_ok=True)
    with pytest.raises(SampleError, match="images in a row cannot be opened"):
        indices(on_disk, make_config())


class FaultyDataset(KeypointDataset):
    """A data set with a mistake in its own code."""

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Fail for the fourth sample."""
        if isinstance(key, tuple) and key.index == 3:
            raise KeyError("color")
        return super().__getitem__(key)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_raising_data_set_is_one_line(dataset: KeypointDataset, make_config: MakeConfig, workers: int) -> None:
    """The error names the sample and the cause, without the worker's traceback."""
    faulty = FaultyDataset(dataset.samples, source_skeleton=dataset.skeleton, crop=dataset.crop)

    with pytest.raises(SampleError, match=r"^image 3 \(sample 3\): KeyError: 'color'$") as raised:
        indices(faulty, make_config(num_workers=workers))

    assert "\n" not in str(raised.value)


def test_indices_stay_where_they_can_be_read(dataset: KeypointDataset, make_config: MakeConfig) -> None:
    """All but the indices goes to the device."""
    config = make_config()
    meta: Any = torch.device("meta")
    batches = BatchStream(dataset, PartSampler(whole_batches(dataset, config)), config, meta)
    parts: list[Batch] = next(batches.steps(0))[1]
    assert {name for name, tensor in parts[0].items() if tensor.device.type == "cpu"} == {"index"}


class Clock:
    """Seconds that a test lets go by."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def slow(clock: Clock, count: int) -> Iterator[int]:
    """Values that take a second each."""
    for value in range(count):
        clock.now += 1.0
        yield value


def test_the_share_is_that_since_the_last_call() -> None:
    """A second of waiting and three of work are a quarter; without waiting it is none."""
    clock = Clock()
    wait = DataWait(clock)
    clock.now += 50.0  # before anybody waits
    seen, shares = list[int](), list[float]()
    for value in wait.watch(slow(clock, 3)):
        seen.append(value)
        clock.now += 3.0
        if value != 1:
            shares.append(wait.share())
    clock.now += 1.0

    assert seen == [0, 1, 2]
    assert shares == [0.25, 0.25]
    assert wait.share() == 0.0


def test_nothing_has_gone_by() -> None:
    """Before the first value, and when the clock stands still, there is no share."""
    clock = Clock()
    wait = DataWait(clock)
    assert wait.share() == 0.0
    assert wait.share() == 0.0
    next(wait.watch(slow(clock, 1)))
    assert wait.share() == 1.0


def test_errors_come_through() -> None:
    """What breaks behind it breaks in front of it."""

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    values = DataWait().watch(broken())
    assert next(values) == 1
    with pytest.raises(OSError, match="gone"):
        next(values)


def test_images_that_are_all_missing_are_refused(on_disk: KeypointDataset) -> None:
    """Not one image there is a wrong folder, and is said before anything else; one is enough to begin."""
    check_images_exist(on_disk)
    paths = sorted({sample.image for sample in on_disk.samples if isinstance(sample.image, Path)})
    kept = paths[-1].read_bytes()
    for path in paths:
        path.unlink(missing_ok=True)

    with pytest.raises(FileNotFoundError, match=rf"data set: expected .*, found none of {len(paths)} images; is it"):
        check_images_exist(on_disk)
    paths[-1].write_bytes(kept)
    check_images_exist(on_disk)
