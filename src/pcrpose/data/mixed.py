"""Several data sets in one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from pcrpose.data.dataset import Item, KeypointDataset
from pcrpose.data.sampler import SampleKey
from pcrpose.keypoints.skeleton import Skeleton


class MixedDataset(Dataset[Item]):
    """Several data sets of one target skeleton behind one index: the first one's samples, then the second's, ...

    Raises:
        ValueError: if there is none, or if their skeletons, crop sizes, alignments or paddings differ.
    """

    def __init__(self, datasets: Sequence[KeypointDataset]) -> None:
        self.datasets = tuple(datasets)
        if len({(p.skeleton, p.input_size, p.alignment, p.padding, p.blackout) for p in self.datasets}) != 1:
            found = [f"{p.skeleton.name} {p.input_size} {p.alignment} {p.padding} {p.blackout}" for p in self.datasets]
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
