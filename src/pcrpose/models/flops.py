"""Parameters and multiply-accumulates of a network, without building it."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from pcrpose.models.load import build_model
from pcrpose.models.pose_config import PoseConfig


class Cost(NamedTuple):
    """Parameters and work per crop of a network in evaluation mode.

    Attributes:
        parameters: number of trained values, those of the auxiliary heads included.
        gmacs: thousand million multiply-accumulates per crop: convolutions, the transposed ones by their input
            cells, linear layers and attention. The auxiliary heads do not run, and normalization and pooling count
            nothing.
    """

    parameters: int
    gmacs: float


def measure_cost(config: PoseConfig) -> Cost:
    """Count a configuration's parameters and work at its own input size, without allocating or computing anything."""
    with torch.device("meta"):
        model = build_model(config).eval()
        crop = torch.empty(1, 3, config.input_size.height, config.input_size.width)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(crop)
    return Cost(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 2e9)
