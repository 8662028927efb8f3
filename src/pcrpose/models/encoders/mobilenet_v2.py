"""MobileNetV2 encoders with their batch norms folded, as pose networks publish them.

Source:
    Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018, in TensorFlow's form: "same"
    padding, which is one row and one column at the bottom and right where a convolution halves an even input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcrpose.models.checkpoints.inverted_bottlenecks import TIMM, TORCHVISION_MOBILENET_V2, recognize, rename
from pcrpose.models.encoders.encoder import EncoderNetwork

DIVISOR = 8  # published widths are multiples of it
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
STRIDE = 16  # of the features; the coarsest cells inside are twice as large


class Stage(NamedTuple):
    """Blocks of one width; the first one changes the resolution."""

    expansion: int
    channels: int
    blocks: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Config:
    """The dimensions of a MobileNetV2.

    Attributes:
        width: factor on the channels of every layer; the last 1x1 convolution never has fewer than 1,280.
        last_channels: width of the last 1x1 convolution.
    """

    width: float = 1.0
    last_channels: int = LAST_CHANNELS

    def channels(self, plain: int) -> int:
        """Scale a width of the plain network: to the nearest multiple of 8, never more than a tenth below."""
        scaled = plain * self.width
        rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
        return rounded if rounded >= 0.9 * scaled else rounded + DIVISOR


MOBILENETS: Mapping[str, MobileNetV2Config] = MappingProxyType(
    {"mobilenet_v2": MobileNetV2Config(), "mobilenet_v2_175": MobileNetV2Config(width=1.75)}
)


class SameConv(nn.Conv2d):
    """A convolution with bias whose padding is TensorFlow's "same"; inputs of a stride of 2 have even sides."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, channels, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H/stride, W/stride)``."""
        if self.stride == (1, 1):
            return super().forward(features)
        if self.groups == 1 or features.device.type != "cpu" or not features.requires_grad:
            return super().forward(functional.pad(features, (0, 1, 0, 1)))
        # a CPU's bf16 gradient of a depthwise convolution with a stride is ten times slower than its float32 one
        with torch.autocast("cpu", enabled=False):
            padded = functional.pad(features.to(self.weight.dtype), (0, 1, 0, 1))
            return super().forward(padded).to(features.dtype)


class InvertedResidual(nn.Module):
    """An expanding 1x1, a depthwise 3x3 and a linear 1x1 convolution; with a shortcut where the shape is kept."""

    def __init__(self, in_channels: int, channels: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = SameConv(in_channels, inner) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, 3, stride, inner)
        self.project = SameConv(inner, channels)
        self.residual = stride == 1 and in_channels == channels

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H/stride, W/stride)``."""
        widened = features if self.expand is None else functional.relu6(self.expand(features), inplace=True)
        filtered = functional.relu6(self.depthwise(widened), inplace=True)
        out: Tensor = self.project(filtered)
        return features + out if self.residual else out


class MobileNetV2(EncoderNetwork):
    """A MobileNetV2 encoder without its classifier; its features have stride 16.

    The features are two things side by side: the output of the last block of stride 16, where details are, and the
    last 1x1 convolution's output of stride 32, enlarged by 2, where the whole person is.
    """

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__()
        width = config.channels(STEM_CHANNELS)
        self.stem = SameConv(3, width, 3, 2)
        blocks: list[InvertedResidual] = []
        stride = 2
        for stage in STAGES:
            channels = config.channels(stage.channels)
            for index in range(stage.blocks):
                step = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(width, channels, expansion=stage.expansion, stride=step))
                width, stride = channels, stride * step
                if stride == STRIDE:
                    self.fine_blocks, fine_channels = len(blocks), channels
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv(width, config.last_channels)
        self.out_channels = fine_channels + config.last_channels

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` normalized crops to ``(B, out_channels, H/16, W/16)`` features; H, W multiples of 32."""
        fine: Tensor = self.blocks[: self.fine_blocks](functional.relu6(self.stem(crops), inplace=True))
        coarse = functional.relu6(self.last(self.blocks[self.fine_blocks :](fine)), inplace=True)
        enlarged = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        return torch.cat([fine, enlarged], dim=1)


def from_published(published: Mapping[str, Tensor], _network: nn.Module) -> dict[str, Tensor]:
    """Select and rename the encoder's tensors of a MobileNetV2 of timm or torchvision; `fold_norms` does the rest.

    Other tensors are returned as they are: ``examples/convert_movenet.py`` writes them under the network's own names.

    Raises:
        ValueError: naming the first tensor that is missing, or that no such network has.
    """
    names = recognize(published, (TIMM, TORCHVISION_MOBILENET_V2))
    if names is None:
        return dict(published)
    whole = [stage.blocks for stage in STAGES]
    try:
        return rename(published, names, whole=whole, kept=whole, last=True)
    except ValueError as error:
        raise ValueError(f"expected published MobileNetV2 weights, {error}") from error
