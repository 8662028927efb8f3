"""Residual encoders with the parameter names of the published ImageNet checkpoints.

Source:
    He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016; the stride sits on the 3x3 convolution of
    a bottleneck, as in the checkpoints everybody shares. ``resnet_nano`` is ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn

from pcrpose.models.encoders.encoder import EncoderNetwork

# What stands around published encoders: classifiers, and the decoder and head of Simple Baselines.
SURROUNDINGS = re.compile(r"(fc|classifier|deconv_layers|final_layer)\.")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """The dimensions of a residual encoder.

    Attributes:
        block: two 3x3 convolutions (``"basic"``) or 1x1, 3x3, 1x1 (``"bottleneck"``, four times as wide at its end).
        blocks: how many blocks each of the four stages has.
        channels: inner width of the blocks of each stage.
        stem_channels: width of the first 7x7 convolution.
    """

    block: Literal["basic", "bottleneck"]
    blocks: tuple[int, int, int, int]
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem_channels: int = 64


RESNETS: Mapping[str, ResNetConfig] = MappingProxyType(
    {
        "resnet_nano": ResNetConfig(block="basic", blocks=(2, 2, 2, 2), channels=(32, 64, 128, 192), stem_channels=32),
        "resnet18": ResNetConfig(block="basic", blocks=(2, 2, 2, 2)),
        "resnet34": ResNetConfig(block="basic", blocks=(3, 4, 6, 3)),
        "resnet50": ResNetConfig(block="bottleneck", blocks=(3, 4, 6, 3)),
        "resnet101": ResNetConfig(block="bottleneck", blocks=(3, 4, 23, 3)),
        "resnet152": ResNetConfig(block="bottleneck", blocks=(3, 8, 36, 3)),
    }
)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(in_channels, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H/stride, W/stride)``."""
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out))
        kept = features if self.downsample is None else self.downsample(features)
        summed: Tensor = self.relu(out + kept)
        return summed


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the output is four times ``channels`` wide."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, 4 * channels, H/stride, W/stride)``."""
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        kept = features if self.downsample is None else self.downsample(features)
        summed: Tensor = self.relu(out + kept)
        return summed


BLOCKS: Mapping[str, type[BasicBlock | Bottleneck]] = MappingProxyType({"basic": BasicBlock, "bottleneck": Bottleneck})


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Build the projection of a shortcut whose shape changes; None where it stays."""
    if in_channels == out_channels and stride == 1:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


def block_chain(
    block: type[BasicBlock | Bottleneck], in_channels: int, channels: int, count: int, stride: int = 1
) -> nn.Sequential:
    """Build ``count`` blocks of one width; only the first may change the resolution."""
    width = channels * block.expansion
    return nn.Sequential(block(in_channels, channels, stride), *(block(width, channels) for _ in range(count - 1)))


class ResNet(EncoderNetwork):
    """A residual encoder without its classifier; its features have stride 32."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        block = BLOCKS[config.block]
        widths = [config.stem_channels, *(channels * block.expansion for channels in config.channels)]
        self.conv1 = nn.Conv2d(3, config.stem_channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = block_chain(block, widths[0], config.channels[0], config.blocks[0])
        self.layer2 = block_chain(block, widths[1], config.channels[1], config.blocks[1], stride=2)
        self.layer3 = block_chain(block, widths[2], config.channels[2], config.blocks[2], stride=2)
        self.layer4 = block_chain(block, widths[3], config.channels[3], config.blocks[3], stride=2)
        self.pyramid_channels = tuple(widths[1:])
        self.out_channels = widths[4]

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` normalized crops to ``(B, out_channels, H/32, W/32)`` features."""
        return self.pyramid(crops)[-1]

    def pyramid(self, crops: Tensor) -> list[Tensor]:
        """Return the features of the four stages, of strides 4, 8, 16 and 32, each as wide as `pyramid_channels`."""
        features: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(crops))))
        levels: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            levels.append(features)
        return levels


def from_published(published: Mapping[str, Tensor], _network: nn.Module) -> dict[str, Tensor]:
    """Select the encoder's tensors of torchvision's ResNets or of Simple Baselines; the published names are ours."""
    return {name: tensor for name, tensor in published.items() if not SURROUNDINGS.match(name)}
