"""The exponential moving average of a model's weights."""

import torch
from torch import Tensor, nn

WARMUP = 10.0  # the average follows quickly while it has seen few steps


class WeightAverage:
    """A moving average of every floating tensor of a state dict; counters are copied.

    Args:
        model: whose weights are averaged.
        decay: share kept at each step, in ``[0, 1)``; zero follows the model exactly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), found {decay}")
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights after optimizer step ``step``, counted from 0."""
        decay = min(self.decay, (1 + step) / (WARMUP + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(tensor)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Continue from saved tensors."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)
