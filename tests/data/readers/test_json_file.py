"""Annotations in JSON: a file or its content, and image sizes."""

import json
from pathlib import Path

import pytest

from pcrpose.data.readers.json_file import JsonFile, image_size, load_json
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


def test_what_is_no_annotation_file(tmp_path: Path) -> None:
    """Messages say that annotations were expected."""
    with pytest.raises(FileNotFoundError, match=r"b\.json: no such annotation file"):
        load_json(tmp_path / "b.json")
    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        load_json(tmp_path)


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
