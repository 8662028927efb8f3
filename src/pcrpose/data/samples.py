"""Annotated boxes: what every reader produces and every dataset consumes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pcrpose.keypoints.arrays import Bools, Floats, Image, as_floats
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton

Visibilities: TypeAlias = npt.NDArray[np.int64]

_MAX_VISIBILITY = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """A person in an image, or a box that is known to hold none.

    Attributes:
        image: path of the image, or its ``(H, W, 3)`` uint8 RGB pixels.
        image_id: the image's number in its data set.
        box_xyxy: ``(4,)`` float64, left, top, right, bottom, image pixels; at least one side is longer than zero.
        keypoints: ``(J, 2)`` float64, x then y, image pixels.
        visibility: ``(J,)`` int64: 0 not labelled, 1 hidden, 2 visible.
        area: of the person, image pixels squared, the scale of OKS.
        annotation_id: the annotation's number in its data set, where it has one.
        is_background: the box holds no person (a hard negative); then no keypoint is labelled.
        box_score: of the detector that found the box; 1 for a person's annotation.

    Raises:
        ValueError: naming the image and the first value that does not fit.
    """

    image: Path | Image
    image_id: int
    box_xyxy: Floats
    keypoints: Floats
    visibility: Visibilities
    area: float
    annotation_id: int | None = None
    is_background: bool = False
    box_score: float = 1.0

    def __post_init__(self) -> None:
        where = f"sample of image {self.image_id}"
        box = as_floats(self.box_xyxy, shape=(4,), name=f"{where}: box_xyxy")
        keypoints = as_floats(self.keypoints, shape=(None, 2), name=f"{where}: keypoints")
        visibility = np.asarray(self.visibility)
        if not np.isfinite(box).all() or (box[2:] < box[:2]).any() or (box[2:] == box[:2]).all():
            raise ValueError(f"{where}: expected box_xyxy x1, y1, x2, y2 of some size, found {box.tolist()}")
        if not np.isfinite(keypoints).all():
            raise ValueError(f"{where}: expected finite keypoints, found {keypoints.tolist()}")
        if visibility.shape != keypoints.shape[:1] or not np.isin(visibility, range(_MAX_VISIBILITY + 1)).all():
            raise ValueError(
                f"{where}: expected {len(keypoints)} visibilities of 0, 1 or 2, found {visibility.tolist()}"
            )
        if self.is_background and visibility.any():
            raise ValueError(f"{where}: expected a background box without labels, found {visibility.tolist()}")
        for name, value in (("area", self.area), ("box_score", self.box_score)):
            if not 0 <= value < np.inf:
                raise ValueError(f"{where}: expected {name} to be finite and not negative, found {value}")
        self._check_image(where)
        object.__setattr__(self, "box_xyxy", box)
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "visibility", visibility.astype(np.int64))

    def _check_image(self, where: str) -> None:
        if isinstance(self.image, np.ndarray):
            if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:  # noqa: PLR2004 - RGB
                found = f"{self.image.dtype} {self.image.shape}"
                raise ValueError(f"{where}: expected an image of uint8 (H, W, 3), found {found}")
        elif not isinstance(self.image, Path):
            raise TypeError(f"{where}: expected image to be a Path or an array, found {type(self.image).__name__}")

    @property
    def labelled(self) -> Bools:
        """``(J,)`` bool: which keypoints carry a label, hidden ones included."""
        return self.visibility > 0


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotatedPersons:
    """The persons of one annotation file, whatever its format.

    Attributes:
        skeleton: that every sample's keypoints follow.
        samples: the usable persons, image by image in the file's order.
        image_sizes: size of every image by its id, images without a usable person included.
        image_paths: file of every image by its id.
    """

    skeleton: Skeleton
    samples: tuple[Sample, ...]
    image_sizes: Mapping[int, Size]
    image_paths: Mapping[int, Path]

    def __len__(self) -> int:
        return len(self.samples)

    def require_images(self) -> None:
        """Look for every image's file.

        Raises:
            FileNotFoundError: naming the first that is missing and saying how many are.
        """
        missing = [file for file in self.image_paths.values() if not file.is_file()]
        if missing:
            number = f"{len(missing)} of {len(self.image_paths)}"
            raise FileNotFoundError(f"{missing[0]}: no such image file; {number} images are missing")
