"""Counting parameters and work, against a count of one's own."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.flops import measure_cost
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig

NARROW = PCRConfig(encoder="resnet18", channels=(32, 32, 32, 16), num_decoders=2)
COUNTED: list[PoseConfig] = [
    SimpleBaselineConfig(encoder="resnet18"),
    HighResolutionPoseConfig(),
    NARROW,
    dataclasses.replace(NARROW, hdc=False, se_norm="none", input_size=Size(width=96, height=128)),
]


def multiplications(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """Count a convolution's multiplications: every tap, for every output cell, or input cell if transposed."""
    if isinstance(module, nn.ConvTranspose2d):
        return inputs[0].numel() * module.out_channels * module.weight[0, 0].numel()
    if isinstance(module, nn.Conv2d):
        return output.numel() * module.in_channels * module.weight[0, 0].numel()
    return 0


@pytest.mark.parametrize("config", COUNTED)
def test_work_is_that_of_the_convolutions(config: PoseConfig) -> None:
    """Every convolution that runs in evaluation mode counts by its own formula, and nothing else does."""
    counts: list[int] = []
    with torch.device("meta"):
        model = build_model(config).eval()
        for module in model.modules():
            module.register_forward_hook(
                lambda module, inputs, output: (
                    counts.append(multiplications(module, inputs, output)) if isinstance(output, Tensor) else None
                )
            )
        model(torch.empty(1, 3, config.input_size.height, config.input_size.width))
    cost = measure_cost(config)
    assert cost.gmacs == pytest.approx(sum(counts) / 1e9, rel=1e-12)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_an_encoder_costs_what_is_published() -> None:
    """ResNet-50 at 224x224: 4.09 thousand million with the classifier's 2 million, as torchvision states."""
    counts: list[int] = []
    with torch.device("meta"):
        encoder = ENCODERS["resnet50"].build().eval()
        for module in encoder.modules():
            module.register_forward_hook(lambda *seen: counts.append(multiplications(*seen)))
        encoder(torch.empty(1, 3, 224, 224))
    assert (sum(counts) + 2048 * 1000) / 1e9 == pytest.approx(4.09, abs=0.005)


def test_work_grows_with_the_crop() -> None:
    """Twice the height is twice the work, and the same parameters."""
    small, tall = (
        measure_cost(dataclasses.replace(COUNTED[0], input_size=Size(width=192, height=height)))
        for height in (128, 256)
    )
    assert tall.gmacs == pytest.approx(2 * small.gmacs)
    assert tall.parameters == small.parameters
