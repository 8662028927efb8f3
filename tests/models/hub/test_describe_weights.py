"""Which weights something was made with."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pcrpose.models.hub import describe_weights
from pcrpose.models.pcr import PCR
from pcrpose.models.zoo import pretrained_folder


def test_a_folder_goes_by_its_last_part(
    make_model: Callable[[], PCR], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it lies is not told, also where it is given as a dot; the hash is the file's."""
    folder = tmp_path / "deep" / "mine"
    make_model().save_pretrained(folder)
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()

    assert describe_weights(folder) == {"name": "mine", "sha256": expected}
    assert describe_weights(str(folder)) == describe_weights(folder)
    monkeypatch.chdir(folder)
    assert describe_weights(".") == describe_weights(folder)


def test_a_name_of_the_zoo_stays() -> None:
    """A pretrained model is known by its name."""
    weights = pretrained_folder("pcr-nano") / "model.safetensors"
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()

    assert describe_weights("pcr-nano") == {"name": "pcr-nano", "sha256": expected}


def test_what_is_no_model(tmp_path: Path) -> None:
    """An unknown name, and a folder without weights, are said as such."""
    with pytest.raises(ValueError, match="'nobody' is no folder"):
        describe_weights("nobody")
    with pytest.raises(FileNotFoundError):
        describe_weights(tmp_path)
