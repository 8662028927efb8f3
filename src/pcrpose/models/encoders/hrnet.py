"""High-resolution encoder with the parameter names of the published checkpoints.

Source:
    Sun et al., *Deep High-Resolution Representation Learning for Human Pose Estimation*, CVPR 2019. The encoder ends
    with the branch at a quarter of the crop's resolution, which is what its pose heads read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from torch import Tensor, nn

from pcrpose.models.encoders.encoder import EncoderNetwork
from pcrpose.models.encoders.resnet import BasicBlock, Bottleneck, block_chain

# What stands around published encoders: classifiers, pose heads, and the lower branches after the last exchange.
SURROUNDINGS = re.compile(
    r"(fc|classifier|final_layer|incre_modules|downsamp_modules)\.|stage4\.\d+\.fuse_layers\.[1-3]\."
)


@dataclass(frozen=True, kw_only=True)
class HRNetConfig:
    """The dimensions of a high-resolution encoder.

    Attributes:
        width: channels of the quarter-resolution branch; each lower branch is twice as wide.
        modules: how many exchange modules the stages with two, three and four branches have.
        blocks: residual blocks between two exchanges, in every branch.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4


HRNETS: Mapping[str, HRNetConfig] = MappingProxyType(
    {"hrnet_w32": HRNetConfig(width=32), "hrnet_w48": HRNetConfig(width=48)}
)


def conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Build a convolution without bias and its batch norm."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


def downward(in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
    """Build convolutions that halve the resolution ``steps`` times; the last one changes the width, without ReLU."""
    halvings: list[nn.Module] = [
        nn.Sequential(*conv_bn(in_channels, in_channels, 3, 2), nn.ReLU(inplace=True)) for _ in range(steps - 1)
    ]
    return nn.Sequential(*halvings, nn.Sequential(*conv_bn(in_channels, out_channels, 3, 2)))


def upward(in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
    """Build a 1x1 convolution to the new width and nearest up-sampling by ``2**steps``."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1), nn.Upsample(scale_factor=2**steps, mode="nearest"))


class ExchangeModule(nn.Module):
    """Parallel branches of residual blocks whose outputs are then exchanged across resolutions.

    Args:
        widths: channels of each branch, from the highest resolution down.
        blocks: residual blocks per branch.
        outputs: how many branches the exchange feeds; the very last module feeds only the first.
    """

    def __init__(self, widths: list[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(block_chain(BasicBlock, width, width, blocks) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._fuse(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=False)

    @staticmethod
    def _fuse(widths: list[int], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        build = upward if source > target else downward
        return build(widths[source], widths[target], abs(source - target))

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """Return the first ``outputs`` branches, fused, of one ``(B, widths[i], H/2**i, W/2**i)`` tensor per branch."""
        branches: list[Tensor] = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        fused: list[Tensor] = []
        for layers in self.fuse_layers:
            parts = [layer(x) for layer, x in zip(cast("nn.ModuleList", layers), branches, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            fused.append(self.relu(total))
        return fused


class HRNet(EncoderNetwork):
    """The high-resolution encoder; its features have stride 4."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(4)]
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = block_chain(Bottleneck, 64, 64, 4)
        self.transition1 = self._transition([256], widths[:2])
        self.stage2 = self._stage(widths[:2], config.modules[0], config.blocks)
        self.transition2 = self._transition(widths[:2], widths[:3])
        self.stage3 = self._stage(widths[:3], config.modules[1], config.blocks)
        self.transition3 = self._transition(widths[:3], widths)
        self.stage4 = self._stage(widths, config.modules[2], config.blocks, last=True)
        self.out_channels = config.width

    @staticmethod
    def _transition(before: list[int], after: list[int]) -> nn.ModuleList:
        kept = [
            nn.Identity() if old == new else nn.Sequential(*conv_bn(old, new, 3), nn.ReLU(inplace=True))
            for old, new in zip(before, after, strict=False)
        ]
        # A new branch halves the lowest one; the checkpoints nest it twice.
        added = nn.Sequential(nn.Sequential(*conv_bn(before[-1], after[-1], 3, 2), nn.ReLU(inplace=True)))
        return nn.ModuleList([*kept, added])

    @staticmethod
    def _stage(widths: list[int], modules: int, blocks: int, *, last: bool = False) -> nn.Sequential:
        outputs = [len(widths)] * modules
        if last:
            outputs[-1] = 1
        return nn.Sequential(*(ExchangeModule(widths, blocks, count) for count in outputs))

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` normalized crops to ``(B, width, H/4, W/4)`` features."""
        stem = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(crops))))))
        branches: list[Tensor] = [self.layer1(stem)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            sources = [*branches, branches[-1]]
            branches = stage([layer(x) for layer, x in zip(transition, sources, strict=True)])
        return branches[0]


def from_published(published: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Select the encoder's tensors of a classifying or a pose HRNet; the published names are ours."""
    own = network.state_dict()
    return {name: tensor for name, tensor in published.items() if name in own or not SURROUNDINGS.match(name)}
