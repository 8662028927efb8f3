"""Annotation files in JSON: reading one, and taking out of it what has to be there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pcrpose.keypoints.boxes import Size

JsonObject: TypeAlias = Mapping[str, Any]

_NUMBER = (int, float)


class JsonFile(NamedTuple):
    """A file that is read already.

    Attributes:
        name: what messages call it.
        content: of any type that JSON knows.
    """

    name: str
    content: Any


JsonSource: TypeAlias = str | Path | JsonObject | Sequence[JsonObject] | JsonFile


def load_json(source: JsonSource) -> JsonFile:
    """Read a file, or take over the content that somebody has read before.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON.
    """
    if isinstance(source, JsonFile):
        return source
    if not isinstance(source, (str, Path)):
        return JsonFile("annotations", source)
    try:
        return JsonFile(str(source), json.loads(Path(source).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{source}: no such annotation file") from error
    except ValueError as error:  # JSON errors and undecodable bytes alike
        raise ValueError(f"{source}: expected JSON, found a mistake: {error}") from error


def records(content: JsonObject, key: str, name: str) -> list[JsonObject]:
    """Take a list of objects; ValueError for anything else."""
    found = field(content, key, name)
    if not isinstance(found, list) or not all(isinstance(record, Mapping) for record in found):
        raise ValueError(f"{name}: expected {key!r} to be a list of objects")
    return found


def field(record: JsonObject, key: str, where: str) -> Any:  # noqa: ANN401 - JSON values
    """Take a value of any type; ValueError if it is missing."""
    if not isinstance(record, Mapping) or key not in record:
        found = sorted(record) if isinstance(record, Mapping) else repr(record)
        raise ValueError(f"{where}: expected a field {key!r}, found {found}")
    return record[key]


def mapping(record: JsonObject, key: str, where: str) -> JsonObject:
    """Take an object; ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: expected {key!r} to be an object, found {value!r:.80}")  # noqa: TRY004 - file content
    return value


def numbers(record: JsonObject, key: str, count: int, where: str) -> list[float]:
    """Take a list of so many numbers; ValueError for anything else."""
    values = field(record, key, where)
    if not isinstance(values, list) or len(values) != count or not all(isinstance(value, _NUMBER) for value in values):
        raise ValueError(f"{where}: expected {count} numbers in {key!r}, found {values!r:.80}")
    return values


def number(record: JsonObject, key: str, where: str) -> float:
    """Take a number; ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, _NUMBER):
        raise ValueError(f"{where}: expected {key!r} to be a number, found {value!r:.80}")  # noqa: TRY004 - file content
    return value


def text(record: JsonObject, key: str, where: str) -> str:
    """Take a text; ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected {key!r} to be a text, found {value!r:.80}")  # noqa: TRY004 - file content
    return value


def picture_size(record: JsonObject, where: str) -> Size:
    """Take ``width`` and ``height``; ValueError unless both are positive and whole."""
    width, height = (number(record, key, where) for key in ("width", "height"))
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise ValueError(f"{where}: expected a positive whole width and height, found {width}, {height}")
    return Size(width=int(width), height=int(height))  # some converters write 640.0
