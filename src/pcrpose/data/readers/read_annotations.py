"""The table of annotation formats, and the reader of any of them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from pcrpose.data.readers.aic import read_aic
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.json_file import JsonFile, load_json
from pcrpose.data.readers.lsp import read_lsp
from pcrpose.data.readers.mat_file import VERSIONS, is_mat, mat_variables
from pcrpose.data.readers.mpii import read_mpii
from pcrpose.data.readers.ochuman import read_ochuman
from pcrpose.data.readers.predictions import SETTINGS_NAME, read_predictions
from pcrpose.data.readers.yolo import read_yolo
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.skeleton import AIC_14, CROWDPOSE_14, LSP_14, MPII_16, OCHUMAN_19, Skeleton

Container: TypeAlias = Literal["object", "list", "mat"]

logger = logging.getLogger(__name__)

_CONTAINERS: Mapping[Container, str] = {"object": "an object", "list": "a list", "mat": "a MATLAB file"}


@dataclass(frozen=True, kw_only=True)
class AnnotationFormat:
    """An annotation format: its reader, and how its files are recognized.

    Attributes:
        read: the reader: of the file or its content, and the folder of the images.
        names: by which a file is recognized: fields of its object, fields of the first object in its list, or variables
            of a MATLAB file; all of them have to be there. A format without any has to be asked for.
        skeleton: of the keypoints, where the format implies it; None: the file describes it.
        describes_skeleton: the file names its keypoints, so ``read`` takes a ``skeleton`` of the caller's.
        opens_path: ``read`` takes the path alone, of a folder or of a text file.
        suffixes: of file names, by which a format that opens paths is recognized.
    """

    read: Callable[..., AnnotatedPersons]
    names: Mapping[Container, tuple[str, ...]] = field(default_factory=dict)
    skeleton: Skeleton | None = None
    describes_skeleton: bool = False
    opens_path: bool = False
    suffixes: tuple[str, ...] = ()


# A new format is one file with its reader, and one row. The first row that recognizes a file reads it.
FORMATS: Mapping[str, AnnotationFormat] = MappingProxyType(
    {
        "coco": AnnotationFormat(
            read=read_coco,
            names={"object": ("images", "annotations", "categories")},
            describes_skeleton=True,
        ),
        "aic": AnnotationFormat(read=read_aic, names={"list": ("keypoint_annotations",)}, skeleton=AIC_14),
        "lsp": AnnotationFormat(read=read_lsp, names={"mat": ("joints",)}, skeleton=LSP_14),
        "mpii": AnnotationFormat(
            read=read_mpii,
            names={"list": ("center",), "mat": ("RELEASE",)},
            skeleton=MPII_16,
        ),
        "crowdpose": AnnotationFormat(read=read_coco, skeleton=CROWDPOSE_14, describes_skeleton=True),
        "ochuman": AnnotationFormat(read=read_ochuman, names={"object": ("keypoint_names",)}, skeleton=OCHUMAN_19),
        "yolo": AnnotationFormat(read=read_yolo, describes_skeleton=True, opens_path=True, suffixes=(".yaml", ".yml")),
        "predict": AnnotationFormat(read=read_predictions, describes_skeleton=True, opens_path=True),
    }
)


def read_annotations(
    annotations: str | Path,
    images: str | Path,
    *,
    file_format: str | None = None,
    skeleton: Skeleton | None = None,
) -> AnnotatedPersons:
    """Read an annotation file of any of `FORMATS`.

    The reader of the format documents what is left out and where boxes come from: `read_coco` (``coco`` and
    ``crowdpose``), `read_aic`, `read_lsp`, `read_mpii`, `read_ochuman`, `read_yolo` (a ``data.yaml``),
    `read_predictions` (``predict``: a folder).
    Conversions to COCO's form are ``coco``, whatever the data set.

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
    named = file_format or _by_path(Path(annotations))
    row = None if named is None else FORMATS[named]
    by_path = row is not None and (row.opens_path or row.names.keys() == {"mat"})
    source = annotations if by_path or is_mat(annotations) else _load_json(annotations)
    chosen = named or _recognize(source)
    logger.info("%s: read as %s", annotations, chosen)
    row = FORMATS[chosen]
    if row.describes_skeleton:
        return row.read(source, images, skeleton=skeleton or row.skeleton)
    persons = row.read(source, images)
    return persons if skeleton is None else _with_skeleton(persons, skeleton, str(annotations))


class _Contents(NamedTuple):
    """The container and field names that a file is recognized by."""

    container: Container
    names: list[str]
    seen: str


def _by_path(path: Path) -> str | None:
    """Return the format of a folder that says what it is, or of a suffix that only one format has."""
    if (path / SETTINGS_NAME).is_file():
        return "predict"
    return next((name for name, row in FORMATS.items() if path.suffix.lower() in row.suffixes), None)


def _load_json(path: str | Path) -> JsonFile:
    try:
        return load_json(path)
    except ValueError as error:
        if Path(path).suffix.lower() == ".mat":  # of a version whose files begin differently
            raise ValueError(f"{error}; if it is a MATLAB file: {VERSIONS}") from error
        raise


def _recognize(source: str | Path | JsonFile) -> str:
    container, found, seen = _contents(source)
    names = set(found)
    for name, row in FORMATS.items():
        if container in row.names and names >= set(row.names[container]):
            return name
    where = source.name if isinstance(source, JsonFile) else source
    raise ValueError(f"{where}: expected {_sought()}; found {seen}")


def _contents(source: str | Path | JsonFile) -> _Contents:
    if not isinstance(source, JsonFile):
        variables = mat_variables(source)
        return _Contents("mat", variables, f"a MATLAB file with {variables}")
    content = source.content
    if isinstance(content, list):
        first = content[0] if content else None
        fields = sorted(first) if isinstance(first, dict) else []
        seen = f"a list of objects with {fields}" if fields else f"a list that begins with {first!r:.80}"
        return _Contents("list", fields, seen)
    fields = sorted(content) if isinstance(content, dict) else []
    return _Contents("object", fields, f"an object with {fields}" if fields else f"{content!r:.80}")


def _sought() -> str:
    """Return what files are recognized by, in words: ``an object with 'images' (coco), or ...``."""
    kinds = []
    for container, words in _CONTAINERS.items():
        rows = {name: row.names[container] for name, row in FORMATS.items() if container in row.names}
        listed = (f"{_in_words(names)} ({name})" for name, names in rows.items())
        kinds.append(f"{words} with {' or '.join(listed)}")
    return f"{', '.join(kinds[:-1])}, or {kinds[-1]}"


def _in_words(names: tuple[str, ...]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} and {last}" if most else last


def _with_skeleton(persons: AnnotatedPersons, skeleton: Skeleton, name: str) -> AnnotatedPersons:
    if skeleton.keypoints != persons.skeleton.keypoints:
        expected, found = list(skeleton.keypoints), list(persons.skeleton.keypoints)
        raise ValueError(f"{name}: expected the keypoints of {skeleton.name} {expected}, found {found}")
    return replace(persons, skeleton=skeleton)
