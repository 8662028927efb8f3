"""The order of samples, a function of the seed and the epoch that can be entered anywhere; and their quotas.

How many persons go with one hard negative is `PERSONS_PER_NEGATIVE`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from pcrpose.keypoints.arrays import Indices

PERSONS_PER_NEGATIVE = 8


def background_quota(num_persons: int, persons_per_negative: float = PERSONS_PER_NEGATIVE) -> int:
    """Return how many hard negatives an epoch of so many persons takes.

    One negative to eight persons is ours. The sampler repeats or leaves out negatives until the number fits.

    Raises:
        ValueError: if a number is not positive.
    """
    if num_persons < 1 or not persons_per_negative > 0:
        raise ValueError(
            f"expected positive numbers of persons and of persons per negative, found {num_persons} and "
            f"{persons_per_negative}"
        )
    return max(1, round(num_persons / persons_per_negative))


class SampleKey(NamedTuple):
    """A sample index and its epoch."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a key


class EpochSampler(Sampler[list[SampleKey]]):
    """Batches of sample keys, epoch by epoch; a DataLoader takes it as ``batch_sampler``.

    Each data set is an endless row of shuffled passes over its samples, and an epoch takes the next ``quota`` of
    them. So a quota equal to the size shows every sample once an epoch, a smaller or larger one shows all samples
    equally often in the long run, and no key ever comes twice.

    Args:
        sizes: how many samples each data set has, in the order of a `MixedDataset`.
        batch_size: samples per batch.
        quotas: samples per epoch of each data set; by default all of them once.
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
