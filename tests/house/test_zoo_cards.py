"""The cards beside the shipped weights are those that their values give."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pcrpose.models.zoo import list_pretrained, pretrained_folder


@pytest.fixture
def zoo_cards(repository: Path) -> ModuleType:
    """Import the script that writes them."""
    spec = importlib.util.spec_from_file_location("zoo_cards", repository / "benchmarks" / "zoo_cards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", list_pretrained())
def test_a_shipped_card_is_as_generated(name: str, zoo_cards: ModuleType) -> None:
    """Zoo, measurements and facts give the text that ships; ``python benchmarks/zoo_cards.py`` writes it again."""
    shipped = (pretrained_folder(name) / "README.md").read_text(encoding="utf-8")

    assert shipped == str(zoo_cards.build_card(name))
