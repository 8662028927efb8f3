"""Reference networks with generated parameters, and a network small enough to save many times."""

import functools
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.models.checkpoints.original import from_published
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.hub import load_strictly
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.simple_baseline import SimpleBaselineConfig

PUBLISHED: dict[str, PoseConfig] = {
    **{f"poseresnet_{depth}": SimpleBaselineConfig(encoder=f"resnet{depth}") for depth in (18, 50, 152)},
    **{f"hrnet_w{width}": HighResolutionPoseConfig(encoder=f"hrnet_w{width}") for width in (32, 48)},
}


class PublishedNetwork(NamedTuple):
    """A reference network: what is recorded of it, its tensors by published name, our model holding them, and a run."""

    facts: dict[str, Any]
    names_and_shapes: list[tuple[str, tuple[int, ...]]]
    digest: str
    model: PoseModel[Any]
    crops: Tensor
    heatmaps: Tensor


def uniform(key: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Draw the reference's reproducible numbers in ``[0, 1)`` for one name."""
    raw = np.random.PCG64(zlib.crc32(key.encode())).random_raw(int(np.prod(shape, dtype=np.int64)))
    return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def parameter(name: str, shape: tuple[int, ...], salt: str, gain: float) -> npt.NDArray[Any]:
    """Generate one tensor of a reference network by the rule that its record gives."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    drawn = uniform(salt + name, shape)
    if len(shape) == 4:
        drawn = (2 * drawn - 1) * np.sqrt(3.0 * gain / (shape[1] * shape[2] * shape[3]))
    elif leaf in ("weight", "running_var"):
        drawn = 0.75 + 0.5 * drawn
    else:
        drawn = 0.1 * (2 * drawn - 1)
    return drawn.astype(np.float32)


def reference_crops(salt: str, shape: tuple[int, ...]) -> Tensor:
    """Generate the input of a reference run."""
    b, c, y, x = np.indices(shape)
    pattern = (x // 16 + y // 16 + c + b) % 3 - 1
    return torch.from_numpy((pattern + (2 * uniform(salt + "input", shape) - 1)).astype(np.float32))


@pytest.fixture
def generate() -> Callable[[str, tuple[int, ...], str, float], Tensor]:
    """Return the function that generates one tensor by its name, shape, salt and gain."""
    return lambda name, shape, salt, gain: torch.from_numpy(parameter(name, shape, salt, gain))


@pytest.fixture
def draw_crops() -> Callable[[str, tuple[int, ...]], Tensor]:
    """Return the function that generates the input of a reference run by its salt and shape."""
    return reference_crops


@functools.lru_cache(maxsize=1)
def build_published(key: str, runs: Path, names: Path) -> PublishedNetwork:
    """Build a reference network; the last one is kept for the next test."""
    facts = json.loads(runs.read_text())[key]
    listed = json.loads(names.read_text())["tensors"]
    digest, tensors = hashlib.sha256(), {}
    for name, shape, _ in listed:
        values = parameter(name, tuple(shape), facts["salt"], facts["gain"])
        digest.update(name.encode())
        digest.update(values.tobytes())
        tensors[name] = torch.from_numpy(values)
    model = build_model(PUBLISHED[facts["model"]]).eval()
    load_strictly(model, from_published(tensors), key)
    names_and_shapes = [(name, tuple(shape)) for name, shape, _ in listed]
    crops = reference_crops(facts["salt"], tuple(facts["input_shape"]))
    with torch.no_grad():
        heatmaps = model(crops).final
    return PublishedNetwork(facts, names_and_shapes, digest.hexdigest(), model, crops, heatmaps)


@pytest.fixture
def published(golden_file: Callable[[str], Path]) -> Callable[[str], PublishedNetwork]:
    """Build a reference network by the key of its recorded run, or skip."""

    def build(key: str) -> PublishedNetwork:
        names = golden_file(f"models/state_dict_{key.rpartition('_')[0]}.json")
        return build_published(key, golden_file("models/models.json"), names)

    return build


@pytest.fixture(scope="session")
def tiny_model() -> PCR:
    """Build a network small enough to save many times; nobody changes it."""
    torch.manual_seed(3)
    size = Size(width=32, height=64)
    config = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), se_norm="none", input_size=size, sigma=6.0)
    return PCR(config).eval()


@pytest.fixture
def saved(tiny_model: PCR, tmp_path: Path) -> Path:
    """Save it into a folder of its own."""
    tiny_model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def same_tensors() -> Callable[[nn.Module, nn.Module], bool]:
    """Return whether two modules have exactly the same tensors under the same names."""

    def compare(first: nn.Module, second: nn.Module) -> bool:
        ours, theirs = first.state_dict(), second.state_dict()
        return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)

    return compare
