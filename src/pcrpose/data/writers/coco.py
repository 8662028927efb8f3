"""COCO annotation files, as CVAT and Label Studio's converter import them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pcrpose.data.readers.coco import PERSON
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.writers.image_names import relative_names
from pcrpose.files.atomic import write_text
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import KNOWN_SKELETONS, Skeleton

Content: TypeAlias = dict[str, Any]

DECIMALS = 3  # of a pixel: less than any annotator's hand
FILE = "annotations.json"


def write_coco(folder: str | Path, persons: AnnotatedPersons, images: str | Path) -> None:
    """Write ``annotations.json`` into a folder; the content is that of `coco_content`, which raises.

    Raises:
        FileExistsError: if it is there.
    """
    target = Path(folder) / FILE
    if target.exists():
        raise FileExistsError(f"{target}: expected no such file, found one")
    write_text(target, json.dumps(coco_content(persons, images), allow_nan=False))


def coco_content(persons: AnnotatedPersons, images: str | Path) -> Content:
    """Build the content of an annotation file in COCO's form.

    `read_coco` reads the same persons from it: coordinates and areas to half of 0.001 pixels (the far side of a box to
    0.001), numbers of images and persons, names and bones. COCO's form has no place for sigmas and flip pairs; a person
    of area 0 gets the area of the box. An annotation also has what annotation tools ask for: an empty
    ``segmentation`` (CVAT) and a ``score`` (Label Studio's converter), the pose score of a predicted person.

    Args:
        persons: as any reader returns them.
        images: folder that the names of the files are relative to.

    Raises:
        ValueError: if an image is not in the folder, or a sample is a hard negative.
    """
    names = relative_names(persons, images)
    ids = [sample.annotation_id for sample in persons.samples]
    if None in ids or len(set(ids)) != len(ids):
        ids = list(range(1, len(ids) + 1))
    return {
        "info": {"description": f"{len(persons)} persons of {persons.skeleton.name}, written by pcrpose"},
        "images": [
            {"id": image_id, "file_name": name}
            | {"width": persons.image_sizes[image_id].width, "height": persons.image_sizes[image_id].height}
            for image_id, name in names.items()
        ],
        "annotations": [
            {"id": number} | _annotation(sample) for number, sample in zip(ids, persons.samples, strict=True)
        ],
        "categories": [coco_category(persons.skeleton)],
    }


def coco_category(skeleton: Skeleton) -> Content:
    """Return the category that `skeleton_of` reads; ``"person"`` for one of `KNOWN_SKELETONS`."""
    return {
        "id": PERSON,
        "name": "person" if skeleton in KNOWN_SKELETONS else skeleton.name,
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.bones],
    }


def _annotation(sample: Sample) -> Content:
    if sample.is_background:
        raise ValueError(f"sample of image {sample.image_id}: expected a person, found a hard negative")
    x1, y1, x2, y2 = sample.box_xyxy
    box = np.array([x1, y1, x2 - x1 + 1, y2 - y1 + 1])  # COCO counts the last pixel in
    points = np.where(sample.labelled[:, None], sample.keypoints, 0.0)
    triples = np.column_stack([points.round(DECIMALS), sample.visibility])
    return {
        "image_id": sample.image_id,
        "category_id": PERSON,
        "iscrowd": 0,
        "segmentation": [],
        "bbox": list(_plain(box)),
        "area": next(_plain(np.array([sample.area or box[2] * box[3]]))),
        "keypoints": list(_plain(triples.ravel())),
        "num_keypoints": int(sample.labelled.sum()),
        "score": round(float(sample.box_score), 6),
    }


def _plain(values: Floats) -> Iterator[float]:
    """Yield rounded numbers, whole ones without a decimal point, as COCO's."""
    return (int(value) if value.is_integer() else value for value in values.round(DECIMALS).tolist())
