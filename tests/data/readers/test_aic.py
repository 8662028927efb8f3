"""AI Challenger: its own files, and its keypoints in COCO's form."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.readers.aic import aic_to_coco, read_aic
from pcrpose.data.readers.coco import read_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import AIC_14, COCO_17

STANDING = [10, 20, 1, 12, 25, 2, 14, 30, 1, 30, 20, 1, 32, 25, 1, 34, 30, 1] + [0, 0, 3] * 6 + [20, 5, 1, 20, 15, 1]
CONTENT: list[dict[str, Any]] = [
    {
        "image_id": "b0a2",
        "url": "http://example.com",
        "human_annotations": {"human1": [5, 2, 45, 50], "human2": [0, 0, 20, 20]},
        "keypoint_annotations": {"human2": [7, 8, 3] * 13 + [9, 9, 2], "human1": STANDING},
    },
    {
        "image_id": "a11c",
        "human_annotations": {"human1": [50, 10, 99, 60]},
        "keypoint_annotations": {"human1": STANDING},
    },
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write the images of the content."""
    for name, size in (("b0a2", (60, 55)), ("a11c", (80, 40))):
        PIL.Image.new("RGB", size).save(tmp_path / f"{name}.jpg")
    return tmp_path


def changed(field: str, value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON values
    """The content with a field of its first image replaced."""
    content = copy.deepcopy(CONTENT)
    content[0][field] = value
    return content


def test_reading(images: Path) -> None:
    """Images and persons are numbered in the file's order, visibilities translated, boxes clipped."""
    (images / "raw.json").write_text(json.dumps(CONTENT))
    data = read_aic(images / "raw.json", images)
    hidden, first, second = data.samples

    assert data.skeleton is AIC_14
    assert dict(data.image_sizes) == {1: Size(width=60, height=55), 2: Size(width=80, height=40)}
    assert data.image_paths[2] == images / "a11c.jpg"
    assert [(sample.image_id, sample.annotation_id) for sample in data.samples] == [(1, 1), (1, 2), (2, 3)]
    assert first.box_xyxy.tolist() == [5, 2, 44, 49]
    assert second.box_xyxy.tolist() == [50, 10, 79, 39]
    assert first.area == 40 * 48
    assert first.visibility.tolist() == [2, 1, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 2, 2]
    assert first.keypoints[AIC_14.index("right_elbow")].tolist() == [12, 25]
    assert hidden.visibility.tolist() == [0] * 13 + [1]
    assert not hidden.keypoints[:13].any()


def test_reading_agrees_with_the_references_conversions(golden_file: Callable[[str], Path], images: Path) -> None:
    """The keypoints that a 17-point model is shown are those of the reference's conversions."""
    examples = json.loads(golden_file("aic_to_coco.json").read_text())["examples"]
    people = {f"human{place}": example["aic"] for place, example in enumerate(examples, start=1)}
    entry = {"image_id": "b0a2", "human_annotations": {key: [1, 1, 50, 50] for key in people}}
    data = read_aic([entry | {"keypoint_annotations": people}], images)

    assert len(data) == len(examples) == 20
    for sample, example in zip(data.samples, examples, strict=True):
        triples = np.concatenate([sample.keypoints, sample.visibility[:, None]], axis=1)
        assert AIC_14.convert(triples, COCO_17).ravel().tolist() == example["coco"]


def test_a_raw_file_reads_like_its_conversion(shared_data: Callable[[str], Path]) -> None:
    """Real annotations, turned back into AI Challenger's own form, give the samples of their COCO form."""
    path = shared_data("samples/aic/test_aic.json")
    content = json.loads(path.read_text())
    raw = []
    for image in content["images"]:
        boxes, keypoints = {}, {}
        for person in (each for each in content["annotations"] if each["image_id"] == image["id"]):
            x, y, w, h = person["bbox"]
            boxes[f"human{person['id']}"] = [x, y, x + w, y + h]
            triples = np.array(person["keypoints"]).reshape(-1, 3)
            triples[:, 2] = 3 - triples[:, 2]
            keypoints[f"human{person['id']}"] = triples.ravel().tolist()
        name = image["file_name"].removesuffix(".jpg")
        raw.append({"image_id": name, "human_annotations": boxes, "keypoint_annotations": keypoints})
    found, expected = read_aic(raw, path.parent), read_coco(path, path.parent)

    assert found.skeleton is expected.skeleton
    assert len(found) == len(expected) == 9
    assert dict(found.image_sizes) == dict(expected.image_sizes)
    assert dict(found.image_paths) == dict(expected.image_paths)
    for mine, theirs in zip(found.samples, expected.samples, strict=True):
        assert (mine.image, mine.image_id, mine.area) == (theirs.image, theirs.image_id, theirs.area)
        np.testing.assert_array_equal(mine.box_xyxy, theirs.box_xyxy)
        np.testing.assert_array_equal(mine.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(mine.visibility, theirs.visibility)


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ({"human2": [0, 0, 20, 20]}, "without a box"),
        ({"human1": None, "human2": [0, 0, 20, 20]}, "without a box"),
        ({"human1": [45, 2, 5, 50], "human2": [0, 0, 20, 20]}, "without a box inside the image"),
        ({"human1": [9, 9, 9, 9], "human2": [0, 0, 20, 20]}, "without a box inside the image"),
        ({"human1": [60, 0, 90, 20], "human2": [0, 0, 20, 20]}, "without a box inside the image"),
        ({"human1": [-30, 0, 0, 20], "human2": [0, 0, 20, 20]}, "without a box inside the image"),
    ],
)
def test_persons_without_a_usable_box_are_left_out(
    boxes: dict[str, Any], reason: str, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad box among hundreds of thousands stops nobody, and is counted."""
    with caplog.at_level(logging.INFO):
        data = read_aic(changed("human_annotations", boxes), images)

    assert [sample.annotation_id for sample in data.samples] == [1, 3]
    assert caplog.messages == [f"annotations: 2 persons in 2 images, 1 left out {reason}"]


def test_persons_without_keypoints_are_left_out(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody of whom nothing is labelled becomes a sample."""
    people = {"human1": [1, 2, 3] * 14, "human2": STANDING}
    with caplog.at_level(logging.INFO):
        data = read_aic(changed("keypoint_annotations", people), images)

    assert [sample.annotation_id for sample in data.samples] == [2, 3]
    assert caplog.messages == ["annotations: 2 persons in 2 images, 1 left out without a labelled keypoint"]


def test_missing_images_are_left_out_with_a_warning(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who has a part of the data set trains on that part; images keep their numbers."""
    (images / "b0a2.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        data = read_aic(CONTENT, images)

    assert [(sample.image_id, sample.annotation_id) for sample in data.samples] == [(2, 3)]
    assert list(data.image_paths) == [2]
    assert "1 of 2 images are missing or broken and left out" in caplog.text
    assert "b0a2.jpg: no such image file" in caplog.text


def test_a_broken_image_is_left_out(images: Path) -> None:
    """A file that is no image counts like one that is missing."""
    (images / "b0a2.jpg").write_text("no image")

    assert [sample.image_id for sample in read_aic(CONTENT, images).samples] == [2]


def test_the_wrong_folder_is_an_error(tmp_path: Path) -> None:
    """Without a single image the folder is wrong, and the message says where it was looked for."""
    with pytest.raises(FileNotFoundError, match=r"2 of 2 images are missing or broken in .*, such as: .*b0a2\.jpg"):
        read_aic(CONTENT, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, r"expected AI Challenger's list of images, found a dict; conversions .* read_coco"),
        ([3], r"image 1: expected a field 'image_id', found 3"),
        (changed("image_id", 7), r"image 1: expected 'image_id' to be a text, found 7"),
        (changed("keypoint_annotations", [STANDING]), r"image 1: expected 'keypoint_annotations' to be an object"),
        (changed("human_annotations", None), r"image 1: expected 'human_annotations' to be an object, found None"),
        (
            changed("keypoint_annotations", {"human1": STANDING[:-3]}),
            r"image 1: human1: expected 42 numbers in 'human1', found \[10, 20",
        ),
        (
            changed("keypoint_annotations", {"human1": [1, 2, 0] * 14}),
            r"image 1: human1: expected AI Challenger's visibilities 1, 2 and 3, found \[0.0\]",
        ),
        (
            changed("keypoint_annotations", {"human1": [float("nan"), 2, 1] * 14}),
            r"image 1: human1: sample of image 1: expected finite keypoints",
        ),
        (changed("human_annotations", {"human2": [1, 2, 3]}), r"image 1: human2: expected 4 numbers in 'human2'"),
    ],
)
def test_wrong_files_are_refused(content: Any, message: str, images: Path) -> None:  # noqa: ANN401 - wrong on purpose
    """Each message says where in the file it is wrong."""
    with pytest.raises(ValueError, match=message):
        read_aic(content, images)


def test_reference_conversions(golden_file: Callable[[str], Path]) -> None:
    """The reference's twenty conversions, one by one and all at once."""
    examples = json.loads(golden_file("aic_to_coco.json").read_text())["examples"]

    for example in examples:
        assert aic_to_coco(example["aic"]).tolist() == example["coco"]
    together = aic_to_coco([example["aic"] for example in examples])
    assert together.tolist() == [example["coco"] for example in examples]


def test_sides_stay_anatomical() -> None:
    """A right wrist stays a right wrist; what COCO lacks is dropped, what AI Challenger lacks is not labelled."""
    values = np.tile([0.0, 0.0, 3.0], (14, 1))
    values[AIC_14.index("right_wrist")] = (10, 20, 1)
    values[AIC_14.index("head_top")] = (30, 40, 1)

    converted = aic_to_coco(values.ravel()).reshape(17, 3)

    assert converted[COCO_17.index("right_wrist")].tolist() == [10, 20, 2]
    assert np.count_nonzero(converted.any(axis=1)) == 1


def test_values_of_unlabelled_keypoints_are_cleared() -> None:
    """Coordinates beside visibility 3 mean nothing and become zero."""
    assert not aic_to_coco([5.0, 6.0, 3.0] * 14).any()


def test_empty_input() -> None:
    """No persons in, no persons out."""
    assert aic_to_coco(np.zeros((0, 42))).shape == (0, 51)


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([1.0] * 51, r"expected shape \(..., 42\), found \(51,\)"),
        ([1.0, 2.0, 0.0] * 14, r"keypoints: expected AI Challenger's visibilities 1, 2 and 3, found \[0.0\]"),
    ],
)
def test_wrong_values_are_refused(keypoints: list[float], message: str) -> None:
    """Another shape, and visibilities that were converted before, are errors."""
    with pytest.raises(ValueError, match=message):
        aic_to_coco(keypoints)
