"""The persons of an annotation file as arrays, NaN where an entry cannot be used."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pcrpose.data.doctor.check_images import name_of
from pcrpose.data.readers.coco import Record
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.findings import Findings, Severity, found
from pcrpose.data.readers.json_file import finite_numbers, record_size
from pcrpose.files.json import is_finite
from pcrpose.keypoints.arrays import Bools, Floats

BORDER = 2.0  # pixels: annotations made with other conventions end a little outside
_MOST, _NEARLY_ALL = 0.5, 0.9
_KEYPOINTS_TO_JUDGE, _PERSONS_TO_JUDGE, _OFF_CENTER = 3, 4, 0.15


@dataclass(frozen=True, eq=False, kw_only=True)
class People:
    """The persons of a file as arrays, NaN where an entry cannot be used.

    Attributes:
        names: of the N persons in messages.
        keypoints: ``(N, J, 3)`` float64, x, y, visibility; NaN throughout where the values do not fit.
        boxes_xywh: ``(N, 4)`` float64.
        sizes: ``(N, 2)`` float64, width and height of the image.
        areas: ``(N,)`` float64.
    """

    names: tuple[str, ...]
    keypoints: Floats
    boxes_xywh: Floats
    sizes: Floats
    areas: Floats

    @classmethod
    def of(cls, file: AnnotationFile) -> "People":
        """Read the usable values of every person of a file."""
        count = 3 * file.num_keypoints
        images = {key_of(image["id"]): image for image in file.images if "id" in image}
        of_persons = [images.get(key_of(person.get("image_id")), {}) for person in file.persons]
        sizes = [_extent(image) for image in of_persons]
        rows = [finite_numbers(person.get("keypoints"), count) or [math.nan] * count for person in file.persons]
        boxes = [finite_numbers(person.get("bbox"), 4) or [math.nan] * 4 for person in file.persons]
        areas = [finite_numbers([person.get("area")], 1) or [math.nan] for person in file.persons]
        return cls(
            names=tuple(
                f"{describe(person)} in {name_of(image)}" if image else describe(person)
                for person, image in zip(file.persons, of_persons, strict=True)
            ),
            keypoints=np.array(rows, dtype=np.float64).reshape(len(rows), -1, 3),
            boxes_xywh=np.array(boxes, dtype=np.float64).reshape(-1, 4),
            sizes=np.array(sizes, dtype=np.float64).reshape(-1, 2),
            areas=np.array(areas, dtype=np.float64).reshape(-1),
        )

    @cached_property
    def points(self) -> Floats:
        """``(N, J, 2)`` x and y of the labelled keypoints, NaN for the others."""
        return np.where(self.labelled[..., None], self.keypoints[..., :2], np.nan)

    @cached_property
    def labelled(self) -> Bools:
        """``(N, J)``: visibility above 0."""
        return np.asarray(self.keypoints[..., 2] > 0)

    @cached_property
    def useful(self) -> Bools:
        """``(N,)``: with a labelled keypoint."""
        useful: Bools = np.asarray(self.labelled.any(axis=1))
        return useful

    @cached_property
    def extended(self) -> Bools:
        """``(N,)``: the box has a width and a height, of which one is more than a pixel."""
        extents = self.boxes_xywh[:, 2:]
        return np.asarray((extents > 0).all(axis=1) & (extents > 1).any(axis=1))

    @cached_property
    def outside_by(self) -> Floats:
        """``(N,)``: by how many pixels the box leaves the image at its worst side."""
        start, extent = self.boxes_xywh[:, :2], self.boxes_xywh[:, 2:]
        overhang: Floats = np.maximum(-start, start + extent - self.sizes).max(axis=1)
        return overhang

    @cached_property
    def corners_instead(self) -> bool:
        """Whether the boxes are left, top, right, bottom: most leave the image, and as corners they fit."""
        x, y, right, bottom = self.boxes_xywh[self.useful].T
        width, height = self.sizes[self.useful].T + BORDER
        exceeding = (x + right > width) | (y + bottom > height)
        fitting = (right > x) & (bottom > y) & (right <= width) & (bottom <= height)
        if not exceeding.any() or exceeding.mean() <= _MOST or fitting[exceeding].mean() < _NEARLY_ALL:
            return False
        horizontal, vertical = np.moveaxis(self.points[self.useful][exceeding], 2, 0)
        held = (horizontal <= right[exceeding, None] + BORDER) & (vertical <= bottom[exceeding, None] + BORDER)
        return bool(held[self.labelled[self.useful][exceeding]].mean() > _NEARLY_ALL)

    @cached_property
    def centers_instead(self) -> bool:
        """Whether the boxes start with their center: half a box right of and below the keypoints, in most persons."""
        judged = self.useful & self.extended & (self.labelled.sum(axis=1) >= _KEYPOINTS_TO_JUDGE)
        if judged.sum() < _PERSONS_TO_JUDGE:
            return False
        boxes, points = self.boxes_xywh[judged], self.points[judged]
        middles = (np.nanmin(points, axis=1) + np.nanmax(points, axis=1)) / 2
        offsets = (middles - boxes[:, :2]) / boxes[:, 2:]  # the middle of the person is at 0.5, 0.5
        return bool((np.abs(np.median(offsets, axis=0)) < _OFF_CENTER).all())

    def tell(self, severity: Severity, check: str, what: str, do: str, which: Bools | np.bool_) -> Findings:
        """Yield a finding about some persons, ``(N,)`` bool."""
        where = [self.names[index] for index in np.flatnonzero(which)]
        yield from found(severity, check, what, do, where, total=len(self.names))

    def tell_keypoints(self, severity: Severity, check: str, what: str, do: str, which: Bools | np.bool_) -> Findings:
        """Yield a finding about some labelled keypoints, ``(N, J)`` bool; examples name their persons."""
        where = [self.names[index] for index in np.nonzero(which)[0]]
        yield from found(severity, check, what, do, where, total=int(self.labelled.sum()))


def _extent(image: Record) -> tuple[float, float]:
    size = record_size(image)
    if size is None or not is_finite(size.width) or not is_finite(size.height):
        return math.nan, math.nan
    return size.width, size.height


def key_of(identity: object) -> tuple[bool, object]:
    """Return a hashable key of any JSON value; those of 1 and "1" differ."""
    if isinstance(identity, int | float | str):
        return isinstance(identity, str), identity
    return True, repr(identity)


def describe(annotation: Record) -> str:
    """Return the name of an annotation for messages."""
    if "id" in annotation:
        return f"annotation {annotation['id']}"
    return f"an annotation of image {annotation.get('image_id', 'without id')}"
