"""MobileNetV2: its size, its features, TensorFlow's padding, and the numbers of the published network."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoders.mobilenet_v2 import MOBILENETS, InvertedResidual, MobileNetV2, MobileNetV2Config, SameConv
from pcrpose.models.pcr import PCR, PCRConfig

NARROW = MobileNetV2Config(width=0.25, last_channels=32)


@pytest.fixture
def narrow() -> MobileNetV2:
    """Build an encoder that computes quickly."""
    return MobileNetV2(NARROW).eval()


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [("mobilenet_v2", 2_206_816, 96 + 1280), ("mobilenet_v2_175", 6_110_664, 168 + 1280)],
)
def test_the_encoders_have_their_published_size(name: str, parameters: int, channels: int) -> None:
    """Weights and biases of the folded network without its classifier; features of two widths side by side."""
    with torch.device("meta"):
        encoder = MobileNetV2(MOBILENETS[name])

    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder.out_channels == channels


@pytest.mark.parametrize(
    ("width", "plain", "expected"),
    [
        (1.0, 24, 24),
        (1.75, 16, 32),
        (1.75, 24, 40),
        (1.75, 32, 56),
        (1.75, 160, 280),
        (0.25, 16, 8),
        (0.35, 32, 16),
        (1.0, 62, 64),
    ],
)
def test_widths_are_multiples_of_eight(width: float, plain: int, expected: int) -> None:
    """To the nearest multiple, up where that would lose more than a tenth: 11.2 is 16, not 8."""
    assert MobileNetV2Config(width=width).channels(plain) == expected


def test_features_are_fine_and_enlarged_coarse_ones(narrow: MobileNetV2) -> None:
    """First the output of the last block of stride 16, then the last convolution's, enlarged by 2, bilinear."""
    crops = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = narrow(crops)
        stem = functional.relu6(narrow.stem(crops))
        fine = narrow.blocks[:13](stem)
        coarse = functional.relu6(narrow.last(narrow.blocks[13:](fine)))

    assert fine.shape[2:] == (4, 6)
    assert coarse.shape == (2, 32, 2, 3)
    torch.testing.assert_close(features[:, :-32], fine)
    torch.testing.assert_close(features[:, -32:], functional.interpolate(coarse, size=(4, 6), mode="bilinear"))


def test_no_crop_at_all(narrow: MobileNetV2) -> None:
    """An empty batch gives empty features of the usual shape."""
    assert narrow(torch.zeros(0, 3, 64, 32)).shape == (0, narrow.out_channels, 4, 2)


@pytest.mark.parametrize("size", [Size(width=48, height=64), Size(width=64, height=80), Size(width=16, height=16)])
def test_crop_sides_are_multiples_of_32(size: Size) -> None:
    """Features have stride 16, but the coarsest cells are 32 pixels large: a size of 16s is refused twice."""
    with pytest.raises(ValueError, match=f"input_size: expected multiples of 32, found {size}"):
        PCRConfig(encoder="mobilenet_v2", channels=(8, 8), input_size=size)
    with torch.device("meta"):
        model = PCR(PCRConfig(encoder="mobilenet_v2", channels=(8, 8)))
        with pytest.raises(ValueError, match="with H and W multiples of 32, found"):
            model(torch.zeros(1, 3, size.height, size.width))


def test_padding_is_at_the_bottom_and_right() -> None:
    """A 3x3 convolution that halves an even input reads rows 0 to 2, then 2 to 3 and one of zeros."""
    conv = SameConv(1, 1, 3, 2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)  # type: ignore[arg-type] # it has one
    pixels = torch.arange(16.0).view(1, 1, 4, 4)

    expected = torch.tensor([[pixels[..., :3, :3].sum(), pixels[..., :3, 2:].sum()], [0, pixels[..., 2:, 2:].sum()]])
    expected[1, 0] = pixels[..., 2:, :3].sum()
    torch.testing.assert_close(conv(pixels)[0, 0], expected)


def test_a_strided_depthwise_convolution_trains_in_single_precision() -> None:
    """On a CPU, inside autocast, the half precision features give float32's numbers and gradient, rounded."""
    conv = SameConv(8, 8, 3, 2, 8)
    features = torch.randn(2, 8, 6, 10).bfloat16()
    exact, half = features.float().requires_grad_(), features.clone().requires_grad_()
    expected = conv(exact)
    expected.sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(half)
    found.float().sum().backward()

    with torch.no_grad():
        torch.testing.assert_close(expected, conv(features.float()))
    assert torch.equal(found, expected.bfloat16())
    assert exact.grad is not None
    assert half.grad is not None
    assert torch.equal(half.grad, exact.grad.bfloat16())


def test_prediction_takes_no_detour() -> None:
    """Without a gradient a strided depthwise convolution gives the same numbers, as closely as bfloat16 can."""
    conv = SameConv(8, 8, 3, 2, 8)
    features = torch.randn(2, 8, 6, 10).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = conv(features)

    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), conv(features.float()), rtol=0.02, atol=0.01)


def test_a_whole_encoder_trains_in_half_precision(narrow: MobileNetV2) -> None:
    """Features and gradients inside autocast are those of float32, as closely as bfloat16 can."""
    crops = torch.randn(2, 3, 64, 64)
    exact = narrow(crops)
    with torch.autocast("cpu", torch.bfloat16):
        rough = narrow(crops)
    rough.float().square().sum().backward()

    assert float((rough - exact).detach().norm() / exact.detach().norm()) < 0.03
    assert all(parameter.grad is not None for parameter in narrow.parameters())


@pytest.mark.parametrize(("channels", "stride", "residual"), [(8, 1, True), (8, 2, False), (16, 1, False)])
def test_a_shortcut_where_the_shape_stays(channels: int, stride: int, residual: bool) -> None:  # noqa: FBT001 - a parameter
    """A block whose last convolution is silent gives its input back, or nothing."""
    block = InvertedResidual(8, channels, expansion=2, stride=stride)
    torch.nn.init.zeros_(block.project.weight)
    torch.nn.init.zeros_(block.project.bias)  # type: ignore[arg-type] # it has one
    features = torch.randn(1, 8, 4, 4)

    expected = features if residual else torch.zeros(1, channels, 4 // stride, 4 // stride)
    assert torch.equal(block(features), expected)


def test_first_blocks_are_the_published_ones(golden: Callable[[str], Any]) -> None:
    """Stem and first three blocks give MoveNet Thunder's numbers for its weights, as its own runtime computed them."""
    reference = golden("movenet/first_blocks")
    encoder = MobileNetV2(MOBILENETS["mobilenet_v2_175"]).eval()
    parts = (encoder.stem, encoder.blocks[0], encoder.blocks[1], encoder.blocks[2])
    with torch.no_grad():
        for part, name in zip(parts, ("stem", "blocks.0", "blocks.1", "blocks.2"), strict=True):
            for own, tensor in part.named_parameters():
                tensor.copy_(from_tensorflow(reference[f"in_{name}.{own}"], depthwise="depthwise" in own))
        pixels = torch.from_numpy(reference["in_image"]).permute(0, 3, 1, 2)
        stem = functional.relu6(encoder.stem(pixels / 127.5 - 1))
        first = encoder.blocks[0](stem)
        second = encoder.blocks[1](first)
        found = {"stem": stem[..., ::2, ::2], "blocks.0": first[..., ::2, ::2], "blocks.1": second}
        found["blocks.2"] = encoder.blocks[2](second)

    for name, features in found.items():
        expected = torch.from_numpy(reference[f"out_{name}"]).permute(0, 3, 1, 2)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-3)


def from_tensorflow(values: Any, *, depthwise: bool) -> Tensor:  # noqa: ANN401 - an array
    """Turn a kernel from (h, w, in, out) to (out, in, h, w), a depthwise one from (h, w, channel, 1); biases stay."""
    tensor = torch.from_numpy(values).float()
    if tensor.dim() == 1:
        return tensor
    return tensor.permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
