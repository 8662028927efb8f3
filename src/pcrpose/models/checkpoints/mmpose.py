"""Names of mmpose's top-down heatmap checkpoints, and ours.

Source:
    mmpose 0.x (``TopDown`` with ``TopdownHeatmapSimpleHead``) and 1.x (``TopdownPoseEstimator`` with ``HeatmapHead``).
    Inside the backbone the names are those of the original checkpoints; so are ``deconv_layers`` and ``final_layer``
    inside the head.
"""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

from pcrpose.models.checkpoints.original import ENCODER

BACKBONE = "backbone."
HEAD_0 = "keypoint_head."  # of version 0.x
HEAD_1 = "head."  # of version 1.x
PREFIXES: Mapping[str, str] = MappingProxyType({BACKBONE: ENCODER, HEAD_0: "", HEAD_1: ""})


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a top-down mmpose model to the names of `SimpleBaseline`, `HighResolutionPose`.

    A name with another prefix stays as it is, for strict loading to reject.

    Examples:
        >>> import torch
        >>> list(from_published({"backbone.bn1.bias": torch.zeros(1), "head.final_layer.bias": torch.zeros(1)}))
        ['encoder.bn1.bias', 'final_layer.bias']
    """
    return {_rename(name): tensor for name, tensor in tensors.items()}


def _rename(name: str) -> str:
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
