"""MPII Human Pose: the original MATLAB file, and the widespread JSON files made from it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io.matlab import mat_struct

from pcrpose.data.formats.json_file import JsonFile, JsonObject, JsonSource, load_json, number, numbers, text
from pcrpose.data.formats.mat_file import is_mat, load_mat, structs
from pcrpose.data.formats.person_list import PersonList
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import MPII_16

PERSON_SIZE = 200.0  # pixels of a person of scale 1
CENTRE_SHIFT = 15.0  # of the centre, downwards, for a person of scale 1: towards the feet

_HIDDEN, _VISIBLE = 1, 2
_NO_CENTRE = [-1, -1]  # as the JSON files write it


class _Person(NamedTuple):
    """One person as either file has it, coordinates counted from 1."""

    file_name: str
    centre: tuple[float, float]
    scale: float
    keypoints: Floats
    visibility: Floats
    where: str


def read_mpii(annotations: JsonSource, images: str | Path) -> AnnotatedPersons:
    """Read MPII's ``mpii_human_pose_v1_u12_1.mat``, or a list of persons as the HRNet repository has them in JSON.

    In JSON a person has ``image``, ``center``, ``scale``, ``joints`` and ``joints_vis``; its split of the training
    pictures is the file itself. Of the MATLAB file all pictures with published keypoints are read. Keypoints are
    `MPII_16`. Coordinates of both count from 1, as in MATLAB, and are moved by one pixel.

    A keypoint of JSON is visible, or not labelled. The MATLAB file also knows hidden ones; keypoints without that
    mark, such as the head's, count as visible.

    There are no boxes. A person's is the square that the published HRNet code crops before it adds a quarter: 200
    pixels times the scale wide, its centre 15 pixels times the scale below the annotated one. It is not clipped to
    the picture, so that the crop stays where it was. Its area is a person's only roughly.

    Pictures and persons are numbered from 1 in the file's order. Pictures that are missing or broken are left out
    with a warning; persons without keypoints, centre or scale are left out and counted in the log.

    Args:
        annotations: the file, or the content of a JSON file.
        images: folder of the pictures.

    Raises:
        FileNotFoundError: if there is no such file, or none of its pictures is in the folder.
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
        picture = persons.open_picture(person.file_name)
        if picture is None:
            persons.leave_out("in pictures that are missing or broken")
        elif not person.scale > 0:
            persons.leave_out("without a centre and a scale")
        else:
            persons.add(picture, _box(person), person.keypoints - 1, person.visibility, person.where)
    return persons.finish()


def _box(person: _Person) -> Floats:
    x, y = person.centre
    centre = np.array([x, y + CENTRE_SHIFT * person.scale]) - 1
    half = PERSON_SIZE * person.scale / 2
    return np.concatenate([centre - half, centre + half])


def _json_persons(file: JsonFile) -> Iterator[_Person]:
    if not isinstance(file.content, list):
        found = type(file.content).__name__
        raise ValueError(f"{file.name}: expected MPII's list of persons, found a {found}")  # noqa: TRY004 - file content
    for place, entry in enumerate(file.content, start=1):
        yield _json_person(entry, f"{file.name}: person {place}")


def _json_person(entry: JsonObject, where: str) -> _Person:
    name, scale = text(entry, "image", where), number(entry, "scale", where)
    x, y = centre = numbers(entry, "center", 2, where, finite=True)
    scale = 0.0 if centre == _NO_CENTRE else scale
    if "joints" not in entry:  # nothing is published of the test pictures
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
    pictures = structs(getattr(release, "annolist", None))
    if not pictures:
        raise ValueError(f"{path}: expected 'RELEASE' with a list 'annolist', found none")
    for place, picture in enumerate(pictures, start=1):
        where = f"{path}: picture {place}"
        file_name = getattr(getattr(picture, "image", None), "name", None)
        if not isinstance(file_name, str):
            raise ValueError(f"{where}: expected the name of a picture, found {file_name!r:.80}")  # noqa: TRY004 - file content
        for number_in_picture, person in enumerate(structs(getattr(picture, "annorect", None)), start=1):
            yield _original_person(person, file_name, f"{where}: person {number_in_picture}")


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
    centre = (_value(position[0], "x", where), _value(position[0], "y", where)) if position else (0.0, 0.0)
    scale = _value(person, "scale", where, default=0.0) if position else 0.0
    return _Person(file_name, centre, scale, keypoints, visibility, where)


def _value(struct: mat_struct, name: str, where: str, *, default: float | None = None) -> float:
    """Take a number, which may be written as text; the default where the file leaves it empty."""
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
