"""Written COCO files: against one written by hand, and read again."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.data.writers.coco import coco_content, write_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17, KNOWN_SKELETONS, Skeleton

IMAGES = Path("photos")
RACKET = Skeleton("racket", ("tip", "left_edge", "right_edge"), [(1, 2)], [(0, 1), (0, 2)], [0.07] * 3)
SIZE = Size(width=90, height=70)


def sample(**changes: object) -> Sample:
    """Make a person of three keypoints, the last of which is not labelled."""
    values = {
        "image": IMAGES / "day/1.jpg",
        "image_id": 7,
        "box_xyxy": np.array([10.0, 20.5, 39.0, 59.5]),
        "keypoints": np.array([[12.0, 22.25], [13.0, 23.0], [5.0, 5.0]]),
        "visibility": np.array([2, 1, 0]),
        "area": 640.5,
    }
    return Sample(**(values | changes))  # type: ignore[arg-type]


def persons(*samples: Sample, skeleton: Skeleton = RACKET) -> AnnotatedPersons:
    """List persons of two images."""
    return AnnotatedPersons(
        skeleton=skeleton,
        samples=samples,
        image_sizes={7: SIZE, 9: SIZE},
        image_paths={7: IMAGES / "day/1.jpg", 9: IMAGES / "2.jpg"},
    )


def test_every_field_is_coco_s() -> None:
    """The box counts its last pixel in, bones are counted from 1, a keypoint without a label is zero."""
    content = coco_content(persons(sample(box_score=0.625)), IMAGES)
    content.pop("info")

    assert content == {
        "images": [
            {"id": 7, "file_name": "day/1.jpg", "width": 90, "height": 70},
            {"id": 9, "file_name": "2.jpg", "width": 90, "height": 70},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": [],
                "bbox": [10, 20.5, 30, 40],
                "area": 640.5,
                "keypoints": [12, 22.25, 2, 13, 23, 1, 0, 0, 0],
                "num_keypoints": 2,
                "score": 0.625,
            }
        ],
        "categories": [
            {"id": 1, "name": "racket", "supercategory": "person"}
            | {"keypoints": ["tip", "left_edge", "right_edge"], "skeleton": [[1, 2], [1, 3]]}
        ],
    }


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_read_again(data: st.DataObject) -> None:
    """Coordinates to half a thousandth of a pixel, the box's far side to a thousandth, all else exactly."""
    x = st.floats(0, SIZE.width - 1)
    y = st.floats(0, SIZE.height - 1)
    points = data.draw(st.lists(st.tuples(x, y, st.integers(0, 2)), min_size=3, max_size=3))
    points[0] = (*points[0][:2], 2)
    (x1, x2), (y1, y2) = sorted((data.draw(x), data.draw(x))), sorted((data.draw(y), data.draw(y)))
    x2 = max(x2, x1 + 0.01)
    written = sample(
        box_xyxy=np.array([x1, y1, min(x2, SIZE.width - 1), y2 + 0.01 * (y2 < SIZE.height - 2)]),
        keypoints=np.array([point[:2] for point in points]),
        visibility=np.array([point[2] for point in points]),
        area=data.draw(st.floats(1, 1e5)),
        annotation_id=data.draw(st.integers(1, 999)),
    )
    found = read_coco(coco_content(persons(written), IMAGES), IMAGES)

    (read,) = found.samples
    expected = written.keypoints * written.labelled[:, None]
    np.testing.assert_allclose(read.keypoints, expected, rtol=0, atol=0.000501)
    np.testing.assert_allclose(read.box_xyxy, written.box_xyxy, rtol=0, atol=0.00101)
    np.testing.assert_array_equal(read.visibility, written.visibility)
    assert read.area == pytest.approx(written.area, abs=0.000501)
    assert (read.image_id, read.annotation_id, read.image) == (7, written.annotation_id, written.image)
    assert (found.skeleton, found.image_sizes) == (RACKET, {7: SIZE, 9: SIZE})


@pytest.mark.parametrize("skeleton", KNOWN_SKELETONS, ids=lambda skeleton: skeleton.name)
def test_known_skeletons_come_back(skeleton: Skeleton) -> None:
    """Their sigmas and flip pairs too: their keypoints' names are enough."""
    found = read_coco(coco_content(persons(skeleton=skeleton), IMAGES), IMAGES)

    assert found.skeleton is skeleton
    assert found.image_paths == {7: IMAGES / "day/1.jpg", 9: IMAGES / "2.jpg"}


def test_synthetic_data_come_back(tmp_path: Path) -> None:
    """A file, read, written and read again, says the same."""
    first = read_coco(write_synthetic_coco(tmp_path, 3), tmp_path / "images")
    write_coco(tmp_path / "again", first, tmp_path / "images")
    second = read_coco(tmp_path / "again/annotations.json", tmp_path / "images")

    assert second.skeleton is COCO_17
    assert second.image_paths == first.image_paths
    for read, written in zip(second.samples, first.samples, strict=True):
        np.testing.assert_allclose(read.keypoints, written.keypoints, atol=0.000501)
        assert (read.annotation_id, read.image_id) == (written.annotation_id, written.image_id)


def test_what_is_refused(tmp_path: Path) -> None:
    """A file that is there, an image elsewhere, a hard negative."""
    write_coco(tmp_path, persons(), IMAGES)
    assert json.loads((tmp_path / "annotations.json").read_text())["annotations"] == []
    with pytest.raises(FileExistsError, match=r"annotations\.json: expected no such file, found one"):
        write_coco(tmp_path, persons(), IMAGES)
    with pytest.raises(ValueError, match=r"1\.jpg: expected an image in the folder elsewhere, found one elsewhere"):
        coco_content(persons(), "elsewhere")
    nobody = sample(visibility=np.zeros(3, dtype=int), is_background=True)
    with pytest.raises(ValueError, match="sample of image 7: expected a person, found a hard negative"):
        coco_content(persons(nobody), IMAGES)


def test_an_area_of_zero_is_the_box() -> None:
    """COCO's readers leave out persons without an area; numbers that repeat are given anew."""
    content = coco_content(persons(sample(area=0.0, annotation_id=4), sample(annotation_id=4)), IMAGES)

    assert [(entry["id"], entry["area"]) for entry in content["annotations"]] == [(1, 1200), (2, 640.5)]
