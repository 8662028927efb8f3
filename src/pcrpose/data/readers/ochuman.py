"""OCHuman's own annotations: persons who hide one another."""

from pathlib import Path

import numpy as np

from pcrpose.data.readers.json_file import JsonSource, image_size, load_json
from pcrpose.data.readers.person_list import ListedImage, PersonList, clip_corners
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.files.json import JsonObject, numbers, records, text
from pcrpose.keypoints.skeleton import OCHUMAN_19

_COCO_VISIBILITY = np.array([0, 2, 2, 1])  # at 0 missing, 1 visible, 2 hidden by oneself, 3 hidden by others


def read_ochuman(annotations: JsonSource, images: str | Path) -> AnnotatedPersons:
    """Read ``ochuman.json``; the authors' conversions to COCO's form, of 17 keypoints, are read by `read_coco`.

    Boxes are corners and visibilities have meanings of their own; both are translated as the authors' own conversion
    does it: hidden by oneself counts as visible, hidden by others as hidden, and a person's area is the box's.
    The keypoints are all 19, with head and neck. Images and persons are numbered from 1 in the file's order.
    Persons without keypoints are left out and counted in the log; so are those whose box has no size or lies
    outside the image. Image files are looked for when they are opened, not here.

    Args:
        annotations: the JSON file, or its content.
        images: folder of the images.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, lacks something, or holds other keypoints or visibilities; the message says
            where.

    Source:
        ``ochumanApi/ochuman.py`` of ``liruilong940607/OCHumanApi``.
    """
    name, content = load_json(annotations)
    if not isinstance(content, dict) or "keypoint_names" not in content:
        found = sorted(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ValueError(f"{name}: expected OCHuman's object with 'keypoint_names' and 'images', found {found}")
    names = content["keypoint_names"]
    if not isinstance(names, list) or sorted(map(str, names)) != sorted(OCHUMAN_19.keypoints):
        raise ValueError(f"{name}: expected the 19 'keypoint_names' of OCHuman, found {names!r:.300}")
    order = [names.index(keypoint) for keypoint in OCHUMAN_19.keypoints]
    persons = PersonList(name, images, OCHUMAN_19)
    for place, image in enumerate(records(content, "images", name), start=1):
        where = f"{name}: image {place}"
        listed = persons.list_image(text(image, "file_name", where), image_size(image, where))
        for human, annotation in enumerate(records(image, "annotations", where), start=1):
            _add(persons, listed, annotation, order, f"{where}: person {human}")
    return persons.finish()


def _add(persons: PersonList, listed: ListedImage, annotation: JsonObject, order: list[int], where: str) -> None:
    if annotation.get("keypoints") is None:
        persons.leave_out("without keypoints")
        return
    values = np.array(numbers(annotation, "keypoints", 3 * OCHUMAN_19.num_keypoints, where), dtype=np.float64)
    triples = values.reshape(-1, 3)[order]
    if not np.isin(triples[:, 2], range(len(_COCO_VISIBILITY))).all():
        found = np.unique(triples[:, 2]).tolist()
        raise ValueError(f"{where}: expected OCHuman's visibilities 0, 1, 2 and 3, found {found}")
    left, top, right, bottom = numbers(annotation, "bbox", 4, where, finite=True)
    persons.add(
        listed,
        clip_corners([left, top, right, bottom], listed.size),
        triples[:, :2],
        _COCO_VISIBILITY[triples[:, 2].astype(int)],
        where,
        area=(right - left) * (bottom - top),
    )
