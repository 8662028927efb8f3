"""Reading JSON, and taking values out of it that have to be there."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcrpose.files.json import (
    identifier,
    is_finite,
    is_number,
    mapping,
    number,
    numbers,
    read_json,
    read_object,
    records,
    text,
)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"MATLAB 5.0"])
def test_what_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever else the file holds, one kind of error names it."""
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ValueError, match=r"a\.json: expected JSON, found"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"b\.json: no such JSON file"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    """What editors and shells write is read, with a mark of its encoding or without."""
    (tmp_path / "a.json").write_text('{"name": "\u00e9"}', encoding=encoding)

    assert read_json(tmp_path / "a.json") == {"name": "\u00e9"}


def test_deep_files_and_folders_are_refused(tmp_path: Path) -> None:
    """Neither a recursion's nor the operating system's words reach the user."""
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)

    with pytest.raises(ValueError, match=r"deep\.json: expected JSON, found lists or objects nested too deeply"):
        read_json(path)
    with pytest.raises(IsADirectoryError, match="expected a JSON file, found a folder"):
        read_json(tmp_path)


def test_what_the_file_is_called(tmp_path: Path) -> None:
    """Messages call the file what its reader calls it, with the right article."""
    with pytest.raises(FileNotFoundError, match="x: no such annotation file"):
        read_json(tmp_path / "x", what="annotation file")
    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        read_json(tmp_path, what="annotation file")
    with pytest.raises(IsADirectoryError, match="expected a recipe, found a folder"):
        read_json(tmp_path, what="recipe")


def test_objects(tmp_path: Path) -> None:
    """An object is returned; a list is not one."""
    (tmp_path / "a.json").write_text('{"one": [1]}')
    (tmp_path / "b.json").write_text("[1]")

    assert read_object(tmp_path / "a.json") == {"one": [1]}
    with pytest.raises(ValueError, match=r"b\.json: expected an object, found \[1\]"):
        read_object(tmp_path / "b.json")


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
