"""``pcrpose info``."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from pcrpose.cli import info
from pcrpose.cli.main import main
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.keypoints.boxes import Size
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.vitpose import ViTPose, ViTPoseConfig
from pcrpose.models.zoo import PUBLISHED, ZOO, conditions


def test_installation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, devices and extras are listed, with the way to get the extras that are missing."""
    declared = [
        "torch>=2",
        'pytest>=8; extra == "train"',
        "nothing-of-the-kind[x]>=1; extra == 'detector'",
        'x; extra == "dev"',
    ]
    monkeypatch.setattr(info, "requires", lambda _: declared)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    assert main(["info"]) == 0

    facts = {line[:16].strip(): line[17:] for line in capsys.readouterr().out.splitlines()}
    assert facts["pcrpose"] == version("pcrpose")
    assert facts["torch"] == f"{torch.__version__}, 1 threads"
    assert facts["devices"] == "cpu, cuda:0 (Card 0), mps"
    assert facts["extra train"] == f"pytest {version('pytest')}"
    assert re.fullmatch(r"not here: pip install '.+\[detector\]'", facts["extra detector"])
    assert "extra dev" not in facts


def test_extras_of_the_package() -> None:
    """The extras are those that the installed package declares for its users."""
    assert {"train", "detector"} <= set(info._extras())
    assert "accelerate" in info._extras()["train"]


def test_model(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model's facts are those of its configuration and weights."""
    assert main(["info", str(model_folder)]) == 0

    facts = {line[:16].strip(): line[17:] for line in capsys.readouterr().out.splitlines()}
    count = sum(parameter.numel() for parameter in load_model(model_folder).parameters())
    assert facts["architecture"] == "PCR"
    assert facts["encoder"] == "resnet_nano"
    assert facts["input"].startswith("96x64 (height x width)")
    assert facts["keypoints"] == "17 of COCO_17"
    assert facts["parameters"].startswith(f"{count:,} ")
    assert float(facts["GMACs"].split()[0]) > 0


def test_pretrained_model(capsys: pytest.CaptureFixture[str]) -> None:
    """A model of the zoo comes with its recipe, its license and every metric with its interval."""
    assert main(["info", "pcr-nano"]) == 0

    lines = capsys.readouterr().out.splitlines()
    entry = ZOO["pcr-nano"]
    start = lines.index(f"{'recipe':<16} {entry.recipe}")
    expected = [f"{'weights':<16} {entry.license}"]
    for key, metrics in entry.metrics.items():
        expected.append("{:<16} {}, boxes: {}".format("measured on", *conditions(key)))
        expected += [f"{'  ' + name:<16} {metric}" for name, metric in metrics.items()]
    assert lines[start + 1 :] == expected


def test_model_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that others published comes with their metrics, and the words that they are theirs."""
    entry = PUBLISHED["usyd-community/vitpose-base"]
    size = Size(width=48, height=64)
    ViTPose(ViTPoseConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=3, input_size=size)).save_pretrained(
        tmp_path
    )
    monkeypatch.setattr(info, "load_models", lambda _: load_model(tmp_path))

    assert main(["info", entry.repository]) == 0

    out = capsys.readouterr().out
    assert "encoder          vision transformer of width 24, depth 1\n" in out
    assert "published for    COCO val2017, boxes: a detector with 56 AP on persons; not measured here\n" in out
    assert out.endswith(f"  AP             0.758\n  AR             0.811\nsource           {entry.source}\n")


def test_what_is_blackened_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that does not see beyond a box says how far beyond; one that reads blue first says so."""
    size = Size(width=32, height=32)
    config = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=size, blackout=1.15, channel_order="bgr")
    PCR(config).save_pretrained(tmp_path)

    assert main(["info", str(tmp_path)]) == 0

    assert "times, black beyond 1.15 times, channels in the order blue, green, red\n" in capsys.readouterr().out


def test_ensemble(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each member with its weight and crop; a model that has two views counts once."""
    views = [Member(model=model_folder, weight=2), Member(model=model_folder, padding=1.5)]
    Ensemble(views, mirrored=True).save(tmp_path / "views")

    assert main(["info", str(tmp_path / "views")]) == 0

    count = sum(parameter.numel() for parameter in load_model(model_folder).parameters())
    assert capsys.readouterr().out.splitlines() == [
        "architecture     Ensemble: the mean of 2 models' heatmaps, and of their mirror images'",
        "member 1         PCR, weight 2, 96x64 (height x width), boxes enlarged 1.25 times",
        "member 2         PCR, weight 1, 96x64 (height x width), boxes enlarged 1.5 times",
        "keypoints        17 of COCO_17",
        f"parameters       {count:,} ({count / 1e6:.2f} M)",
    ]


def test_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name is answered with the closest."""
    assert main(["info", "pcr-nan"]) == 2

    assert "pcr-nano" in capsys.readouterr().err
