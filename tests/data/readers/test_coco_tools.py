"""COCO files as annotation tools export them, by hand after their exporters: what differs from COCO is taken."""

from typing import Any

import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.keypoints.skeleton import Skeleton

NAMES = ["tip", "left_edge", "right_edge"]


def label_studio(**changes: object) -> dict[str, Any]:
    """Return an export of Label Studio: numbers from 0, no area, names of folders, rectangles of another category."""
    points = {"id": 1, "image_id": 0, "category_id": 1, "num_keypoints": 2, "iscrowd": 0}
    return {
        "images": [{"width": 90, "height": 70, "id": 0, "file_name": "images/3f2a-court.jpg"}],
        "categories": [
            {"id": 0, "name": "player"},
            {"id": 1, "name": "default", "supercategory": "default", "keypoints": NAMES, "skeleton": []},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [8.1, 18.0, 30.0, 40.0]}
            | {"ignore": 0, "iscrowd": 0, "area": 1200.0},
            points | {"bbox": [10, 20, 30, 15], "keypoints": [10, 20, 2, 0, 0, 0, 40, 35, 2]} | changes,
        ],
        "info": {"year": 2024, "version": "1.0", "contributor": "Label Studio"},
    }


def cvat() -> dict[str, Any]:
    """Return CVAT's "COCO Keypoints 1.0": every label a category, points that are outside keep their coordinates."""
    common = {"image_id": 1, "category_id": 2, "segmentation": [], "area": 450.0, "iscrowd": 0}
    attributes = {"attributes": {"occluded": False, "keyframe": False}}
    outside = {"bbox": [10.0, 20.0, 30.0, 15.0], "keypoints": [10.0, 20.0, 0, 25.5, 30.0, 0, 40.0, 35.0, 0]}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [
            {"id": 1, "name": "ball", "supercategory": "", "keypoints": [], "skeleton": []},
            {"id": 2, "name": "racket", "supercategory": "", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]},
        ],
        "images": [
            {"id": 1, "width": 90, "height": 70, "file_name": "court.jpg"}
            | {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
        ],
        "annotations": [
            common
            | attributes
            | {"id": 1, "num_keypoints": 2, "bbox": [10.0, 20.0, 30.0, 15.0]}
            | {"keypoints": [10.0, 20.0, 2, 25.5, 30.0, 0, 40.0, 35.0, 1]},
            common | attributes | {"id": 2, "num_keypoints": 0} | outside,
        ],
    }


def test_label_studio() -> None:
    """The category with keypoints is taken, and the box's area; a name may hold a folder."""
    found = read_coco(label_studio(), "export")

    (person,) = found.samples
    assert found.skeleton == Skeleton("default", NAMES, [(1, 2)], [], [0.07] * 3)
    assert (str(person.image), person.area, person.image_id) == ("export/images/3f2a-court.jpg", 450, 0)
    assert person.keypoints.tolist() == [[10, 20], [0, 0], [40, 35]]
    assert person.visibility.tolist() == [2, 0, 2]


def test_label_studio_without_an_order() -> None:
    """Points without a ``model_index`` are missing from the numbers, and that is said."""
    with pytest.raises(ValueError, match="annotation 1: expected 9 numbers in 'keypoints', found"):
        read_coco(label_studio(keypoints=[10, 20, 2, 40, 35, 2]), "export")


def test_cvat() -> None:
    """Labels without a skeleton do not matter; a skeleton whose points are all outside is left out."""
    found = read_coco(cvat(), "export")

    (person,) = found.samples
    assert found.skeleton == Skeleton("racket", NAMES, [(1, 2)], [(0, 1), (0, 2)], [0.07] * 3)
    assert person.visibility.tolist() == [2, 0, 1]
    assert (person.area, person.annotation_id) == (450, 1)


def test_two_skeletons_are_refused() -> None:
    """The line names them; one reader reads one skeleton."""
    content = cvat()
    content["categories"][0]["keypoints"] = ["middle"]

    with pytest.raises(ValueError, match=r"expected one category with 'keypoints', found \['ball', 'racket'\]"):
        read_coco(content, "export")
