"""The table of writers: a new folder, whole or not at all."""

from pathlib import Path

import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.read_annotations import FORMATS
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.data.writers.write_annotations import WRITERS, write_annotations


@pytest.fixture
def persons(tmp_path: Path) -> AnnotatedPersons:
    """Read one drawn person."""
    return read_coco(write_synthetic_coco(tmp_path / "drawn", 1), tmp_path / "drawn/images")


def test_what_is_written_is_read() -> None:
    """Each written format is one of those that are read."""
    assert tuple(WRITERS) == ("coco", "yolo")
    assert set(WRITERS) <= set(FORMATS)


@pytest.mark.parametrize(
    ("file_format", "files"), [("coco", ["annotations.json"]), ("yolo", ["data.yaml", "labels", "labels/000000.txt"])]
)
def test_a_new_folder(file_format: str, files: list[str], persons: AnnotatedPersons, tmp_path: Path) -> None:
    """It holds the format's files; a second time it is refused."""
    out = tmp_path / "out"
    write_annotations(out, persons, tmp_path / "drawn/images", file_format=file_format)

    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == files
    with pytest.raises(FileExistsError, match="out: expected a new or an empty folder"):
        write_annotations(out, persons, tmp_path / "drawn/images", file_format=file_format)


def test_nothing_is_left_of_a_mistake(persons: AnnotatedPersons, tmp_path: Path) -> None:
    """An unknown format, images elsewhere."""
    with pytest.raises(ValueError, match=r"file_format: expected one of \['coco', 'yolo'\], found 'voc'"):
        write_annotations(tmp_path / "out", persons, tmp_path, file_format="voc")
    for file_format in WRITERS:
        with pytest.raises(ValueError, match="expected an image in the folder"):
            write_annotations(tmp_path / "out", persons, tmp_path / "elsewhere", file_format=file_format)

    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]
