"""Data files of YOLO's pose format: the few fields of ``data.yaml`` that say what the labels mean."""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcrpose.data.readers.coco import DEFAULT_SIGMA, skeleton_of
from pcrpose.keypoints.skeleton import COCO_17, KNOWN_SKELETONS, Skeleton

SHAPE_KEY, KEYPOINTS_KEY, FLIP_KEY, CLASSES_KEY = "kpt_shape", "kpt_names", "flip_idx", "names"
PERSON_NAME = "person"

_KEY = re.compile(r"(\"[^\"]*\"|'[^']*'|[^\s\"'\-\[{][^:]*?)\s*:(?:\s+(.*))?$")
_CODE = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\"'#]|(?<=\S)#|[\"'])*")  # a line without its comment
_WITH_VISIBILITY = (2, 3)


@dataclass(frozen=True, kw_only=True)
class YoloData:
    """What the labels of a data set hold.

    Attributes:
        num_keypoints: J.
        dimensions: numbers per keypoint: 2, x and y; or 3, with the visibility.
        flip_indices: J indices, as `Skeleton.flip_indices`; None where the file has none.
        classes: name by class index.
        keypoint_names: J names by class index, where the file has them.
    """

    num_keypoints: int
    dimensions: int
    flip_indices: tuple[int, ...] | None
    classes: Mapping[int, str]
    keypoint_names: Mapping[int, tuple[str, ...]]

    @classmethod
    def read(cls, path: str | Path) -> "YoloData":
        """Read a file. Of YAML it knows mappings and lists, on lines or in brackets; other fields may hold anything.

        Raises:
            FileNotFoundError: if there is no such file.
            IsADirectoryError: if it is a folder.
            ValueError: if a field is missing or is not as it should be.
        """
        file = Path(path)
        if file.is_dir():
            raise IsADirectoryError(f"{path}: expected an annotation file, found a folder")
        if not file.is_file():
            raise FileNotFoundError(f"{path}: no such annotation file")
        try:
            sections = _sections(file.read_text(encoding="utf-8-sig").splitlines())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected YAML, found a mistake: {error}") from error
        wanted = (SHAPE_KEY, KEYPOINTS_KEY, FLIP_KEY, CLASSES_KEY)
        values = {key: _value(sections[key]) for key in wanted if key in sections}
        number, dimensions = _shape(values.get(SHAPE_KEY), str(path))
        return cls(
            num_keypoints=number,
            dimensions=dimensions,
            flip_indices=_flips(values.get(FLIP_KEY), number, str(path)),
            classes=_classes(values.get(CLASSES_KEY), str(path)),
            keypoint_names=_keypoint_names(values.get(KEYPOINTS_KEY), number, str(path)),
        )

    def person_class(self, where: str) -> int:
        """Return the index of the one class, or of the one called person; raise ValueError if there is none."""
        persons = [index for index, name in self.classes.items() if name == PERSON_NAME or len(self.classes) == 1]
        if len(persons) != 1:
            expected = f"one class in {CLASSES_KEY!r}, or one called 'person'"
            raise ValueError(f"{where}: expected {expected}, found {dict(self.classes)}")
        return persons[0]

    def skeleton(self, where: str) -> Skeleton:
        """Return the skeleton: one of `KNOWN_SKELETONS` where names and pairs are its, or COCO's by its pairs alone.

        Without names keypoints are ``keypoint_0``, ``keypoint_1``, ... There are no bones, and each sigma is
        `DEFAULT_SIGMA`.
        """
        index = self.person_class(where)
        names = self.keypoint_names.get(index, ())
        if not names and self.flip_indices == tuple(COCO_17.flip_indices.tolist()):
            return COCO_17
        names = names or tuple(f"keypoint_{number}" for number in range(self.num_keypoints))
        found = skeleton_of({"name": self.classes[index], "keypoints": list(names)}, where)
        flips = found.flip_indices.tolist() if self.flip_indices is None else list(self.flip_indices)
        if found in KNOWN_SKELETONS and flips == found.flip_indices.tolist():
            return found
        pairs = [(first, second) for first, second in enumerate(flips) if first < second]
        return Skeleton(self.classes[index], found.keypoints, pairs, [], [DEFAULT_SIGMA] * self.num_keypoints)


def _shape(value: object, where: str) -> tuple[int, int]:
    whole = isinstance(value, list) and len(value) == 2 and all(isinstance(number, int) for number in value)  # noqa: PLR2004
    if not isinstance(value, list) or not whole or value[0] < 1 or value[1] not in _WITH_VISIBILITY:
        raise ValueError(f"{where}: expected {SHAPE_KEY!r} such as [17, 3], found {value!r:.80}")
    return value[0], value[1]


def _flips(value: object, number: int, where: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    indices = value if isinstance(value, list) else []
    if sorted(map(str, indices)) != sorted(map(str, range(number))) or any(
        indices[other] != index for index, other in enumerate(indices)
    ):
        raise ValueError(f"{where}: expected {FLIP_KEY!r} to exchange pairs of {number} keypoints, found {value!r:.80}")
    return tuple(indices)


def _classes(value: object, where: str) -> dict[int, str]:
    entries: Iterable[tuple[Any, Any]] = enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict):
        entries = value.items()
    classes = {index: str(name) for index, name in entries if isinstance(index, int)}
    if not classes:
        raise ValueError(f"{where}: expected {CLASSES_KEY!r} to be a list or numbered, found {value!r:.80}")
    return classes


def _keypoint_names(value: object, number: int, where: str) -> dict[int, tuple[str, ...]]:
    if value is None:
        return {}
    lists: dict[int, Any] = value if isinstance(value, dict) else {0: value}
    for names in lists.values():
        if not isinstance(names, list) or len(names) != number:
            raise ValueError(f"{where}: expected {number} names in {KEYPOINTS_KEY!r}, found {names!r:.80}")
    return {index: tuple(map(str, names)) for index, names in lists.items()}


def _sections(lines: Sequence[str]) -> dict[Any, list[str]]:
    """Return by key what stands behind its colon and on the lines below it."""
    found: dict[Any, list[str]] = {}
    current: list[str] = []
    for line in lines:
        code = _code(line)
        if key := _KEY.match(code):
            current = found.setdefault(_scalar(key[1]), [key[2] or ""])
        elif code.strip():
            current.append(code)
    return found


def _code(line: str) -> str:
    matched = _CODE.match(line)
    return matched.group().rstrip() if matched else ""


def _value(lines: Sequence[str]) -> Any:  # noqa: ANN401 - YAML values
    head, *rest = lines
    if head:
        return _bracketed(" ".join(line.strip() for line in lines))
    if not rest:
        return None
    if rest[0].lstrip().startswith("- "):
        return [_scalar(line.strip().removeprefix("- ")) for line in rest]
    block = _sections(textwrap.dedent("\n".join(rest)).splitlines())
    return {key: _value(nested) for key, nested in block.items()}


def _bracketed(text: str) -> Any:  # noqa: ANN401 - YAML values
    if not text.startswith(("[", "{")):
        return _scalar(text)
    parts = [part for part in re.split(r"\s*,\s*", text[1:-1].strip()) if part]
    if text.startswith("["):
        return [_scalar(part) for part in parts]
    pairs = (re.split(r"\s*:\s*", part, maxsplit=1) for part in parts)
    return {_scalar(pair[0]): _scalar(pair[-1]) for pair in pairs}


def _scalar(text: str) -> int | str:
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text
