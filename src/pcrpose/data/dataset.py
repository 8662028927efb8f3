"""Data sets of training crops.

A crop is a function of (seed, epoch, index) and of nothing else, so neither the number of worker processes nor a
restart changes what a model sees.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pcrpose.data.augment import Augmentation, CropWindow, upper_body
from pcrpose.data.images import REDUCTIONS, DecodedImage, ImageError, decode_image, open_image
from pcrpose.data.sampler import SampleKey
from pcrpose.data.samples import Sample
from pcrpose.files.checks import one_of
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import grow_boxes, windows
from pcrpose.keypoints.crop import Crops, CropSpec
from pcrpose.keypoints.skeleton import Skeleton

Cache: TypeAlias = Literal["none", "decoded", "reduced"]


class Item(TypedDict):
    """One crop; a DataLoader stacks each field along a new first axis.

    Attributes:
        crop: ``(3, H, W)`` uint8, RGB, not normalized.
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


class CropDataset(Dataset[Item], ABC):
    """A data set of crops: one `KeypointDataset`, or several behind one index.

    Indices run through the first part's samples, then the second's, ...
    """

    @property
    @abstractmethod
    def parts(self) -> "tuple[KeypointDataset, ...]":
        """The data sets that it consists of: one skeleton and one kind of crop."""

    @property
    def skeleton(self) -> Skeleton:
        """Of the crops' keypoints."""
        return self.parts[0].skeleton

    @property
    def crop(self) -> CropSpec:
        """How boxes become crops."""
        return self.parts[0].crop

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many samples each part has."""
        return tuple(len(part) for part in self.parts)

    def __len__(self) -> int:
        return sum(self.sizes)

    @abstractmethod
    def __getitem__(self, key: SampleKey | int) -> Item:
        """Crop one sample; a plain index means epoch 0."""

    def locate(self, index: int) -> tuple[int, int]:
        """Return the index of the part that holds a sample, and the sample's index within it.

        Raises:
            IndexError: if there is no such sample; there is no counting from the end.
        """
        starts = np.cumsum([0, *self.sizes])
        if not 0 <= index < starts[-1]:
            raise IndexError(f"expected an index in 0..{starts[-1] - 1}, found {index}")
        part = int(np.searchsorted(starts, index, side="right")) - 1
        return part, index - int(starts[part])


class KeypointDataset(CropDataset):
    """Samples of one skeleton as crops with the keypoints of another.

    Keypoints are matched by name; those the source lacks get weight zero.

    Args:
        samples: what to crop; in memory or on disk.
        source_skeleton: of the samples' keypoints.
        skeleton: of the crops' keypoints; by default the source's.
        crop: how boxes become crops; a model's is its ``config.crop_spec``.
        augmentation: None crops every box as it stands.
        seed: of the augmentation.
        cache: ``"none"`` decodes an image for every crop. ``"decoded"`` keeps decoded images in memory, in each process
            that opens them; `preload` fills the cache before worker processes are forked, which then share it.
            ``"reduced"`` keeps nothing, but decodes a JPEG file at a half, a quarter or an eighth of its size where the
            crop shrinks it by that much anyway: four times as fast with images of many megapixels; keypoints stay
            where they are, colors differ by one or two gray levels on average.

    Raises:
        ValueError: if a sample has another number of keypoints than ``source_skeleton``, the two skeletons have no
            name in common, ``cache`` is unknown, or ``"reduced"`` meets the alignment ``"edge"`` or ``"udp"``, whose
            crops are those of whole images.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        source_skeleton: Skeleton,
        skeleton: Skeleton | None = None,
        crop: CropSpec,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache: Cache = "none",
    ) -> None:
        self.samples = tuple(samples)
        self.source_skeleton = source_skeleton
        self._skeleton = skeleton or source_skeleton
        self._crop = crop
        self.augmentation = augmentation
        self.seed = seed
        self.cache: Cache = cache
        one_of("cache", cache, get_args(Cache))
        if cache == "reduced" and crop.alignment != "center":
            raise ValueError(f"expected cache='reduced' or alignment={crop.alignment!r}, found both")
        counts = {len(sample.keypoints) for sample in self.samples}
        if counts - {source_skeleton.num_keypoints}:
            expected = f"the {source_skeleton.num_keypoints} keypoints of {source_skeleton.name}"
            raise ValueError(f"samples: expected {expected}, found {sorted(counts)}")
        self._source_indices, self._target_indices = source_skeleton.shared_with(self.skeleton)
        if not self._source_indices.size:
            raise ValueError(f"{source_skeleton.name} and {self.skeleton.name} have no keypoint name in common")
        self._is_upper = upper_body(source_skeleton)
        self._windows = windows([sample.box_xyxy for sample in self.samples], crop.input_size.aspect, crop.padding)
        self._decoded: dict[Path, Image] | None = {} if cache == "decoded" else None

    @property
    def parts(self) -> "tuple[KeypointDataset, ...]":
        """This data set alone."""
        return (self,)

    @property
    def skeleton(self) -> Skeleton:
        """Of the crops' keypoints."""
        return self._skeleton

    @property
    def crop(self) -> CropSpec:
        """How boxes become crops."""
        return self._crop

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: SampleKey | int) -> Item:
        """Crop one sample.

        Args:
            key: a plain index means epoch 0.

        Raises:
            ImageError: if the image cannot be opened; it names the file.
            IndexError: if there is no such sample.
        """
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        self.locate(index)
        sample = self.samples[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        window = self._window(index, rng)
        crops = window.crop(self.crop.input_size, self.crop.alignment)
        image = self._open(sample, window)
        pixels = (image.warp(crops) if isinstance(image, DecodedImage) else crops.warp(image))[0]
        if self.crop.blackout is not None:
            self._black_out(crops, pixels, grow_boxes([sample.box_xyxy], self.crop.blackout)[0], rng)
        keypoints, weights = self._targets(sample, crops, mirrored=window.mirrored)
        if self.augmentation is not None:
            pixels = self.augmentation.recolor(pixels, rng)
            known = keypoints[weights > 0] if not sample.is_background else keypoints[:0]
            pixels = self.augmentation.erase(pixels, known, rng)
        return Item(
            crop=torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            keypoints_crop=torch.from_numpy(keypoints),
            keypoint_weights=torch.from_numpy(weights),
            is_background=torch.tensor(sample.is_background),
            index=torch.tensor(index),
        )

    def preload(self) -> None:
        """Open every image once; needs ``cache="decoded"``. A broken one is an error only when it is asked for."""
        if self._decoded is None:
            raise ValueError(f"preload: expected a data set built with cache='decoded', found {self.cache!r}")
        for path in {sample.image for sample in self.samples if isinstance(sample.image, Path)}:
            with contextlib.suppress(ImageError, OSError):
                self._cached(path, self._decoded)

    def __getstate__(self) -> dict[str, object]:
        """Leave the cached images out of what is sent to a worker process."""
        return {**self.__dict__, "_decoded": None if self._decoded is None else {}}

    def _open(self, sample: Sample, window: CropWindow) -> Image | DecodedImage:
        """Return a sample's image, without a copy of it where it is in memory."""
        if not isinstance(sample.image, Path):
            return sample.image
        if self._decoded is not None:
            return self._cached(sample.image, self._decoded)
        return decode_image(sample.image, reduction=self._reduction(window))

    @staticmethod
    def _cached(path: Path, decoded: dict[Path, Image]) -> Image:
        if path not in decoded:
            decoded[path] = open_image(path)
        return decoded[path]

    def _reduction(self, window: CropWindow) -> int:
        """Return the largest reduction of the image that is still as fine as the crop."""
        shrinks = float(window.extent[0]) / self.crop.input_size.width if self.cache == "reduced" else 1.0
        return max((reduction for reduction in REDUCTIONS if reduction <= shrinks), default=1)

    def _window(self, index: int, rng: np.random.Generator) -> CropWindow:
        window = CropWindow(*(values[index] for values in self._windows))
        if self.augmentation is None:
            return window
        sample = self.samples[index]
        return self.augmentation.draw(window, sample.keypoints, sample.labelled, is_upper=self._is_upper, rng=rng)

    def _black_out(self, crops: Crops, pixels: Image, visible_xyxy: Floats, rng: np.random.Generator) -> None:
        if self.augmentation is not None:
            visible_xyxy = self.augmentation.move_sides(visible_xyxy, rng)
        crops.black_out(pixels[None], visible_xyxy[None])

    def _targets(self, sample: Sample, crops: Crops, *, mirrored: bool) -> tuple[Floats, Floats]:
        keypoints = np.zeros((self.skeleton.num_keypoints, 2), dtype=np.float32)
        weights = np.zeros(self.skeleton.num_keypoints, dtype=np.float32)
        if sample.is_background:
            return keypoints, np.ones_like(weights)
        keypoints[self._target_indices] = crops.forward(sample.keypoints[None])[0, self._source_indices]
        weights[self._target_indices] = sample.labelled[self._source_indices]
        if mirrored:
            order = self.skeleton.flip_indices
            keypoints, weights = keypoints[order], weights[order]
        return keypoints, weights
