"""``pcrpose calibrate``: a model's folder with what its scores are worth."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pcrpose.cli import calibrate
from pcrpose.cli.main import main
from pcrpose.data.readers.negatives import Negative, write_negatives
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.files.digest import file_sha256
from pcrpose.keypoints.boxes import Size
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig


@pytest.fixture(scope="module")
def awake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny PCR whose random heads are not near zero, so that its heatmaps have peaks."""
    torch.manual_seed(3)
    config = PCRConfig(
        encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=Size(width=64, height=96)
    )
    network = PCR(config)
    for head in network.heads.parameters():
        torch.nn.init.normal_(head, mean=0.5 if head.dim() == 1 else 0.0, std=0.2)
    folder = tmp_path_factory.mktemp("models") / "awake"
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def data(here: Path) -> list[str]:
    """Draw a few persons where commands run; return the options that name them."""
    file = write_synthetic_coco(here / "drawn", 30)
    return ["--data", str(file), "--images", str(file.parent / "images")]


def test_a_calibrated_model_is_written(awake: Path, data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same weights and card, a configuration with both maps, and the table."""
    content = json.loads(Path(data[1]).read_text())
    image = content["images"][0]
    negative = Negative(image_id=image["id"], file_name=image["file_name"], bbox=(0.0, 0.0, 20.0, 30.0), score=0.5)
    write_negatives("negatives.json", [negative], {})

    code = main(["calibrate", str(awake), *data, "--negatives", "negatives.json", "--out", "out"])

    assert code == 0
    calibration = load_model("out").config.calibration
    assert calibration is not None
    assert calibration.plain.probabilities != calibration.mirrored.probabilities
    assert calibration.mirrored.presence is not None
    assert file_sha256(Path("out/model.safetensors")) == file_sha256(awake / "model.safetensors")
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(path.name for path in awake.iterdir())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["keypoint", "labelled", "right"]
    assert [line.split()[0] for line in lines[1:4]] == ["nose", "left_eye", "right_eye"]
    labelled = sum(sum(value > 0 for value in person["keypoints"][2::3]) for person in content["annotations"])
    assert lines[18].split()[:2] == ["all", str(labelled)]
    persons = len(content["annotations"])
    assert (
        lines[19]
        == f"presence of {persons} persons and 1 boxes that hold nobody: not measured, they are of too few images"
    )


def test_presence_is_measured_on_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: three quarters of the pairs in order, and the mean squared distance of each kind, each for one half."""
    found = (np.array([0.8, 0.4]), np.array([0.5, 0.1]))
    boxes = SimpleNamespace(images=[1, 2])
    monkeypatch.setattr(calibrate, "held_out_presence", lambda *_, **__: found)

    lines = calibrate.presence_table(boxes, boxes).splitlines()  # type: ignore[arg-type] # only counted

    assert lines == [
        "presence of 2 persons and 2 boxes that hold nobody",
        "  with the mirrored crop area under ROC 0.750, Brier score 0.165",
        "  without it             area under ROC 0.750, Brier score 0.165",
    ]


def test_images_can_be_chosen(awake: Path, data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a list, or all but those; a list of nobody is an error and leaves no folder."""
    ids = [image["id"] for image in json.loads(Path(data[1]).read_text())["images"]]
    Path("some.json").write_text(json.dumps({"image_ids": ids[:25]}))
    Path("more.json").write_text(json.dumps([*ids[:25], 999999, 888888]))
    Path("none.json").write_text("[]")

    assert main(["calibrate", str(awake), *data, "--only", "some.json", "--out", "only"]) == 0
    shown = capsys.readouterr().err
    assert "persons: 25/25 images" in shown
    assert "no annotated person" not in shown
    assert main(["calibrate", str(awake), *data, "--only", "more.json", "--out", "more"]) == 0
    line = "more.json: 2 of 27 images have no annotated person in --data, the first of them 888888"
    assert f"warning: {line}\n" in capsys.readouterr().err
    assert main(["calibrate", str(awake), *data, "--leave-out", "some.json", "--out", "rest"]) in {0, 2}
    assert f"persons: {len(ids) - 25}/{len(ids) - 25} images" in capsys.readouterr().err
    assert main(["calibrate", str(awake), *data, "--only", "none.json", "--out", "nobody"]) == 2
    assert "pcrpose calibrate: --data: expected persons with keypoints" in capsys.readouterr().err
    assert not Path("nobody").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--images", "elsewhere"], "--images: expected one per --data, found 2 for 1"),
        (["--only", "list.json"], "list.json: expected a list of image ids, or an object with image_ids, found 'a'"),
        (["--out", "."], "expected a new or an empty folder, found one that holds files"),
    ],
)
def test_mistakes_are_one_line(
    awake: Path, data: list[str], capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    """Nothing is predicted and nothing written."""
    Path("list.json").write_text('"a"')

    assert main(["calibrate", str(awake), *data, "--out", "out", *more]) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("out").exists()
