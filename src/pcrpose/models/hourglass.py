"""Stacked hourglass: networks that go down and up again, one after the other, each supervised.

Source:
    Newell et al., *Stacked Hourglass Networks for Human Pose Estimation*, ECCV 2016, figures 1, 3 and 4; widths are
    those of the authors' code.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from pcrpose.files.checks import at_least
from pcrpose.models.layers import conv_bn_relu
from pcrpose.models.pose_config import FINEST_STRIDE, PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel, prediction_head

SQUEEZE = 2  # residual modules are half as wide inside


@dataclass(frozen=True, kw_only=True)
class StackedHourglassConfig(PoseConfig):
    """A stacked hourglass network; the defaults are those of the published one, which reads square 256x256 crops.

    Attributes:
        sigma: of the target Gaussians, crop pixels; 4 is the published cell of stride 4.
        num_stacks: hourglasses, one after the other.
        channels: of the hourglasses, even.
        depth: how often an hourglass halves the resolution, from a quarter of the crop's down.
        stem_channels: of the first convolution and the two residual modules after it, even.

    Raises:
        ValueError: if a number is not positive, or a width is odd.
    """

    sigma: float = 4.0
    num_stacks: int = 8
    channels: int = 256
    depth: int = 4
    stem_channels: tuple[int, int, int] = (64, 128, 128)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("num_stacks", self.num_stacks, 1)
        at_least("depth", self.depth, 1)
        for width in (self.channels, *self.stem_channels):
            if width < 1 or width % SQUEEZE:
                raise ValueError(f"channels: expected positive multiples of {SQUEEZE}, found {width}")

    @property
    def coarsest_cell(self) -> int:
        """Crop pixels of the cells at the waist of an hourglass."""
        return FINEST_STRIDE << max(self.depth, 0)


class ResidualModule(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, batch norm and ReLU before each.

    Source:
        Figure 4, left, with the pre-activation order of the authors' code.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        inner = channels // SQUEEZE
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1)
        self.project = None if in_channels == channels else nn.Conv2d(in_channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H, W)``."""
        out = self.conv1(functional.relu(self.bn1(features)))
        out = self.conv2(functional.relu(self.bn2(out)))
        out = self.conv3(functional.relu(self.bn3(out)))
        summed: Tensor = out + (features if self.project is None else self.project(features))
        return summed


class Hourglass(nn.Module):
    """One hourglass: at each resolution a residual module beside the way down and up again.

    Args:
        channels: of its features throughout.
        depth: how often it halves the resolution.

    Source:
        Figure 3.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.beside = ResidualModule(channels, channels)
        self.down = ResidualModule(channels, channels)
        self.inside: nn.Module = Hourglass(channels, depth - 1) if depth > 1 else ResidualModule(channels, channels)
        self.up = ResidualModule(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        lower = self.up(self.inside(self.down(functional.max_pool2d(features, 2))))
        beside: Tensor = self.beside(features)
        return beside + functional.interpolate(lower, scale_factor=2, mode="nearest")


class Stack(nn.Module):
    """One hourglass, its heatmaps, and the way back into the features for the next one.

    Args:
        config: of the network.
        is_last: nothing follows.

    Source:
        Figure 4, right: features and heatmaps are both brought back by 1x1 convolutions and added.
    """

    def __init__(self, config: StackedHourglassConfig, *, is_last: bool) -> None:
        super().__init__()
        width, keypoints = config.channels, config.skeleton.num_keypoints
        self.hourglass = Hourglass(width, config.depth)
        self.features = nn.Sequential(ResidualModule(width, width), conv_bn_relu(width, width))
        self.head = prediction_head(width, keypoints)
        self.from_features = None if is_last else nn.Conv2d(width, width, 1)
        self.from_heatmaps = None if is_last else nn.Conv2d(keypoints, width, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, channels, H, W)`` to ``(B, J, H, W)`` heatmaps and the next hourglass's input."""
        found = self.features(self.hourglass(features))
        heatmaps: Tensor = self.head(found)
        if self.from_features is None or self.from_heatmaps is None:
            return heatmaps, features
        return heatmaps, features + self.from_features(found) + self.from_heatmaps(heatmaps)


class StackedHourglass(PoseModel[StackedHourglassConfig]):
    """Stacked hourglasses; each one's heatmaps are supervised alike and read by the next.

    Args:
        config: number of hourglasses and widths.

    Source:
        Figure 1. Departures: heads start from normal(0, 0.001), as all of ours; the 1x1 convolution with batch norm
        before a head has no bias.

    Examples:
        >>> import torch
        >>> model = StackedHourglass(StackedHourglassConfig(num_stacks=2, channels=16, stem_channels=(8, 8, 8)))
        >>> len(model(torch.zeros(2, 3, 64, 64)).auxiliary), model.eval()(torch.zeros(1, 3, 64, 64)).final.shape
        (1, torch.Size([1, 17, 16, 16]))
    """

    config_class: ClassVar[type[StackedHourglassConfig]] = StackedHourglassConfig

    def __init__(self, config: StackedHourglassConfig) -> None:
        super().__init__(config)
        first, second, third = config.stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 7, 2, 3),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            ResidualModule(first, second),
            nn.MaxPool2d(2),
            ResidualModule(second, third),
            ResidualModule(third, config.channels),
        )
        last = config.num_stacks - 1
        self.stacks = nn.ModuleList(Stack(config, is_last=stack == last) for stack in range(config.num_stacks))

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps of stride 4.

        Args:
            crops: ``(B, 3, H, W)`` float, RGB, normalized; H and W are multiples of ``config.coarsest_cell``.

        Returns:
            In evaluation mode the last hourglass's heatmaps alone, ``(B, J, H/4, W/4)``, ready to decode. In training
            mode its raw output, and as auxiliary ones those of the hourglasses before it, in order.

        Raises:
            ValueError: if ``crops`` has another shape.
        """
        self.check_crops(crops)
        features: Tensor = self.stem(crops)
        heatmaps: list[Tensor] = []
        for stack in self.stacks:
            found, features = stack(features)
            heatmaps.append(found)
        if not self.training:
            return HeatmapOutput(self.finish(heatmaps[-1]))
        return HeatmapOutput(heatmaps[-1], tuple(heatmaps[:-1]))
