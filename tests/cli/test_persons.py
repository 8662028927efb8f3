"""Where persons are looked for."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.cli import persons as persons_module
from pcrpose.cli.image_files import ImageFile
from pcrpose.cli.persons import WHOLE_IMAGE, Persons, box, find_persons
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.models.load import load_model

GRAY = np.full((40, 60, 3), 128, dtype=np.uint8)


def files(*names: str) -> list[ImageFile]:
    """Name images, which need not exist."""
    return [ImageFile(path=Path(name), name=name) for name in names]


def detection(image_id: int, score: float = 0.9) -> dict[str, Any]:
    """Write one box of a results file."""
    return {"image_id": image_id, "category_id": 1, "bbox": [5, 5, 20, 30], "score": score}


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    """Write a results file of three boxes in two images."""
    path = tmp_path / "found.json"
    path.write_text(json.dumps([detection(7), detection(7, 0.2), detection(12)]), encoding="utf-8")
    return path


def counts(found: Persons, model_folder: Path, listed: list[ImageFile]) -> list[int]:
    """Count the poses that come out of gray images."""
    predictor = PosePredictor(load_model(model_folder), detector=found.detector, flip=False)
    return [len(poses) for poses in predictor.stream([GRAY] * len(listed), found.boxes_of(listed))]


def test_boxes(model_folder: Path) -> None:
    """Boxes belong to one image."""
    found = find_persons(files("a.jpg"), boxes=[box("1,2,30,39"), box("5,5,9,9")], detector=None, score_threshold=0)

    assert counts(found, model_folder, files("a.jpg")) == [2]
    with pytest.raises(ValueError, match="--boxes: expected one image, found 2"):
        find_persons(files("a.jpg", "b.jpg"), boxes=[box("1,2,3,4")], detector=None, score_threshold=0)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "1;2;3;4"])
def test_no_box(text: str) -> None:
    """Anything but four numbers is refused, and shown."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"four numbers X1,Y1,X2,Y2, found '{text}'"):
        box(text)


def test_nothing_given(tmp_path: Path) -> None:
    """Without boxes and detector every image is one person; where that cannot be told is left to the predictor."""
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    listed = files(str(tmp_path / "a.png"), str(tmp_path / "b.png"), str(tmp_path / "c.png"))

    found = find_persons(listed, boxes=None, detector=None, score_threshold=0.3)

    assert found.description == WHOLE_IMAGE
    assert [np.asarray(boxes).tolist() for boxes in found.boxes_of(listed) or ()] == [[[0, 0, 59, 39]], [], []]


def test_detections(model_folder: Path, detections: Path) -> None:
    """The number that a name ends in is the image's id; images without an entry have no persons."""
    listed = files("COCO_val2014_000000000012.jpg", "0007.png", "100.jpg")

    found = find_persons(listed, boxes=None, detector=detections, score_threshold=0.3)

    assert counts(found, model_folder, listed) == [1, 1, 0]
    assert counts(found, model_folder, listed[1:]) == [1, 0]
    assert "found.json" in found.description
    assert "0.3" in found.description


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["7.jpg", "photo.jpg"], "photo.jpg: expected a name that ends in the image's number"),
        (["a/7.jpg", "b/007.jpg"], "expected one image of id 7, found a.7.jpg, b.007.jpg"),
        (["1.jpg", "2.jpg"], "none of its 2 images is among the 2 given; 1.jpg would be number 1"),
    ],
)
def test_detections_of_other_images(names: list[str], said: str, detections: Path) -> None:
    """Images that cannot be told apart, or have nothing to do with the file, are a mistake."""
    with pytest.raises(ValueError, match=said):
        find_persons(files(*names), boxes=None, detector=detections, score_threshold=0.3)


def test_no_detections(tmp_path: Path) -> None:
    """A detector that found nobody is no mistake."""
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")

    found = find_persons(files("1.jpg"), boxes=None, detector=tmp_path / "none.json", score_threshold=0.3)

    assert found.detections == {}


def test_detector(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model file becomes a detector with the threshold asked for."""
    made = []

    class Detector:
        def __init__(self, path: Path, *, score_threshold: float) -> None:
            made.append((path, score_threshold))

        def __call__(self, _: Image) -> tuple[list[list[float]], list[float]]:
            return [[1.0, 1.0, 20.0, 30.0], [30.0, 2.0, 55.0, 38.0]], [0.9, 0.8]

    monkeypatch.setattr(persons_module, "YoloxDetector", Detector)
    path = tmp_path / "MODEL.ONNX"
    path.touch()

    found = find_persons(files("a.jpg"), boxes=None, detector=path, score_threshold=0.4)

    assert counts(found, model_folder, files("a.jpg")) == [2]
    assert made == [(path, 0.4)]


def test_a_detector_of_another_kind(tmp_path: Path) -> None:
    """The message says which kinds of files there are."""
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"expected a YOLOX model \(\.onnx\) or a COCO results file \(\.json\)"):
        find_persons([], boxes=None, detector=tmp_path / "note.txt", score_threshold=0.3)
