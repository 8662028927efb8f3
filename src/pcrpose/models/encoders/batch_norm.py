"""Batch norms of published weights, rewritten for networks that fold them or have another epsilon."""

from collections.abc import Mapping

import torch
from torch import Tensor


def fold_norms(tensors: Mapping[str, Tensor], *, epsilon: float) -> dict[str, Tensor]:
    """Fold each ``NAME.norm`` into ``NAME.conv``: a kernel and a bias, ``NAME.weight`` and ``NAME.bias``.

    Tensors without a ``.norm`` beside them stay as they are. Computed in double precision.

    Args:
        tensors: of convolutions without bias, and of the batch norms behind them.
        epsilon: of the norms.

    Raises:
        ValueError: if a convolution and its norm have different widths.
    """
    folded = {name: tensor for name, tensor in tensors.items() if ".norm." not in name}
    for variance_name in [name for name in tensors if name.endswith(".norm.running_var")]:
        layer = variance_name.removesuffix(".norm.running_var")
        kernel = folded.pop(f"{layer}.conv.weight")
        weight, bias, mean, variance = (
            tensors[f"{layer}.norm.{field}"].double() for field in ("weight", "bias", "running_mean", "running_var")
        )
        if len(kernel) != len(weight):
            raise ValueError(f"{layer}: expected a norm of {len(kernel)} channels, found {len(weight)}")
        scale = weight * torch.rsqrt(variance + epsilon)
        folded[f"{layer}.weight"] = (kernel.double() * scale.view(-1, 1, 1, 1)).to(kernel.dtype)
        folded[f"{layer}.bias"] = (bias - mean * scale).to(kernel.dtype)
    return folded


def change_epsilon(tensors: Mapping[str, Tensor], *, before: float, after: float) -> dict[str, Tensor]:
    """Scale the weights of norms so that they compute with the epsilon ``after`` what they did with ``before``.

    Exact with the running statistics; in training to first order, as long as the batch's variance is near them.
    """
    changed = dict(tensors)
    for name in tensors:
        if name.endswith(".running_var"):
            weight = f"{name.removesuffix('.running_var')}.weight"
            variance = tensors[name].double()
            scale = torch.sqrt((variance + after) / (variance + before))
            changed[weight] = (tensors[weight].double() * scale).to(tensors[weight].dtype)
    return changed
