"""MPII: the original MATLAB file, and the JSON files made from it."""

import copy
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from scipy.io import savemat

from pcrpose.data.readers.mpii import read_mpii
from pcrpose.keypoints.boxes import windows
from pcrpose.keypoints.skeleton import MPII_16

POINTS = [[10.0 + place, 20.0 + 2 * place] for place in range(16)]
CONTENT: list[dict[str, Any]] = [
    {"image": "b.jpg", "center": [30, 40], "scale": 0.25, "joints": POINTS, "joints_vis": [1] * 16},
    {"image": "a.jpg", "center": [31, 41], "scale": 0.5, "joints": POINTS, "joints_vis": [0, 1] * 8},
    {"image": "b.jpg", "center": [32, 42], "scale": 0.25, "joints": [[-1, -1]] * 16, "joints_vis": [0] * 16},
    {"image": "b.jpg", "center": [33, 43], "scale": 0.25, "joints": POINTS, "joints_vis": [1] * 16},
]
NOTHING = np.zeros((0, 0))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write two images of 90 x 80 pixels."""
    for name in ("a", "b"):
        PIL.Image.new("RGB", (90, 80)).save(tmp_path / f"{name}.jpg")
    return tmp_path


def changed(**fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON values
    """The content with fields of its first person replaced."""
    content = copy.deepcopy(CONTENT)
    content[0] |= fields
    return content


def structure(rows: Sequence[dict[str, Any]]) -> npt.NDArray[Any]:
    """Make MATLAB's array of structures, whose fields may hold anything."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for place, row in enumerate(rows):
        for name in names:
            array[0, place][name] = row.get(name, NOTHING)
    return array


def keypoint(number: int, x: float, y: float, **mark: Any) -> dict[str, Any]:  # noqa: ANN401 - number or text
    """One keypoint of the original file."""
    return {"x": x, "y": y, "id": number} | mark


def original(path: Path, images: Sequence[dict[str, Any]]) -> Path:
    """Write a file nested as the original is: images of persons of keypoints."""
    head = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}  # a box round the head, not the person's
    rows = []
    for image in images:
        people = []
        for person in image["annorect"]:
            points = person["annopoints"]
            nested = structure([{"point": structure(points)}]) if points else NOTHING
            people.append(head | person | {"annopoints": nested})
        named = structure([{"name": image["name"]}])
        rows.append({"image": named, "annorect": structure(people) if people else NOTHING})
    release = {"annolist": structure(rows), "img_train": np.ones((1, len(rows))), "version": "12"}
    savemat(path, {"RELEASE": release})
    return path


def test_json(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Coordinates come down by one, persons come image by image, who has no keypoints is counted."""
    (images / "train.json").write_text(json.dumps(CONTENT))
    with caplog.at_level(logging.INFO):
        data = read_mpii(images / "train.json", images)
    first, second, third = data.samples

    assert data.skeleton is MPII_16
    assert [(sample.image_id, sample.annotation_id) for sample in data.samples] == [(1, 1), (1, 4), (2, 2)]
    assert data.image_paths[2] == images / "a.jpg"
    np.testing.assert_allclose(first.keypoints, np.array(POINTS) - 1)
    assert first.visibility.tolist() == [2] * 16
    assert third.visibility.tolist() == [0, 2] * 8
    assert not third.keypoints[::2].any()
    assert second.box_xyxy.tolist() == [32 - 25, 42 + 3.75 - 25, 32 + 25, 42 + 3.75 + 25]
    assert caplog.messages == [f"{images / 'train.json'}: 3 persons in 2 images, 1 left out without keypoints"]


@pytest.mark.parametrize("scale", [0.25, 3.5])
def test_the_window_is_the_published_one(scale: float, images: Path) -> None:
    """Padded, the square has HRNet's center and its 1.25 x 200 x scale pixels, also where it leaves the image."""
    box = read_mpii(changed(scale=scale), images).samples[0].box_xyxy
    centers, extents = windows([box], aspect=1.0, padding=1.25)

    np.testing.assert_allclose(centers[0], [30 - 1, 40 + 15 * scale - 1])
    np.testing.assert_allclose(extents[0], [1.25 * 200 * scale] * 2)


def test_the_original_file(images: Path) -> None:
    """Hidden keypoints are hidden, those without a mark visible, those that are missing not labelled."""
    points = [
        *(keypoint(0, 610.0, 594.5, is_visible=0), keypoint(9, 647.25, 281.0)),
        *(keypoint(10, 606.0, 592.0, is_visible="1"), keypoint(15, 540.0, 592.0, is_visible=1)),
    ]
    whole = {"scale": 3.0, "objpos": structure([{"x": 594.0, "y": 257.0}]), "annopoints": points}
    head_alone = {"scale": 1.0, "objpos": structure([{"x": 94.0, "y": 57.0}]), "annopoints": []}
    nowhere = {"annopoints": points}
    rows: list[dict[str, Any]] = [
        {"name": "b.jpg", "annorect": [head_alone, whole, nowhere]},
        {"name": "none.jpg", "annorect": []},
        {"name": "a.jpg", "annorect": [whole]},
    ]
    data = read_mpii(original(images / "mpii.mat", rows), images)
    sample = data.samples[0]

    assert [each.annotation_id for each in data.samples] == [2, 4]
    assert [each.image for each in data.samples] == [images / "b.jpg", images / "a.jpg"]
    assert sample.visibility.tolist() == [1, *[0] * 8, 2, 2, 0, 0, 0, 0, 2]
    assert sample.keypoints[MPII_16.index("head_top")].tolist() == [646.25, 280]
    assert sample.keypoints[MPII_16.index("right_ankle")].tolist() == [609, 593.5]
    assert sample.box_xyxy.tolist() == [593 - 300, 256 + 45 - 300, 593 + 300, 256 + 45 + 300]


def test_a_file_of_one_person(images: Path) -> None:
    """MATLAB's lists of one element are read like longer ones."""
    person = {"scale": 1.0, "objpos": structure([{"x": 9.0, "y": 9.0}]), "annopoints": [keypoint(6, 5.0, 6.0)]}
    data = read_mpii(original(images / "one.mat", [{"name": "a.jpg", "annorect": [person]}]), images)

    assert data.samples[0].keypoints[MPII_16.index("pelvis")].tolist() == [4, 5]


def test_both_files_agree(images: Path) -> None:
    """The same person in the original file and in JSON is the same sample."""
    points = [keypoint(number, x, y, is_visible=1) for number, (x, y) in enumerate(POINTS)]
    person = {"scale": 0.25, "objpos": structure([{"x": 30.0, "y": 40.0}]), "annopoints": points}
    here = read_mpii(original(images / "mpii.mat", [{"name": "b.jpg", "annorect": [person]}]), images).samples[0]
    there = read_mpii(CONTENT[:1], images).samples[0]

    np.testing.assert_array_equal(here.keypoints, there.keypoints)
    np.testing.assert_array_equal(here.visibility, there.visibility)
    np.testing.assert_array_equal(here.box_xyxy, there.box_xyxy)
    assert (here.image, here.area) == (there.image, there.area)


def test_the_test_split(images: Path) -> None:
    """Persons of whom no keypoints are published are left out; their images are not even looked for."""
    entries = [{"image": "missing.jpg", "center": [30, 40], "scale": 1.0}, CONTENT[0]]

    assert [sample.annotation_id for sample in read_mpii(entries, images).samples] == [2]
    assert len(read_mpii(entries[:1], images)) == 0


def test_left_out(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing images are warned of, persons without a scale counted; the wrong folder is an error."""
    (images / "a.jpg").unlink()
    with caplog.at_level(logging.INFO):
        data = read_mpii(changed(scale=-1), images)

    assert [sample.annotation_id for sample in data.samples] == [4]
    assert "1 of 2 images are missing or broken and left out" in caplog.messages[0]
    assert "1 left out without a center and a scale" in caplog.messages[1]
    with pytest.raises(FileNotFoundError, match="2 of 2 images are missing"):
        read_mpii(CONTENT, images / "elsewhere")


@pytest.mark.parametrize("center", [[-1, -1], [-1.0, -1.0]])
def test_persons_without_a_center(center: list[float], images: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The JSON files' mark for none is no place, whatever the scale says."""
    with caplog.at_level(logging.INFO):
        data = read_mpii(changed(center=center), images)

    assert [sample.annotation_id for sample in data.samples] == [4, 2]
    assert "1 left out without a center and a scale" in caplog.messages[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"joints": []}, "expected MPII's list of persons, found a dict"),
        (["b.jpg"], "person 1: expected a field 'image', found 'b.jpg'"),
        (changed(joints=POINTS[:15]), "person 1: expected 16 points in 'joints'"),
        (changed(joints=[[1, 2, 3]] * 16), r"person 1: expected 2 numbers in 'joints', found \[1, 2, 3\]"),
        (changed(joints_vis=[1] * 15), "person 1: expected 16 numbers in 'joints_vis'"),
        (changed(joints_vis=[2] * 16), r"person 1: expected 0 and 1 in 'joints_vis', found \[2.0\]"),
        (changed(center=[1]), "person 1: expected 2 numbers in 'center'"),
        (changed(scale="1"), "person 1: expected 'scale' to be a number, found '1'"),
        (changed(scale=float("inf")), "person 1: expected 'scale' to be finite, found inf"),
        (changed(center=[float("nan"), 2]), r"person 1: expected finite numbers in 'center', found \[nan, 2\]"),
        (changed(joints=[[float("inf"), 2]] * 16), "person 1: sample of image 1: expected finite keypoints"),
    ],
)
def test_wrong_json_is_refused(content: Any, message: str, images: Path) -> None:  # noqa: ANN401 - wrong on purpose
    """Each message says where in the file it is wrong."""
    with pytest.raises(ValueError, match=message):
        read_mpii(content, images)


@pytest.mark.parametrize(
    ("name", "point", "message"),
    [
        ("a.jpg", keypoint(16, 1, 1), "image 1: person 1: expected keypoints numbered 0 to 15, found 16.0"),
        ("a.jpg", keypoint(1, 1, 1) | {"x": "left"}, "image 1: person 1: expected a number as 'x', found 'left'"),
        ("a.jpg", keypoint(1, 1, 1) | {"y": NOTHING}, "image 1: person 1: expected a number as 'y', found None"),
        ("a.jpg", keypoint(1, np.inf, 1), "image 1: person 1: expected a finite number as 'x', found inf"),
        (7.0, keypoint(1, 1, 1), "image 1: expected the name of an image, found 7"),
    ],
)
def test_wrong_original_files_are_refused(name: Any, point: dict[str, Any], message: str, images: Path) -> None:  # noqa: ANN401 - wrong on purpose
    """A keypoint that does not exist, what is no number, a nameless image."""
    person = {"scale": 1.0, "objpos": structure([{"x": 9.0, "y": 9.0}]), "annopoints": [point]}
    path = original(images / "mpii.mat", [{"name": name, "annorect": [person]}])

    with pytest.raises(ValueError, match=message):
        read_mpii(path, images)


def test_an_endless_person_of_the_original_file_is_refused(images: Path) -> None:
    """A scale that makes no box is an error with its place."""
    person = {"scale": np.inf, "objpos": structure([{"x": 9.0, "y": 9.0}]), "annopoints": [keypoint(1, 1, 1)]}
    path = original(images / "mpii.mat", [{"name": "a.jpg", "annorect": [person]}])

    with pytest.raises(ValueError, match="image 1: person 1: expected a finite number as 'scale', found inf"):
        read_mpii(path, images)


def test_an_original_file_without_images_is_refused(tmp_path: Path) -> None:
    """Another structure of that name is not MPII's."""
    savemat(tmp_path / "mpii.mat", {"RELEASE": {"version": "12"}})

    with pytest.raises(ValueError, match="expected 'RELEASE' with a list 'annolist', found none"):
        read_mpii(tmp_path / "mpii.mat", tmp_path)


def test_files_that_are_not_there_or_neither(tmp_path: Path) -> None:
    """A missing file is missing; one that is neither JSON nor MATLAB's says so."""
    with pytest.raises(FileNotFoundError, match=r"none\.mat: no such annotation file"):
        read_mpii(tmp_path / "none.mat", tmp_path)
    (tmp_path / "text.mat").write_text("RELEASE")
    with pytest.raises(ValueError, match=r"text\.mat: expected JSON, found"):
        read_mpii(tmp_path / "text.mat", tmp_path)


def test_real_persons(shared_data: Callable[[str], Path]) -> None:
    """Real persons lie inside their squares, heads above hips."""
    path = shared_data("samples/mpii/test_mpii.json")
    data = read_mpii(path, path.parent)

    assert len(data) == 5
    for sample in data.samples:
        points = sample.keypoints[sample.labelled]
        assert (points > sample.box_xyxy[:2]).all()
        assert (points < sample.box_xyxy[2:]).all()
        assert sample.keypoints[MPII_16.index("head_top"), 1] < sample.keypoints[MPII_16.index("pelvis"), 1]
