"""Where to look in each image: the caller's boxes, checked, or a detector's, sorted out."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pcrpose.data.images import Color, ImageSource, open_image
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, check_boxes, croppable
from pcrpose.keypoints.detections import Detections, DetectorOutput

logger = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where to look in one image, and whether a detector said so."""

    boxes_xyxy: Floats
    box_scores: Floats
    detected: bool


def check_many(images: object) -> None:
    """Refuse one image where many are expected: a path would be read letter by letter, an array row by row."""
    if isinstance(images, str | bytes | Path) or (isinstance(images, np.ndarray) and images.ndim < 4):  # noqa: PLR2004 - (M, H, W, 3)
        raise TypeError(f"images: expected several images, found one {type(images).__name__}; see predict")


def open_named(images: Iterable[ImageSource], color: Color) -> Iterator[tuple[str, Image]]:
    """Open images as they are needed, each with what errors call it: its path, else its number; one alone nothing."""
    alone = isinstance(images, Sized) and len(images) == 1
    for number, source in enumerate(images):
        name = str(source) if isinstance(source, str | Path) else f"image {number}"
        yield "" if alone else name, open_image(source, color=color)


def paired(images: Iterator[S], others: Iterable[T], what: str) -> Iterator[tuple[S, T]]:
    """Give each image what belongs to it; raises ValueError where one of the two ends early."""
    rest = iter(others)
    number = 0
    for number, image in enumerate(images, 1):
        for other in itertools.islice(rest, 1):
            yield image, other
            break
        else:
            raise ValueError(f"{what}: expected an entry for each image, found none for image {number - 1}")
    for _ in rest:
        raise ValueError(f"{what}: expected an entry for each of {number} images, found more")


def given_places(image: Image, boxes_xyxy: npt.ArrayLike, name: str = "") -> Places:
    """Take the caller's boxes as they are; raises ValueError naming the image, if it has a name, and the box."""
    try:
        checked = check_boxes(boxes_xyxy, Size.of(image))
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if name else str(error)) from error
    return Places(boxes_xyxy=checked, box_scores=np.ones(len(checked)), detected=False)


def detected_places(image: Image, detections: DetectorOutput) -> Places:
    """Take a detector's boxes and scores; what cannot be cropped is left out and logged."""
    found = Detections.of(detections)
    boxes, scores = found.boxes_xyxy, found.scores
    usable = croppable(boxes, Size.of(image)) & np.isfinite(scores)
    if not usable.all():
        first = int(np.flatnonzero(~usable)[0])
        logger.warning(
            "left out %d of %d detections that cannot be cropped, first x1, y1, x2, y2 = %s, score %s",
            (~usable).sum(),
            len(usable),
            boxes[first].tolist(),
            scores[first],
        )
    return Places(boxes_xyxy=boxes[usable], box_scores=scores[usable], detected=True)
