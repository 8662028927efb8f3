"""YOLO's pose format: a text file of labels per image, and a ``data.yaml`` for all."""

import math
import os
from pathlib import Path

import numpy as np

from pcrpose.data.readers.person_list import ListedImage, PersonList, clip_corners
from pcrpose.data.readers.yolo_data import YoloData
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.skeleton import Skeleton

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
BOX_FIELDS = 5  # class, x and y of the middle, width, height

_LARGEST = 1.01  # fraction of the image: a box that was rounded up
_VISIBLE = 2


def read_yolo(data: str | Path, images: str | Path, *, skeleton: Skeleton | None = None) -> AnnotatedPersons:
    """Read the persons of a data set in YOLO's pose format, as ultralytics trains on it.

    A label's coordinates are fractions of the image, counted from the border of its first pixel; ours are pixels,
    counted from that pixel's center: ``x = fraction * width - 0.5``. A box covers whole pixels, from ``x1`` through
    ``x2``, where the label's is from ``x1 / width`` to ``(x2 + 1) / width``. (Labels that were made of COCO's keypoints
    without this half pixel are read half a pixel to the left and above.)

    Without visibilities a keypoint is visible (2), unless it is at ``0 0`` or negative: then it is not labelled. Images
    and persons are numbered from 1, by the names of the files; areas are the boxes'. Images without a file of labels
    hold no person. Persons without a labelled keypoint or a box are left out, and so is every class but one: the only
    one, or the one called person.

    Args:
        data: the ``data.yaml``.
        images: folder of the images, whose sizes are read. The labels are in ``labels`` beside the ``data.yaml``, under
            the names of the images; those of ``images/train`` beside it are in ``labels/train``, of ``train/images`` in
            ``train/labels``.
        skeleton: of the keypoints; by default what the file says, see `YoloData.skeleton`.

    Raises:
        FileNotFoundError: if the file, the labels or the images are missing.
        ValueError: if a file is not as the format wants it, or the skeleton has other keypoints; it says where.
    """
    facts = YoloData.read(data)
    wanted = facts.person_class(str(data))
    persons = PersonList(str(data), images, _chosen(facts, str(data), skeleton))
    labels = _labels_folder(Path(data), Path(images))
    files = sorted(file for file in Path(images).rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{images}: expected a folder of images, found none in it")
    inner = [file.relative_to(images) for file in files]
    names = {name.as_posix(): labels / name.with_suffix(".txt") for name in inner}
    if not any(label.is_file() for label in names.values()):
        raise FileNotFoundError(f"{labels}: expected labels of the {len(files)} images in {images}, found none")
    for name, label in names.items():
        image = persons.open_listed(name)
        if image is None or not label.is_file():
            continue
        for number, line in enumerate(label.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                _add(persons, image, line, facts, wanted, f"{label}: line {number}")
    return persons.finish()


def _chosen(facts: YoloData, name: str, skeleton: Skeleton | None) -> Skeleton:
    if skeleton is None:
        return facts.skeleton(name)
    if skeleton.num_keypoints != facts.num_keypoints:
        expected = f"the {skeleton.num_keypoints} keypoints of {skeleton.name}"
        raise ValueError(f"{name}: expected {expected}, found {facts.num_keypoints}")
    if facts.keypoint_names and (found := facts.skeleton(name).keypoints) != skeleton.keypoints:
        expected = f"the keypoints of {skeleton.name} {list(skeleton.keypoints)}"
        raise ValueError(f"{name}: expected {expected}, found {list(found)}")
    return skeleton


def _labels_folder(data: Path, images: Path) -> Path:
    root, folder = (Path(os.path.normpath(Path.cwd() / place)) for place in (data.parent, images))
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    if "images" not in parts:
        return data.parent / "labels"
    last = len(parts) - 1 - parts[::-1].index("images")
    return data.parent.joinpath(*parts[:last], "labels", *parts[last + 1 :])


def _add(persons: PersonList, image: ListedImage, line: str, facts: YoloData, wanted: int, where: str) -> None:
    values = _numbers(line, BOX_FIELDS + facts.num_keypoints * facts.dimensions, where)
    if values[0] != wanted:
        return
    lengths = np.array([image.size.width, image.size.height], dtype=np.float64)
    table = np.array(values[BOX_FIELDS:]).reshape(facts.num_keypoints, facts.dimensions)
    box, fractions = np.array(values[1:BOX_FIELDS]), table[:, :2]
    largest = float(max(box.max(), fractions.max()))
    if largest > _LARGEST:
        raise ValueError(f"{where}: expected fractions of the image, from 0 to 1, found {largest:g}")
    if facts.dimensions > 2:  # noqa: PLR2004 - x and y
        visibility = table[:, 2]
        if not np.isin(visibility, (0, 1, 2)).all():
            raise ValueError(f"{where}: expected visibilities of 0, 1 or 2, found {visibility.tolist()}")
    else:
        visibility = _VISIBLE * ((fractions >= 0).all(axis=1) & (fractions != 0).any(axis=1))
    corners = np.concatenate([(box[:2] - box[2:] / 2) * lengths, (box[:2] + box[2:] / 2) * lengths])
    persons.add(image, clip_corners(corners, image.size), fractions * lengths - 0.5, visibility, where)


def _numbers(line: str, count: int, where: str) -> list[float]:
    words = line.split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"{where}: expected numbers, found {line!r:.80}") from error
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(f"{where}: expected {count} finite numbers, found {len(values)}: {line!r:.80}")
    return values
