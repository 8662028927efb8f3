"""Hard-negative files: boxes that a detector takes for persons and that hold none."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcrpose.data.samples import Sample
from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_json
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

VERSION = 1

_DIGITS = 4  # of a file's coordinates and scores
_KINDS = {int: "a whole number", float: "a number", str: "a text", list: "a list"}


@dataclass(frozen=True, kw_only=True)
class Negative:
    """A box in an image, and whether somebody has seen that it holds no person.

    Attributes:
        image_id: the image's number in its data set.
        file_name: of the image, below the folder of images.
        bbox: left, top, width, height, image pixels, as COCO's detections have them.
        score: the detector's, in ``[0, 1]``.
        verified: True: looked at, there is no person. False: looked at, there is one or it is not clear; such a box
            is never trained on. None: nobody has looked.
        note: what was seen, in a word or two.

    Raises:
        ValueError: if the box has no width or height, or a number is not finite.
    """

    image_id: int
    file_name: str
    bbox: tuple[float, float, float, float]
    score: float
    verified: bool | None = None
    note: str = ""

    def __post_init__(self) -> None:
        where = f"negative in {self.file_name}"
        numbers = len(self.bbox) == 4 and all(map(math.isfinite, self.bbox))  # noqa: PLR2004 - x, y, w, h
        if not numbers or min(self.bbox[2:]) < 10**-_DIGITS:  # none that would be written as 0
            raise ValueError(f"{where}: expected bbox x, y, width, height of some size, found {list(self.bbox)}")
        if not 0 <= self.score <= 1:
            raise ValueError(f"{where}: expected a score from 0 to 1, found {self.score}")

    @property
    def box_xyxy(self) -> Floats:
        """``(4,)`` float64, left, top, right, bottom, image pixels."""
        left, top, width, height = self.bbox
        return np.array([left, top, left + width, top + height])

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as it is written to the file, a note only where there is one."""
        entry = {"image_id": self.image_id, "file_name": self.file_name}
        numbers = {"bbox": [round(number, _DIGITS) for number in self.bbox], "score": round(self.score, _DIGITS)}
        return entry | numbers | {"verified": self.verified} | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, eq=False, kw_only=True)
class NegativesFile:
    """A file's content.

    Attributes:
        source: how the boxes were found: files, thresholds, counts, who looked; any JSON.
        negatives: in the file's order, which is that of the contact sheets.
    """

    source: Mapping[str, Any]
    negatives: tuple[Negative, ...]

    @classmethod
    def read(cls, path: str | Path) -> "NegativesFile":
        """Read a file of this version.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it is not JSON, of another version, or an entry lacks a field or has a wrong one.
        """
        content = read_json(path, what="file of negatives")
        version = content.get("version") if isinstance(content, dict) else None
        if version is None:
            raise ValueError(f"{path}: expected a file of negatives, as pcrpose mine writes them, found no 'version'")
        if version != VERSION:
            raise ValueError(f"{path}: expected a file of negatives of version {VERSION}, found version {version!r}")
        source, entries = content.get("source", {}), content.get("negatives")
        if not isinstance(source, dict) or not isinstance(entries, list):
            raise ValueError(f"{path}: expected an object 'source' and a list 'negatives', found {sorted(content)}")  # noqa: TRY004 - file content
        found = [_negative(entry, f"{path}: negative {index}") for index, entry in enumerate(entries)]
        return cls(source=source, negatives=tuple(found))


def write_negatives(path: str | Path, negatives: Iterable[Negative], source: Mapping[str, Any]) -> None:
    """Write a file of negatives; who reads meanwhile finds the old file or the new one.

    Raises:
        ValueError: if ``source`` holds something that JSON cannot.
    """
    try:
        head = json.dumps({"version": VERSION, "source": dict(source), "negatives": []}, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"source: expected what JSON can hold, found {error}") from error
    rows = ",\n  ".join(json.dumps(each.to_dict()) for each in negatives)  # one line per box: it can be read and diffed
    text = head.removesuffix("[]\n}") + (f"[\n  {rows}\n ]\n}}\n" if rows else "[]\n}\n")
    write_text(Path(path), text)


def read_negatives(
    path: str | Path, images: str | Path, *, skeleton: Skeleton = COCO_17, verified_only: bool = False
) -> list[Sample]:
    """Read boxes to train on: crops without a person.

    Args:
        path: a file of `write_negatives`.
        images: folder of the images, which are looked for when they are opened.
        skeleton: gives the number of keypoints, none of which is labelled.
        verified_only: leave out the boxes at which nobody has looked; those where a person was seen are never read.

    Returns:
        Samples with ``is_background``, in the file's order; their targets are zero maps of weight one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as `NegativesFile.read`.
    """
    wanted = (True,) if verified_only else (True, None)
    return [
        as_sample(each, Path(images), skeleton)
        for each in NegativesFile.read(path).negatives
        if each.verified in wanted
    ]


def as_sample(negative: Negative, images: Path, skeleton: Skeleton = COCO_17) -> Sample:
    """Return a negative as a background sample."""
    return Sample(
        image=images / negative.file_name,
        image_id=negative.image_id,
        box_xyxy=negative.box_xyxy,
        keypoints=np.zeros((skeleton.num_keypoints, 2)),
        visibility=np.zeros(skeleton.num_keypoints, dtype=np.int64),
        area=negative.bbox[2] * negative.bbox[3],
        is_background=True,
        box_score=negative.score,
    )


def with_review(negatives: Sequence[Negative], rejected: Iterable[int]) -> tuple[Negative, ...]:
    """Return all these boxes with the review labels that contact sheets were given.

    Args:
        negatives: in the order of the sheets.
        rejected: indices, from 0, of the boxes that hold a person, or where that is not clear; all others are
            verified.

    Raises:
        ValueError: if an index is not on the sheets.
    """
    refused = set(rejected)
    for index in sorted(refused - set(range(len(negatives))))[:1]:
        raise ValueError(f"rejected: expected indices from 0 to {len(negatives) - 1}, found {index}")
    return tuple(replace(each, verified=index not in refused) for index, each in enumerate(negatives))


def _negative(entry: object, where: str) -> Negative:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, found {entry!r:.80}")  # noqa: TRY004 - file content
    if "verified" not in entry or not isinstance(entry["verified"], bool | None):
        raise ValueError(f"{where}: expected 'verified' to be true, false or null, found {entry.get('verified')!r:.80}")
    x, y, width, height = _bbox(entry, where)
    try:
        return Negative(
            image_id=_field(entry, "image_id", int, where),
            file_name=_field(entry, "file_name", str, where),
            bbox=(x, y, width, height),
            score=_field(entry, "score", float, where),
            verified=entry["verified"],
            note=str(entry.get("note", "")),
        )
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _bbox(entry: Mapping[str, Any], where: str) -> list[float]:
    values: list[float] = _field(entry, "bbox", list, where)
    if len(values) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):  # noqa: PLR2004
        raise ValueError(f"{where}: expected 4 finite numbers in 'bbox', found {values!r:.80}")
    return values


def _field(entry: Mapping[str, Any], key: str, kind: type, where: str) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(entry.get(key), int | float if kind is float else kind) or isinstance(entry[key], bool):
        raise ValueError(f"{where}: expected {_KINDS[kind]} in {key!r}, found {entry.get(key)!r:.80}")  # noqa: TRY004 - file content
    return entry[key]
