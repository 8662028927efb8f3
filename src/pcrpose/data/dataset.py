"""Crops for training: what a sample looks like at a point of the training.

A crop is a function of (seed, epoch, index) and of nothing else, so neither the number of worker processes nor a
restart changes what a model sees.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pcrpose.data.augment import Augmentation, CropWindow, upper_body
from pcrpose.data.images import REDUCTIONS, DecodedImage, ImageError, decode_image, open_image
from pcrpose.data.sampler import SampleKey
from pcrpose.data.samples import Sample
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, grow_boxes, windows
from pcrpose.keypoints.crop import Alignment, Crops
from pcrpose.keypoints.skeleton import Skeleton


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


class KeypointDataset(Dataset[Item]):
    """Samples of one skeleton as crops with the keypoints of another.

    Keypoints are matched by name; those the source lacks get weight zero.

    Args:
        samples: what to crop; in memory or on disk.
        source_skeleton: of the samples' keypoints.
        skeleton: of the crops' keypoints; by default the source's.
        input_size: of the crops.
        padding: factor by which a box is grown, after it has been extended to the crop's aspect ratio.
        alignment: pixel convention of the crops, see `Crops`.
        blackout: factor on a person's box beyond which its crop is black; None shows everything.
        augmentation: None crops every box as it stands.
        seed: of the augmentation.
        cache_images: keep decoded images in memory, in each process that opens them. `preload` fills the
            cache before worker processes are forked, which then share it.
        reduce_jpegs: decode a JPEG file at a half, a quarter or an eighth of its size where the crop shrinks it by
            that much anyway. Four times as fast with images of many megapixels; keypoints stay where they are,
            colors differ by one or two gray levels on average. A cached image is decoded whole, so not with
            ``cache_images``.

    Raises:
        ValueError: if a sample has another number of keypoints than ``source_skeleton``, the two skeletons have no
            name in common, or ``reduce_jpegs`` meets ``cache_images`` or the alignment ``"edge"``, whose crops are
            those of whole images.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        source_skeleton: Skeleton,
        skeleton: Skeleton | None = None,
        input_size: Size,
        padding: float = 1.25,
        alignment: Alignment = "center",
        blackout: float | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_images: bool = False,
        reduce_jpegs: bool = False,
    ) -> None:
        self.samples = tuple(samples)
        self.source_skeleton = source_skeleton
        self.skeleton = skeleton or source_skeleton
        self.input_size = input_size
        self.padding = padding
        self.alignment: Alignment = alignment
        self.blackout = blackout
        self.augmentation = augmentation
        self.seed = seed
        self._cache: dict[Path, Image] | None = {} if cache_images else None
        self.reduce_jpegs = reduce_jpegs
        if reduce_jpegs and (cache_images or alignment == "edge"):
            other = "cache_images" if cache_images else "alignment='edge'"
            raise ValueError(f"expected reduce_jpegs or {other}, found both")
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
            ImageError: if the image cannot be opened; it names the file.
            IndexError: if there is no such sample.
        """
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index in 0..{len(self) - 1}, found {index}")
        sample = self.samples[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        window = self._window(index, rng)
        crop = window.crop(self.input_size, self.alignment)
        image = self._open(sample, window)
        pixels = (image.warp(crop) if isinstance(image, DecodedImage) else crop.warp(image))[0]
        if self.blackout is not None:
            self._black_out(crop, pixels, grow_boxes([sample.box_xyxy], self.blackout)[0], rng)
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
        """Open every image once; needs ``cache_images``. A broken one is an error only when it is asked for."""
        if self._cache is None:
            raise ValueError("preload: expected a data set built with cache_images=True")
        for path in {sample.image for sample in self.samples if isinstance(sample.image, Path)}:
            with contextlib.suppress(ImageError, OSError):
                self._cached(path, self._cache)

    def __getstate__(self) -> dict[str, object]:
        """Leave the cached images out of what is sent to a worker process."""
        return {**self.__dict__, "_cache": None if self._cache is None else {}}

    def _open(self, sample: Sample, window: CropWindow) -> Image | DecodedImage:
        """Give a sample's image, without a copy of it where it is in memory."""
        if not isinstance(sample.image, Path):
            return sample.image
        if self._cache is not None:
            return self._cached(sample.image, self._cache)
        return decode_image(sample.image, reduction=self._reduction(window))

    @staticmethod
    def _cached(path: Path, cache: dict[Path, Image]) -> Image:
        if path not in cache:
            cache[path] = open_image(path)
        return cache[path]

    def _reduction(self, window: CropWindow) -> int:
        """How much less than the whole image is still as fine as the crop."""
        shrinks = float(window.extent[0]) / self.input_size.width if self.reduce_jpegs else 1.0
        return max((reduction for reduction in REDUCTIONS if reduction <= shrinks), default=1)

    def _window(self, index: int, rng: np.random.Generator) -> CropWindow:
        window = CropWindow(*(values[index] for values in self._windows))
        if self.augmentation is None:
            return window
        sample = self.samples[index]
        return self.augmentation.draw(window, sample.keypoints, sample.labelled, is_upper=self._is_upper, rng=rng)

    def _black_out(self, crop: Crops, pixels: Image, visible_xyxy: Floats, rng: np.random.Generator) -> None:
        if self.augmentation is not None:
            visible_xyxy = self.augmentation.move_sides(visible_xyxy, rng)
        crop.black_out(pixels[None], visible_xyxy[None])

    def _targets(self, sample: Sample, crop: Crops, *, mirrored: bool) -> tuple[Floats, Floats]:
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
