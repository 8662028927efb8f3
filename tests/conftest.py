"""Fixtures every room shares: reference numbers, real data, seeds."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pcrpose.models.pcr import PCR, PCRConfig
    from pcrpose.models.pose_config import PoseConfig

HERE = Path(__file__).resolve().parent
SELECTION = HERE / "golden"
SHARED = Path(os.environ.get("PCRPOSE_SHARED", HERE.parent.parent / "shared"))

settings.register_profile(
    "pcrpose", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pcrpose")


class Reference(dict[str, Any]):
    """Arrays by key; asking for one that only the full set holds skips the test."""

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 - arrays of any type
        if (SHARED / "golden").exists():
            raise KeyError(key)
        pytest.skip(f"reference array {key} is not in the small selection of this machine")


def require(path: Path) -> Path:
    """Give the path back, or skip the test when it is not on this machine."""
    if not path.exists():
        pytest.skip(f"{path.name} of the reference data is not on this machine")
    return path


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Start every test from the same random state, on one thread: small networks gain nothing from more."""
    import torch  # noqa: PLC0415 - the house tests measure what the library itself imports

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - third-party code may use the global generator


@pytest.fixture
def golden() -> Callable[[str], Reference]:
    """Load a file of reference arrays by name: the full set, where it exists, else the committed selection."""

    def load(name: str) -> Reference:
        arrays = Reference()
        for folder in (SHARED / "golden", SELECTION):
            if (folder / f"{name}.npz").exists():
                with np.load(folder / f"{name}.npz") as stored:
                    arrays.update({key: stored[key] for key in stored.files if key not in arrays})
        if not arrays:
            require(SHARED / "golden" / f"{name}.npz")
        return arrays

    return load


@pytest.fixture
def golden_file() -> Callable[[str], Path]:
    """Find a reference file that is not an npz, in the selection or in the full set."""

    def find(name: str) -> Path:
        return SELECTION / name if (SELECTION / name).exists() else require(SHARED / "golden" / name)

    return find


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Find a real image or annotation file, or skip."""
    return lambda relative: require(SHARED / "data" / relative)


@pytest.fixture
def tiny_config() -> "Callable[..., PCRConfig]":
    """Return a builder of the one tiny network's configuration; any field can be changed."""
    from pcrpose.keypoints.boxes import Size  # noqa: PLC0415 - as above
    from pcrpose.models.pcr import PCRConfig  # noqa: PLC0415

    def build(**changes: Any) -> PCRConfig:  # noqa: ANN401 - any field
        tiny: dict[str, Any] = {"encoder": "resnet_nano", "channels": (16, 16, 16), "se_norm": "none"}
        return PCRConfig(**{**tiny, "input_size": Size(width=64, height=96), **changes})

    return build


@pytest.fixture
def make_model(tiny_config: "Callable[..., PCRConfig]") -> "Callable[[], PCR]":
    """Return a builder of the tiny network for training: the same weights every time."""
    import torch  # noqa: PLC0415

    from pcrpose.models.pcr import PCR  # noqa: PLC0415

    def make() -> PCR:
        torch.manual_seed(1)
        return PCR(tiny_config(sigma=6.0, heatmaps="probability"))

    return make


@pytest.fixture(scope="session")
def _drawn_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw what `coco_part` copies."""
    from pcrpose.data.synthetic import write_synthetic_coco  # noqa: PLC0415 - as above

    folder = tmp_path_factory.mktemp("coco")
    (folder / "annotations").mkdir()
    for seed, split in enumerate(("train", "val")):
        written = write_synthetic_coco(folder / "drawn", 18, seed=seed)
        (folder / "drawn/images").rename(folder / split)
        written.rename(folder / f"annotations/person_keypoints_{split}.json")
    content = json.loads((folder / "annotations/person_keypoints_val.json").read_text())
    fields = ("image_id", "category_id", "bbox")
    boxes = [{field: person[field] for field in fields} | {"score": 0.9} for person in content["annotations"]]
    (folder / "annotations/person_detections_val.json").write_text(json.dumps(boxes))
    return folder


@pytest.fixture
def coco_part(_drawn_part: Path, tmp_path: Path) -> Path:
    """Copy a drawn part of COCO: 18 persons to train on, 18 to validate on, and val's boxes as detections."""
    return Path(shutil.copytree(_drawn_part, tmp_path / "coco"))


@pytest.fixture
def tiny_system() -> "Callable[[str], PoseConfig]":
    """Return a builder of a tiny network of each system beside the paper's, by architecture; they read 64x64 crops."""
    from pcrpose.keypoints.boxes import Size  # noqa: PLC0415 - as above
    from pcrpose.models.cpn import CascadedPyramidConfig  # noqa: PLC0415
    from pcrpose.models.deeppose import DeepPoseConfig  # noqa: PLC0415
    from pcrpose.models.hourglass import StackedHourglassConfig  # noqa: PLC0415
    from pcrpose.models.mspn import MultiStagePoseConfig  # noqa: PLC0415

    size = Size(width=64, height=64)
    stages: dict[str, Any] = {"num_stages": 2, "blocks": (1, 1, 1, 1), "stem_channels": 8, "channels": 16}
    stacks: dict[str, Any] = {"num_stacks": 2, "depth": 2, "channels": 32, "stem_channels": (16, 16, 16)}

    def build(architecture: str) -> "PoseConfig":
        configs: dict[str, PoseConfig] = {
            "MultiStagePose": MultiStagePoseConfig(input_size=size, sigma=6.0, **stages),
            "CascadedPyramid": CascadedPyramidConfig(input_size=size, sigma=6.0, encoder="resnet_nano", channels=16),
            "StackedHourglass": StackedHourglassConfig(input_size=size, sigma=6.0, **stacks),
            "DeepPose": DeepPoseConfig(input_size=size, encoder="resnet_nano"),
        }
        return configs[architecture]

    return build
