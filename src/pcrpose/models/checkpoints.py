"""Between our parameter names and those of published checkpoints."""

from collections.abc import Mapping

from torch import Tensor

ENCODER = "encoder."
HEADS = ("deconv_layers.", "final_layer.")


def to_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a `SimpleBaseline` or `HighResolutionPose` state dict as its authors name it."""
    return {name.removeprefix(ENCODER): tensor for name, tensor in tensors.items()}


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a published Simple Baselines or HRNet state dict as `SimpleBaseline` and `HighResolutionPose` do."""
    return {name if name.startswith(HEADS) else ENCODER + name: tensor for name, tensor in tensors.items()}
