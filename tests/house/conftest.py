"""Fixtures of the house tests: the checkout, its modules, and the code that its pages show."""

import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from pcrpose.keypoints.boxes import Size
from pcrpose.models import hub
from pcrpose.models.config import PCRConfig
from pcrpose.models.pcr import PCR
from pcrpose.models.zoo import ZOO, ZooEntry

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NANO = PCRConfig(
    encoder="resnet_nano",
    channels=(32, 32, 32),
    se_norm="none",
    input_size=Size(width=96, height=128),
    heatmaps="probability",
)


@pytest.fixture
def repository() -> Path:
    """Give the root of the checkout."""
    return REPOSITORY


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let "pcr-nano" load; until the zoo has it, a small network with random weights stands in."""
    if "pcr-nano" in ZOO:
        return
    torch.manual_seed(0)
    folder = tmp_path / "pcr-nano"
    PCR(NANO).save_pretrained(folder)
    entry = ZooEntry(name="pcr-nano", architecture="PCR", recipe="", summary="", parameters=0, gmacs=0.0)
    monkeypatch.setattr(hub, "ZOO", MappingProxyType({**ZOO, "pcr-nano": entry}))
    monkeypatch.setattr(hub, "pretrained_folder", lambda _: folder)


@pytest.fixture
def run_python_fences(
    pretrained: None,  # noqa: ARG001 - pages name the zoo's models
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path], int]:
    """Give a function that runs a page's ``python`` fences in order, in an empty folder, and counts them."""

    def run(page: Path) -> int:
        folder = tmp_path / "reader"
        folder.mkdir()
        monkeypatch.chdir(folder)
        text, names = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
        fences = list(FENCE.finditer(text))
        for fence in fences:
            # Empty lines in front: a traceback then shows the page's own line number.
            source = "\n" * text.count("\n", 0, fence.start(1)) + fence[1]
            exec(compile(source, str(page), "exec"), names)  # noqa: S102 - the repository's own pages
        return len(fences)

    return run
