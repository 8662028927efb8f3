"""Annotation files in JSON: reading one, and taking out of it what has to be there."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from pcrpose.keypoints.boxes import Size

JsonObject: TypeAlias = Mapping[str, Any]


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

    Any of JSON's encodings will do: UTF-8 with or without its mark, UTF-16 and UTF-32.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is not JSON, or nested too deeply; what the parser raised is its cause.
    """
    if isinstance(source, JsonFile):
        return source
    if not isinstance(source, (str, Path)):
        return JsonFile("annotations", source)
    try:
        return JsonFile(str(source), json.loads(Path(source).read_bytes()))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{source}: no such annotation file") from error
    except IsADirectoryError as error:
        raise IsADirectoryError(f"{source}: expected an annotation file, found a folder") from error
    except RecursionError as error:
        raise ValueError(f"{source}: expected JSON, found lists or objects nested too deeply") from error
    except ValueError as error:  # JSON errors and undecodable bytes alike
        raise ValueError(f"{source}: expected JSON, found a mistake: {error}") from error


def is_number(value: object) -> TypeGuard[float]:
    """Tell a number that fits a float, NaN and infinity included, from all else: true and false are none."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_finite(value: object) -> TypeGuard[float]:
    """Tell a number other than NaN and infinity from all else."""
    return is_number(value) and math.isfinite(value)


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


def numbers(record: JsonObject, key: str, count: int, where: str, *, finite: bool = False) -> list[float]:
    """Take a list of so many numbers; ValueError for anything else, and for NaN and infinity where finite is wanted."""
    values = field(record, key, where)
    if not isinstance(values, list) or len(values) != count or not all(is_number(value) for value in values):
        raise ValueError(f"{where}: expected {count} numbers in {key!r}, found {values!r:.80}")
    if finite and not all(math.isfinite(value) for value in values):
        raise ValueError(f"{where}: expected finite numbers in {key!r}, found {values!r:.80}")
    return values


def number(record: JsonObject, key: str, where: str) -> float:
    """Take a finite number; ValueError for anything else."""
    value = field(record, key, where)
    if not is_number(value):
        raise ValueError(f"{where}: expected {key!r} to be a number, found {value!r:.80}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected {key!r} to be finite, found {value}")
    return value


def identifier(record: JsonObject, key: str, where: str) -> Any:  # noqa: ANN401 - JSON values
    """Take a number or a text that records know each other by; ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, str) and not is_finite(value):
        raise ValueError(f"{where}: expected {key!r} to be a number or a text, found {value!r:.80}")
    return value


def text(record: JsonObject, key: str, where: str) -> str:
    """Take a text; ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected {key!r} to be a text, found {value!r:.80}")  # noqa: TRY004 - file content
    return value


def image_size(record: JsonObject, where: str) -> Size:
    """Take ``width`` and ``height``; ValueError unless both are positive and whole."""
    width, height = (number(record, key, where) for key in ("width", "height"))
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise ValueError(f"{where}: expected a positive whole width and height, found {width}, {height}")
    return Size(width=int(width), height=int(height))  # some converters write 640.0
