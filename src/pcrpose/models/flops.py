"""Parameters and multiply-accumulates of a network, without building it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoders import ENCODERS
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
    return _count(lambda: build_model(config), config.input_size)


def measure_encoder(encoder: str, input_size: Size) -> Cost:
    """Count an encoder alone, a row of `ENCODERS`, as `measure_cost` counts a whole network."""
    return _count(ENCODERS[encoder].build, input_size)


def _count(build: Callable[[], nn.Module], size: Size) -> Cost:
    with torch.device("meta"):
        model = build().eval()
        crop = torch.empty(1, 3, size.height, size.width)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(crop)
    return Cost(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 2e9)
