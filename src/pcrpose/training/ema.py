"""The exponential moving average (EMA) of a model's weights."""

import torch
from torch import Tensor, nn

WARMUP = 10.0  # the average follows quickly while it has seen few steps


class WeightAverage:
    """A moving average of every floating tensor of a state dict; counters are copied.

    Without decay there is nothing to average: ``tensors`` are then the model's own, not copies.

    Attributes:
        tensors: the averaged state dict.

    Args:
        model: whose weights are averaged. It keeps its tensors: move it to its device before.
        decay: fraction kept at each step, in ``[0, 1)``.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), found {decay}")
        self.decay = decay
        own = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self.tensors = {name: tensor.clone() for name, tensor in own.items()} if decay else own

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights after optimizer step ``step``, counted from 0."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (WARMUP + step))
        averages, weights = list[Tensor](), list[Tensor]()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                averages.append(self.tensors[name])
                weights.append(tensor.detach())
            else:
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(averages, weights, 1 - decay)  # one call for all; torch's own optimizers use it too

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Continue from saved tensors."""
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)
