"""``pcrpose convert-data``: every way through it, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from pcrpose.cli.main import main
from pcrpose.data.readers.read_annotations import read_annotations
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, LSP_14


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Write drawn people and their annotations."""
    return write_synthetic_coco(tmp_path / "drawn", 2)


def test_to_yolo_and_back(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same keypoints come back; each command says what it wrote."""
    images, there, back = drawn.parent / "images", tmp_path / "set", tmp_path / "back"

    assert main(["convert-data", str(drawn), str(images), "--to", "yolo", "--out", str(there)]) == 0
    images.rename(there / "images")
    assert main(["convert-data", str(there / "data.yaml"), "--to", "coco", "--out", str(back)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{there}: 2 images, 2 persons of COCO_17 as yolo; names of images are relative to {images}",
        f"{back}: 2 images, 2 persons of COCO_17 as coco; names of images are relative to {there / 'images'}",
    ]
    before, after = (read_annotations(file, images) for file in (drawn, back / "annotations.json"))
    for first, second in zip(before.samples, after.samples, strict=True):
        assert first.image == second.image
        np.testing.assert_array_equal(first.visibility, second.visibility)
        np.testing.assert_allclose(second.keypoints, first.keypoints * first.labelled[:, None], atol=0.00051)
        np.testing.assert_allclose(second.box_xyxy, first.box_xyxy, atol=0.0011)


def test_predictions_to_correct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images are named relative to the folder that they are all in."""
    (tmp_path / "found").mkdir()
    poses = Poses(
        keypoints=np.full((1, 17, 2), 5.0),
        keypoint_scores=np.full((1, 17), 0.5),
        boxes_xyxy=np.array([[1.0, 1, 9, 9]]),
        box_scores=np.ones(1),
        pose_scores=np.array([0.5]),
    )
    for name in ("a", "b"):
        record = {"image": f"../photos/{name}.jpg", "width": 40, "height": 30, "poses": poses.to_dict()}
        (tmp_path / f"found/{name}.json").write_text(json.dumps(record))
    found, out, again = tmp_path / "found", tmp_path / "to-correct", tmp_path / "again"

    assert main(["convert-data", str(found), "--from", "predict", "--to", "coco", "--out", str(out)]) == 0
    content = json.loads((out / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.jpg", "b.jpg"]
    assert [entry["keypoints"] for entry in content["annotations"]] == [[5, 5, 2] * 17] * 2
    assert capsys.readouterr().out.endswith(f"relative to {tmp_path / 'photos'}\n")
    (found / "predict.json").write_text("{}")
    assert main(["convert-data", str(found), "--to", "coco", "--out", str(again)]) == 0
    assert (again / "annotations.json").read_text() == (out / "annotations.json").read_text()


def test_a_skeleton_of_ones_own(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is used where the keypoints are the file's, and refused where they are not; nothing is left."""
    skeleton, out = tmp_path / "skeleton.json", tmp_path / "out"
    command = ["convert-data", str(drawn), "--to", "coco", "--out", str(out), "--skeleton", str(skeleton)]
    skeleton.write_text(json.dumps(LSP_14.to_dict()))
    assert main(command) == 2
    assert "expected the keypoints of LSP_14" in capsys.readouterr().err
    assert not out.exists()
    skeleton.write_text(json.dumps(COCO_17.to_dict() | {"name": "mine", "bones": []}))

    assert main(command) == 0
    assert json.loads((out / "annotations.json").read_text())["categories"][0]["skeleton"] == []


def test_what_is_refused(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds something, an unknown format, a broken file: one line, and nothing is written."""
    images, out = str(drawn.parent / "images"), tmp_path / "out"

    assert main(["convert-data", str(drawn), images, "--to", "coco", "--out", str(drawn.parent)]) == 2
    assert "expected a new or an empty folder" in capsys.readouterr().err
    assert main(["convert-data", str(drawn), images, "--to", "voc", "--out", str(out)]) == 2
    assert "invalid choice: 'voc'" in capsys.readouterr().err
    assert main(["convert-data", str(drawn.parent), images, "--to", "coco", "--out", str(out)]) == 2
    assert "expected an annotation file, found a folder" in capsys.readouterr().err
    (tmp_path / "broken.json").write_text("{")
    assert main(["convert-data", str(tmp_path / "broken.json"), "--to", "yolo", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.json", "drawn"]
