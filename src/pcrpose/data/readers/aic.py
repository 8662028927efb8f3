"""AI Challenger's annotations: its own files, and its keypoints in COCO's form."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pcrpose.data.readers.json_file import JsonSource, load_json
from pcrpose.data.readers.person_list import ListedImage, PersonList, clip_corners
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.files.json import JsonObject, mapping, numbers, text
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import AIC_14, COCO_17

_COCO_VISIBILITY = np.array([np.nan, 2, 1, 0])  # at AI Challenger's 1 visible, 2 hidden, 3 not labelled


def read_aic(annotations: JsonSource, images: str | Path) -> AnnotatedPersons:
    """Read the persons of AI Challenger's own file; its conversions to COCO's form are read by `read_coco`.

    The file is a list of images: ``image_id``, the name without ``.jpg``; ``human_annotations``, boxes as
    corners by person; ``keypoint_annotations``, 42 numbers by person. The samples are those that `read_coco` makes of
    a conversion: `AIC_14`, COCO's visibilities, boxes clipped to the image, and their area, which is also what AI
    Challenger's evaluation takes for a person's. Image ids count the images from 1 in the file's order, annotation
    ids the persons.

    The file does not say how large an image is, so each one's header is read. Images that are missing or
    broken are left out with a warning; left out and counted in the log are persons without a labelled keypoint, and
    those without a box or with one that has no size or lies outside the image.

    Args:
        annotations: the JSON file, or its content.
        images: folder of the images.

    Raises:
        FileNotFoundError: if there is no such file, or none of its images is in the folder.
        ValueError: if it is not JSON, or an entry lacks something or holds a wrong number of values or a visibility
            other than 1, 2 and 3; the message says where.

    Source:
        The format: the evaluation program and its example in ``AIChallenger/AI_Challenger_2017``. Translating the
        visibilities is our reading.
    """
    name, content = load_json(annotations)
    if not isinstance(content, list):
        found = f"a {type(content).__name__}; conversions to COCO's form are read by read_coco"
        raise ValueError(f"{name}: expected AI Challenger's list of images, found {found}")  # noqa: TRY004 - file content
    persons = PersonList(name, images, AIC_14)
    for place, entry in enumerate(content, start=1):
        where = f"{name}: image {place}"
        file_name = f"{text(entry, 'image_id', where)}.jpg"
        keypoints = mapping(entry, "keypoint_annotations", where)
        boxes = mapping(entry, "human_annotations", where)
        image = persons.open_listed(file_name)
        if image is None:
            persons.leave_out("in images that are missing or broken", len(keypoints))
            continue
        for human in keypoints:
            _add(persons, image, keypoints, boxes, human, f"{where}: {human}")
    return persons.finish()


def _add(
    persons: PersonList, image: ListedImage, keypoints: JsonObject, boxes: JsonObject, human: str, where: str
) -> None:
    values = _in_coco_form(numbers(keypoints, human, 3 * AIC_14.num_keypoints, where), where)
    if boxes.get(human) is None:
        persons.leave_out("without a box")
        return
    left, top, right, bottom = numbers(boxes, human, 4, where)
    persons.add(
        image,
        clip_corners([left, top, right, bottom], image.size),
        values[:, :2],
        values[:, 2],
        where,
        area=(right - left) * (bottom - top),
    )


def aic_to_coco(keypoints: npt.ArrayLike) -> Floats:
    """Convert keypoints from AI Challenger's files to COCO's.

    The twelve keypoints of the limbs keep their anatomical side; head top and neck have no place in COCO, and its
    five points of the face come out as not labelled.

    Args:
        keypoints: ``(..., 42)`` x, y and visibility of each of the 14 keypoints, image pixels; visibility 1 visible,
            2 hidden, 3 not labelled, as in the published files.

    Returns:
        ``(..., 51)`` float64, x, y and visibility of each of COCO's 17; all three 0 where nothing is labelled.

    Raises:
        ValueError: for another shape or visibility; 0 means that somebody has converted the values before.
    """
    values = np.asarray(keypoints, dtype=np.float64)
    if values.shape[-1:] != (3 * AIC_14.num_keypoints,):
        raise ValueError(f"keypoints: expected shape (..., {3 * AIC_14.num_keypoints}), found {values.shape}")
    converted = AIC_14.convert(_in_coco_form(values, "keypoints"), COCO_17)
    return converted.reshape(*values.shape[:-1], 3 * COCO_17.num_keypoints)


def _in_coco_form(values: npt.ArrayLike, where: str) -> Floats:
    """Reshape ``(..., 42)`` to ``(..., 14, 3)`` with COCO's visibilities, zeros where nothing is labelled."""
    array = np.asarray(values, dtype=np.float64)
    triples = array.reshape(*array.shape[:-1], AIC_14.num_keypoints, 3)
    if not (triples[..., 2:] == (1, 2, 3)).any(axis=-1).all():  # some hundred thousand persons: isin is slower
        found = np.unique(triples[..., 2]).tolist()
        raise ValueError(f"{where}: expected AI Challenger's visibilities 1, 2 and 3, found {found}")
    visibility = _COCO_VISIBILITY[triples[..., 2].astype(int)]
    points = np.where(visibility[..., None] > 0, triples[..., :2], 0.0)
    return np.concatenate([points, visibility[..., None]], axis=-1)
