"""Annotations in JSON: a file, or its content; and the image sizes in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pcrpose.files.json import JsonObject, is_finite, number, read_json
from pcrpose.keypoints.boxes import Size


class JsonFile(NamedTuple):
    """A file that has been read already.

    Attributes:
        name: what messages call it.
        content: of any type that JSON knows.
    """

    name: str
    content: Any


JsonSource: TypeAlias = str | Path | JsonObject | Sequence[JsonObject] | JsonFile


def load_json(source: JsonSource) -> JsonFile:
    """Read an annotation file, or return content that has been read before; errors as `read_json`."""
    if isinstance(source, JsonFile):
        return source
    if not isinstance(source, (str, Path)):
        return JsonFile("annotations", source)
    return JsonFile(str(source), read_json(source, what="annotation file"))


def record_size(record: JsonObject) -> Size | None:
    """Return ``width`` and ``height`` of an image's entry; None unless both are positive and whole."""
    width, height = record.get("width"), record.get("height")
    if not all(is_finite(length) and length >= 1 and length == int(length) for length in (width, height)):
        return None
    return Size(width=int(width or 0), height=int(height or 0))


def finite_numbers(values: object, count: int) -> list[float] | None:
    """Return a list of ``count`` finite numbers as it is; None for anything else."""
    if not isinstance(values, list) or len(values) != count or not all(is_finite(value) for value in values):
        return None
    return values


def image_size(record: JsonObject, where: str) -> Size:
    """Return ``width`` and ``height``; raise ValueError unless both are positive and whole."""
    width, height = (number(record, key, where) for key in ("width", "height"))
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise ValueError(f"{where}: expected a positive whole width and height, found {width}, {height}")
    return Size(width=int(width), height=int(height))  # some converters write 640.0
