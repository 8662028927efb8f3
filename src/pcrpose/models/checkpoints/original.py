"""Names of the original Simple Baselines and HRNet checkpoints, and ours."""

from collections.abc import Mapping

from torch import Tensor

ENCODER = "encoder."
HEADS = ("deconv_layers.", "final_layer.")


def to_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a `SimpleBaseline` or `HighResolutionPose` state dict to the names of the published checkpoints."""
    return {name.removeprefix(ENCODER): tensor for name, tensor in tensors.items()}


def from_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a published Simple Baselines or HRNet state dict to the names of `SimpleBaseline`, `HighResolutionPose`.

    Examples:
        >>> import torch
        >>> list(from_published({"conv1.weight": torch.zeros(1), "final_layer.bias": torch.zeros(1)}))
        ['encoder.conv1.weight', 'final_layer.bias']
    """
    return {name if name.startswith(HEADS) else ENCODER + name: tensor for name, tensor in tensors.items()}
