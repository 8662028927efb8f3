"""Reading JSON, and taking values out of it that have to be there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcrpose.data.formats.json_file import JsonFile, load_json, mapping, number, numbers, picture_size, records, text
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


@pytest.mark.parametrize(
    ("take", "right", "wrong", "message"),
    [
        (records, [{}], [3], "expected 'key' to be a list of objects"),
        (mapping, {}, [], r"expected 'key' to be an object, found \[\]"),
        (number, 1.5, "1.5", "expected 'key' to be a number, found '1.5'"),
        (text, "a", None, "expected 'key' to be a text, found None"),
        (lambda record, key, where: numbers(record, key, 2, where), [1, 2.5], [1], r"expected 2 numbers in 'key'"),
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
    assert picture_size({"width": 640.0, "height": 480}, "here") == Size(width=640, height=480)
    for width in (0, 0.5, -3):
        with pytest.raises(ValueError, match="here: expected a positive whole width and height"):
            picture_size({"width": width, "height": 480}, "here")
