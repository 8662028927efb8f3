"""Any annotation file: told by its content, read by its reader."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from scipy.io import savemat

from pcrpose.data.readers.read_annotations import FORMATS, AnnotationFormat, read_annotations
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.skeleton import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    LSP_14,
    MPII_16,
    OCHUMAN_19,
    Skeleton,
)

AIC = {"image_id": "1", "human_annotations": {"h": [1, 1, 40, 40]}, "keypoint_annotations": {"h": [9, 9, 1] * 14}}
MPII = {"image": "1.jpg", "center": [9, 9], "scale": 0.1, "joints": [[9, 9]] * 16, "joints_vis": [1] * 16}
OCHUMAN = {
    "keypoint_names": list(OCHUMAN_19.keypoints),
    "images": [
        {"file_name": "1.jpg", "width": 50, "height": 50}
        | {"annotations": [{"bbox": [1, 1, 40, 40], "keypoints": [9, 9, 1] * 19}]}
    ],
}
CROWDPOSE = {
    "images": [{"id": 1, "file_name": "1.jpg", "width": 50, "height": 50, "crowdIndex": 0.5}],
    "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 1, 40, 40], "keypoints": [9, 9, 1] * 14}],
    "categories": [{"id": 1, "name": "person", "keypoints": [*CROWDPOSE_14.keypoints[:12], "head", "neck"]}],
}
LSPET = np.concatenate([np.random.default_rng(0).uniform(1, 49, (14, 2, 1)), np.ones((14, 1, 1))], axis=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an image under the names that the files have for it."""
    for name in ("1", "im0001", "im00001"):
        PIL.Image.new("RGB", (50, 50)).save(tmp_path / f"{name}.jpg")
    return tmp_path


def write(content: object, path: Path) -> Path:
    """Write JSON, or a MATLAB file where the content is an array."""
    if isinstance(content, np.ndarray):
        savemat(path, {"joints": content}, appendmat=False)
    else:
        path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "file_format", "skeleton"),
    [
        ([AIC], "aic", AIC_14),
        ([MPII], "mpii", MPII_16),
        (OCHUMAN, "ochuman", OCHUMAN_19),
        (CROWDPOSE, "crowdpose", CROWDPOSE_14),
        (CROWDPOSE, "coco", CROWDPOSE_14),
        (LSPET, "lsp", LSP_14),
    ],
)
def test_formats_are_recognized(
    content: object, file_format: str, skeleton: Skeleton, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The content decides, whatever the name; saying the format gives the same."""
    path = write(content, folder / "annotations.txt")
    with caplog.at_level(logging.INFO):
        found = read_annotations(path, folder)
    named = read_annotations(path, folder, file_format=file_format)

    assert caplog.messages[0] == f"{path}: read as {'coco' if content is CROWDPOSE else file_format}"
    assert found.skeleton is named.skeleton is skeleton
    assert len(found) == len(named) == 1
    np.testing.assert_array_equal(found.samples[0].keypoints, named.samples[0].keypoints)
    assert Path(str(found.samples[0].image)).is_file()


def test_coco(tmp_path: Path) -> None:
    """A COCO file is read with the skeleton that it describes, or the given one."""
    path = write_synthetic_coco(tmp_path, 2)
    sticks = Skeleton("other bones", COCO_17.keypoints, COCO_17.flip_pairs, [], COCO_17.sigmas)

    assert read_annotations(path, tmp_path / "images").skeleton is COCO_17
    assert read_annotations(path, tmp_path / "images", skeleton=sticks).skeleton is sticks


def test_a_skeleton_of_the_same_keypoints_is_taken(folder: Path) -> None:
    """One's own sigmas or bones go with the samples; other keypoints are refused."""
    path = write([AIC], folder / "aic.json")
    mine = Skeleton("mine", AIC_14.keypoints, AIC_14.flip_pairs, [], [0.1] * 14)

    assert read_annotations(path, folder, skeleton=mine).skeleton is mine
    with pytest.raises(ValueError, match=r"aic\.json: expected the keypoints of COCO_17 \['nose', .*, found \['right_"):
        read_annotations(path, folder, skeleton=COCO_17)


def test_formats_are_rows_of_one_table() -> None:
    """Every row has a reader, and what it implies or reads as keypoints; no two are recognized by the same."""
    assert tuple(FORMATS) == ("coco", "aic", "lsp", "mpii", "crowdpose", "ochuman", "yolo", "predict")
    assert all(row.describes_skeleton or row.skeleton is not None for row in FORMATS.values())
    known_by = [item for row in FORMATS.values() for item in row.names.items()]
    assert len(known_by) == len(set(known_by)) == 6


def test_a_new_format_is_one_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is enough to be recognized, read, and named in messages."""
    path = write([{"stickmen": 3}], folder / "sticks.json")
    read = read_annotations(write([AIC], folder / "aic.json"), folder)
    row = AnnotationFormat(read=lambda _source, _images: read, names={"list": ("stickmen",)}, skeleton=AIC_14)
    monkeypatch.setattr("pcrpose.data.readers.read_annotations.FORMATS", {**FORMATS, "sticks": row})

    assert read_annotations(path, folder) is read
    with pytest.raises(ValueError, match=r"a list with .* or 'stickmen' \(sticks\), or a MATLAB"):
        read_annotations(write([], folder / "x.json"), folder)
    with pytest.raises(ValueError, match=r"expected one of .*, ochuman, .*sticks, found 'voc'"):
        read_annotations(path, folder, file_format="voc")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"images": [], "annotations": []}, r"an object with \['annotations', 'images'\]"),
        (
            [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}],
            r"a list of objects with \['bbox', 'image_id', 'score'\]",
        ),
        ([], "a list that begins with None"),
        ([[1, 2]], r"a list that begins with \[1, 2\]"),
        (3, "3"),
        ({}, r"\{\}"),
    ],
)
def test_unknown_formats_are_refused(content: Any, found: str, tmp_path: Path) -> None:  # noqa: ANN401 - wrong on purpose
    """The message says what was looked for, and what is there."""
    path = write(content, tmp_path / "x.json")

    with pytest.raises(ValueError, match=rf"x\.json: expected an object with 'images', .*\(lsp\).*; found {found}"):
        read_annotations(path, tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A MATLAB file of something else, text, a missing file, a format that does not exist."""
    savemat(tmp_path / "x.mat", {"landmarks": np.zeros(3)})
    with pytest.raises(ValueError, match=r"x\.mat: expected .*; found a MATLAB file with \['landmarks'\]"):
        read_annotations(tmp_path / "x.mat", tmp_path)
    (tmp_path / "x.csv").write_text("a,b")
    with pytest.raises(ValueError, match=r"x\.csv: expected JSON, found"):
        read_annotations(tmp_path / "x.csv", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such annotation file"):
        read_annotations(tmp_path / "none.json", tmp_path)
    with pytest.raises(ValueError, match=r"file_format: expected one of coco, aic, .*, found 'voc'"):
        read_annotations(tmp_path / "x.mat", tmp_path, file_format="voc")


def test_matlab_files_of_another_version(tmp_path: Path) -> None:
    """Said or told by its name, a file of MATLAB 4 is refused with what it has to be."""
    savemat(tmp_path / "joints.mat", {"joints": LSPET[:, :, 0]}, format="4")
    (tmp_path / "joints.bin").write_bytes((tmp_path / "joints.mat").read_bytes())
    asked = r"those of version 5 to 7 are read, as MATLAB's save writes them with -v7$"

    for name in ("joints.mat", "joints.bin"):
        with pytest.raises(ValueError, match=rf"{name}: expected a MATLAB file, .*; {asked}"):
            read_annotations(tmp_path / name, tmp_path, file_format="lsp")
    formats: tuple[str | None, ...] = (None, "mpii")
    for file_format in formats:
        with pytest.raises(ValueError, match=rf"joints\.mat: expected JSON, .*; if it is a MATLAB file: {asked}"):
            read_annotations(tmp_path / "joints.mat", tmp_path, file_format=file_format)


@pytest.mark.parametrize("file_format", [None, "coco", "lsp"])
def test_files_that_are_folders_or_missing(file_format: str | None, tmp_path: Path) -> None:
    """Whatever is expected, the message says which of the two it is."""
    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        read_annotations(tmp_path, tmp_path, file_format=file_format)
    with pytest.raises(FileNotFoundError, match="none: no such annotation file"):
        read_annotations(tmp_path / "none", tmp_path, file_format=file_format)


@pytest.mark.parametrize(
    ("content", "file_format", "message"),
    [
        ([AIC], "coco", "expected a COCO annotation object, found a list"),
        ([AIC], "mpii", "person 1: expected a field 'image'"),
        ([AIC], "lsp", "expected a MATLAB file"),
        (CROWDPOSE, "aic", "expected AI Challenger's list of images, found a dict"),
        (CROWDPOSE, "ochuman", "expected OCHuman's object with 'keypoint_names'"),
        (LSPET, "mpii", r"expected a variable 'RELEASE', found \['joints'\]"),
        (LSPET, "coco", "expected JSON, found"),
    ],
)
def test_a_wrong_format_is_refused(content: object, file_format: str, message: str, folder: Path) -> None:
    """A file of another format than the one that is said is an error with the file's name."""
    path = write(content, folder / "annotations.txt")
    with pytest.raises(ValueError, match=rf"annotations\.txt: {message}"):
        read_annotations(path, folder, file_format=file_format)


@pytest.mark.parametrize(
    ("file", "skeleton", "count"),
    [
        ("aic/test_aic.json", AIC_14, 9),
        ("mpii/test_mpii.json", MPII_16, 5),
        ("crowdpose/test_crowdpose.json", CROWDPOSE_14, 4),
        ("ochuman/test_ochuman.json", COCO_17, 5),
        ("mhp/test_mhp.json", MPII_16, 4),
        ("coco/test_coco.json", COCO_17, 12),
    ],
)
def test_real_files(file: str, skeleton: Skeleton, count: int, shared_data: Callable[[str], Path]) -> None:
    """Real annotation files of six data sets are read without being told what they are."""
    path = shared_data(f"samples/{file}")
    data = read_annotations(path, path.parent)

    assert data.skeleton is skeleton
    assert len(data) == count
