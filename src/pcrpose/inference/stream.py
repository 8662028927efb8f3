"""Many images in order, in constant memory: what waits for its results, and batches that cross images."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from pcrpose.data.images import ImageSource
from pcrpose.inference.readout import Readout
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.detections import Boxes, Detections

_WAITING_PER_CROP = 4  # images that may wait for a batch to fill, per crop of the batch


@dataclass(frozen=True, eq=False)
class FailedImage:
    """An image that could not be read or cropped, in the place of its `Poses`.

    Attributes:
        source: the image as it was given.
        error: the ValueError or OSError that says why.
    """

    source: ImageSource
    error: Exception

    def __str__(self) -> str:
        """Return the error, behind the image's path where it has one."""
        name = str(self.source) if isinstance(self.source, str | Path) else ""
        return str(self.error) if name in str(self.error) else f"{name}: {self.error}"


class Request(NamedTuple):
    """An image and the boxes that belong to it; ``name`` is what errors call it, nothing for one alone."""

    source: ImageSource
    name: str
    boxes: Boxes | None


@dataclass(eq=False, kw_only=True)
class Entry:
    """What is known so far of one image's persons.

    Attributes:
        persons: their boxes and box scores.
        detected: whether a detector found them.
        missing: how many still wait for a batch.
        found: what was read of them, in image pixels, batch by batch.
        failure: set where the image turned out to be unusable.
    """

    persons: Detections
    detected: bool = False
    missing: int = 0
    found: list[Readout] = field(default_factory=list)
    failure: FailedImage | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is waited for."""
        return self.failure is not None or not self.missing


@dataclass(frozen=True, eq=False, kw_only=True)
class CropBatch:
    """The crops of B persons: of each one, or several that differ in size, padding or pixel convention.

    Attributes:
        pixels: per kind of crop ``(B, H, W, 3)`` uint8.
        matrices: per kind of crop ``(B, 2, 3)`` float64, from image pixels to crop pixels.
    """

    pixels: tuple[Image, ...]
    matrices: tuple[Floats, ...]

    def __len__(self) -> int:
        return len(self.pixels[0])

    @classmethod
    def join(cls, batches: "Sequence[CropBatch]") -> "CropBatch":
        """Return the persons of several batches as one."""
        return cls(
            pixels=tuple(map(np.concatenate, zip(*(batch.pixels for batch in batches), strict=True))),
            matrices=tuple(map(np.concatenate, zip(*(batch.matrices for batch in batches), strict=True))),
        )


Forward: TypeAlias = Callable[[CropBatch], Readout]  # in pixels of the first kind of crop


class _Part(NamedTuple):
    """Crops of one image, few enough to share a batch with others; ``crops`` are those of the first kind."""

    entry: Entry
    crops: Crops
    batch: CropBatch


class BatchQueue:
    """Entries in the order of their images, and the crops that wait for a batch to fill.

    Args:
        forward: runs one batch.
        batch_size: crops per batch.
    """

    def __init__(self, forward: Forward, batch_size: int) -> None:
        self._forward = forward
        self._batch_size = batch_size
        self._entries: deque[Entry] = deque()
        self._parts: list[_Part] = []

    def add(self, entry: Entry) -> None:
        """Append an image; its crops follow by `fill`."""
        entry.missing = len(entry.persons)
        self._entries.append(entry)

    def slices(self, count: int) -> Iterator[slice]:
        """Yield the parts of an image's boxes that fill the batch that is open, and then others."""
        start = 0
        while start < count:
            stop = min(start + self._batch_size - self._num_crops, count)
            yield slice(start, stop)
            start = stop

    def fill(self, entry: Entry, crops: Crops, batch: CropBatch) -> None:
        """Add crops of an image, as many as `slices` said, and run the batch if it is full."""
        self._parts.append(_Part(entry, crops, batch))
        if self._num_crops == self._batch_size:
            self.flush()

    def flush(self) -> None:
        """Run the batch that is open and hand every image what was read of its persons."""
        if not self._parts:
            return
        read = self._forward(CropBatch.join([part.batch for part in self._parts]))
        start = 0
        for entry, crops, _ in self._parts:
            rows = slice(start, start + len(crops))
            entry.found.append(read[rows].to_image(crops))
            entry.missing -= len(crops)
            start = rows.stop
        self._parts.clear()

    def ready(self) -> Iterator[Entry]:
        """Yield, and forget, the first images as far as they are done; where too many wait, none waits longer."""
        if len(self._entries) > _WAITING_PER_CROP * self._batch_size:
            self.flush()
        while self._entries and self._entries[0].done:
            yield self._entries.popleft()

    @property
    def _num_crops(self) -> int:
        return sum(len(part.crops) for part in self._parts)


def check_many(images: object) -> None:
    """Raise TypeError for one image: a path would be read letter by letter, an array row by row."""
    if isinstance(images, str | bytes | Path) or (isinstance(images, np.ndarray) and images.ndim < 4):  # noqa: PLR2004 - (M, H, W, 3)
        raise TypeError(f"images: expected several images, found one {type(images).__name__}; see predict")


def requests(images: Iterable[ImageSource], boxes: Iterable[Boxes] | None) -> Iterator[Request]:
    """Yield each image with its boxes as they are needed; raises ValueError where one of the two ends early."""
    alone = isinstance(images, Sized) and len(images) == 1
    others: Iterator[Boxes | None] = itertools.repeat(None) if boxes is None else iter(boxes)
    number = -1
    for number, source in enumerate(images):
        name = str(source) if isinstance(source, str | Path) else f"image {number}"
        for given in itertools.islice(others, 1):
            yield Request(source, "" if alone else name, given)
            break
        else:
            raise ValueError(f"boxes_xyxy: expected an entry for each image, found none for image {number}")
    for _ in others if boxes is not None else ():
        raise ValueError(f"boxes_xyxy: expected an entry for each of {number + 1} images, found more")
