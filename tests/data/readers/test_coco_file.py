"""Opening an annotation file: the doctor reads what training reads, and says what a file is that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.coco_file import AnnotationFile

CONTENT: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "1.png", "width": 9, "height": 9}],
    "annotations": [],
    "categories": [{"id": 1, "name": "stick", "keypoints": ["tip"]}],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_it_reads_what_training_reads(encoding: str, tmp_path: Path) -> None:
    """Whatever the file's encoding, both take it."""
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(CONTENT), encoding=encoding)
    file = AnnotationFile.read(path)

    assert (file.name, file.content, file.findings[0].check) == (str(path), CONTENT, "sections")
    assert list(read_coco(path, tmp_path).image_sizes) == [1]


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "Expecting property name"), ("[" * 100_000, "maximum recursion depth exceeded"), ("", "Expecting value")],
    ids=["cut off", "deep", "empty"],
)
def test_what_is_not_json_is_a_finding(content: str, why: str, tmp_path: Path) -> None:
    """The message names the file and the parser's reason once."""
    path = tmp_path / "broken.json"
    path.write_text(content)
    (finding,) = AnnotationFile.read(path).findings

    assert (finding.severity, finding.check) == ("error", "json")
    assert finding.message.startswith(f"{path} is not JSON ({why}") or f"({why}" in finding.message.replace(
        "maximum ", ""
    )
    assert finding.message.count(str(path)) == 1


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file and a folder are errors, not findings."""
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such annotation file"):
        AnnotationFile.read(tmp_path / "none.json")
    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        AnnotationFile.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([{"image_id": "a", "keypoint_annotations": {}, "human_annotations": {}}], "is in AI Challenger's form, which"),
        ([{"image": "a.jpg", "center": [1, 2], "scale": 1.0}], "is in MPII's form, which is not examined"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}] * 6, "is a list of 6, as detections are"),
        ([{"image_id": 1, "keypoints": [], "center": [1, 2], "scale": [1, 1]}], "is a list of 1, as detections are"),
        ([], "is a list of 0, as detections are"),
        ([[3]], "is a list of 1, as detections are"),
        (3, "holds no object"),
    ],
)
def test_lists_are_told_apart(content: object, what: str, tmp_path: Path) -> None:
    """Other data sets' own files are called by their name, results are not taken for them."""
    path = tmp_path / "list.json"
    path.write_text(json.dumps(content))
    file = AnnotationFile.read(path)

    assert file.content is None
    assert [(finding.severity, finding.check) for finding in file.findings] == [("error", "sections")]
    assert file.findings[0].message.startswith(f"{path} {what}")
    assert file.findings[0].message.endswith("; give an object with images, annotations, categories")
