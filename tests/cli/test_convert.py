"""``pcrpose convert``: a folder that every command loads, or one line and nothing written."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
import torch

from pcrpose.cli.main import main
from pcrpose.files.digest import file_sha256
from pcrpose.keypoints.boxes import Size
from pcrpose.models import convert
from pcrpose.models.checkpoints.original import to_published
from pcrpose.models.load import load_model
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

TINY = SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=Size(width=32, height=64))


@pytest.fixture
def checkpoint(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small checkpoint with original names into the folder where commands run; return its relative path."""
    assert here.is_dir()
    monkeypatch.setattr(convert, "NETWORKS", {"tiny-64x32": TINY})
    torch.manual_seed(5)
    torch.save(to_published(SimpleBaseline(TINY).state_dict()), "tiny.pth")
    return Path("tiny.pth")


def run(checkpoint: Path, *more: str) -> int:
    """Convert into the folder ``out``."""
    return main(["convert", str(checkpoint), "--as", "tiny-64x32", "--out", "out", *more])


def test_a_checkpoint_becomes_a_folder(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights, configuration and card; the model loads by its folder and other commands take it."""
    assert run(checkpoint, "--license", "mit") == 0

    assert sorted(path.name for path in Path("out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    model = load_model("out")
    published = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(tensor, published[name]) for name, tensor in to_published(model.state_dict()).items())
    assert json.loads(Path("out/config.json").read_text())["channel_order"] == "bgr"
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "`tiny.pth`" in card
    assert file_sha256(checkpoint) in card
    assert "license: mit\n" in card
    assert "from original names, reads BGR crops of 64x32" in capsys.readouterr().out
    assert main(["info", "out"]) == 0


def test_what_does_not_fit_leaves_nothing(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with five names and the count; the whole list on request; no folder."""
    tensors = torch.load(checkpoint, weights_only=True)
    torch.save(tensors | {f"tower.{index}": torch.zeros(1) for index in range(8)}, checkpoint)

    assert run(checkpoint) == 2
    line = capsys.readouterr().err
    assert line.startswith("pcrpose convert: tiny.pth: 8 tensors do not fit tiny-64x32: unexpected encoder.tower.0; ")
    assert line.endswith("unexpected encoder.tower.4; and 3 more; --report REPORT lists them all\n")
    assert run(checkpoint, "--report", "misfits.txt") == 2

    assert capsys.readouterr().err.endswith("; and 3 more; all of them are in misfits.txt\n")
    listed = [f"unexpected encoder.tower.{index}" for index in range(8)]
    assert Path("misfits.txt").read_text().splitlines() == listed
    assert sorted(path.name for path in Path().iterdir()) == ["misfits.txt", "tiny.pth"]


def test_a_write_that_fails_leaves_nothing(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk after the weights: neither the folder nor a part of it."""

    def full(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr("pcrpose.cli.convert.converted_card", full)

    assert run(checkpoint) == 2
    assert [path.name for path in Path().iterdir()] == ["tiny.pth"]


def test_a_folder_that_holds_something_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It stays as it is; an empty one is filled."""
    Path("out").mkdir()
    assert run(checkpoint) == 0
    before = Path("out/config.json").read_bytes()
    capsys.readouterr()

    assert run(checkpoint) == 2
    assert capsys.readouterr().err.startswith("pcrpose convert: out: expected a new or an empty folder, found one")
    assert Path("out/config.json").read_bytes() == before


class Trap:
    """Something that would run when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (Path("trapped"),)


def test_a_malicious_file_does_not_run(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2, nothing written and nothing run."""
    checkpoint.write_bytes(pickle.dumps({"state_dict": Trap()}))

    assert run(checkpoint) == 2

    error = capsys.readouterr().err
    assert error.startswith("pcrpose convert: tiny.pth: expected tensors alone; ")
    assert error.endswith(" or holds objects, which are never run\n")
    assert error.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["tiny.pth"]


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "photo.png", "--model", "tiny.pth"],
        ["info", "tiny.pth"],
        ["train", "annotations.json", "images", "--out", "run", "--start", "tiny.pth"],
    ],
)
def test_commands_name_the_conversion(command: list[str], checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint in the place of a model is one line that says what to do."""
    PIL.Image.new("RGB", (64, 64)).save("photo.png")
    Path("annotations.json").write_text("{}")

    assert main(command) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"pcrpose convert {checkpoint} --as NAME --out FOLDER" in error
