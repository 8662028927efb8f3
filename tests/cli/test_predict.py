"""``pcrpose predict`` as a user runs it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

from pcrpose.cli.main import main
from pcrpose.data.images import open_image
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses
from pcrpose.models.pcr import PCR

Command = Callable[..., int]
Listing = Callable[[str], list[str]]
Reader = Callable[[str], dict[str, Any]]


def test_one_image(
    photos: Path,
    predict: Command,
    read_record: Reader,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One image gives a drawing and a record; their names are said, and how to do better, once."""
    assert predict(photos / "a.png") == 0

    assert listing("pcrpose-out") == ["a.jpg", "a.json", "predict.json"]
    poses = Poses.from_dict(read_record("pcrpose-out/a.json")["poses"])
    assert poses.boxes_xyxy.tolist() == [[0, 0, 95, 127]]
    with PIL.Image.open("pcrpose-out/a.jpg") as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (96, 128))
    captured = capsys.readouterr()
    out = captured.out.splitlines()
    assert out[0].startswith("1 image, 1 person, ")
    assert [Path(line) for line in out[1:3]] == [Path("pcrpose-out/a.jpg"), Path("pcrpose-out/a.json")]
    assert "--detector yolox-nano, or --boxes" in out[3]
    (progress,) = captured.err.splitlines()  # no warning besides, in words of the library
    assert progress.startswith("1/1 image, 1 person, ")


def test_boxes(photos: Path, predict: Command, read_record: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    """Each box gives a pose, in order; another try with other boxes replaces the first."""
    assert predict(photos / "a.png", "--boxes", "5,5,50,80", "--boxes", "30,5,90,120") == 0
    assert predict(photos / "a.png", "--boxes", "6,6,50,80") == 0

    poses = Poses.from_dict(read_record("pcrpose-out/a.json")["poses"])
    assert poses.boxes_xyxy.tolist() == [[6, 6, 50, 80]]
    captured = capsys.readouterr()
    assert "2 persons" in captured.out
    assert "warning" not in captured.err


def test_folder(
    photos: Path, predict: Command, listing: Listing, predicted: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder's images share batches; deeper ones come with --recursive, in folders of their own."""
    assert predict(photos, "--recursive", "--format", "png", "--batch", "3", "--no-flip") == 0

    assert predicted == [3, 1]
    names = ["a", "b", "c", "deep/d"]
    assert listing("pcrpose-out") == sorted(
        [f"{name}.{suffix}" for name in names for suffix in ("json", "png")] + ["predict.json"]
    )
    assert "4 images, 4 persons, " in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--json"], ["--format", "none"]])
def test_json_only(photos: Path, predict: Command, listing: Listing, options: list[str]) -> None:
    """Without drawings there are records alone."""
    assert predict(f"{photos}/*.png", "--out", "results", *options) == 0

    assert listing("results") == ["a.json", "c.json", "predict.json"]


def test_drawing_options(photos: Path, predict: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn is what was asked for."""
    asked = []
    draw = Poses.draw

    def drawing(self: Poses, image: Image, **options: Any) -> PIL.Image.Image:  # noqa: ANN401 - whatever comes
        asked.append(options)
        return draw(self, image, **options)

    monkeypatch.setattr(Poses, "draw", drawing)

    assert predict(photos / "a.png", "--out", "one") == 0
    assert predict(photos / "a.png", "--out", "two", "--draw-boxes", "--draw-scores", "--threshold", "0.5") == 0
    assert asked == [
        {"threshold": 0.2, "boxes": False, "scores": False},
        {"threshold": 0.5, "boxes": True, "scores": True},
    ]


def test_resume(photos: Path, predict: Command, predicted: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """The same command does what is missing, and nothing where nothing is."""
    assert predict(photos) == 0
    Path("pcrpose-out/b.json").unlink()

    assert predict(photos) == 0
    assert "1 image (2 done before), 1 person" in capsys.readouterr().out
    assert predict(photos) == 0
    assert "3 images done before, in pcrpose-out; --overwrite redoes them" in capsys.readouterr().out
    assert predicted == [3, 1]
    assert predict(photos, "--overwrite") == 0
    assert predicted == [3, 1, 3]


def test_interrupt(
    photos: Path,
    predict: Command,
    predicted: list[int],
    listing: Listing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C leaves whole files only, and the next run goes on from there."""

    def interrupted(path: Path, **options: Any) -> Image:  # noqa: ANN401 - whatever comes
        if path.name == "c.png":
            raise KeyboardInterrupt
        return open_image(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("pcrpose.cli.predict.open_image", interrupted)
        assert predict(photos, "--batch", "1") == 130
    assert listing("pcrpose-out") == ["a.jpg", "a.json", "b.jpg", "b.json", "predict.json"]

    assert predict(photos) == 0
    assert predicted == [1, 1, 1]


@pytest.mark.parametrize(("held", "times"), [(1 << 28, 1), (96 * 128 * 3, 1), (0, 2)])
def test_images_are_opened_once(
    photos: Path, predict: Command, monkeypatch: pytest.MonkeyPatch, held: int, times: int
) -> None:
    """What is predicted is drawn on, unless the images that wait would take too much memory."""
    opened: list[str] = []

    def opening(path: Path | Image, **options: Any) -> Image:  # noqa: ANN401 - whatever comes
        if isinstance(path, Path):
            opened.append(path.name)
        return open_image(path, **options)

    for module in ("cli.predict", "inference.predictor"):
        monkeypatch.setattr(f"pcrpose.{module}.open_image", opening)
    monkeypatch.setattr("pcrpose.cli.predict.HELD_BYTES", held)

    assert predict(photos, "--batch", "1") == 0

    assert sorted(opened) == sorted(["a.png", "b.jpg", "c.png"] * times)
    with PIL.Image.open("pcrpose-out/b.jpg") as drawn:
        assert drawn.size == (96, 128)


def test_bad_images(photos: Path, predict: Command, listing: Listing, capsys: pytest.CaptureFixture[str]) -> None:
    """Images that cannot be used are named with the reason, the others are done, and the exit code says so."""
    (photos / "notes.jpg").write_text("not an image", encoding="utf-8")
    (photos / "empty.png").touch()
    PIL.Image.new("RGB", (1, 40)).save(photos / "thin.png")

    assert predict(photos) == 1

    assert [name for name in listing("pcrpose-out") if name.endswith(".jpg")] == ["a.jpg", "b.jpg", "c.jpg"]
    captured = capsys.readouterr()
    assert "3 images (3 left out, see above), 3 persons" in captured.out
    for name in ("notes.jpg", "empty.png", "thin.png"):
        assert captured.err.count(f"left out {photos / name}: ") == 1
    assert predict(photos) == 1
    assert "0 images (3 done before, 3 left out, see above), 0 persons" in capsys.readouterr().out


def test_names_do_not_meet(photos: Path, predict: Command, listing: Listing, read_record: Reader) -> None:
    """Images that differ by suffix or folder have results of their own, beside the file of settings."""
    for name in ("a.bmp", "predict.png"):
        PIL.Image.new("RGB", (40, 40)).save(photos / name)

    assert predict(photos, photos / "deep" / "d.png", "--json") == 0

    names = ["a.bmp.json", "a.png.json", "b.json", "c.json", "deep/d.json", "predict.json", "predict.png.json"]
    assert listing("pcrpose-out") == names
    assert read_record("pcrpose-out/a.bmp.json")["width"] == 40
    assert read_record("pcrpose-out/a.png.json")["width"] == 96


def test_two_folders_one_result(
    photos: Path, predict: Command, read_record: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second folder whose images have the same names gets results beside those of the first, once."""
    other = Path("other")
    other.mkdir()
    PIL.Image.new("RGB", (40, 40)).save(other / "a.png")
    assert predict(photos) == 0

    first = read_record("pcrpose-out/a.json")
    capsys.readouterr()

    assert predict(other) == 0
    assert predict(other) == 0

    assert "1 image: other files have the names" in (captured := capsys.readouterr()).err
    assert f"{other / 'a.png'} is a-2 in pcrpose-out" in captured.err
    assert "1 image done before" in captured.out
    assert read_record("pcrpose-out/a.json") == first
    assert read_record("pcrpose-out/a-2.json")["width"] == 40


def test_results_among_the_images(photos: Path, predict: Command, predicted: list[int]) -> None:
    """A results folder inside the folder of images is not taken for images."""
    arguments = [photos, "--recursive", "--out", photos / "drawn"]

    assert [predict(*arguments), predict(*arguments)] == [0, 0]

    assert predicted == [4]


def test_other_settings(photos: Path, predict: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """What was made with other options is made anew, and what differs is said; the others stay."""
    assert predict(photos) == 0
    capsys.readouterr()

    assert predict(photos / "a.png", "--no-flip", "--draw-boxes") == 0
    said = "1 image (1 done again: flip was True, is False, draw_boxes was False, is True), 1 person"
    assert said.replace("is False, draw", "is False; draw") in capsys.readouterr().out
    assert json.loads(Path("pcrpose-out/predict.json").read_text(encoding="utf-8"))["flip"] is False
    assert predict(photos, "--no-flip", "--draw-boxes") == 0
    assert "2 images (1 done before, 2 done again: made with other settings)" in capsys.readouterr().out
    assert predict(photos / "a.png", "--no-flip", "--draw-boxes", "--dtype", "bfloat16") == 0
    assert "1 done again: dtype was None, is 'bfloat16'" in capsys.readouterr().out


def test_results_beside_the_images(photos: Path, predict: Command, listing: Listing) -> None:
    """Images are never replaced, and drawings that lie among them are not taken for images."""
    before = (photos / "b.jpg").read_bytes()
    expected = ["a.jpg", "a.json", "a.png", "b-2.jpg", "b-2.json", "b.jpg", "c.jpg", "c.json", "c.png"]

    assert predict(photos, "--out", photos) == 0
    assert predict(photos, "--out", photos) == 0
    assert predict(photos) == 0

    assert (photos / "b.jpg").read_bytes() == before
    assert listing(str(photos)) == [*expected, "deep/d.png", "predict.json"]
    assert listing("pcrpose-out") == ["a.jpg", "a.json", "b.jpg", "b.json", "c.jpg", "c.json", "predict.json"]


def test_nothing_to_see(photos: Path, predict: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is above a threshold, the command that shows something is said, and it works."""
    assert predict(photos / "a.png", "--boxes", "-5,5,50,80", "--threshold", "1") == 0

    line = capsys.readouterr().out.splitlines()[-1]
    command = f"pcrpose predict {photos / 'a.png'} --boxes -5,5,50,80 --threshold 0.05"
    assert line == f"no keypoint scored above 1.0: {command}"
    assert predict(*command.split()[2:]) == 0


def test_nobody_found(photos: Path, predict: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the detector is not sure of anybody, the command with a lower threshold is said."""
    (tmp_path / "1.png").write_bytes((photos / "a.png").read_bytes())
    found = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 50, 80], "score": 0.2}]
    Path("found.json").write_text(json.dumps(found), encoding="utf-8")

    assert predict("1.png", "--detector", "found.json") == 0

    line = capsys.readouterr().out.splitlines()[-1]
    expected = "pcrpose predict 1.png --detector found.json --score-threshold 0.05"
    assert line == f"nobody scored 0.3 or more: {expected}"


def test_several_models(
    photos: Path, predict: Command, model_folder: Path, read_record: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two models find the poses together, and their results go into a folder of their own."""
    torch.manual_seed(4)
    PCR(PCR.from_pretrained(model_folder).config).save_pretrained("other")

    assert predict(photos / "a.png", "--out", "one") == 0
    assert predict(photos / "a.png", "--out", "two", "--model", "other") == 0
    assert read_record("one/a.json")["poses"] != read_record("two/a.json")["poses"]
    marks = read_record("two/predict.json")["model"].split(" + ")
    assert [mark.split()[0] for mark in marks] == ["other", "tiny"]
    assert marks[1] == read_record("one/predict.json")["model"]
    capsys.readouterr()
    assert predict(photos / "a.png", "--out", "two") == 0
    assert "1 done again: model was 'other " in capsys.readouterr().out


def test_a_saved_ensemble(photos: Path, model_folder: Path, read_record: Reader) -> None:
    """It is named by its folder; the results say which one made them."""
    Ensemble([Member(model=model_folder), Member(model=model_folder, padding=1.5)]).save("views")

    assert main(["predict", str(photos / "a.png"), "--model", "views", "--device", "cpu", "--json"]) == 0

    digest = hashlib.sha256(Path("views/ensemble.json").read_bytes()).hexdigest()
    assert read_record("pcrpose-out/predict.json")["model"] == f"views {digest[:12]}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jpg"], "missing.jpg: no such file or folder"),
        (["photos/*.gif"], "expected images that match"),
        (["nothing"], "expected images in nothing, found none"),
        (["photos", "--boxes", "1,2,3,4"], "--boxes: expected one image, found 3"),
        (["photos/a.png", "--boxes", "1,2,3"], "expected four numbers"),
        (["photos/a.png", "--boxes", "9,9,4,4"], "expected x1 < x2"),
        (["photos/a.png", "--boxes", "1,2,3,4", "--detector", "notes.json"], "not allowed with"),
        (["photos/a.png", "--json", "--format", "png"], "not allowed with"),
        (["photos/a.png", "--format", "gif"], "gif"),
        (["photos/a.png", "--detector", "nothing.onnx"], "nothing.onnx"),
        (["photos/a.png", "--detector", "notes.json"], "notes.json"),
        (["photos/a.png", "--device", "tpu:9"], "tpu:9"),
        (["photos/a.png", "--batch", "many"], "found 'many'"),
        (["photos/a.png", "--batch", "0"], "at least 1"),
        (["photos/a.png", "--threshold", "2"], "from 0 to 1"),
        (["photos/a.png", "--out", "notes.json"], "notes.json"),
        (["photos/clip.mp4"], "photos/clip.mp4: no such file"),
        (["notes.mp4"], "notes.mp4: expected an image, found a video"),
        (["photos/a.png", "--detector", "yolox-mega"], "nor the name of a published one: yolox-nano, yolox-tiny"),
        (["photos/a.png", "--boxes", "-9,-9,-4,-4"], "lies outside the 128x96"),
        (["photos/a.png", "--threads", "0"], "at least 1"),
        ([], "PATH"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_mistakes(
    predict: Command,
    listing: Listing,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    """A mistake is named in the last line, ends with 2, and leaves nothing behind."""
    Path("nothing").mkdir()
    Path("notes.json").write_text("{}", encoding="utf-8")
    Path("notes.mp4").touch()
    before = listing(".")

    assert predict(*arguments) == 2

    assert said in capsys.readouterr().err.splitlines()[-1]
    assert listing(".") == before


def test_unknown_model(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt model is answered with the closest name, before any image is opened."""
    assert main(["predict", str(photos), "--model", "pcr-nan"]) == 2

    assert "did you mean 'pcr-nano'" in capsys.readouterr().err


def test_folder_without_weights(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds no model says what a model is."""
    assert main(["predict", str(photos), "--model", str(photos)]) == 2

    assert "expected config.json and model.safetensors" in capsys.readouterr().err


def test_real_images_and_detector(
    here: Path, shared_data: Callable[[str], Path], read_record: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real detector finds the two men of a street scene, and pcr-nano their poses."""
    pytest.importorskip("onnxruntime")
    image = shared_data("coco/val/000000040083.jpg")
    detector = shared_data("detector/yolox_nano.onnx")

    assert main(["predict", str(image), "--detector", str(detector), "--device", "cpu", "--out", str(here)]) == 0

    poses = Poses.from_dict(read_record("000000040083.json")["poses"])
    assert len(poses) == 2
    assert (poses.box_scores > 0.3).all()
    assert "no detector" not in capsys.readouterr().err
