"""Gathering persons: numbers, counts, and boxes clipped as those of COCO's files are."""

import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.person_list import PersonList, clip_corners
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ["low", "high"], [], [(0, 1)], [0.1, 0.1])
SIZE = Size(width=40, height=30)
BOX, POINTS = np.array([1.0, 2.0, 11.0, 22.0]), np.array([[3.0, 4.0], [5.0, 6.0]])


@example(corners=[0, 0, 39, 29])
@example(corners=[0, 0, 40, 30])
@example(corners=[39, 29, 50, 50])
@example(corners=[40, 0, 50, 10])
@example(corners=[-10, -10, 0, 0])
@example(corners=[5, 5, 5, 9])
@given(corners=st.lists(st.integers(-50, 90), min_size=4, max_size=4))
def test_boxes_are_clipped_as_cocos_are(corners: list[int]) -> None:
    """The same box, given as corners here and as left, top, width, height to `read_coco`, is kept or left out alike."""
    left, top, right, bottom = corners
    person = {"image_id": 1, "bbox": [left, top, right - left, bottom - top], "keypoints": [1, 1, 2, 0, 0, 0]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "stick", "keypoints": ["low", "high"]}],
        "annotations": [person | ({} if right > left and bottom > top else {"area": 0})],
    }
    expected = [sample.box_xyxy.tolist() for sample in read_coco(content, "folder").samples]
    persons = PersonList("file", "folder", STICK)
    image = persons.list_image("a.jpg", SIZE)
    persons.add(image, clip_corners(corners, SIZE), POINTS, [2, 0], "person")

    assert [sample.box_xyxy.tolist() for sample in persons.finish().samples] == expected


def test_numbers(tmp_path: Path) -> None:
    """Images and persons count from 1, who is left out included; an image is opened once."""
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    persons = PersonList("file", tmp_path, STICK)
    assert persons.open_listed("missing.png") is None
    persons.leave_out("in vain", 2)
    image = persons.open_listed("a.png")
    assert image is not None
    assert persons.open_listed("a.png") is persons.list_image("a.png", SIZE) is image
    persons.add(image, BOX, POINTS, [2, 0], "person")
    data = persons.finish()
    sample = data.samples[0]

    assert (image.image_id, image.path, image.size) == (2, tmp_path / "a.png", SIZE)
    assert (sample.image_id, sample.annotation_id, sample.area) == (2, 3, 200)
    assert sample.keypoints.tolist() == [[3, 4], [0, 0]]
    assert list(data.image_paths) == list(data.image_sizes) == [2]


def test_the_log_counts_who_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Persons of one reason are counted together."""
    persons = PersonList("file", "folder", STICK)
    image = persons.list_image("a.jpg", SIZE)
    with caplog.at_level(logging.INFO):
        persons.leave_out("without a hat")
        persons.leave_out("without a hat")
        persons.add(image, BOX, POINTS, [0, 0], "person")
        persons.add(image, np.zeros(4), POINTS, [1, 0], "person")
        assert len(persons.finish()) == 0

    reasons = "2 left out without a hat, 1 left out without a labelled keypoint, 1 left out without a box inside"
    assert caplog.messages == [f"file: 0 persons in 1 images, {reasons} the image"]


@pytest.mark.parametrize(("lost", "level"), [(1, "INFO"), (2, "WARNING")])
def test_many_who_are_left_out_are_a_warning(lost: int, level: str, caplog: pytest.LogCaptureFixture) -> None:
    """One of six is a stray mistake, two of seven are not."""
    persons = PersonList("file", "folder", STICK)
    image = persons.list_image("a.jpg", SIZE)
    for _ in range(5):
        persons.add(image, BOX, POINTS, [2, 0], "person")
    for _ in range(lost):
        persons.add(image, np.zeros(4), POINTS, [2, 0], "person")

    with caplog.at_level(logging.INFO, "pcrpose"):
        persons.finish()

    assert [record.levelname for record in caplog.records] == [level]


def test_nothing_at_all() -> None:
    """A file without images is no wrong folder."""
    assert len(PersonList("file", "folder", STICK).finish()) == 0


def test_wrong_numbers_are_refused() -> None:
    """What makes no sample is refused with the person's place in the file."""
    persons = PersonList("file", "folder", STICK)
    image = persons.list_image("a.jpg", SIZE)

    with pytest.raises(ValueError, match=r"row 7: sample of image 1: expected 2 visibilities of 0, 1 or 2"):
        persons.add(image, BOX, POINTS, [1, 5], "row 7")
