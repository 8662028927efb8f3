"""The file of hard negatives: it comes back as it was written, and what was seen decides what is trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.readers.negatives import Negative, NegativesFile, read_negatives, with_review, write_negatives
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import COCO_17, LSP_14

TREE = Negative(image_id=7, file_name="a/7.jpg", bbox=(1.5, 2.0, 30.25, 60.0), score=0.75)
SEEN = Negative(image_id=8, file_name="8.jpg", bbox=(0.0, 0.0, 9.0, 9.0), score=0.5, verified=True)
PERSON = Negative(image_id=8, file_name="8.jpg", bbox=(5.0, 0.0, 9.0, 9.0), score=0.25, verified=False, note="person")
ALL = (TREE, SEEN, PERSON)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write three boxes of each kind of review label."""
    file = tmp_path / "deep/negatives.json"
    write_negatives(file, ALL, {"detector": "drawn", "scores": [0.25, 1]})
    return file


def test_a_file_comes_back(path: Path) -> None:
    """Boxes, review labels, notes and source are what was written; nothing else lies beside the file."""
    found = NegativesFile.read(path)

    assert found.negatives == ALL
    assert found.source == {"detector": "drawn", "scores": [0.25, 1]}
    assert [file.name for file in path.parent.iterdir()] == ["negatives.json"]


def test_the_format_is_the_documented_one(path: Path) -> None:
    """Version, source and one object a box, a line each; a note only where there is one."""
    content = json.loads(path.read_text())

    assert list(content) == ["version", "source", "negatives"]
    assert content["version"] == 1
    assert content["negatives"][0] == {
        "image_id": 7,
        "file_name": "a/7.jpg",
        "bbox": [1.5, 2.0, 30.25, 60.0],
        "score": 0.75,
        "verified": None,
    }
    assert content["negatives"][2]["note"] == "person"
    assert sum('"bbox"' in line for line in path.read_text().splitlines()) == len(ALL)


def test_no_boxes_are_a_file_too(tmp_path: Path) -> None:
    """A detector without mistakes leaves an empty list."""
    write_negatives(tmp_path / "none.json", [], {})

    assert NegativesFile.read(tmp_path / "none.json").negatives == ()
    assert read_negatives(tmp_path / "none.json", tmp_path) == []


def test_samples_hold_no_person(path: Path) -> None:
    """Read to train on: no keypoint is labelled, the box has corners, the rejected one is left out."""
    samples = read_negatives(path, "photos", skeleton=LSP_14)

    assert [sample.image for sample in samples] == [Path("photos/a/7.jpg"), Path("photos/8.jpg")]
    assert [sample.image_id for sample in samples] == [7, 8]
    np.testing.assert_array_equal(samples[0].box_xyxy, [1.5, 2.0, 31.75, 62.0])
    assert all(sample.is_background and not sample.labelled.any() for sample in samples)
    assert samples[0].keypoints.shape == (14, 2)
    assert (samples[0].area, samples[0].box_score) == (30.25 * 60.0, 0.75)


def test_only_verified_boxes_can_be_asked_for(path: Path) -> None:
    """A box at which nobody has looked is then left out."""
    samples = read_negatives(path, "photos", verified_only=True)

    assert [sample.image_id for sample in samples] == [8]


def test_crops_of_negatives_teach_every_keypoint(tmp_path: Path) -> None:
    """A data set gives their crops with weight one for each keypoint."""
    annotations = write_synthetic_coco(tmp_path / "drawn", 1)
    name = json.loads(annotations.read_text())["images"][0]["file_name"]
    corner = Negative(image_id=1, file_name=name, bbox=(0, 0, 20, 30), score=0.5, verified=True)
    write_negatives(tmp_path / "n.json", [corner], {})
    samples = read_negatives(tmp_path / "n.json", annotations.parent / "images")

    item = KeypointDataset(samples, source_skeleton=COCO_17, crop=CropSpec(input_size=Size(width=48, height=64)))[0]

    assert item["is_background"]
    assert item["keypoint_weights"].tolist() == [1.0] * 17
    assert item["crop"].shape == (3, 64, 48)


@given(rejected=st.sets(st.integers(0, 2)))
def test_review_labels_follow_the_sheets(rejected: set[int]) -> None:
    """Indices name the rejected boxes, all the others are verified; nothing else changes."""
    found = with_review(ALL, rejected)

    assert [each.verified for each in found] == [index not in rejected for index in range(3)]
    assert [each.bbox for each in found] == [each.bbox for each in ALL]


@pytest.mark.parametrize("index", [3, -1])
def test_a_review_label_on_no_box_is_refused(index: int) -> None:
    """An index that no sheet shows is a mistyped one."""
    with pytest.raises(ValueError, match=f"expected indices from 0 to 2, found {index}"):
        with_review(ALL, [0, index])


def broken(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Give a file's content with one wrong entry."""
    entry = {**TREE.to_dict(), **values}
    return {"version": 1, "source": {}, "negatives": [SEEN.to_dict(), entry]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ([], "expected a file of negatives, as pcrpose mine writes them, found no 'version'"),
        ({"images": []}, "expected a file of negatives, as pcrpose mine writes them, found no 'version'"),
        ({"version": 2, "negatives": []}, "expected a file of negatives of version 1, found version 2"),
        ({"version": 1, "source": {}, "negatives": {}}, "expected an object 'source' and a list 'negatives', found"),
        ({"version": 1, "source": [], "negatives": []}, "expected an object 'source' and a list 'negatives', found"),
        ({"version": 1, "negatives": [3]}, "negative 0: expected an object, found 3"),
        (broken(image_id="7"), "negative 1: expected a whole number in 'image_id', found '7'"),
        (broken(image_id=True), "negative 1: expected a whole number in 'image_id', found True"),
        (broken(file_name=None), "negative 1: expected a text in 'file_name', found None"),
        (broken(score="high"), "negative 1: expected a number in 'score', found 'high'"),
        (broken(score=1.5), "negative 1: .*expected a score from 0 to 1, found 1.5"),
        (broken(bbox=[1, 2, 3]), "negative 1: expected 4 finite numbers in 'bbox'"),
        (broken(bbox=[1, 2, 3, None]), "negative 1: expected 4 finite numbers in 'bbox'"),
        (broken(bbox=[1, 2, 0, 4]), "negative 1: .*width, height of some size"),
        (broken(verified="yes"), "negative 1: expected 'verified' to be true, false or null, found 'yes'"),
        (broken(verified=1), "negative 1: expected 'verified' to be true, false or null, found 1"),
        (broken(verified=[]), "negative 1: expected 'verified' to be true, false or null"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(content: object, message: str, tmp_path: Path) -> None:
    """The message names the file, the entry and the field."""
    file = tmp_path / "broken.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))

    with pytest.raises(ValueError, match=f"broken.json: {message}"):
        NegativesFile.read(file)


def test_an_entry_without_a_review_label_is_refused(tmp_path: Path) -> None:
    """Left out is not the same as not looked at."""
    entry = TREE.to_dict()
    del entry["verified"]
    (tmp_path / "n.json").write_text(json.dumps({"version": 1, "negatives": [entry]}))

    with pytest.raises(ValueError, match="'verified' to be true, false or null"):
        NegativesFile.read(tmp_path / "n.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error is the one a caller expects for files."""
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file of negatives"):
        NegativesFile.read(tmp_path / "none.json")


def test_a_failed_write_leaves_the_file_as_it_was(path: Path) -> None:
    """What cannot be written is refused before the old file is touched."""
    before = path.read_bytes()

    with pytest.raises(ValueError, match="source: expected what JSON can hold"):
        write_negatives(path, [], {"model": object()})
    with pytest.raises(ValueError, match="source: expected what JSON can hold"):
        write_negatives(path, [], {"share": float("nan")})

    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1
