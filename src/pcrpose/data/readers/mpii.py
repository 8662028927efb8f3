"""MPII Human Pose: the original MATLAB file, and the widespread JSON files made from it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io.matlab import mat_struct

from pcrpose.data.readers.json_file import JsonFile, JsonSource, load_json
from pcrpose.data.readers.mat_file import is_mat, load_mat, structs
from pcrpose.data.readers.person_list import PersonList
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.files.json import JsonObject, number, numbers, text
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import MPII_16

PERSON_SIZE = 200.0  # pixels of a person of scale 1
CENTER_SHIFT = 15.0  # of the center, downwards, for a person of scale 1: towards the feet

_HIDDEN, _VISIBLE = 1, 2
_NO_CENTER = [-1, -1]  # as the JSON files write it


class _Person(NamedTuple):
    """One person as either file has it, coordinates counted from 1."""

    file_name: str
    center: tuple[float, float]
    scale: float
    keypoints: Floats
    visibility: Floats
    where: str


def read_mpii(annotations: JsonSource, images: str | Path) -> AnnotatedPersons:
    """Read MPII's ``mpii_human_pose_v1_u12_1.mat``, or a list of persons as the HRNet repository has them in JSON.

    In JSON a person has ``image``, ``center``, ``scale``, ``joints`` and ``joints_vis``; its split of the training
    images is the file itself. Of the MATLAB file all images with published keypoints are read. Keypoints are
    `MPII_16`. Coordinates of both count from 1, as in MATLAB, and are moved by one pixel.

    A keypoint of JSON is visible, or not labelled. The MATLAB file also knows hidden ones; keypoints without that
    mark, such as the head's, count as visible.

    There are no boxes. A person's is the square that the published HRNet code crops before it adds a quarter: 200
    pixels times the scale wide, its center 15 pixels times the scale below the annotated one. It is not clipped to
    the image, so that the crop stays where it was. Its area is a person's only roughly.

    Images and persons are numbered from 1 in the file's order. Images that are missing or broken are left out
    with a warning; persons without keypoints, center or scale are left out and counted in the log.

    Args:
        annotations: the file, or the content of a JSON file.
        images: folder of the images.

    Raises:
        FileNotFoundError: if there is no such file, or none of its images is in the folder.
        ValueError: if it is no whole file of either kind, or an entry lacks something; the message says where.

    Source:
        The data set's README, and ``lib/dataset/mpii.py`` of ``leoxiaobin/deep-high-resolution-net.pytorch``.
    """
    if isinstance(annotations, (str, Path)) and is_mat(annotations):
        name, listed = str(annotations), _original_persons(str(annotations))
    else:
        file = load_json(annotations)
        name, listed = file.name, _json_persons(file)
    persons = PersonList(name, images, MPII_16)
    for person in listed:
        if not (person.visibility > 0).any():
            persons.leave_out("without keypoints")
            continue
        image = persons.open_listed(person.file_name)
        if image is None:
            persons.leave_out("in images that are missing or broken")
        elif not person.scale > 0:
            persons.leave_out("without a center and a scale")
        else:
            persons.add(image, _box(person), person.keypoints - 1, person.visibility, person.where)
    return persons.finish()


def _box(person: _Person) -> Floats:
    x, y = person.center
    center = np.array([x, y + CENTER_SHIFT * person.scale]) - 1
    half = PERSON_SIZE * person.scale / 2
    return np.concatenate([center - half, center + half])


def _json_persons(file: JsonFile) -> Iterator[_Person]:
    if not isinstance(file.content, list):
        found = type(file.content).__name__
        raise ValueError(f"{file.name}: expected MPII's list of persons, found a {found}")  # noqa: TRY004 - file content
    for place, entry in enumerate(file.content, start=1):
        yield _json_person(entry, f"{file.name}: person {place}")


def _json_person(entry: JsonObject, where: str) -> _Person:
    name, scale = text(entry, "image", where), number(entry, "scale", where)
    x, y = center = numbers(entry, "center", 2, where, finite=True)
    scale = 0.0 if center == _NO_CENTER else scale
    if "joints" not in entry:  # nothing is published of the test images
        return _Person(name, (x, y), scale, *_no_keypoints(), where)
    flags = np.array(numbers(entry, "joints_vis", MPII_16.num_keypoints, where), dtype=np.float64)
    if not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{where}: expected 0 and 1 in 'joints_vis', found {np.unique(flags).tolist()}")
    points = entry["joints"]
    if not isinstance(points, list) or len(points) != MPII_16.num_keypoints:
        raise ValueError(f"{where}: expected {MPII_16.num_keypoints} points in 'joints', found {points!r:.80}")
    keypoints = [numbers({"joints": point}, "joints", 2, where) for point in points]
    return _Person(name, (x, y), scale, np.array(keypoints, dtype=np.float64), flags * _VISIBLE, where)


def _no_keypoints() -> tuple[Floats, Floats]:
    return np.zeros((MPII_16.num_keypoints, 2)), np.zeros(MPII_16.num_keypoints)


def _original_persons(path: str) -> Iterator[_Person]:
    release = load_mat(path, "RELEASE")
    images = structs(getattr(release, "annolist", None))
    if not images:
        raise ValueError(f"{path}: expected 'RELEASE' with a list 'annolist', found none")
    for place, image in enumerate(images, start=1):
        where = f"{path}: image {place}"
        file_name = getattr(getattr(image, "image", None), "name", None)
        if not isinstance(file_name, str):
            raise ValueError(f"{where}: expected the name of an image, found {file_name!r:.80}")  # noqa: TRY004 - file content
        for number_in_image, person in enumerate(structs(getattr(image, "annorect", None)), start=1):
            yield _original_person(person, file_name, f"{where}: person {number_in_image}")


def _original_person(person: mat_struct, file_name: str, where: str) -> _Person:
    keypoints, visibility = _no_keypoints()
    for group in structs(getattr(person, "annopoints", None)):
        for point in structs(getattr(group, "point", None)):
            index = _value(point, "id", where)
            if index not in range(MPII_16.num_keypoints):
                raise ValueError(f"{where}: expected keypoints numbered 0 to 15, found {index!r:.80}")
            keypoints[int(index)] = _value(point, "x", where), _value(point, "y", where)
            mark = _value(point, "is_visible", where, default=1.0)
            visibility[int(index)] = _VISIBLE if mark else _HIDDEN
    position = structs(getattr(person, "objpos", None))
    center = (_value(position[0], "x", where), _value(position[0], "y", where)) if position else (0.0, 0.0)
    scale = _value(person, "scale", where, default=0.0) if position else 0.0
    return _Person(file_name, center, scale, keypoints, visibility, where)


def _value(struct: mat_struct, name: str, where: str, *, default: float | None = None) -> float:
    """Return a number, which may be written as text; the default where the file leaves it empty."""
    value = getattr(struct, name, None)
    if value is None or np.size(value) == 0:
        value = default
    try:
        converted = float(value)  # type: ignore[arg-type]  # what is no number is refused below
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected a number as {name!r}, found {value!r:.80}") from error
    if not math.isfinite(converted):
        raise ValueError(f"{where}: expected a finite number as {name!r}, found {converted}")
    return converted
