"""COCO's files with values that JSON allows and nothing else does: refused in one line that says where."""

import copy
import json
import math
from typing import Any

import pytest

from pcrpose.data.readers.coco import read_coco, read_detections, skeleton_of

CONTENT: dict[str, Any] = {
    "images": [{"id": 5, "file_name": "five.jpg", "width": 100, "height": 80}],
    "annotations": [{"id": 11, "image_id": 5, "category_id": 1, "bbox": [9, 9, 20, 30], "keypoints": [12, 22, 2] * 2}],
    "categories": [{"id": 1, "name": "stick", "keypoints": ["tip", "end"], "skeleton": [[1, 2]]}],
}
HUGE = 10**400


def changed(section: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """The content with some fields of a section's record replaced, as a file would bring it."""
    content = copy.deepcopy(CONTENT)
    content[section][0] |= fields
    return dict(json.loads(json.dumps(content)))


def test_the_content_itself_is_sound() -> None:
    """What the other tests change can be read."""
    assert len(read_coco(CONTENT, "folder")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("images", width=math.inf), "image 5: expected 'width' to be finite, found inf"),
        (changed("images", width=math.nan), "image 5: expected 'width' to be finite, found nan"),
        (changed("images", height=True), "image 5: expected 'height' to be a number, found True"),
        (changed("images", height=HUGE), "image 5: expected 'height' to be a number, found 1000"),
        (changed("images", id=[1]), r"annotations: image: expected 'id' to be a number or a text, found \[1\]"),
        (changed("annotations", image_id=[1]), r"annotation 11: expected 'image_id' to be a number or a text"),
        (changed("annotations", image_id={}), r"annotation 11: expected 'image_id' to be a number or a text"),
        (changed("annotations", bbox=[9, 9, math.inf, 30]), r"annotation 11: expected finite numbers in 'bbox'"),
        (changed("annotations", bbox=[math.nan, 9, 9, 30]), r"annotation 11: expected finite numbers in 'bbox'"),
        (changed("annotations", bbox=[9, 9, 20, HUGE]), "annotation 11: expected 4 numbers in 'bbox'"),
        (changed("annotations", area=math.nan), "annotation 11: expected 'area' to be finite, found nan"),
        (changed("annotations", keypoints=[12, HUGE, 2] * 2), "annotation 11: expected 6 numbers in 'keypoints'"),
        (changed("annotations", keypoints=[12, math.nan, 2] * 2), "annotation 11: .* expected finite keypoints"),
        (changed("categories", keypoints=5), "category 'stick': expected 'keypoints' to be a list, found 5"),
        (changed("categories", keypoints="tip"), "category 'stick': expected 'keypoints' to be a list, found 'tip'"),
        (changed("categories", skeleton=5), "category 'stick': expected 'skeleton' to be a list, found 5"),
        (changed("categories", skeleton=[1, 2]), "category 'stick': expected bones in 'skeleton' to be .*, found 1"),
        (changed("categories", skeleton=[[1, 2, 2]]), r"category 'stick': expected bones .*, found \[1, 2, 2\]"),
        (changed("categories", skeleton=[["tip", "end"]]), "category 'stick': expected bones .*, found .'tip'"),
        (changed("categories", skeleton=[[1, 9]]), "category 'stick': skeleton 'stick'"),
    ],
)
def test_refused_with_its_place(content: dict[str, Any], message: str) -> None:
    """Infinity, NaN, truth values, integers beyond any float, lists where one value belongs."""
    with pytest.raises(ValueError, match=message):
        read_coco(content, "folder")


def test_a_given_skeleton_does_not_hide_names_that_are_no_list() -> None:
    """The file's names are held against it, so they have to be names."""
    skeleton = read_coco(CONTENT, "folder").skeleton

    with pytest.raises(ValueError, match="category 'stick': expected 'keypoints' to be a list, found 5"):
        read_coco(changed("categories", keypoints=5), "folder", skeleton=skeleton)


def test_categories_without_bones() -> None:
    """None, an empty list and no field at all are the same."""
    assert all(not skeleton_of({"keypoints": ["a", "b"]} | bones).bones for bones in ({}, {"skeleton": None}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_id": [1]}, r"detection 0: expected 'image_id' to be a number or a text, found \[1\]"),
        ({"bbox": [1, 2, math.inf, 4]}, "detection 0: expected finite numbers in 'bbox'"),
        ({"score": math.nan}, "detection 0: expected 'score' to be finite, found nan"),
    ],
)
def test_detections_are_refused_alike(fields: dict[str, Any], message: str) -> None:
    """The same values in a detector's file."""
    entry = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}

    with pytest.raises(ValueError, match=message):
        read_detections([entry | fields])
