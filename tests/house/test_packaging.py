"""What is installed with the library, and in which versions it is tested."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CORE = {"torch", "huggingface-hub", "safetensors", "pycocotools", "numpy", "pillow", "scipy"}
COME_ANYWAY = {"tqdm", "filelock"}  # torch and huggingface-hub need them
EXTRAS = {"train", "detector", "export", "openvino", "video", "report", "demo", "docs", "dev"}


@pytest.fixture
def project(repository: Path) -> dict[str, Any]:
    """Read the project table."""
    table: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture
def pins(repository: Path) -> dict[str, Version]:
    """Read the exact versions of constraints.txt."""
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_core_packages(project: dict[str, Any]) -> None:
    """A user gets these and nothing else; whatever more is needed is an extra."""
    assert {Requirement(text).name for text in project["dependencies"]} == CORE | COME_ANYWAY
    assert set(project["optional-dependencies"]) == EXTRAS


def test_every_requirement_is_pinned(project: dict[str, Any], pins: dict[str, Version]) -> None:
    """Each requirement has an exact version, and that version satisfies it."""
    texts = project["dependencies"] + [text for group in project["optional-dependencies"].values() for text in group]
    requirements = [Requirement(text) for text in texts]
    unpinned = [
        str(requirement)
        for requirement in requirements
        if requirement.name != project["name"]
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), Version("0")))
    ]

    assert unpinned == []


def test_no_pin_asks_for_a_build(pins: dict[str, Version]) -> None:
    """A version without a local tag: CPU and CUDA builds of torch both satisfy it."""
    assert [name for name, version in pins.items() if version.local] == []
