"""JSON files: reading them, their objects and their fields, with errors that say where."""

import json
import math
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

JsonObject: TypeAlias = Mapping[str, Any]


def read_json(path: str | Path, *, what: str = "JSON file") -> Any:  # noqa: ANN401 - JSON values
    """Read a file in any of JSON's encodings: UTF-8 with or without a byte order mark, UTF-16 and UTF-32.

    Args:
        path: of the file.
        what: what messages call it, as ``"annotation file"``.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is not JSON, or nested too deeply; what the parser raised is its cause.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such {what}") from error
    except IsADirectoryError as error:
        article = "an" if what[0] in "aeiou" else "a"
        raise IsADirectoryError(f"{path}: expected {article} {what}, found a folder") from error
    except RecursionError as error:
        raise ValueError(f"{path}: expected JSON, found lists or objects nested too deeply") from error
    except ValueError as error:  # JSON errors and undecodable bytes alike
        raise ValueError(f"{path}: expected JSON, found a mistake: {error}") from error


def read_object(path: str | Path, *, what: str = "JSON file") -> dict[str, Any]:
    """Read a file that holds one object; errors as `read_json`, and ValueError for anything but an object."""
    content = read_json(path, what=what)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object, found {content!r:.80}")  # noqa: TRY004 - file content
    return content


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that fits a float, NaN and infinity included; true and false are none."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether a value is a number other than NaN and infinity."""
    return is_number(value) and math.isfinite(value)


def field(record: JsonObject, key: str, where: str) -> Any:  # noqa: ANN401 - JSON values
    """Return a value of any type; raise ValueError if it is missing, or if the record is no object.

    Examples:
        >>> field({"id": 3}, "bbox", "a.json: annotation 0")
        Traceback (most recent call last):
        ValueError: a.json: annotation 0: expected a field 'bbox', found ['id']
    """
    if not isinstance(record, Mapping) or key not in record:
        found = sorted(record) if isinstance(record, Mapping) else f"{record!r:.80}"
        raise ValueError(f"{where}: expected a field {key!r}, found {found}")
    return record[key]


def records(content: JsonObject, key: str, where: str) -> list[JsonObject]:
    """Return a list of objects; raise ValueError for anything else."""
    found = field(content, key, where)
    if not isinstance(found, list) or not all(isinstance(record, Mapping) for record in found):
        raise ValueError(f"{where}: expected {key!r} to be a list of objects")
    return found


def mapping(record: JsonObject, key: str, where: str) -> JsonObject:
    """Return an object; raise ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: expected {key!r} to be an object, found {value!r:.80}")  # noqa: TRY004 - file content
    return value


def numbers(record: JsonObject, key: str, count: int, where: str, *, finite: bool = False) -> list[float]:
    """Return a list of ``count`` numbers; raise ValueError for anything else, with ``finite`` for NaN and infinity."""
    values = field(record, key, where)
    if not isinstance(values, list) or len(values) != count or not all(is_number(value) for value in values):
        raise ValueError(f"{where}: expected {count} numbers in {key!r}, found {values!r:.80}")
    if finite and not all(math.isfinite(value) for value in values):
        raise ValueError(f"{where}: expected finite numbers in {key!r}, found {values!r:.80}")
    return values


def finite_numbers(record: JsonObject, key: str, where: str) -> tuple[float, ...]:
    """Return a list of finite numbers of any length; raise ValueError for anything else."""
    values = field(record, key, where)
    if not isinstance(values, list) or not all(is_finite(value) for value in values):
        raise ValueError(f"{where}: expected finite numbers in {key!r}, found {values!r:.80}")
    return tuple(values)


def check_keys(record: JsonObject, expected: Collection[str], where: str) -> None:
    """Raise ValueError for a missing or unknown key, or if the record is no object."""
    found = sorted(record, key=str) if isinstance(record, Mapping) else f"{record!r:.80}"
    if found != sorted(expected):
        raise ValueError(f"{where}: expected the keys {sorted(expected)}, found {found}")


def number(record: JsonObject, key: str, where: str) -> float:
    """Return a finite number; raise ValueError for anything else."""
    value = field(record, key, where)
    if not is_number(value):
        raise ValueError(f"{where}: expected {key!r} to be a number, found {value!r:.80}")
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected {key!r} to be finite, found {value}")
    return value


def identifier(record: JsonObject, key: str, where: str) -> Any:  # noqa: ANN401 - JSON values
    """Return a number or a text by which records refer to each other; raise ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, str) and not is_finite(value):
        raise ValueError(f"{where}: expected {key!r} to be a number or a text, found {value!r:.80}")
    return value


def text(record: JsonObject, key: str, where: str) -> str:
    """Return a text; raise ValueError for anything else."""
    value = field(record, key, where)
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected {key!r} to be a text, found {value!r:.80}")  # noqa: TRY004 - file content
    return value
