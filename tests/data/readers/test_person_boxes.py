"""Person boxes: everybody counts, crowds and people without keypoints too, and nobody is passed over in silence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.readers.person_boxes import PersonBoxes
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17

CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}


def content(*annotations: dict[str, Any]) -> dict[str, Any]:
    """Give the content of a file of three images: complete, incomplete, not stated."""
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 90, "height": 60} for number in (1, 2, 3)]
    images[0]["annotations_complete"], images[1]["annotations_complete"] = True, False
    return {"images": images, "annotations": list(annotations), "categories": [CATEGORY]}


def person(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Give an annotation."""
    return {"id": 5, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], **values}


def test_everybody_counts() -> None:
    """Crowds, persons without keypoints and without an area are persons; other things are not."""
    crowd = person(id=6, bbox=[0, 0, 5, 5], iscrowd=1, segmentation={"counts": "", "size": [60, 90]})
    kite = person(id=7, category_id=38, bbox="nonsense")

    people = PersonBoxes.read(content(person(), crowd, kite, person(id=8, image_id=2, area=0, num_keypoints=0)))

    assert {key: boxes.tolist() for key, boxes in people.boxes_xyxy.items()} == {
        1: [[10, 20, 40, 60], [0, 0, 5, 5]],
        2: [[10, 20, 40, 60]],
        3: [],
    }
    assert people.file_names == {1: "1.jpg", 2: "2.jpg", 3: "3.jpg"}
    assert people.sizes == dict.fromkeys((1, 2, 3), Size(width=90, height=60))
    assert people.boxes_xyxy[3].shape == (0, 4)
    assert people.boxes_xyxy[3].dtype == np.float64


def test_what_the_file_says_of_its_images() -> None:
    """Images that lack persons, and those that do not say, are told apart."""
    people = PersonBoxes.read(content())

    assert (people.incomplete, people.unstated) == (frozenset({2}), frozenset({3}))


def test_a_file_is_read_as_its_content_is(tmp_path: Path) -> None:
    """The path of a file gives the same."""
    (tmp_path / "a.json").write_text(json.dumps(content(person())))

    assert PersonBoxes.read(tmp_path / "a.json").boxes_xyxy[1].tolist() == [[10, 20, 40, 60]]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (person(bbox=[1, 2, 3]), "annotation 5: expected 4 finite numbers in 'bbox', found"),
        (person(bbox=None), "annotation 5: expected 4 finite numbers"),
        (person(bbox=[1, 2, float("nan"), 4]), "annotation 5: expected 4 finite numbers"),
        (person(image_id=9), "annotation 5: image_id 9 is not among the 3 images"),
        ("nobody", "entries of 'annotations' that are no objects"),
    ],
)
def test_a_person_that_cannot_be_placed_is_an_error(annotation: Any, message: str) -> None:  # noqa: ANN401 - a broken entry
    """Passing over one would let a detection on that person be mined."""
    with pytest.raises(ValueError, match=message):
        PersonBoxes.read(content(annotation))


@pytest.mark.parametrize("field", ["id", "file_name", "width", "height"])
def test_a_image_without_a_name_is_an_error(field: str) -> None:
    """The message says which one."""
    broken = content()
    del broken["images"][1][field]

    with pytest.raises(
        ValueError, match="image at position 1: expected an id, a file_name, a width and a height, found"
    ):
        PersonBoxes.read(broken)


@pytest.mark.parametrize("section", ["images", "annotations"])
def test_a_missing_section_is_an_error(section: str) -> None:
    """A file of other content is not taken for one without persons."""
    broken = content(person())
    del broken[section]

    with pytest.raises(ValueError, match=f"missing sections.*{section}"):
        PersonBoxes.read(broken)


def test_a_detection_file_is_an_error(tmp_path: Path) -> None:
    """A list is what results are."""
    (tmp_path / "d.json").write_text("[]")

    with pytest.raises(ValueError, match=r"d\.json: .*a list of 0"):
        PersonBoxes.read(tmp_path / "d.json")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        PersonBoxes.read(tmp_path / "none.json")
