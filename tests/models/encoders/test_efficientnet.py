"""EfficientNet: its shape, the folding of frozen norms, and the names of published weights."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from pcrpose.models.encoders.efficientnet import (
    EFFICIENTNETS,
    ConvNorm,
    EfficientNet,
    Gate,
    InvertedBottleneck,
    Stage,
    Style,
    from_published,
)


def randomized(module: nn.Module) -> nn.Module:
    """Give every norm statistics and factors of its own."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in (
                (part.running_mean, -1.0),
                (part.running_var, 0.5),
                (part.weight, 0.5),
                (part.bias, -1.0),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor, low, low + 1.0)
    return module


def freeze_norms(module: nn.Module) -> nn.Module:
    """Train the module, but keep its statistics."""
    module.train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    return module


def published_tensors() -> Iterator[tuple[str, Tensor]]:
    """Yield the published network's tensors as its PyTorch ports name them, each with numbers of its own."""
    # block number, width before, width inside, kernel, width after; worked out by hand from the paper's table
    widths = [16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320]
    kernels = [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    before = 32
    yield from norm_tensors("_bn0", 32)
    yield "_conv_stem.weight", torch.randn(32, 3, 3, 3)
    for number, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
        inner = before if number == 0 else 6 * before
        if number > 0:
            yield f"_blocks.{number}._expand_conv.weight", torch.randn(inner, before, 1, 1)
            yield from norm_tensors(f"_blocks.{number}._bn0", inner)
        yield f"_blocks.{number}._depthwise_conv.weight", torch.randn(inner, 1, kernel, kernel)
        yield from norm_tensors(f"_blocks.{number}._bn1", inner)
        yield f"_blocks.{number}._project_conv.weight", torch.randn(width, inner, 1, 1)
        yield from norm_tensors(f"_blocks.{number}._bn2", width)
        before = width


def norm_tensors(name: str, width: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the four tensors of one norm."""
    for field in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{field}", torch.rand(width)


@pytest.mark.parametrize(
    ("name", "width", "parameters"),
    # published: 4,652,008 (B0: 5,288,548) in all, the classifier 1,281,000, the last convolution 412,160;
    # blocks 14 and 15 by hand
    [
        ("efficientnet_lite0", 320, 4_652_008 - 1_281_000 - 412_160),
        ("efficientnet_nano", 192, 2_958_848 - 476_160 - 605_440),
        ("efficientnet_b0", 320, 5_288_548 - 1_281_000 - 412_160),
    ],
)
def test_the_networks_have_their_published_size(name: str, width: int, parameters: int) -> None:
    """The whole encoder has what the published network has without its head."""
    with torch.device("meta"):
        encoder = EfficientNet(EFFICIENTNETS[name])
    assert encoder.out_channels == width
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters


@pytest.mark.parametrize(("groups", "stride", "activate"), [(1, 1, True), (8, 1, True), (8, 2, False)])
def test_a_frozen_norm_is_folded_without_a_change(groups: int, stride: int, activate: bool) -> None:  # noqa: FBT001 - a parameter
    """Training with frozen statistics computes what evaluation does, and its gradients."""
    unit = randomized(ConvNorm(8, 8, 3, stride, groups, activate=activate)).double()
    features = torch.randn(2, 8, 6, 5, dtype=torch.float64, requires_grad=True)
    plain = unit.eval()(features)
    wanted = torch.autograd.grad(plain.square().sum(), [features, *unit.parameters()])
    folded = freeze_norms(unit)(features)
    found = torch.autograd.grad(folded.square().sum(), [features, *unit.parameters()])
    torch.testing.assert_close(folded, plain)
    torch.testing.assert_close(found, wanted)


def test_statistics_are_learnt_where_they_are_not_frozen() -> None:
    """In ordinary training a norm is a norm."""
    unit = ConvNorm(4, 4)
    unit.train()(torch.randn(8, 4, 3, 3) + 5)
    assert unit.norm.running_mean is not None
    assert unit.norm.running_mean.abs().max() > 0


def test_a_strided_depthwise_convolution_keeps_the_precision_of_its_input() -> None:
    """Inside autocast it computes in float32 and gives bfloat16 back."""
    unit = freeze_norms(ConvNorm(8, 8, 3, 2, 8))
    features = torch.randn(1, 8, 6, 6, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = unit(features)
    out.float().sum().backward()
    assert out.dtype is torch.bfloat16
    assert features.grad is not None


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_nano"])
def test_published_weights_find_their_places(name: str) -> None:
    """Every tensor of the encoder comes from the published block of its place; a cut stage takes the first ones."""
    published = dict(published_tensors())
    encoder = EfficientNet(EFFICIENTNETS[name])
    encoder.load_state_dict(from_published(published, encoder))
    own = encoder.state_dict()
    pairs = {
        "stem.conv.weight": "_conv_stem.weight",
        "stem.norm.running_var": "_bn0.running_var",
        "blocks.0.depthwise.norm.bias": "_blocks.0._bn1.bias",
        "blocks.0.project.conv.weight": "_blocks.0._project_conv.weight",
        "blocks.3.expand.norm.weight": "_blocks.3._bn0.weight",
        "blocks.13.depthwise.conv.weight": "_blocks.13._depthwise_conv.weight",
        "blocks.13.project.norm.running_mean": "_blocks.13._bn2.running_mean",
    }
    if name == "efficientnet_lite0":
        pairs["blocks.15.project.conv.weight"] = "_blocks.15._project_conv.weight"
    for ours, theirs in pairs.items():
        torch.testing.assert_close(own[ours], published[theirs])
    values = {float(tensor.sum()) for tensor in published.values()}
    assert all(float(tensor.sum()) in values for key, tensor in own.items() if not key.endswith("tracked"))


def test_other_weights_are_refused() -> None:
    """The message names the first tensor that is missing."""
    encoder = EfficientNet(EFFICIENTNETS["efficientnet_nano"])
    with pytest.raises(ValueError, match=r"EfficientNet-Lite weights, found no tensor '_conv_stem\.weight'"):
        from_published({"conv1.weight": torch.zeros(1)}, encoder)


def test_a_gate_scales_channels_by_their_means() -> None:
    """The factor is the same over a map, below 1, and one half where both convolutions are zero."""
    gate, features = Gate(8, 2), torch.randn(2, 8, 3, 5)
    with torch.no_grad():
        factors = gate(features) / features
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(factors))
    assert 0 < factors.min() < factors.max() < 1
    for parameter in gate.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(gate(features), features / 2)


def test_every_parameter_of_a_gated_block_learns() -> None:
    """Gradients flow through activation, gate and shortcut."""
    stage = Stage(expansion=6, kernel=3, stride=1, channels=8, blocks=1)
    block = InvertedBottleneck(8, stage, 1, gated=True, style=Style("silu", 1e-5))
    block(torch.randn(4, 8, 6, 6)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in block.parameters())
