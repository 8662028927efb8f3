"""YOLO's pose format, as ultralytics trains on it."""

import json
import logging
from pathlib import Path, PurePosixPath

import numpy as np

from pcrpose.data.readers.yolo_data import CLASSES_KEY, FLIP_KEY, KEYPOINTS_KEY, PERSON_NAME, SHAPE_KEY
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.writers.image_names import relative_names
from pcrpose.files.atomic import write_text
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import KNOWN_SKELETONS, Skeleton

logger = logging.getLogger(__name__)

DECIMALS = 8  # of a fraction of the image: 0.0001 pixels of an image 10,000 wide
DATA_FILE = "data.yaml"


def write_yolo(folder: str | Path, persons: AnnotatedPersons, images: str | Path) -> None:
    """Write ``data.yaml``, and ``labels`` with a text file per image, also for images without a person.

    The images belong beside them, as ``images``: put or link them there. Fractions of the image count from the border
    of the first pixel, see `read_yolo`, which reads the same persons: coordinates to 0.00000001 of the image's sides,
    visibilities exactly. The format has no place for bones, sigmas, areas and numbers.

    ultralytics refuses labels outside the image. So boxes are clipped; a keypoint outside the image is written as not
    labelled, a person whose box is outside is left out, and both are counted in a warning.

    Args:
        folder: into which is written.
        persons: as any reader returns them.
        images: folder that the names of the files are relative to.

    Raises:
        ValueError: if an image is not in the folder, two images have the same name but for the suffix, or a sample is
            a hard negative.
    """
    lines: dict[int, list[str]] = {image_id: [] for image_id in persons.image_paths}
    lost_keypoints = lost_persons = 0
    for sample in persons.samples:
        size = persons.image_sizes[sample.image_id]
        line, lost = _line(sample, size)
        lost_keypoints += lost
        lost_persons += line is None
        lines[sample.image_id] += [] if line is None else [line]
    if lost_keypoints or lost_persons:
        logger.warning(
            "outside the images: %d keypoints, written as not labelled, and %d persons, left out",
            *(lost_keypoints, lost_persons),
        )
    root = Path(folder)
    for image_id, name in _label_names(persons, images).items():
        write_text(root / "labels" / name, "".join(f"{line}\n" for line in lines[image_id]), sync=False)
    write_text(root / DATA_FILE, _data(persons.skeleton))


def _label_names(persons: AnnotatedPersons, images: str | Path) -> dict[int, str]:
    names = relative_names(persons, images)
    labels = {image_id: PurePosixPath(name).with_suffix(".txt").as_posix() for image_id, name in names.items()}
    first: dict[str, str] = {}
    for image_id, label in labels.items():
        if label in first:
            both = f"{first[label]} and {names[image_id]}"
            raise ValueError(f"{label}: expected labels of one image, found two of that name: {both}")
        first[label] = names[image_id]
    return labels


def _line(sample: Sample, size: Size) -> tuple[str | None, int]:
    """Return the label, None without a box inside the image; and how many labelled keypoints are outside it."""
    if sample.is_background:
        raise ValueError(f"sample of image {sample.image_id}: expected a person, found a hard negative")
    lengths = np.array([size.width, size.height], dtype=np.float64)
    start = np.maximum(sample.box_xyxy[:2], 0) / lengths
    end = np.minimum(sample.box_xyxy[2:] + 1, lengths) / lengths
    fractions = (sample.keypoints + 0.5) / lengths
    inside = ((fractions >= 0) & (fractions <= 1)).all(axis=1)
    lost = int((sample.labelled & ~inside).sum())
    if (end <= start).any():
        return None, lost
    numbers = [*((start + end) / 2), *(end - start)]
    for point, visibility, usable in zip(fractions, sample.visibility, inside & sample.labelled, strict=True):
        numbers += [*point, int(visibility)] if usable else [0, 0, 0]
    return " ".join(["0", *(f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".") for number in numbers)]), lost


def _data(skeleton: Skeleton) -> str:
    name = PERSON_NAME if skeleton in KNOWN_SKELETONS else skeleton.name
    return "\n".join(
        [
            "# Written by pcrpose. The images belong beside this file, in a folder called images.",
            "train: images",
            "val: images",
            f"{SHAPE_KEY}: [{skeleton.num_keypoints}, 3]",
            f"{FLIP_KEY}: {skeleton.flip_indices.tolist()}",
            f"{CLASSES_KEY}:",
            f"  0: {json.dumps(name)}",
            f"{KEYPOINTS_KEY}:",
            "  0:",
            *(f"    - {json.dumps(keypoint)}" for keypoint in skeleton.keypoints),
            "",
        ]
    )
