"""A small saved network, a few images, and commands that run in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import PIL.Image
import pytest
import torch

from pcrpose.cli.main import main
from pcrpose.data.images import open_image
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCR, PCRConfig

Command: TypeAlias = Callable[..., int]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny PCR with random weights."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    config = PCRConfig(
        encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=Size(width=64, height=96)
    )
    PCR(config).save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> Path:
    """Put three images of 96 x 128 pixels (width x height) into ``photos``, a relative path, and one deeper."""
    drawn = SyntheticPoses(count=4, size=Size(width=96, height=128))
    for index, name in enumerate(("a.png", "b.jpg", "c.png", "deep/d.png")):
        path = here / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(open_image(drawn.image(index)[0].image)).save(path)
    return Path("photos")


@pytest.fixture
def predict(model_folder: Path) -> Command:
    """Run ``pcrpose predict`` with the small network."""

    def run(*arguments: str | Path) -> int:
        return main(["predict", *map(str, arguments), "--model", str(model_folder), "--device", "cpu"])

    return run


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many persons each batch had."""
    counts: list[int] = []
    original = PosePredictor._forward

    def counting(self: PosePredictor, crops: Any) -> Any:  # noqa: ANN401 - as the method's
        counts.append(len(crops))
        return original(self, crops)

    monkeypatch.setattr(PosePredictor, "_forward", counting)
    return counts


@pytest.fixture
def read_record() -> Callable[[str], dict[str, Any]]:
    """Read a JSON file of results."""

    def read(path: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        return content

    return read


@pytest.fixture
def listing() -> Callable[[str], list[str]]:
    """List the files below a folder, hidden ones too."""
    return lambda folder: sorted(
        path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()
    )
