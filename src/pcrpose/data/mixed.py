"""Several data sets behind one index."""

from collections.abc import Sequence

import torch

from pcrpose.data.dataset import CropDataset, Item, KeypointDataset
from pcrpose.data.sampler import SampleKey


class MixedDataset(CropDataset):
    """Several data sets of one target skeleton behind one index: the first one's samples, then the second's, ...

    Args:
        parts: the data sets.

    Raises:
        ValueError: if there is none, or if their skeletons or crops differ.
    """

    def __init__(self, parts: Sequence[KeypointDataset]) -> None:
        self._parts = tuple(parts)
        if len({(part.skeleton, part.crop) for part in self._parts}) != 1:
            found = [f"{part.skeleton.name} {part.crop}" for part in self._parts]
            raise ValueError(f"expected data sets of one skeleton and one kind of crop, found {found}")

    @property
    def parts(self) -> tuple[KeypointDataset, ...]:
        """The data sets."""
        return self._parts

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Crop one sample; see `KeypointDataset`."""
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        part, within = self.locate(index)
        item = self.parts[part][SampleKey(epoch, within)]
        item["index"] = torch.tensor(index)
        return item
