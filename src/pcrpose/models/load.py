"""Build or load a model of any architecture."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pcrpose.models.cpn import CascadedPyramid
from pcrpose.models.deeppose import DeepPose
from pcrpose.models.hourglass import StackedHourglass
from pcrpose.models.hrnet_pose import HighResolutionPose
from pcrpose.models.hub import find_folder, read_config
from pcrpose.models.mspn import MultiStagePose
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.simple_baseline import SimpleBaseline
from pcrpose.models.vitpose import ViTPose

ARCHITECTURES: Mapping[str, type[PoseModel[Any]]] = MappingProxyType(
    {
        "PCR": PCR,
        "SimpleBaseline": SimpleBaseline,
        "HighResolutionPose": HighResolutionPose,
        "ViTPose": ViTPose,
        "MultiStagePose": MultiStagePose,
        "CascadedPyramid": CascadedPyramid,
        "StackedHourglass": StackedHourglass,
        "DeepPose": DeepPose,
    }
)


def build_model(config: PoseConfig) -> PoseModel[Any]:
    """Build the network of a configuration, with fresh weights.

    Raises:
        ValueError: if no architecture takes this class of configuration.
    """
    for architecture in ARCHITECTURES.values():
        if architecture.config_class is type(config):
            return architecture(config)
    expected = [architecture.config_class.__name__ for architecture in ARCHITECTURES.values()]
    raise ValueError(f"expected one of {expected}, found {type(config).__name__}")


def load_model(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> PoseModel[Any]:
    """Load a model whatever its architecture; arguments and errors as in `PoseModel.from_pretrained`.

    A folder or repository of transformers' ``VitPoseForPoseEstimation`` becomes a `ViTPose`.
    """
    folder = find_folder(name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
    architecture, _ = read_config(folder)
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{name}: expected one of {list(ARCHITECTURES)}, found the architecture {architecture!r}")
    return ARCHITECTURES[architecture].from_pretrained(folder)
