"""OCHuman's own file, whose visibilities and boxes mean other things than COCO's."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.ochuman import read_ochuman
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17, OCHUMAN_19

VISIBILITY = {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3}
PERSON = [10, 20, 1, 11, 21, 2, 12, 22, 3, 0, 0, 0] + [30, 40, 1] * 15
CONTENT: dict[str, Any] = {
    "keypoint_visible": VISIBILITY,
    "keypoint_names": list(OCHUMAN_19.keypoints),
    "images": [
        {
            "file_name": "7.jpg",
            "image_id": "000007",
            "width": 90,
            "height": 80,
            "annotations": [
                {"bbox": [5, 6, 60, 90], "keypoints": None, "segms": None, "max_iou": 0.0},
                {"bbox": [5, 6, 60, 90], "keypoints": PERSON, "segms": None, "max_iou": 0.75},
            ],
        }
    ],
}


def changed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """The content with fields of its second person replaced."""
    content = copy.deepcopy(CONTENT)
    content["images"][0]["annotations"][1] |= fields
    return content


def test_reading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Corners are clipped, visibilities translated; persons without keypoints are counted."""
    (tmp_path / "ochuman.json").write_text(json.dumps(CONTENT))
    with caplog.at_level(logging.INFO):
        data = read_ochuman(tmp_path / "ochuman.json", "folder")
    sample = data.samples[0]

    assert data.skeleton is OCHUMAN_19
    assert dict(data.image_sizes) == {1: Size(width=90, height=80)}
    assert (sample.image, sample.image_id, sample.annotation_id) == (Path("folder/7.jpg"), 1, 2)
    assert sample.box_xyxy.tolist() == [5, 6, 59, 79]
    assert sample.area == 55 * 84
    assert sample.visibility.tolist() == [2, 2, 1, 0] + [2] * 15
    assert sample.keypoints[OCHUMAN_19.index("right_elbow")].tolist() == [11, 21]
    assert "1 persons in 1 images, 1 left out without keypoints" in caplog.text


def test_the_files_own_order_counts() -> None:
    """Keypoints are found by the file's list of names."""
    content = copy.deepcopy(CONTENT)
    content["keypoint_names"] = content["keypoint_names"][::-1]
    sample = read_ochuman(content, "folder").samples[0]

    assert sample.keypoints[OCHUMAN_19.index("left_eye")].tolist() == [10, 20]
    assert sample.visibility[OCHUMAN_19.index("nose")] == 1


def test_a_raw_file_reads_like_its_conversion(shared_data: Callable[[str], Path]) -> None:
    """Real annotations, turned back into OCHuman's own form, show a 17-point model the same."""
    path = shared_data("samples/ochuman/test_ochuman.json")
    content = json.loads(path.read_text())
    raw: dict[str, Any] = {"keypoint_visible": VISIBILITY, "keypoint_names": list(OCHUMAN_19.keypoints), "images": []}
    for image in content["images"]:
        people = []
        for person in (each for each in content["annotations"] if each["image_id"] == image["id"]):
            triples = np.array(person["keypoints"], dtype=float).reshape(-1, 3)
            triples[:, 2] = np.array([0, 3, 1])[triples[:, 2].astype(int)]
            x, y, w, h = person["bbox"]
            values = COCO_17.convert(triples, OCHUMAN_19).ravel().tolist()
            people.append({"bbox": [x, y, x + w, y + h], "keypoints": values, "segms": None, "max_iou": 0.6})
        raw["images"].append(image | {"annotations": people})
    found, expected = read_ochuman(raw, path.parent), read_coco(path, path.parent)

    assert len(found) == len(expected) == 5
    assert dict(found.image_paths) == dict(expected.image_paths)
    for mine, theirs in zip(found.samples, expected.samples, strict=True):
        np.testing.assert_array_equal(mine.box_xyxy, theirs.box_xyxy)
        np.testing.assert_array_equal(OCHUMAN_19.convert(mine.keypoints, COCO_17), theirs.keypoints)
        there = OCHUMAN_19.convert(mine.visibility[:, None], COCO_17)[:, 0]
        np.testing.assert_array_equal(there, theirs.visibility)
        assert mine.area == theirs.area


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected OCHuman's object with 'keypoint_names' and 'images', found a list"),
        ({"images": []}, r"expected OCHuman's object .*, found \['images'\]"),
        (CONTENT | {"keypoint_names": ["nose"]}, r"expected the 19 'keypoint_names' of OCHuman, found \['nose'\]"),
        ({"keypoint_names": CONTENT["keypoint_names"]}, "expected a field 'images'"),
        (changed(keypoints=PERSON[:-3]), "image 1: person 2: expected 57 numbers in 'keypoints'"),
        (changed(keypoints=[1, 2, 4] * 19), r"person 2: expected OCHuman's visibilities 0, 1, 2 and 3, found \[4.0\]"),
        (changed(bbox=[1, 2, 3]), "image 1: person 2: expected 4 numbers in 'bbox'"),
        (changed(bbox=[1, 2, float("inf"), 9]), "image 1: person 2: expected finite numbers in 'bbox'"),
        (CONTENT | {"images": [{"file_name": "7.jpg"}]}, "image 1: expected a field 'width'"),
        (CONTENT | {"images": [{"file_name": "7.jpg", "width": 0, "height": 9}]}, "image 1: expected a positive"),
    ],
)
def test_wrong_files_are_refused(content: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    """Each message says where in the file it is wrong."""
    with pytest.raises(ValueError, match=message):
        read_ochuman(content, "folder")


@pytest.mark.parametrize("box", [[60, 6, 5, 90], [90, 6, 120, 70], [5, 5, 5, 5]])
def test_persons_without_a_usable_box_are_left_out(box: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """Turned round, outside or of no size: counted."""
    with caplog.at_level(logging.INFO):
        assert len(read_ochuman(changed(bbox=box), "folder")) == 0

    assert "1 left out without a box inside the image" in caplog.text
