"""EfficientNet encoders: pointwise and depthwise convolutions, small and fast on a laptop.

Source:
    Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML 2019; and the "Lite"
    form that Google published in 2020: no squeeze-and-excitation, ReLU6. Padding is symmetric here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcrpose.models.checkpoints.inverted_bottlenecks import (
    EFFICIENTNET_PORTS,
    TIMM,
    TORCHVISION_EFFICIENTNET,
    recognize,
    rename,
)
from pcrpose.models.encoders.encoder import EncoderNetwork

SQUEEZE = 4  # input channels of a block per squeezed one
COUNTER = "num_batches_tracked"  # ports lack it
LITE_NAMES = (EFFICIENTNET_PORTS, TIMM)
GATED_NAMES = (TIMM, TORCHVISION_EFFICIENTNET)
NORM_EPSILON = 1e-3  # of the published Lite weights
USUAL_EPSILON = 1e-5  # of the norms of PyTorch, timm and torchvision


class Stage(NamedTuple):
    """Blocks of one width; the first one changes the resolution."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


class Style(NamedTuple):
    """What every layer of a network has in common: the activation, and the epsilon of the norms."""

    activation: Literal["relu6", "silu"]
    epsilon: float


LITE = Style("relu6", NORM_EPSILON)


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig:
    """The dimensions of an EfficientNet encoder.

    Attributes:
        stages: from the stem's half resolution down.
        stem_channels: width of the first convolution.
        stride: crop pixels per feature cell; stages that would go further down keep the resolution.
        gated: each block has squeeze-and-excitation, which the Lite form has not.
        style: of every layer.
    """

    stages: tuple[Stage, ...]
    stem_channels: int = 32
    stride: int = 32
    gated: bool = False
    style: Style = LITE


_STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)

EFFICIENTNETS: Mapping[str, EfficientNetConfig] = MappingProxyType(
    {
        "efficientnet_b0": EfficientNetConfig(stages=_STAGES, gated=True, style=Style("silu", USUAL_EPSILON)),
        "efficientnet_lite0": EfficientNetConfig(stages=_STAGES),
        # ours: without the last two blocks, which hold a third of the weights, and with finer features
        "efficientnet_nano": EfficientNetConfig(stages=(*_STAGES[:5], Stage(6, 5, 2, 192, 3)), stride=16),
    }
)


_ACTIVATIONS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {"relu6": functional.relu6, "silu": functional.silu}
)


class ConvNorm(nn.Module):
    """A convolution, batch norm and an activation.

    Where the statistics of the norm are frozen in training (its ``eval`` mode), it is folded into the kernel: the same
    numbers, and a pass over the features less in each direction. Its scale and offset are trained all the same.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        activate: bool = True,
        style: Style = LITE,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=style.epsilon)
        self.activation = _ACTIVATIONS[style.activation] if activate else None

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H/stride, W/stride)``."""
        folded = self.training and not self.norm.training
        out: Tensor = self._folded(features) if folded else self.norm(self.conv(features))
        return out if self.activation is None else self.activation(out, inplace=True)

    def _folded(self, features: Tensor) -> Tensor:
        norm, mean, variance = self.norm, self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise ValueError("expected a norm with running statistics")
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        kernel, offset = self.conv.weight * scale.view(-1, 1, 1, 1), norm.bias - mean * scale
        if self._slow_in_half_precision(features):
            with torch.autocast(features.device.type, enabled=False):
                return self._convolve(features.float(), kernel, offset).to(features.dtype)
        return self._convolve(features, kernel, offset)

    def _convolve(self, features: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
        conv = self.conv
        return functional.conv2d(features, kernel, offset, conv.stride, kernel.shape[-1] // 2, 1, conv.groups)

    def _slow_in_half_precision(self, features: Tensor) -> bool:
        """A CPU has no fast bf16 gradient for depthwise convolutions with a stride."""
        return (
            self.conv.groups > 1
            and self.conv.stride != (1, 1)
            and features.requires_grad
            and features.device.type == "cpu"
            and features.dtype is not torch.float64
        )


class Gate(nn.Module):
    """Squeeze-and-excitation: each channel times a factor that the means of all channels decide."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        squeezed = functional.silu(self.reduce(features.mean(dim=(2, 3), keepdim=True)), inplace=True)
        return features * torch.sigmoid(self.expand(squeezed))


class InvertedBottleneck(nn.Module):
    """An expanding 1x1, a depthwise and a linear 1x1 convolution; with a shortcut where the shape is kept.

    Args:
        in_channels: width of the input.
        stage: width, kernel and expansion.
        stride: of the depthwise convolution.
        gated: with squeeze-and-excitation, to a quarter of the input's width.
        style: of every layer.
    """

    def __init__(
        self, in_channels: int, stage: Stage, stride: int, *, gated: bool = False, style: Style = LITE
    ) -> None:
        super().__init__()
        inner = in_channels * stage.expansion
        self.expand = ConvNorm(in_channels, inner, style=style) if stage.expansion > 1 else None
        self.depthwise = ConvNorm(inner, inner, stage.kernel, stride, inner, style=style)
        self.gate = Gate(inner, in_channels // SQUEEZE) if gated else None
        self.project = ConvNorm(inner, stage.channels, activate=False, style=style)
        self.residual = stride == 1 and in_channels == stage.channels

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H/stride, W/stride)``."""
        widened = features if self.expand is None else self.expand(features)
        filtered: Tensor = self.depthwise(widened)
        out: Tensor = self.project(filtered if self.gate is None else self.gate(filtered))
        return features + out if self.residual else out


class EfficientNet(EncoderNetwork):
    """An EfficientNet encoder without its classifier; its features have its configuration's stride."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(3, config.stem_channels, 3, 2, style=config.style)
        width, stride, blocks = config.stem_channels, 2, []
        for stage in config.stages:
            for index in range(stage.blocks):
                step = stage.stride if index == 0 and stride < config.stride else 1
                blocks.append(InvertedBottleneck(width, stage, step, gated=config.gated, style=config.style))
                width, stride = stage.channels, stride * step
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = width
        self.blocks_per_stage = tuple(stage.blocks for stage in config.stages)
        self.gated = config.gated

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` normalized crops to ``(B, out_channels, H/stride, W/stride)`` features."""
        features: Tensor = self.blocks(self.stem(crops))
        return features


def from_published(published: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Select and rename the encoder's tensors of an EfficientNet.

    Args:
        published: state dict with timm's names, with torchvision's (B0), with those of the ports of the Lite form
            (``_conv_stem``, ``_blocks.0._bn1``, ...), or with our own.
        network: may be cut short: a stage takes the first blocks of its published one.

    Raises:
        ValueError: naming the first tensor that is missing, or that no such network has.
    """
    if not isinstance(network, EfficientNet) or "stem.conv.weight" in published:
        return dict(published)
    known, form = (GATED_NAMES, "B0") if network.gated else (LITE_NAMES, "Lite")
    names = recognize(published, known)
    if names is None:
        stems = " or ".join(repr(f"{names.stem_name}.weight") for names in known)
        raise ValueError(f"expected published EfficientNet-{form} weights, found no tensor {stems}")
    whole = [stage.blocks for stage in _STAGES]
    try:
        tensors = rename(published, names, whole=whole, kept=network.blocks_per_stage, last=False, gated=network.gated)
    except ValueError as error:
        raise ValueError(f"expected published EfficientNet-{form} weights, {error}") from error
    return {**{name: own for name, own in network.state_dict().items() if name.endswith(COUNTER)}, **tensors}
