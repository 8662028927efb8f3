"""Options that are checked as they are read."""

import argparse
from pathlib import Path

import pytest
import torch

from pcrpose.cli.shared.options import (
    add_model_options,
    at_least,
    device,
    existing_file,
    fraction,
    load_models,
    model_name,
    path,
    runtime,
    weights_source,
)
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.runtime import Runtime
from pcrpose.models.pcr import PCR


def test_values() -> None:
    """What fits is read."""
    assert at_least(1)("12") == 12
    assert [fraction(text) for text in ("0", "0.25", "1")] == [0, 0.25, 1]
    assert device("cpu") == torch.device("cpu")


def test_runtimes() -> None:
    """The options say how a model runs; without any it runs as it is."""
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    given = ["--dtype", "bfloat16", "--fuse", "--batch", "4", "--threads", "2"]

    assert runtime(parser.parse_args([])) == Runtime(batch_size=Runtime().batch_size)
    expected = Runtime(dtype=torch.bfloat16, fuse=True, batch_size=4, threads=2)
    assert runtime(parser.parse_args(given)) == expected


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many", ""])
def test_no_whole_number(text: str) -> None:
    """Anything but a whole number above the limit is refused, and shown."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"at least 1, found '{text}'"):
        at_least(1)(text)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "half"])
def test_no_fraction(text: str) -> None:
    """Anything but a number from 0 to 1 is refused."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 0 to 1, found '{text}'"):
        fraction(text)


@pytest.mark.parametrize(
    ("gpus", "text", "expected"),
    [(0, "auto", "cpu"), (2, "auto", "cuda"), (2, "cuda", "cuda"), (2, "cuda:1", "cuda:1")],
)
def test_devices(gpus: int, text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the GPU is taken where there is one."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)

    assert device(text) == torch.device(expected)


@pytest.mark.parametrize(
    ("gpus", "text", "said"),
    [
        (0, "cuda", "torch finds cpu"),
        (2, "cuda:2", "torch finds cpu, cuda:0 to 1"),
        (1, "cpu:1", "finds cpu, cuda"),
        (0, "meta", "not here"),
        (0, "gpu", "expected auto, cpu"),
    ],
)
def test_devices_that_are_not_there(gpus: int, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is not there is refused, and those that are are named."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    with pytest.raises(argparse.ArgumentTypeError, match=said):
        device(text)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder; a missing file and a folder are refused."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "file").touch()

    assert existing_file("~/file") == tmp_path / "file"
    assert path("~/new") == tmp_path / "new"
    with pytest.raises(argparse.ArgumentTypeError, match="~/other: expected a file, found none"):
        existing_file("~/other")
    with pytest.raises(argparse.ArgumentTypeError, match="found a folder"):
        existing_file("~")


@pytest.mark.parametrize(
    ("given", "expected"), [("", ["pcr-small"]), ("--model a", ["a"]), ("--model a --model b", ["a", "b"])]
)
def test_several_models(given: str, expected: list[str]) -> None:
    """What is given takes the place of the default, and the next parser has the default again."""
    parser = argparse.ArgumentParser()
    add_model_options(parser)

    assert parser.parse_args(given.split()).model == expected
    assert parser.parse_args([]).model == ["pcr-small"]


def test_models_are_loaded(model_folder: Path, tmp_path: Path) -> None:
    """One is itself, two are an ensemble, the same one twice is a mistake."""
    other = tmp_path / "other"
    PCR.from_pretrained(model_folder).save_pretrained(other)

    assert isinstance(load_models([model_folder]), PCR)
    both = load_models([str(model_folder), str(other)])
    assert isinstance(both, Ensemble)
    assert len(both.members) == 2
    with pytest.raises(ValueError, match=r"tiny: expected different models, found it 2 times"):
        load_models([model_folder, other, model_folder])
    with pytest.raises(ValueError, match=r"tiny: expected different models"):
        load_models([model_folder, f"{model_folder}/"])


def test_a_saved_ensemble_is_named_alone(model_folder: Path, tmp_path: Path) -> None:
    """Its folder stands for all its members; beside another model it is a mistake."""
    Ensemble([model_folder, "pcr-nano"], weights=[2, 1]).save(tmp_path / "both")

    found = load_models([str(tmp_path / "both")])

    assert isinstance(found, Ensemble)
    assert found.weights == [2, 1]
    with pytest.raises(ValueError, match=r"both: expected one model beside others, found an ensemble$"):
        load_models([str(model_folder), str(tmp_path / "both")])


def test_names_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of the zoo or the Hub stays a name; what is here, or can only be here, is a path."""
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    names = ["pcr-small", "timm/resnet50.a1_in1k"]
    paths = ["resnet50.pth", "none/resnet50.pth", "here", "here/none", "./none", "~"]

    assert [weights_source(name) for name in names] == names
    assert [weights_source(name) for name in paths] == [Path(name).expanduser() for name in paths]


def test_names_of_models(tmp_path: Path) -> None:
    """A file of weights is no model, whether it is there or not; the error says what makes it one."""
    (tmp_path / "here.pth").touch()
    for name in (str(tmp_path / "here.pth"), "none.safetensors"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"pcrpose convert {name} --as NAME --out FOLDER$"):
            model_name(name)
    assert model_name("owner/name-v1.5") == "owner/name-v1.5"
