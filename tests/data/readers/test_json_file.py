"""Reading JSON, and taking values out of it that have to be there."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcrpose.data.readers.json_file import (
    JsonFile,
    identifier,
    image_size,
    is_finite,
    is_number,
    load_json,
    mapping,
    number,
    numbers,
    records,
    text,
)
from pcrpose.keypoints.boxes import Size


def test_loading(tmp_path: Path) -> None:
    """A path is read, content and files that are read already are passed through."""
    path = tmp_path / "a.json"
    path.write_text('{"one": [1]}')
    file = load_json(path)

    assert file == JsonFile(str(path), {"one": [1]})
    assert load_json(str(path)) == file
    assert load_json(file) is file
    assert load_json([{"a": 1}]) == JsonFile("annotations", [{"a": 1}])


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"MATLAB 5.0"])
def test_what_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever else the file holds, one kind of error names it."""
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ValueError, match=r"a\.json: expected JSON, found"):
        load_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"b\.json: no such annotation file"):
        load_json(tmp_path / "b.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    """What editors and shells write is read, with a mark of its encoding or without."""
    (tmp_path / "a.json").write_text('{"name": "\u00e9"}', encoding=encoding)

    assert load_json(tmp_path / "a.json").content == {"name": "\u00e9"}


def test_deep_files_and_folders_are_refused(tmp_path: Path) -> None:
    """Neither a recursion's nor the operating system's words reach the user."""
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)

    with pytest.raises(ValueError, match=r"deep\.json: expected JSON, found lists or objects nested too deeply"):
        load_json(path)
    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        load_json(tmp_path)


@pytest.mark.parametrize(
    ("value", "counts", "finite"),
    [
        *((3, True, True), (-2.5, True, True), (math.nan, True, False), (-math.inf, True, False)),
        *((10**400, False, False), (-(10**400), False, False), (True, False, False), ("3", False, False)),
        (None, False, False),
    ],
)
def test_what_is_a_number(value: object, counts: bool, finite: bool) -> None:  # noqa: FBT001 - one row per value
    """Truth values, texts and what no float can hold are none; endless ones are not finite."""
    assert is_number(value) is counts
    assert is_finite(value) is finite


@pytest.mark.parametrize(
    ("take", "right", "wrong", "message"),
    [
        (records, [{}], [3], "expected 'key' to be a list of objects"),
        (mapping, {}, [], r"expected 'key' to be an object, found \[\]"),
        (number, 1.5, "1.5", "expected 'key' to be a number, found '1.5'"),
        (number, 1, True, "expected 'key' to be a number, found True"),
        (number, 10**300, 10**400, "expected 'key' to be a number, found 1000"),
        (number, 0, math.nan, "expected 'key' to be finite, found nan"),
        (number, 0, math.inf, "expected 'key' to be finite, found inf"),
        (text, "a", None, "expected 'key' to be a text, found None"),
        (identifier, 7, [1], r"expected 'key' to be a number or a text, found \[1\]"),
        (identifier, "seven", {}, r"expected 'key' to be a number or a text, found \{\}"),
        (identifier, 7.0, None, "expected 'key' to be a number or a text, found None"),
        (identifier, 1, True, "expected 'key' to be a number or a text, found True"),
        (lambda record, key, where: numbers(record, key, 2, where), [1, 2.5], [1], r"expected 2 numbers in 'key'"),
        (lambda record, key, where: numbers(record, key, 2, where), [1, math.inf], [1, True], "expected 2 numbers"),
        (lambda record, key, where: numbers(record, key, 2, where), [1, 2], [1, 10**400], "expected 2 numbers"),
        (
            lambda record, key, where: numbers(record, key, 2, where, finite=True),
            [1, 2],
            [1, math.inf],
            r"expected finite numbers in 'key', found \[1, inf\]",
        ),
    ],
)
def test_values(take: Callable[..., Any], right: object, wrong: object, message: str) -> None:
    """A value of the right kind is given; a wrong or a missing one is refused with its place."""
    assert take({"key": right}, "key", "here") == right
    with pytest.raises(ValueError, match=f"here: {message}"):
        take({"key": wrong}, "key", "here")
    with pytest.raises(ValueError, match=r"here: expected a field 'key', found \['other'\]"):
        take({"other": right}, "key", "here")


def test_sizes() -> None:
    """Whole numbers, however they are written."""
    assert image_size({"width": 640.0, "height": 480}, "here") == Size(width=640, height=480)
    for width in (0, 0.5, -3):
        with pytest.raises(ValueError, match="here: expected a positive whole width and height"):
            image_size({"width": width, "height": 480}, "here")


@pytest.mark.parametrize("width", ["Infinity", "NaN", "true", "1" + "0" * 400])
def test_sizes_that_are_no_numbers(width: str) -> None:
    """Each is refused with its place, as JSON brings it."""
    record = json.loads(f'{{"width": {width}, "height": 480}}')

    with pytest.raises(ValueError, match="here: expected 'width' to be "):
        image_size(record, "here")
