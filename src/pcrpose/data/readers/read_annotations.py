"""Persons of any annotation file this library can read."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pcrpose.data.readers.aic import read_aic
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.json_file import JsonFile, load_json
from pcrpose.data.readers.lsp import read_lsp
from pcrpose.data.readers.mat_file import VERSIONS, is_mat, mat_variables
from pcrpose.data.readers.mpii import read_mpii
from pcrpose.data.readers.ochuman import read_ochuman
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.skeleton import CROWDPOSE_14, Skeleton

FileFormat: TypeAlias = Literal["coco", "aic", "lsp", "mpii", "crowdpose", "ochuman"]

logger = logging.getLogger(__name__)

FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)

_VARIABLES: dict[str, FileFormat] = {"joints": "lsp", "RELEASE": "mpii"}
_FIELDS: dict[str, FileFormat] = {"keypoint_annotations": "aic", "center": "mpii"}  # of the first entry of a list
_SOUGHT = (
    "an object with 'images', 'annotations' and 'categories' (coco, crowdpose) or 'keypoint_names' (ochuman), "
    "a list with 'keypoint_annotations' (aic) or 'center' (mpii), "
    "or a MATLAB file with 'joints' (lsp) or 'RELEASE' (mpii)"
)


def read_persons(
    annotations: str | Path,
    images: str | Path,
    *,
    file_format: FileFormat | None = None,
    skeleton: Skeleton | None = None,
) -> AnnotatedPersons:
    """Read an annotation file of any of `FORMATS`.

    What a reader leaves out and how it makes boxes is said by it: `read_coco` (``coco`` and ``crowdpose``), `read_aic`,
    `read_lsp`, `read_mpii`, `read_ochuman`. Conversions to COCO's form are ``coco``, whatever the data set.

    Args:
        annotations: the file.
        images: folder of the images.
        file_format: by default it is recognized from the file's content; its name does not matter.
        skeleton: of the keypoints; by default what the file says or the format implies. Given, its keypoints have to
            be the file's.

    Raises:
        FileNotFoundError: if there is no such file, or none of its images is in the folder.
        IsADirectoryError: if it is a folder.
        ValueError: if ``file_format`` is unknown, the file's format is not recognized, the skeleton has other
            keypoints, or the file is not as its format wants it.
    """
    if file_format is not None and file_format not in FORMATS:
        raise ValueError(f"file_format: expected one of {', '.join(FORMATS)}, found {file_format!r}")
    source = annotations if file_format == "lsp" or is_mat(annotations) else _load_json(annotations)
    chosen = file_format or _recognize(source)
    logger.info("%s: read as %s", annotations, chosen)
    match chosen:
        case "coco" | "crowdpose":
            own = CROWDPOSE_14 if chosen == "crowdpose" else None
            return read_coco(load_json(source), images, skeleton=skeleton or own)
        case "aic":
            persons = read_aic(source, images)
        case "lsp":
            persons = read_lsp(annotations, images)
        case "mpii":
            persons = read_mpii(source, images)
        case "ochuman":
            persons = read_ochuman(source, images)
    return persons if skeleton is None else _with_skeleton(persons, skeleton, str(annotations))


def _load_json(path: str | Path) -> JsonFile:
    try:
        return load_json(path)
    except ValueError as error:
        if Path(path).suffix.lower() == ".mat":  # of a version whose files begin differently
            raise ValueError(f"{error}; if it is a MATLAB file: {VERSIONS}") from error
        raise


def _recognize(source: str | Path | JsonFile) -> FileFormat:
    if not isinstance(source, JsonFile):
        name, found = str(source), mat_variables(source)
        formats = [_VARIABLES[variable] for variable in found if variable in _VARIABLES]
        seen = f"a MATLAB file with {found}"
    elif isinstance(source.content, list):
        first = source.content[0] if source.content else None
        fields = sorted(first) if isinstance(first, dict) else []
        formats = [_FIELDS[field] for field in fields if field in _FIELDS]
        name, seen = (
            source.name,
            f"a list of objects with {fields}" if fields else f"a list that begins with {first!r:.80}",
        )
    else:
        fields = sorted(source.content) if isinstance(source.content, dict) else []
        formats = ["ochuman"] if "keypoint_names" in fields else []
        formats += ["coco"] if {"images", "annotations", "categories"} <= set(fields) else []
        name, seen = source.name, f"an object with {fields}" if fields else f"{source.content!r:.80}"
    if not formats:
        raise ValueError(f"{name}: expected {_SOUGHT}; found {seen}")
    return formats[0]


def _with_skeleton(persons: AnnotatedPersons, skeleton: Skeleton, name: str) -> AnnotatedPersons:
    if skeleton.keypoints != persons.skeleton.keypoints:
        expected, found = list(skeleton.keypoints), list(persons.skeleton.keypoints)
        raise ValueError(f"{name}: expected the keypoints of {skeleton.name} {expected}, found {found}")
    return replace(persons, skeleton=skeleton)
