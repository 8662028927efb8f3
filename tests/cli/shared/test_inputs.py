"""Which images are meant, and where persons are looked for."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.cli.shared import inputs as inputs_module
from pcrpose.cli.shared.inputs import WHOLE_IMAGE, ImageFile, Persons, box, find_images, find_persons
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.models.load import load_model

OUT = Path("out")


@pytest.fixture
def tree(here: Path) -> Path:
    """Lay out files whose content does not matter."""
    for name in (
        *("p/a.jpg", "p/B.PNG", "p/c.tiff", "p/notes.txt", "p/.hidden.jpg", "p/deep/a.jpg", "p/.cache/x.jpg"),
        *("q/a.jpg", "q/[1].jpg", "odd"),
    ):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (here / "empty").mkdir()
    return here


def found(
    *arguments: str, recursive: bool = False, outside: Path = OUT, reserved: Sequence[str] = ()
) -> dict[str, str]:
    """Give the name of each image by its path."""
    images = find_images(arguments, recursive=recursive, outside=outside, reserved=reserved)
    return {image.path.as_posix(): image.name for image in images}


@pytest.mark.usefixtures("tree")
def test_folder() -> None:
    """A folder's images come sorted, without hidden files, other files and, unless asked for, deeper ones."""
    flat = {"p/B.PNG": "B", "p/a.jpg": "a", "p/c.tiff": "c"}

    assert list(found("p").items()) == list(flat.items())
    assert found("p", recursive=True) == flat | {"p/deep/a.jpg": "deep/a"}


@pytest.mark.usefixtures("tree")
def test_file() -> None:
    """A file is taken whatever it is called, and once."""
    assert found("p/a.jpg") == {"p/a.jpg": "a"}
    assert found("p/notes.txt", "p/notes.txt", "p/../p/notes.txt") == {"p/notes.txt": "notes"}
    assert found("odd") == {"odd": "odd"}


@pytest.mark.usefixtures("tree")
def test_several_places() -> None:
    """Names are relative to what holds everything, so that images of one name stay apart."""
    assert found("p", "q/a.jpg") == {
        "p/B.PNG": "p/B",
        "p/a.jpg": "p/a",
        "p/c.tiff": "p/c",
        "q/a.jpg": "q/a",
    }


@pytest.mark.usefixtures("tree")
def test_patterns() -> None:
    """Patterns find images only, also in folders that they match, and names do not depend on what they find."""
    assert found("p/*.jpg") == {"p/a.jpg": "a"}
    assert found("p/**/a.jpg") == {"p/a.jpg": "a", "p/deep/a.jpg": "deep/a"}
    assert found("p/d*/a.*") == {"p/deep/a.jpg": "deep/a"}
    assert found("p/*") == found("p") | {"p/deep/a.jpg": "deep/a"}
    assert found("q/[1].jpg") == {"q/[1].jpg": "[1]"}


@pytest.mark.usefixtures("tree")
def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder, in patterns too."""
    home = Path("q").resolve()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))

    assert set(found("~/a.jpg").values()) == {"a"}
    assert set(found("~/*.jpg").values()) == {"a", "[1]"}


@pytest.mark.usefixtures("tree")
def test_results_are_no_images() -> None:
    """Files of the results folder come in where they, or the folder, are asked for; drawings by name alone."""
    assert "p/deep/a.jpg" not in found("p", recursive=True, outside=Path("p/deep"))
    assert set(found("p", outside=Path("p"))) == set(found("p"))
    assert set(found("p/*.jpg", outside=Path("p"))) == {"p/a.jpg"}
    assert found("p/deep/a.jpg", outside=Path("p/deep")) == {"p/deep/a.jpg": "a"}
    images = find_images(["p", "q/a.jpg"], recursive=False, outside=OUT, skip=lambda path: path.name == "a.jpg")
    assert [image.path.as_posix() for image in images] == ["p/B.PNG", "p/c.tiff", "q/a.jpg"]


@pytest.mark.usefixtures("tree")
def test_a_video() -> None:
    """A video is refused with what reads it today; beside images of a folder it is no image."""
    for name in ("p/clip.mp4", "p/clip.MOV"):
        Path(name).touch()

    with pytest.raises(ValueError, match=r"p/clip.MOV: expected an image, found a video.*ffmpeg -i clip.MOV frames/"):
        found("p/clip.MOV", "p")
    assert set(found("p")) == {"p/B.PNG", "p/a.jpg", "p/c.tiff"}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["x.jpg", "x.png", "y.png"], ["x.jpg", "x.png", "y"]),
        (["X.jpg", "x.png"], ["X.jpg", "x.png"]),
        (["x.jpg", "x.png", "x.jpg.tif"], ["x.jpg", "x.jpg.tif", "x.png"]),
        (["x.y.jpg", "x.jpg"], ["x", "x.y"]),
        (["mine.jpg", "Mine.old.jpg"], ["Mine.old", "mine.jpg"]),
    ],
)
def test_names_never_meet(here: Path, files: list[str], names: list[str]) -> None:
    """Images that would share a name keep their suffix; nobody takes a reserved name."""
    for file in files:
        (here / file).touch()

    assert sorted(found(str(here), reserved=["mine"]).values()) == names


@pytest.mark.usefixtures("tree")
def test_nothing_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """On several drives the whole path becomes the name."""

    def refuse(paths: Sequence[Path]) -> str:
        raise ValueError(f"no common path of {paths}")

    monkeypatch.setattr(os.path, "commonpath", refuse)

    expected = Path("p/a").resolve().as_posix().replace(":", "").lstrip("/")
    assert found("p/a.jpg") == {"p/a.jpg": expected}


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("empty", "expected images in empty, found none; --recursive"),
        ("nothing.jpg", "nothing.jpg: no such file or folder"),
        ("p/*.bmp", r"p/\*.bmp: expected images that match"),
        ("p/*.txt", "expected images that match"),
    ],
)
def test_nothing_to_do(argument: str, said: str) -> None:
    """What leads to no image is an error that names it."""
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        found(argument)


@pytest.mark.usefixtures("tree")
def test_folders_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the system refuses is an error, not an empty folder."""

    def refuse(path: str | Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(PermissionError, match="Permission denied"):
        found("p")


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
    """A model file becomes a detector with the threshold and threads asked for."""
    made = []

    class Detector:
        def __init__(self, path: Path, *, score_threshold: float, num_threads: int | None) -> None:
            made.append((path, score_threshold, num_threads))

        def __call__(self, _: Image) -> tuple[list[list[float]], list[float]]:
            return [[1.0, 1.0, 20.0, 30.0], [30.0, 2.0, 55.0, 38.0]], [0.9, 0.8]

    monkeypatch.setattr(inputs_module, "YoloxDetector", Detector)
    path = tmp_path / "MODEL.ONNX"
    path.touch()

    found = find_persons(files("a.jpg"), boxes=None, detector=path, score_threshold=0.4, threads=1)

    assert counts(found, model_folder, files("a.jpg")) == [2]
    assert made == [(path, 0.4, 1)]


def test_a_detector_of_another_kind(tmp_path: Path) -> None:
    """The message says which kinds of files there are."""
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"expected a YOLOX model \(\.onnx\) or a COCO results file \(\.json\)"):
        find_persons([], boxes=None, detector=tmp_path / "note.txt", score_threshold=0.3)
