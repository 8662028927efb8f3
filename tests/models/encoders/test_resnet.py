"""Residual encoders: names and sizes of the published checkpoints, and what a block computes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from pcrpose.models.encoders.resnet import RESNETS, BasicBlock, Bottleneck, ResNet, ResNetConfig, shortcut

# Of the published classifiers, less the classifier's own weights and biases.
PUBLISHED_PARAMETERS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
}
BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def batch_norm_names(prefix: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name the tensors of a batch norm."""
    yield from ((f"{prefix}.{leaf}", (width,)) for leaf in ("weight", "bias", "running_mean", "running_var"))
    yield f"{prefix}.num_batches_tracked", ()


def block_names(
    prefix: str, width_in: int, inner: int, *, deep: bool, first: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name the tensors of one block by the rule of the published checkpoints."""
    width_out = inner * 4 if deep else inner
    kernels = (
        [(inner, width_in, 1, 1), (inner, inner, 3, 3), (width_out, inner, 1, 1)]
        if deep
        else [(inner, width_in, 3, 3), (inner, inner, 3, 3)]
    )
    for number, kernel in enumerate(kernels, start=1):
        yield f"{prefix}.conv{number}.weight", kernel
        yield from batch_norm_names(f"{prefix}.bn{number}", kernel[0])
    if first and width_in != width_out:
        yield f"{prefix}.downsample.0.weight", (width_out, width_in, 1, 1)
        yield from batch_norm_names(f"{prefix}.downsample.1", width_out)


def published_names(name: str) -> list[tuple[str, tuple[int, ...]]]:
    """Name every tensor of a published encoder and give its shape, by rule."""
    deep = name in ("resnet50", "resnet101", "resnet152")
    names: list[tuple[str, tuple[int, ...]]] = [("conv1.weight", (64, 3, 7, 7)), *batch_norm_names("bn1", 64)]
    width = 64
    for stage, (count, inner) in enumerate(zip(BLOCKS[name], (64, 128, 256, 512), strict=True), start=1):
        for index in range(count):
            names += block_names(f"layer{stage}.{index}", width, inner, deep=deep, first=index == 0)
            width = inner * 4 if deep else inner
    return names


def names_and_shapes(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    """List a module's tensors."""
    return [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_names_and_shapes_follow_the_published_rule(name: str) -> None:
    """Every tensor has the published name, shape and place, and together they are as many as published."""
    with torch.device("meta"):
        encoder = ResNet(RESNETS[name])
    assert names_and_shapes(encoder) == published_names(name)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("depth", [18, 50, 152])
def test_the_rule_is_that_of_real_checkpoints(depth: int, golden_file: Callable[[str], Path]) -> None:
    """The rule above gives the names that the recorded checkpoints have."""
    listed = json.loads(golden_file(f"models/state_dict_poseresnet_{depth}.json").read_text())["tensors"]
    recorded = [(name, tuple(shape)) for name, shape, _ in listed if not name.startswith(("deconv", "final"))]
    assert recorded == published_names(f"resnet{depth}")


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet_nano"])
def test_features_are_a_thirty_second_of_the_crop(name: str) -> None:
    """Width and resolution of the features are what the encoder says, for no crop at all too."""
    encoder = ResNet(RESNETS[name]).eval()
    for batch in (0, 2):
        features = encoder(torch.zeros(batch, 3, 96, 64))
        assert features.shape == (batch, encoder.out_channels, 3, 2)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_adds_to_what_it_was_given(block: type[BasicBlock | Bottleneck]) -> None:
    """With its last batch norm at zero a block returns the positive part of its input."""
    module = block(8 * block.expansion, 8).eval()
    nn.init.zeros_((module.bn3 if isinstance(module, Bottleneck) else module.bn2).weight)
    features = torch.randn(2, 8 * block.expansion, 5, 4)
    expected = features.clamp_min(0)
    assert torch.equal(module(features), expected)


def test_a_basic_block_by_hand() -> None:
    """Two center taps of 2 and -1 with a ReLU between: relu(-relu(2 x) + x)."""
    module = BasicBlock(1, 1).eval()
    for convolution, tap in ((module.conv1, 2.0), (module.conv2, -1.0)):
        nn.init.zeros_(convolution.weight)
        convolution.weight.data[0, 0, 1, 1] = tap
    for norm in (module.bn1, module.bn2):
        norm.eps = 0.0
    features = torch.tensor([[[[3.0, -1.0], [0.5, 0.0]]]])
    assert torch.equal(module(features), torch.zeros(1, 1, 2, 2))
    module.conv2.weight.data.neg_()
    assert torch.equal(module(features), torch.tensor([[[[9.0, 0.0], [1.5, 0.0]]]]))


def test_the_stride_sits_on_the_middle_convolution() -> None:
    """A bottleneck halves at its 3x3 convolution, as the published checkpoints were trained."""
    block = Bottleneck(64, 32, stride=2)
    assert [block.conv1.stride, block.conv2.stride, block.conv3.stride] == [(1, 1), (2, 2), (1, 1)]
    assert block(torch.randn(2, 64, 8, 6)).shape == (2, 128, 4, 3)


def test_a_shortcut_is_projected_only_where_its_shape_changes() -> None:
    """Equal widths at stride 1 need no projection; another width or resolution does."""
    assert shortcut(64, 64, 1) is None
    assert shortcut(64, 128, 1) is not None
    halved = shortcut(64, 64, 2)
    assert halved is not None
    assert halved(torch.randn(2, 64, 8, 6)).shape == (2, 64, 4, 3)


def test_widths_are_configurable() -> None:
    """A narrower encoder has the widths that its configuration names."""
    encoder = ResNet(ResNetConfig(block="bottleneck", blocks=(1, 1, 1, 1), channels=(8, 8, 16, 24), stem_channels=12))
    assert encoder.conv1.out_channels == 12
    assert encoder.out_channels == 96
