"""Pretrained models: what an entry claims is measured on what ships."""

import dataclasses
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors.torch import load_file, save_file

from pcrpose.models import hub, zoo
from pcrpose.models.flops import measure_cost
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR
from pcrpose.models.zoo import ZOO, ZooEntry, list_pretrained, pretrained_folder

LARGEST_FILE = 8 * 2**20


def written_forms(value: float) -> set[str]:
    """Give the ways in which a card may write a figure between 0 and 1."""
    return {f"{value:.3f}", f"{value:.4f}", f"{100 * value:.1f}"}


def check_claims(entry: ZooEntry, folder: Path) -> None:
    """Compare everything that an entry says with the folder that ships; AP is measured elsewhere."""
    model = load_model(folder)
    assert type(model).__name__ == entry.architecture
    cost = measure_cost(model.config)
    assert cost.parameters == entry.parameters
    assert cost.gmacs == pytest.approx(entry.gmacs, rel=0.01)
    tensors = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert max(path.stat().st_size for path in folder.iterdir()) <= LARGEST_FILE
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"`{entry.recipe}`" in card
    assert entry.summary
    assert entry.data
    assert entry.metrics
    for name, value in entry.metrics.items():
        assert any(form in card for form in written_forms(value)), f"the card does not state {name} = {value}"
    for name, (low, high) in entry.intervals.items():
        assert low <= entry.metrics[name] <= high
        assert f"{low:.3f} to {high:.3f}" in card, f"the card does not state the interval of {name}"


@pytest.mark.parametrize("name", list_pretrained())
def test_every_pretrained_model_is_what_its_entry_claims(name: str) -> None:
    """Architecture, size, work, precision, file size and card of each model that ships."""
    assert ZOO[name].name == name
    check_claims(ZOO[name], pretrained_folder(name))


@pytest.fixture
def shipped(tiny_model: PCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ZooEntry, Path]:
    """Ship a small model under the name ``tiny``."""
    folder = tmp_path / "tiny"
    tiny_model.save_pretrained(folder)
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "README.md").write_text("Trained by `C`; AP 0.123 (0.100 to 0.200) on nothing.")
    cost = measure_cost(tiny_model.config)
    entry = ZooEntry(
        name="tiny",
        architecture="PCR",
        recipe="C",
        summary="Small.",
        parameters=cost.parameters,
        gmacs=cost.gmacs,
        metrics={"AP, nothing": 0.123},
        intervals={"AP, nothing": (0.1, 0.2)},
        data="None.",
    )
    for module in (hub, zoo):
        monkeypatch.setattr(module, "ZOO", MappingProxyType({"tiny": entry}))
    monkeypatch.setattr(hub, "pretrained_folder", lambda _name: folder)
    return entry, folder


def test_a_true_entry_passes(shipped: tuple[ZooEntry, Path]) -> None:
    """The check accepts an entry that is right, which loads by its name."""
    check_claims(*shipped)
    assert list_pretrained() == ["tiny"]
    assert load_model("tiny").config == PCR.from_pretrained("tiny").config


@pytest.mark.parametrize(
    "lie",
    [
        {"architecture": "SimpleBaseline"},
        {"parameters": 3},
        {"gmacs": 0.5},
        {"recipe": "ACHU->CH"},
        {"metrics": {"AP, nothing": 0.124}},
        {"metrics": {}, "intervals": {}},
        {"intervals": {"AP, nothing": (0.1, 0.3)}},
        {"intervals": {"AP, nothing": (0.123, 0.1)}},
        {"data": ""},
    ],
)
def test_a_false_entry_fails(lie: dict[str, object], shipped: tuple[ZooEntry, Path]) -> None:
    """Every single claim can fail the check."""
    entry, folder = shipped
    with pytest.raises(AssertionError):
        check_claims(dataclasses.replace(entry, **lie), folder)  # type: ignore[arg-type] # fields by name


def test_a_file_too_large_fails(shipped: tuple[ZooEntry, Path]) -> None:
    """Nothing above 8 MiB ships."""
    entry, folder = shipped
    (folder / "image.png").write_bytes(bytes(LARGEST_FILE + 1))
    with pytest.raises(AssertionError):
        check_claims(entry, folder)


def test_single_precision_fails(shipped: tuple[ZooEntry, Path], tiny_model: PCR) -> None:
    """Weights ship in half precision."""
    entry, folder = shipped
    save_file(tiny_model.state_dict(), folder / "model.safetensors")
    with pytest.raises(AssertionError):
        check_claims(entry, folder)


def test_the_zoo_cannot_be_changed() -> None:
    """It is a read-only mapping in the order of its list."""
    assert list(ZOO) == list_pretrained()
    with pytest.raises(TypeError):
        ZOO["mine"] = None  # type: ignore[index] # what is tested


def test_models_ship_inside_the_package() -> None:
    """Each has a folder of its name under the models' room."""
    assert pretrained_folder("any").parts[-3:] == ("models", "pretrained", "any")
