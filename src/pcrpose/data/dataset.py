"""Crops for training: what a sample looks like at a point of the training, and in which order samples come.

A crop is a function of (seed, epoch, index) and of nothing else, so neither the number of worker processes nor a
restart changes what a model sees.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pcrpose.data.augment import Augmentation, CropWindow, upper_body
from pcrpose.data.images import ImageError, open_image
from pcrpose.data.samples import Sample
from pcrpose.keypoints.arrays import Floats, Image, Indices
from pcrpose.keypoints.boxes import Size, windows
from pcrpose.keypoints.crop import Alignment, Crop
from pcrpose.keypoints.skeleton import Skeleton


class SampleKey(NamedTuple):
    """Which sample, and the how-manieth time it is seen."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a key


class Item(TypedDict):
    """One crop; a DataLoader stacks each field along a new first axis.

    Attributes:
        crop: ``(3, H, W)`` uint8, RGB, not normalised.
        keypoints_crop: ``(J, 2)`` float32, x then y, crop pixels; they may lie outside the crop.
        keypoint_weights: ``(J,)`` float32, 0 where nothing is labelled or the source has no such keypoint, else 1.
            All 1 for a background crop: that no keypoint is there is known.
        is_background: bool, the crop holds no person.
        index: int64, the sample's index in the data set that was asked.
    """

    crop: Tensor
    keypoints_crop: Tensor
    keypoint_weights: Tensor
    is_background: Tensor
    index: Tensor


class KeypointDataset(Dataset[Item]):
    """Samples of one skeleton as crops with the keypoints of another.

    Keypoints are matched by name; those the source lacks get weight zero.

    Args:
        samples: what to crop; in memory or on disk.
        source_skeleton: of the samples' keypoints.
        skeleton: of the crops' keypoints; by default the source's.
        input_size: of the crops.
        padding: factor by which a box is grown, after it has been extended to the crop's aspect ratio.
        alignment: pixel convention of the crops, see `Crop`.
        augmentation: None crops every box as it stands.
        seed: of the augmentation.
        cache_images: keep decoded pictures in memory, in each process that opens them. `preload` fills the
            cache before worker processes are forked, which then share it.

    Raises:
        ValueError: if a sample has another number of keypoints than ``source_skeleton``, or the two skeletons
            have no name in common.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        source_skeleton: Skeleton,
        skeleton: Skeleton | None = None,
        input_size: Size,
        padding: float = 1.25,
        alignment: Alignment = "centre",
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_images: bool = False,
    ) -> None:
        self.samples = tuple(samples)
        self.source_skeleton = source_skeleton
        self.skeleton = skeleton or source_skeleton
        self.input_size = input_size
        self.padding = padding
        self.alignment: Alignment = alignment
        self.augmentation = augmentation
        self.seed = seed
        self._cache: dict[Path, Image] | None = {} if cache_images else None
        counts = {len(sample.keypoints) for sample in self.samples}
        if counts - {source_skeleton.num_keypoints}:
            expected = f"the {source_skeleton.num_keypoints} keypoints of {source_skeleton.name}"
            raise ValueError(f"samples: expected {expected}, found {sorted(counts)}")
        self._here, self._there = source_skeleton.shared_with(self.skeleton)
        if not self._here.size:
            raise ValueError(f"{source_skeleton.name} and {self.skeleton.name} have no keypoint name in common")
        self._is_upper = upper_body(source_skeleton)
        self._windows = windows([sample.box_xyxy for sample in self.samples], input_size.aspect, padding)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Crop one sample.

        Args:
            key: a plain index means epoch 0.

        Raises:
            ImageError: if the picture cannot be opened; it names the file.
            IndexError: if there is no such sample.
        """
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index in 0..{len(self) - 1}, found {index}")
        sample = self.samples[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        window = self._window(index, rng)
        crop = window.crop(self.input_size, self.alignment)
        pixels = crop.warp(self._open(sample))[0]
        if self.augmentation is not None:
            pixels = self.augmentation.recolor(pixels, rng)
        keypoints, weights = self._targets(sample, crop, mirrored=window.mirrored)
        return Item(
            crop=torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            keypoints_crop=torch.from_numpy(keypoints),
            keypoint_weights=torch.from_numpy(weights),
            is_background=torch.tensor(sample.is_background),
            index=torch.tensor(index),
        )

    def preload(self) -> None:
        """Open every picture once; needs ``cache_images``. A broken one is an error only when it is asked for."""
        if self._cache is None:
            raise ValueError("preload: expected a data set built with cache_images=True")
        for sample in self.samples:
            with contextlib.suppress(ImageError, OSError):
                self._open(sample)

    def __getstate__(self) -> dict[str, object]:
        """Leave the cached pictures out of what is sent to a worker process."""
        return {**self.__dict__, "_cache": None if self._cache is None else {}}

    def _open(self, sample: Sample) -> Image:
        if self._cache is None or not isinstance(sample.image, Path):
            return open_image(sample.image)
        if sample.image not in self._cache:
            self._cache[sample.image] = open_image(sample.image)
        return self._cache[sample.image]

    def _window(self, index: int, rng: np.random.Generator) -> CropWindow:
        window = CropWindow(*(values[index] for values in self._windows))
        if self.augmentation is None:
            return window
        sample = self.samples[index]
        return self.augmentation.draw(window, sample.keypoints, sample.labelled, is_upper=self._is_upper, rng=rng)

    def _targets(self, sample: Sample, crop: Crop, *, mirrored: bool) -> tuple[Floats, Floats]:
        keypoints = np.zeros((self.skeleton.num_keypoints, 2), dtype=np.float32)
        weights = np.zeros(self.skeleton.num_keypoints, dtype=np.float32)
        if sample.is_background:
            return keypoints, np.ones_like(weights)
        keypoints[self._there] = crop.forward(sample.keypoints[None])[0, self._here]
        weights[self._there] = sample.labelled[self._here]
        if mirrored:
            order = self.skeleton.flip_indices
            keypoints, weights = keypoints[order], weights[order]
        return keypoints, weights


class MixedDataset(Dataset[Item]):
    """Several data sets of one target skeleton behind one index: the first one's samples, then the second's, ...

    Raises:
        ValueError: if there is none, or if their skeletons, crop sizes, alignments or paddings differ.
    """

    def __init__(self, datasets: Sequence[KeypointDataset]) -> None:
        self.datasets = tuple(datasets)
        if len({(p.skeleton, p.input_size, p.alignment, p.padding) for p in self.datasets}) != 1:
            found = [f"{p.skeleton.name} {p.input_size} {p.alignment} {p.padding}" for p in self.datasets]
            raise ValueError(f"expected data sets of one skeleton and one kind of crop, found {found}")
        self._starts = np.cumsum([0, *(len(part) for part in self.datasets)])

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many samples each data set has."""
        return tuple(len(part) for part in self.datasets)

    @property
    def skeleton(self) -> Skeleton:
        """The one target skeleton."""
        return self.datasets[0].skeleton

    def __len__(self) -> int:
        return int(self._starts[-1])

    def locate(self, index: int) -> tuple[int, int]:
        """Turn a common index into the data set's place and the index within it."""
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index in 0..{len(self) - 1}, found {index}")
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        return place, index - int(self._starts[place])

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Crop one sample; see `KeypointDataset`."""
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        place, within = self.locate(index)
        item = self.datasets[place][SampleKey(epoch, within)]
        item["index"] = torch.tensor(index)
        return item


class EpochSampler(Sampler[list[SampleKey]]):
    """Batches of sample keys, epoch by epoch; a DataLoader takes it as ``batch_sampler``.

    Each data set is an endless row of shuffled passes over its samples, and an epoch takes the next ``quota`` of
    them. So a quota equal to the size shows every sample once an epoch, a smaller or larger one shows all samples
    equally often in the long run, and no key ever comes twice.

    Args:
        sizes: how many samples each data set has, in the order of a `MixedDataset`.
        batch_size: samples a batch.
        quotas: samples an epoch takes from each data set; by default all of them once.
        shuffle: False keeps the order of the data sets.
        seed: the order is a function of it and of the epoch.
        drop_last: leave out an incomplete last batch.

    Examples:
        >>> sampler = EpochSampler([4], batch_size=3, shuffle=False)
        >>> sampler.set_epoch(0, first_batch=1)
        >>> list(sampler)
        [[SampleKey(epoch=0, index=3)]]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        batch_size: int,
        quotas: Sequence[int] | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.sizes, self.quotas = tuple(sizes), tuple(sizes if quotas is None else quotas)
        pairs = list(zip(self.sizes, self.quotas, strict=False))
        if len(self.quotas) != len(self.sizes) or any(quota < 0 or (quota and not size) for size, quota in pairs):
            raise ValueError(f"expected a quota for each of the sizes {self.sizes}, found {self.quotas}")
        if batch_size < 1:
            raise ValueError(f"expected a batch size of at least 1, found {batch_size}")
        self.batch_size, self.shuffle, self.seed, self.drop_last = batch_size, shuffle, seed, drop_last
        self.epoch, self.first_batch = 0, 0

    def set_epoch(self, epoch: int, *, first_batch: int = 0) -> None:
        """Choose what the next iteration yields: this epoch, from this batch on (to resume in its middle)."""
        if epoch < 0 or first_batch < 0:
            raise ValueError(f"expected an epoch and a first batch from 0 up, found {epoch} and {first_batch}")
        self.epoch, self.first_batch = epoch, first_batch

    def keys(self, epoch: int) -> list[SampleKey]:
        """List an epoch's samples in order."""
        starts = np.cumsum([0, *self.sizes])
        keys = [
            SampleKey(turn, int(starts[place]) + index)
            for place in range(len(self.sizes))
            for turn, index in self._taken(place, epoch)
        ]
        if not self.shuffle:
            return keys
        # The parts' own orders use 0 .. len(sizes) - 1 in this position of the seed.
        order = np.random.default_rng([self.seed, len(self.sizes), epoch]).permutation(len(keys))
        return [keys[position] for position in order]

    def _taken(self, place: int, epoch: int) -> list[tuple[int, int]]:
        """List the pass and the index of what an epoch takes from one data set."""
        size, quota = max(1, self.sizes[place]), self.quotas[place]
        positions = [divmod(position, size) for position in range(epoch * quota, (epoch + 1) * quota)]
        orders = {turn: self._pass(place, turn) for turn in {turn for turn, _ in positions}}
        return [(turn, int(orders[turn][step])) for turn, step in positions]

    def _pass(self, place: int, turn: int) -> Indices:
        size = self.sizes[place]
        return np.random.default_rng([self.seed, place, turn]).permutation(size) if self.shuffle else np.arange(size)

    def __len__(self) -> int:
        total = sum(self.quotas)
        batches = total // self.batch_size if self.drop_last else -(-total // self.batch_size)
        return max(0, batches - self.first_batch)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        keys, size = self.keys(self.epoch), self.batch_size
        for batch in range(self.first_batch, self.first_batch + len(self)):
            yield keys[batch * size : (batch + 1) * size]
