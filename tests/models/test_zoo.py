"""Pretrained models: what an entry claims is measured on what ships."""

import dataclasses
import re
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors.torch import load_file, save_file

from pcrpose.models import hub, zoo
from pcrpose.models.flops import measure_cost
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR
from pcrpose.models.vitpose import VARIANTS, Decoder, ViTPoseConfig
from pcrpose.models.zoo import (
    PUBLISHED,
    ZOO,
    Metric,
    ZooEntry,
    conditions,
    list_pretrained,
    pretrained_folder,
)

LARGEST_FILE = 20 * 2**20
LARGEST_TOTAL = 32 * 2**20
KEY = "coco-subset-99/annotated"


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
    assert str(model.config.input_size) == entry.input_size
    assert f"license: {entry.license}\n" in card
    assert entry.metrics
    for key, metrics in entry.metrics.items():
        (row,) = (line for line in card.splitlines() if line.startswith("| {} | {} | ave".format(*conditions(key))))
        assert metrics
        for name, metric in metrics.items():
            assert metric.low <= metric.value <= metric.high
            assert str(metric) in row, f"the card does not state {key}, {name} {metric}"


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
    row = "| {} | {} | averaged in | 0.123 (0.100 to 0.200) |".format(*conditions(KEY))
    (folder / "README.md").write_text(f"license: apache-2.0\nTrained by `C`.\n{row}\n")
    cost = measure_cost(tiny_model.config)
    entry = ZooEntry(
        name="tiny",
        architecture="PCR",
        recipe="C",
        summary="Small.",
        parameters=cost.parameters,
        gmacs=cost.gmacs,
        input_size="64x32",
        license="apache-2.0",
        metrics={KEY: {"AP": Metric(0.123, 0.1, 0.2)}},
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
        {"input_size": "32x64"},
        {"license": "mit"},
        {"metrics": {}},
        {"metrics": {KEY: {}}},
        {"metrics": {KEY: {"AP": Metric(0.124, 0.1, 0.2)}}},
        {"metrics": {KEY: {"AP": Metric(0.123, 0.1, 0.3)}}},
        {"metrics": {KEY: {"AP": Metric(0.123, 0.2, 0.1)}}},
        {"data": ""},
    ],
)
def test_a_false_entry_fails(lie: dict[str, object], shipped: tuple[ZooEntry, Path]) -> None:
    """Every single claim can fail the check."""
    entry, folder = shipped
    with pytest.raises(AssertionError):
        check_claims(dataclasses.replace(entry, **lie), folder)  # type: ignore[arg-type] # fields by name


def test_a_file_too_large_fails(shipped: tuple[ZooEntry, Path]) -> None:
    """Nothing above 20 MiB ships."""
    entry, folder = shipped
    (folder / "image.png").write_bytes(bytes(LARGEST_FILE + 1))
    with pytest.raises(AssertionError):
        check_claims(entry, folder)


def test_the_wheel_stays_light() -> None:
    """All pretrained models together have at most 32 MiB."""
    files = [path for name in list_pretrained() for path in pretrained_folder(name).rglob("*")]

    assert sum(path.stat().st_size for path in files) <= LARGEST_TOTAL


@pytest.mark.parametrize("key", ["coco-subset-99", "coco-subset-99/guessed", "ours/annotated", ""])
def test_unknown_conditions_are_refused(key: str) -> None:
    """A key names a data set and boxes that the zoo describes."""
    with pytest.raises(ValueError, match=r"metrics: expected one of \['coco-subset-99'.* / one of \['annotated'"):
        conditions(key)


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


def test_what_others_published_does_not_ship() -> None:
    """The names that work offline are ours; a published one is a repository, whose weights come from the Hub."""
    assert set(PUBLISHED) & set(list_pretrained()) == set()
    assert all(name == entry.repository and name.count("/") == 1 for name, entry in PUBLISHED.items())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_entry_says_what_is_known(name: str) -> None:
    """Its size is counted, its revision is a commit or none, and its metrics come with source, data and boxes."""
    entry = PUBLISHED[name]
    variant = {"small": "S", "base": "B", "large": "L", "huge": "H"}[
        name.split("vitpose-")[1].split("-")[-1 if "plus" in name else 0]
    ]
    decoder: Decoder = "simple" if name.endswith("-simple") else "classic"
    cost = measure_cost(ViTPoseConfig(**VARIANTS[variant], decoder=decoder))

    assert cost.parameters == entry.parameters
    assert cost.gmacs == pytest.approx(entry.gmacs, rel=1e-4)
    assert entry.revision is None or re.fullmatch("[0-9a-f]{40}", entry.revision)
    assert all(0 < value < 1 for value in entry.metrics.values())
    assert all([entry.source, *entry.conditions, entry.data, entry.license, entry.summary])
