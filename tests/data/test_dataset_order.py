"""The order of an epoch: permutations, quotas, resuming."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.data.sampler import EpochSampler, background_quota

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=4)


@example(sizes=[0], batch_size=1, epoch=0, seed=0)
@example(sizes=[6, 0, 1], batch_size=7, epoch=1, seed=0)
@given(sizes=SIZES, batch_size=st.integers(1, 7), epoch=st.integers(0, 50), seed=st.integers(0, 9))
def test_an_epoch_shows_each_sample_once(sizes: list[int], batch_size: int, epoch: int, seed: int) -> None:
    """The batches of an epoch are a permutation of all samples, each with the epoch's number."""
    sampler = EpochSampler(sizes, batch_size=batch_size, seed=seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)

    assert sorted(key for batch in batches for key in batch) == [(epoch, index) for index in range(sum(sizes))]
    assert len(batches) == len(sampler)
    assert all(len(batch) == batch_size for batch in batches[:-1])


@example(sizes=[7], batch_size=3, epoch=1, first=2, drop=True)
@example(sizes=[7], batch_size=3, epoch=1, first=3, drop=False)
@example(sizes=[6], batch_size=3, epoch=0, first=2, drop=True)
@given(sizes=SIZES, batch_size=st.integers(1, 7), epoch=st.integers(0, 5), first=st.integers(0, 30), drop=st.booleans())
def test_resuming_gives_the_same_tail(
    sizes: list[int],
    batch_size: int,
    epoch: int,
    first: int,
    drop: bool,  # noqa: FBT001 - drawn
) -> None:
    """From any batch on, the rest of an epoch is what it would have been."""
    whole = EpochSampler(sizes, batch_size=batch_size, drop_last=drop)
    whole.set_epoch(epoch)
    resumed = EpochSampler(sizes, batch_size=batch_size, drop_last=drop)
    resumed.set_epoch(epoch, first_batch=first)

    assert list(resumed) == list(whole)[first:]
    assert len(resumed) == len(list(resumed))


@example(parts=[(1, 25), (9, 0)], epochs=8)
@example(parts=[(5, 5)], epochs=2)
@given(
    parts=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 25)), min_size=1, max_size=3), epochs=st.integers(1, 8)
)
def test_quotas_share_evenly(parts: list[tuple[int, int]], epochs: int) -> None:
    """Each epoch takes its quota of each part; over time all samples come equally often, and no key comes twice."""
    sizes, quotas = zip(*parts, strict=True)
    sampler = EpochSampler(sizes, batch_size=3, quotas=quotas)
    starts = np.cumsum([0, *sizes])
    keys = []
    for epoch in range(epochs):
        taken = sampler.keys(epoch)
        places = Counter(int(np.searchsorted(starts, key.index, side="right")) - 1 for key in taken)
        assert [places[place] for place in range(len(sizes))] == list(quotas)
        keys += taken

    assert len(set(keys)) == len(keys)
    shown = Counter(key.index for key in keys)
    for place, (size, quota) in enumerate(parts):
        counts = [shown[index] for index in range(starts[place], starts[place] + size)]
        assert min(counts) == epochs * quota // size
        assert max(counts) - min(counts) <= 1


def test_orders() -> None:
    """Shuffled orders differ between epochs, seeds and parts; unshuffled ones are the data set's."""
    sampler = EpochSampler([20, 20], batch_size=8)
    first = [key.index for key in sampler.keys(0)]

    assert first == [key.index for key in EpochSampler([20, 20], batch_size=3).keys(0)]
    assert first != [key.index for key in sampler.keys(1)]
    assert first != [key.index for key in EpochSampler([20, 20], batch_size=8, seed=1).keys(0)]
    assert first != sorted(first)
    assert [key.index for key in EpochSampler([2, 3], batch_size=8, shuffle=False).keys(4)] == [0, 1, 2, 3, 4]


def test_incomplete_last_batch() -> None:
    """It is left out if so configured."""
    assert [len(batch) for batch in EpochSampler([10], batch_size=4)] == [4, 4, 2]
    assert [len(batch) for batch in EpochSampler([10], batch_size=4, drop_last=True)] == [4, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [3], "batch_size": 0}, "expected a batch size of at least 1, found 0"),
        ({"sizes": [3, 4], "batch_size": 2, "quotas": [1]}, r"expected a quota for each of the sizes \(3, 4\)"),
        ({"sizes": [3], "batch_size": 2, "quotas": [-1]}, r"found \(-1,\)"),
        ({"sizes": [0], "batch_size": 2, "quotas": [5]}, r"found \(5,\)"),
    ],
)
def test_wrong_samplers_are_refused(options: dict[str, Any], message: str) -> None:
    """Batch size and quotas must be possible."""
    with pytest.raises(ValueError, match=message):
        EpochSampler(**options)


def test_wrong_positions_are_refused() -> None:
    """Epochs and batches are counted from zero."""
    with pytest.raises(ValueError, match="from 0 up, found -1 and 0"):
        EpochSampler([3], batch_size=1).set_epoch(-1)
    with pytest.raises(ValueError, match="from 0 up, found 0 and -2"):
        EpochSampler([3], batch_size=1).set_epoch(0, first_batch=-2)


@pytest.mark.parametrize(("persons", "ratio", "expected"), [(800, 8.0, 100), (100, 3.0, 33), (5, 8.0, 1), (9, 0.5, 18)])
def test_the_ratio_becomes_a_quota(persons: int, ratio: float, expected: int) -> None:
    """A sampler then shows so many negatives among the persons, however many there are."""
    quota = background_quota(persons, ratio)

    sampler = EpochSampler([persons, 7], batch_size=1, quotas=[persons, quota])

    assert quota == expected
    assert sum(key.index >= persons for (key,) in sampler) == expected


@pytest.mark.parametrize(("persons", "ratio"), [(0, 8.0), (8, 0.0), (8, float("nan"))])
def test_a_ratio_of_nothing_is_refused(persons: int, ratio: float) -> None:
    """There are persons, and a share of negatives."""
    with pytest.raises(ValueError, match="expected positive numbers"):
        background_quota(persons, ratio)
