"""Annotations in JSON: a file, or its content; and the image sizes in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pcrpose.files.json import JsonObject, number, read_json
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


def image_size(record: JsonObject, where: str) -> Size:
    """Return ``width`` and ``height``; raise ValueError unless both are positive and whole."""
    width, height = (number(record, key, where) for key in ("width", "height"))
    if width != int(width) or height != int(height) or min(width, height) < 1:
        raise ValueError(f"{where}: expected a positive whole width and height, found {width}, {height}")
    return Size(width=int(width), height=int(height))  # some converters write 640.0
