"""Leeds Sports Pose: two files of the same name that mean different things by their third value."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy.io import savemat

from pcrpose.data.readers.lsp import MARGIN, read_lsp
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import LSP_14

POINTS = np.stack([np.linspace(11, 31, 14), np.linspace(21, 61, 14)], axis=1)


def person(third: dict[int, float], rest: float) -> Floats:
    """Make ``(14, 3)`` values, the third of some keypoints given and of the others ``rest``."""
    column = np.full((14, 1), rest)
    for index, value in third.items():
        column[index] = value
    return np.concatenate([POINTS, column], axis=1)


def write(folder: Path, joints: Floats, digits: int) -> Path:
    """Write a file and an image of 100 x 90 pixels for each of its persons."""
    for number in range(1, joints.shape[-1] + 1 if joints.ndim == 3 else 2):
        PIL.Image.new("RGB", (100, 90)).save(folder / f"im{number:0{digits}d}.jpg")
    savemat(folder / "joints.mat", {"joints": joints})
    return folder / "joints.mat"


def test_lsp(tmp_path: Path) -> None:
    """In LSP everything is labelled and a 1 says hidden; coordinates come down by one."""
    joints = np.stack([person({3: 1}, 0), person({}, 0)]).transpose(2, 1, 0)
    assert joints.shape == (3, 14, 2)
    data = read_lsp(write(tmp_path, joints, 4), tmp_path)
    first, second = data.samples

    assert data.skeleton is LSP_14
    assert first.visibility.tolist() == [2, 2, 2, 1, *[2] * 10]
    assert second.visibility.tolist() == [2] * 14
    np.testing.assert_allclose(first.keypoints, POINTS - 1)
    np.testing.assert_allclose(first.box_xyxy, [10 - 6, 20 - 6, 30 + 6, 60 + 6])
    assert MARGIN * 40 == 6
    assert (first.image_id, second.image_id) == (1, 2)
    assert data.image_paths[2] == tmp_path / "im0002.jpg"
    assert (data.image_sizes[1].width, data.image_sizes[1].height) == (100, 90)


def test_lspet(tmp_path: Path) -> None:
    """In LSPET a 0 says not labelled; the box goes round the labelled ones, clipped to the image."""
    values = person({0: 0, 13: 0}, 1)
    values[13, :2] = -3000
    values[5, 0] = 100.5
    data = read_lsp(write(tmp_path, values[:, :, None].repeat(3, axis=2), 5), tmp_path)
    sample = data.samples[2]

    assert sample.visibility.tolist() == [0, *[2] * 12, 0]
    assert not sample.keypoints[[0, 13]].any()
    assert sample.keypoints[5, 0] == 99.5
    assert sample.box_xyxy[2] == 99
    assert sample.box_xyxy[1] > 0
    assert data.image_paths[3] == tmp_path / "im00003.jpg"


@pytest.mark.parametrize(("joints", "digits"), [(person({}, 0).T, 4), (person({}, 1), 5)])
def test_a_single_person(joints: Floats, digits: int, tmp_path: Path) -> None:
    """MATLAB drops the last axis of a single person."""
    assert read_lsp(write(tmp_path, joints, digits), tmp_path).samples[0].visibility.tolist() == [2] * 14


def test_persons_without_a_box_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a labelled keypoint there is no person, with one there is no box."""
    joints = np.stack([person({}, 0), person({4: 1}, 0), person({}, 1)], axis=2)
    path = write(tmp_path, joints, 5)
    with caplog.at_level(logging.INFO):
        data = read_lsp(path, tmp_path)

    assert [sample.image_id for sample in data.samples] == [3]
    left_out = "1 left out without a labelled keypoint, 1 left out without a box inside the image"
    assert caplog.messages == [f"{path}: 1 persons in 3 images, {left_out}"]


def test_missing_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Images keep the number of their name; without any the folder is wrong."""
    path = write(tmp_path, np.stack([person({}, 1)] * 3, axis=2), 5)
    (tmp_path / "im00001.jpg").unlink()

    assert [sample.image_id for sample in read_lsp(path, tmp_path).samples] == [2, 3]
    assert "1 of 3 images are missing or broken" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"3 of 3 images are missing or broken in .*elsewhere"):
        read_lsp(path, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((14, 2, 5)), r"expected 'joints' of shape \(3, 14, N\) as LSP .*, found \(14, 2, 5\)"),
        (np.zeros((3, 17, 5)), r"found \(3, 17, 5\)"),
        (np.full((3, 14, 5), 2.0), "0 or 1 as the third of each keypoint"),
        (np.full((14, 3, 5), np.nan), "0 or 1 as the third of each keypoint"),
        ("text", r"expected 'joints' of shape .*, found \(\)"),
    ],
)
def test_wrong_files_are_refused(joints: Floats, message: str, tmp_path: Path) -> None:
    """Another shape, and third values that are no flags, are errors."""
    savemat(tmp_path / "joints.mat", {"joints": joints})

    with pytest.raises(ValueError, match=message):
        read_lsp(tmp_path / "joints.mat", tmp_path)


def test_real_persons(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """A file made of real annotations in COCO's form gives their keypoints, and boxes by the same convention."""
    annotations = json.loads(shared_data("lspet/annotations.json").read_text())["annotations"][:20]
    expected = np.array([person["keypoints"] for person in annotations]).reshape(-1, 14, 3)
    boxes = np.array([person["bbox"] for person in annotations])
    joints = np.concatenate([expected[..., :2] + 1, expected[..., 2:] > 0], axis=2)
    savemat(tmp_path / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    data = read_lsp(tmp_path / "joints.mat", shared_data("lspet/images"))

    assert len(data) == 20
    found = np.stack([sample.box_xyxy for sample in data.samples])
    np.testing.assert_allclose(np.stack([sample.keypoints for sample in data.samples]), expected[..., :2], atol=1e-9)
    np.testing.assert_array_equal(np.stack([sample.visibility for sample in data.samples]), expected[..., 2])
    # Where an image ends, that file counts to its edge and we to its last pixel's center.
    np.testing.assert_allclose(found[:, :2], boxes[:, :2], atol=0.011)
    np.testing.assert_allclose(found[:, 2:], boxes[:, :2] + boxes[:, 2:], atol=1.011)
