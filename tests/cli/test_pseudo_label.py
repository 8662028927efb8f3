"""``pcrpose pseudo-label``: from a folder of images to a file that training reads."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import PIL.Image
import pytest

from pcrpose.cli import pseudo_label
from pcrpose.data.images import open_image
from pcrpose.data.readers.coco import read_coco
from pcrpose.inference.predictor import PosePredictor
from pcrpose.labelling.pseudo_labels.work_file import Shard
from pcrpose.models.load import build_model, load_model
from pcrpose.models.pose_config import PoseConfig

Command: TypeAlias = Callable[..., int]

IMAGES = 12
ALWAYS = ("--threshold", "-1")  # random weights are never sure


@pytest.fixture
def label(model_folder: Path) -> Command:
    """Run the command with the small network."""

    def run(*arguments: str | Path, model: Path = model_folder) -> int:
        parser = argparse.ArgumentParser()
        pseudo_label.add_arguments(parser)
        given = [*map(str, arguments), "--model", str(model), "--device", "cpu"]
        return pseudo_label.run(parser.parse_args(given))

    return run


@pytest.fixture
def folder(photos: Path) -> Path:
    """Number twelve images of three kinds, and record two boxes in each; one is not worth looking into."""
    target = Path("numbered")
    target.mkdir()
    for number in range(1, IMAGES + 1):
        shutil.copy(photos / "a.png", target / f"p{number}.png")
    boxes = [
        {"image_id": number, "category_id": 1, "bbox": [10, 10 + number, 60, 100], "score": score}
        for number in range(1, IMAGES + 1)
        for score in (0.9, 0.3)
    ]
    Path("boxes.json").write_text(json.dumps(boxes))
    return target


@pytest.fixture
def made() -> Callable[[str], dict[str, Any]]:
    """Read the provenance of a file."""

    def read(path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(Path(path).read_text())["info"]["pcrpose"]
        return found

    return read


def test_labels_of_a_folder(
    label: Command, folder: Path, made: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is read as annotations; it tells what made it, and the screen what was kept."""
    assert label(folder, "--detector", "boxes.json", "--out", "pseudo.json", *ALWAYS) == 0

    dataset = read_coco("pseudo.json", folder)
    found = made("pseudo.json")
    assert [sample.image_id for sample in dataset.samples] == [1, 10, 11, 12, *range(2, 10)]
    assert found["predictions"]["model"]["name"] == "tiny"
    assert [len(found["predictions"][what]["sha256"]) for what in ("model", "detector")] == [64, 64]
    assert found["predictions"]["flip"] is True
    assert set(found["selection"]["thresholds"].values()) == {-1.0}
    output = capsys.readouterr().out.splitlines()
    assert output[0].split() == ["keypoint", "kept", "of", "all", "threshold"]
    assert output[-2:] == ["12 of 12 persons kept, in 12 of 12 images", "labels in pseudo.json"]


def test_other_thresholds_predict_nothing(
    label: Command, folder: Path, made: Callable[[str], dict[str, Any]], predictions: list[int]
) -> None:
    """What was found before is only looked through again."""
    arguments = (folder, "--detector", "boxes.json", "--out", "pseudo.json")
    assert label(*arguments) == 0
    assert predictions == [8, 4]

    assert label(*arguments, "--keep-fraction", "0.5", "--min-keypoints", "2") == 0
    assert made("pseudo.json")["selection"]["fraction"] == 0.5
    assert label(*arguments, "--keep-share", "0.25") == 0  # the option's earlier name
    assert made("pseudo.json")["selection"]["fraction"] == 0.25
    assert label(*arguments, *ALWAYS, "--keypoint-threshold", "nose=9", "--keypoint-threshold", "left_hip=8.5") == 0
    assert made("pseudo.json")["keypoints"]["nose"] == {"kept": 0, "dropped": IMAGES}
    assert made("pseudo.json")["selection"]["thresholds"]["left_hip"] == 8.5
    assert predictions == [8, 4]


@pytest.fixture
def predictions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many images each call of the predictor was given."""
    counts: list[int] = []
    original = PosePredictor.predict_batch

    def counting(self: Any, images: list[Any], *rest: Any) -> Any:  # noqa: ANN401 - whatever comes
        counts.append(len(images))
        return original(self, images, *rest)

    monkeypatch.setattr(PosePredictor, "predict_batch", counting)
    return counts


def test_shards_and_merge(label: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two shards merged are the file of one run; one shard alone is refused."""
    arguments = (folder, "--detector", "boxes.json", *ALWAYS)
    assert label(*arguments, "--out", "whole.json") == 0
    for number in (1, 2):
        assert label(*arguments, "--out", "parts.json", "--shard", f"{number}/2") == 0
    assert not Path("parts.json").exists()
    assert "shard 2/2 is done: parts.json.2-of-2.work" in capsys.readouterr().out

    work = [f"parts.json.{number}-of-2.work" for number in (2, 1)]
    assert label("--out", "parts.json", *ALWAYS, "--merge", *work) == 0
    assert Path("parts.json").read_bytes() == Path("whole.json").read_bytes()
    with pytest.raises(ValueError, match="expected each of the 2 shards once, found 2/2"):
        label("--out", "parts.json", "--merge", work[0])


def test_leaks_are_listed(
    label: Command,
    folder: Path,
    photos: Path,
    made: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A copy of an image that is measured on is left out, given as a folder or as annotations."""
    PIL.Image.fromarray(open_image(photos / "c.png")).resize((48, 64)).save(folder / "p7.jpg", quality=40)
    (folder / "p7.png").unlink()
    content = {"images": [{"id": 3, "file_name": "c.png"}, {"id": 4, "file_name": "deep/d.png"}]}
    Path("val.json").write_text(json.dumps(content))
    Path("apart").mkdir()
    shutil.copy(photos / "c.png", "apart")
    shutil.copytree(photos / "deep", "apart/deep")

    outputs: dict[str, list[str | Path]] = {"a.json": ["apart"], "b.json": ["val.json", photos]}
    for out, never_in in outputs.items():
        assert label(folder, "--detector", "boxes.json", "--out", out, *ALWAYS, "--never-in", *never_in) == 0
        leaks = made(out)["images"]["leaks"]
        assert [(leak["file_name"], leak["leak"]["file_name"]) for leak in leaks] == [("p7.jpg", "c.png")]
        printed = capsys.readouterr().out.splitlines()
        assert printed[-3:-1] == [
            "leak: p7.jpg looks like c.png",
            "11 of 11 persons kept, in 11 of 12 images (left out: 1 leak)",
        ]
    assert made("a.json")["predictions"]["never_in"] == made("b.json")["predictions"]["never_in"]


def test_many_leaks_are_counted(label: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The screen shows the first; a folder that is all leaks gives no labels at all."""
    Path("apart").mkdir()
    shutil.copy(folder / "p1.png", "apart")
    PIL.Image.new("RGB", (64, 64), "red").save(folder / "p13.png")

    assert label(folder, "--detector", "boxes.json", "--out", "a.json", "--never-in", "apart") == 0
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("leak: ") for line in printed) == pseudo_label.SHOWN_LEAKS
    assert "and 2 leaks more, listed in the file" in printed


def test_unreadable_images(label: Command, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted, the others are done, and the exit code says so."""
    (folder / "p3.png").write_bytes(b"nothing")

    assert label(folder, "--detector", "boxes.json", "--out", "pseudo.json", *ALWAYS) == 1
    assert "11 of 11 persons kept, in 11 of 12 images (left out: 1 unreadable image)" in capsys.readouterr().out


def test_detector(label: Command, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that finds boxes is run; images in deeper folders keep their path."""
    Path("model.onnx").write_bytes(b"a detector")

    class Detector:
        def __init__(self, path: Path, *, score_threshold: float, num_threads: int | None) -> None:
            assert (path.name, score_threshold, num_threads) == ("model.onnx", 0.5, None)

        def __call__(self, _: object) -> tuple[list[list[float]], list[float]]:
            return [[10, 10, 70, 110]], [0.8]

    monkeypatch.setattr("pcrpose.cli.shared.inputs.YoloxDetector", Detector)

    assert label(photos, "--recursive", "--detector", "model.onnx", "--out", "pseudo.json", *ALWAYS) == 0
    names = [path.as_posix() for path in read_coco("pseudo.json", "photos").image_paths.values()]
    assert names == ["photos/a.png", "photos/b.jpg", "photos/c.png", "photos/deep/d.png"]


def test_coordinates_label_nothing(
    label: Command, folder: Path, tmp_path: Path, tiny_system: Callable[[str], PoseConfig]
) -> None:
    """DeepPose scores every keypoint 1, so every guess would become a label."""
    build_model(tiny_system("DeepPose")).save_pretrained(tmp_path / "deeppose")
    arguments = (folder, "--detector", "boxes.json", "--out", "pseudo.json")
    with pytest.raises(ValueError, match="pseudo-labels: expected a model that predicts heatmaps"):
        label(*arguments, model=tmp_path / "deeppose")
    assert not Path("pseudo.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.json"], "expected a folder of images, or --merge and work files"),
        (["numbered", "--merge", "boxes.json", "--out", "a.json"], "expected a folder of images, or --merge"),
        (["numbered", "--out", "a.json"], "--detector: expected a YOLOX model or a file of boxes"),
        (["none", "--detector", "boxes.json", "--out", "a.json"], "none: expected a folder of images, found none"),
        (["numbered/p1.png", "--detector", "boxes.json", "--out", "a.json"], "expected a folder of images, found a"),
        (["numbered", "--detector", "boxes.json", "--out", "boxes.json"], r"boxes\.json: is there already"),
        (["numbered", "--out", "a.json", "--keep-fraction", "0.5", "--threshold", "0.9"], "found both"),
        (
            ["numbered", "--detector", "boxes.json", "--out", "a.json", "--keypoint-threshold", "nosse=1"],
            "has no keypoint 'nosse'",
        ),
        (
            ["numbered", "--detector", "boxes.json", "--out", "a.json", "--never-in", "boxes.json"],
            "--never-in: expected a folder, or a file and its folder, found boxes.json",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_mistakes(arguments: list[str], message: str, label: Command) -> None:
    """They are told before anything is predicted, and nothing is written."""
    with pytest.raises((ValueError, OSError), match=message):
        label(*arguments)
    assert list(Path().glob("a.json*")) == []


@pytest.mark.parametrize(
    "arguments",
    [["--shard", "5/4"], ["--threshold", "much"], ["--keypoint-threshold", "nose"], ["--keep-fraction", "2"]],
)
def test_impossible_values(arguments: list[str], label: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser refuses them, naming the option."""
    with pytest.raises(SystemExit):
        label("photos", "--out", "a.json", *arguments)
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


def test_shard_of_other_settings_is_not_merged(label: Command, folder: Path, model_folder: Path) -> None:
    """Weights of another model are another provenance."""
    other = shutil.copytree(model_folder, "other")
    arguments = (folder, "--detector", "boxes.json", "--out", "a.json")
    label(*arguments, "--shard", str(Shard(number=1, count=2)))
    label(*arguments, "--shard", "2/2", model=other)

    with pytest.raises(ValueError, match=r"was made with other settings than .*: model: .*tiny.* and .*other"):
        label("--out", "a.json", "--merge", "a.json.1-of-2.work", "a.json.2-of-2.work")


def test_labels_of_several_models(
    label: Command, folder: Path, model_folder: Path, made: Callable[[str], dict[str, Any]]
) -> None:
    """Their mean is labelled, the provenance lists them all, and a work file of one of them is not gone on with."""
    other = load_model(model_folder)
    for name, tensor in other.state_dict().items():
        if name.startswith("heads"):
            tensor.neg_()
    other.save_pretrained("other")
    arguments = (folder, "--detector", "boxes.json", *ALWAYS, "--model", "other")

    assert label(*arguments, "--out", "both.json") == 0

    found = made("both.json")["predictions"]
    assert [each["name"] for each in found["models"]] == ["other", "tiny"]
    assert {len(each["sha256"]) for each in found["models"]} == {64}
    assert found["models"][0]["sha256"] != found["models"][1]["sha256"]
    assert "model" not in found
    annotations = json.loads(Path("both.json").read_text())["annotations"]
    assert {entry["score"] for entry in annotations} == {0.0}  # what one finds the other denies
    with pytest.raises(ValueError, match="other settings"):
        label(folder, "--detector", "boxes.json", *ALWAYS, "--out", "both.json")


def test_the_provenance_of_one_model_stays(label: Command, folder: Path) -> None:
    """Work files of earlier runs go on: one model is told as it always was."""
    assert label(folder, "--detector", "boxes.json", "--out", "a.json", *ALWAYS) == 0

    settings = json.loads(Path("a.json.work").read_text().splitlines()[0])["settings"]
    assert list(settings) == [
        "pcrpose", "model", "flip", "decode", "detector", "box_threshold", "never_in", "images"
    ]  # fmt: skip
    assert list(settings["model"]) == ["name", "sha256"]
