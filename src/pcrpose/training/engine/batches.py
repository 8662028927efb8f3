"""Batches: what each optimizer step sees, cut into parts, with broken images replaced; and the wait for them."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from pcrpose.data.dataset import CropDataset, Item
from pcrpose.data.images import ImageError
from pcrpose.data.sampler import EpochSampler, SampleKey
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]
REPLACEMENTS = 8  # images in a row that may be broken
LISTED = 10  # broken images that an error names; the log has them all
_STREAM = 1  # keeps these random numbers apart from those of crops


T = TypeVar("T")


class Broken(NamedTuple):
    """A sample whose image could not be opened."""

    sample: int
    reason: str


class Failure(NamedTuple):
    """A sample that could not be made for another reason; it travels as a value, so that no traceback does."""

    sample: int
    reason: str


Loaded = tuple[Item, tuple[Broken, ...]] | Failure


class SampleError(ValueError):
    """A sample that cannot be made into a crop; the message names it."""


class ReplacingDataset(Dataset[Loaded]):
    """A data set in which a sample whose image is broken is replaced by another of the same part.

    Which one is a function of the epoch and the sample, so neither workers nor a restart change it.
    """

    def __init__(self, dataset: CropDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: SampleKey) -> Loaded:
        """Crop a sample, or the first of its replacements that can be opened."""
        broken: list[Broken] = []
        for index in self._candidates(key):
            try:
                return self.dataset[SampleKey(key.epoch, index)], tuple(broken)
            except (ImageError, OSError) as error:
                broken.append(Broken(index, str(error)))
            except Exception as error:  # noqa: BLE001 - a worker's error becomes one line in the process that trains
                return Failure(index, f"{type(error).__name__}: {error}")
        return Failure(key.index, f"{len(broken)} images in a row cannot be opened; the last: {broken[-1].reason}")

    def _candidates(self, key: SampleKey) -> Iterator[int]:
        yield key.index
        part, within = self.dataset.locate(key.index)
        first, size = key.index - within, self.dataset.sizes[part]
        random = np.random.default_rng([key.epoch, key.index, _STREAM])
        others = random.choice(size, min(size, REPLACEMENTS), replace=False)
        yield from (first + int(other) for other in others if first + other != key.index)


class PartSampler(Sampler[list[SampleKey]]):
    """The parts of every batch that one process takes, in order.

    Args:
        sampler: of whole batches.
        parts: into which a process cuts its share of a batch.
        rank: of this process, from 0.
        processes: which share a batch.
    """

    def __init__(self, sampler: EpochSampler, *, parts: int = 1, rank: int = 0, processes: int = 1) -> None:
        if sampler.batch_size % (parts * processes):
            raise ValueError(
                f"batch_size: expected a multiple of {processes} processes x gradient_accumulation_steps {parts}, "
                f"found {sampler.batch_size}"
            )
        self.sampler, self.parts, self.rank, self.processes = sampler, parts, rank, processes

    def __len__(self) -> int:
        return len(self.sampler) * self.parts

    def __iter__(self) -> Iterator[list[SampleKey]]:
        size = self.sampler.batch_size // (self.parts * self.processes)
        for keys in self.sampler:
            for part in range(self.parts):
                first = (part * self.processes + self.rank) * size
                yield keys[first : first + size]


class RunSampler(Sampler[list[SampleKey]]):
    """The parts of all batches of a run, epoch after epoch.

    One row of them, so that workers prepare the next epoch's first batches while the last ones are trained on.

    Args:
        sampler: the parts of one epoch.
        epochs: of the run.
        first: optimizer step to begin with.
    """

    def __init__(self, sampler: PartSampler, *, epochs: int, first: int) -> None:
        self.sampler, self.epochs, self.first = sampler, epochs, first

    def __iter__(self) -> Iterator[list[SampleKey]]:
        whole = self.sampler.sampler
        whole.set_epoch(0)
        first_epoch, first_batch = divmod(self.first, len(whole))
        for epoch in range(first_epoch, self.epochs):
            whole.set_epoch(epoch, first_batch=first_batch if epoch == first_epoch else 0)
            yield from self.sampler


class BatchStream:
    """The batches of a run, from any step on.

    Attributes:
        broken: why images could not be opened, by sample.
        wait: the share of the time spent waiting for batches.

    Args:
        dataset: what is trained on.
        sampler: the parts of this process.
        config: the number of workers, epochs and broken images.
        device: where batches go, all but the indices of their samples.
    """

    def __init__(
        self,
        dataset: CropDataset,
        sampler: PartSampler,
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        self.dataset, self.sampler, self.config, self.device = dataset, sampler, config, device
        self.broken: dict[int, str] = {}
        self.wait = DataWait()

    def steps(self, first: int) -> Iterator[tuple[int, list[Batch]]]:
        """Yield the optimizer steps from ``first`` on, each with its parts."""
        loader: DataLoader[Any] = DataLoader(
            ReplacingDataset(self.dataset),
            batch_sampler=RunSampler(self.sampler, epochs=self.config.epochs, first=first),
            num_workers=self.config.num_workers,
            pin_memory=self.device.type == "cuda",
            collate_fn=collate,
        )
        step, parts = first, list[Batch]()
        for loaded in self.wait.watch(loader):
            parts.append(self._accept(loaded))
            if len(parts) == self.sampler.parts:
                yield step, parts
                step, parts = step + 1, []

    def _accept(self, loaded: "tuple[Batch, Sequence[Broken]] | Failure") -> Batch:
        if isinstance(loaded, Failure):
            raise SampleError(f"{_place(self.dataset, loaded.sample)}: {loaded.reason}")
        batch, broken = loaded
        for index, reason in broken:
            self._count(index, reason)
        return {
            name: tensor if name == "index" else tensor.to(self.device, non_blocking=True)
            for name, tensor in batch.items()
        }

    def _count(self, index: int, reason: str) -> None:
        """Log a broken image once, and stop when there are too many."""
        if index in self.broken:
            return
        self.broken[index] = reason
        logger.warning("%s; another sample takes its place", reason)
        if len(self.broken) > self.config.max_broken_images:
            listed = "; ".join(list(self.broken.values())[:LISTED])
            more = len(self.broken) - LISTED
            rest = f"; and {more} more, which the log names" if more > 0 else ""
            raise ImageError(
                f"max_broken_images: expected at most {self.config.max_broken_images} samples whose image cannot be "
                f"opened, found {len(self.broken)}: {listed}{rest}"
            )


def _place(dataset: CropDataset, index: int) -> str:
    """Return the name of a sample in terms of files, not indices."""
    facts = describe_sample(dataset, index)
    image = facts["image"] or f"image {facts['image_id']}"
    person = "" if facts["annotation_id"] is None else f", annotation {facts['annotation_id']}"
    return f"{image}{person} (sample {index})"


def collate(loaded: Sequence[Loaded]) -> "tuple[Batch, list[Broken]] | Failure":
    """Stack crops, and hand on what went wrong."""
    items, broken = list[Item](), list[Broken]()
    for sample in loaded:
        if isinstance(sample, Failure):
            return sample
        items.append(sample[0])
        broken.extend(sample[1])
    batch: Batch = default_collate(items)
    return batch, broken


def whole_batches(dataset: CropDataset, config: TrainConfig) -> EpochSampler:
    """Return the order of samples and the batches that an optimizer step sees in all."""
    return EpochSampler(
        dataset.sizes,
        batch_size=config.batch_size,
        quotas=config.quotas,
        seed=config.seed,
        drop_last=True,
    )


def check_crops_fit(model: PoseModel[Any], dataset: CropDataset) -> None:
    """Raise ValueError for crops that the model will not see when it predicts; it names what differs."""
    expected = {"keypoints": model.config.skeleton.keypoints, **vars(model.config.crop_spec)}
    found = {"keypoints": dataset.skeleton.keypoints, **vars(dataset.crop)}
    for what, wanted in expected.items():
        if found[what] != wanted:
            raise ValueError(f"data set: expected the model's {what} {wanted}, found {found[what]}")


def check_images_exist(dataset: CropDataset) -> None:
    """Raise FileNotFoundError if not one image of a data set is there, as in another folder than was meant."""
    paths = dict.fromkeys(
        sample.image for part in dataset.parts for sample in part.samples if isinstance(sample.image, Path)
    )
    in_memory = any(not isinstance(sample.image, Path) for part in dataset.parts for sample in part.samples)
    if paths and not in_memory and not any(path.exists() for path in paths):
        raise FileNotFoundError(
            f"data set: expected {next(iter(paths))}, found none of {len(paths)} images; is it the right folder?"
        )


class DataWait:
    """The share of the time that was spent waiting for the next of some values.

    On a GPU the network may still be at work while Python waits, so there the share is an upper bound.

    Args:
        clock: gives seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: float | None = None
        self._waited = 0.0

    def watch(self, values: Iterable[T]) -> Iterator[T]:
        """Hand the values on, and count the time until each of them is there."""
        self._begun, self._waited = self._clock(), 0.0
        source = iter(values)
        while True:
            asked = self._clock()
            try:
                value = next(source)
            except StopIteration:
                return
            finally:
                self._waited += self._clock() - asked
            yield value

    def share(self) -> float:
        """Return the fraction since the last call, or since `watch` began; 0 to 1."""
        now, waited = self._clock(), self._waited
        elapsed = 0.0 if self._begun is None else now - self._begun
        self._begun, self._waited = now, 0.0
        return waited / elapsed if elapsed > 0 else 0.0


def describe_sample(dataset: CropDataset, index: int) -> dict[str, Any]:
    """Return the index, image and annotation of a sample, for JSON."""
    part, within = dataset.locate(index)
    sample = dataset.parts[part].samples[within]
    return {
        "index": index,
        "image": str(sample.image) if isinstance(sample.image, Path) else None,
        "image_id": sample.image_id,
        "annotation_id": sample.annotation_id,
    }
