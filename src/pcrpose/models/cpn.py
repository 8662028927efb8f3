"""Cascaded Pyramid Network: GlobalNet finds the easy keypoints, RefineNet the hard ones.

Source:
    Chen et al., *Cascaded Pyramid Network for Multi-Person Pose Estimation*, CVPR 2018, figure 1; what the paper leaves
    open is as in the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcrpose.files.checks import one_of
from pcrpose.models.encoders.hrnet import conv_bn
from pcrpose.models.encoders.resnet import RESNETS, ResNet, shortcut
from pcrpose.models.layers import conv_bn_relu, norm_head, upsampled
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel
from pcrpose.models.supervision import HeadSupervision, Supervision, check_hardest

SPREADS = (2.6, 2.0, 1.7, 1.4)  # cells: OpenCV's for the authors' kernels of 15, 11, 9 and 7 cells, coarsest first
SQUEEZE = 2  # RefineNet's blocks are half as wide inside
GLOBAL_WEIGHT = 1 / 8  # of each of GlobalNet's four levels: their mean, halved


@dataclass(frozen=True, kw_only=True)
class CascadedPyramidConfig(PoseConfig):
    """A cascaded pyramid network; the defaults are those of the published one on ResNet-50.

    Attributes:
        sigma: of RefineNet's targets and of GlobalNet's finest, crop pixels; the others' are wider in proportion, see
            `supervision`. 5.6 is the authors' at 256x192.
        encoder: one of the residual encoders.
        channels: width of both pyramids, even.
        hardest: how many keypoints of a crop count in RefineNet, all where the skeleton has fewer; None counts all.

    Raises:
        ValueError: for another encoder or width, or hard keypoints to be mined in ``"probability"`` heatmaps.
    """

    sigma: float = 5.6
    encoder: str = "resnet50"
    channels: int = 256
    hardest: int | None = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, RESNETS)
        if self.channels < 1 or self.channels % SQUEEZE:
            raise ValueError(f"channels: expected a positive multiple of {SQUEEZE}, found {self.channels}")
        check_hardest(self.hardest, self.heatmaps)

    def supervision(self) -> Supervision:
        """Return GlobalNet's supervision, coarsest level first, and RefineNet's, of the hardest keypoints.

        GlobalNet's targets have spreads of 2.6, 2.0, 1.7 and 1.4 cells at 256x192, RefineNet's 1.4.

        Source:
            Section 4.2.3: all annotated keypoints, then the 8 of 17 with the largest loss. Spreads and weights are
            those of the authors' code, which counts only visible keypoints in GlobalNet; here every labelled one
            counts.
        """
        scale = self.sigma / SPREADS[-1]
        hardest = None if self.hardest is None else min(self.hardest, self.skeleton.num_keypoints)
        return Supervision(
            final=HeadSupervision(hardest=hardest),
            auxiliary=tuple(HeadSupervision(sigma=scale * spread, weight=GLOBAL_WEIGHT) for spread in SPREADS),
        )


class GlobalNet(nn.Module):
    """The first pyramid: each level of the encoder, joined with what comes from below, predicts heatmaps.

    Args:
        in_channels: of the encoder's levels, from the finest to the coarsest.
        channels: of the pyramid.
        num_keypoints: of the skeleton.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, num_keypoints: int) -> None:
        super().__init__()
        levels = in_channels[::-1]
        self.lateral = nn.ModuleList(conv_bn_relu(width, channels) for width in levels)
        self.upward = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in levels[1:])
        self.heads = nn.ModuleList(
            nn.Sequential(conv_bn_relu(channels, channels), *norm_head(channels, num_keypoints)) for _ in levels
        )

    def forward(self, encoded: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, coarsest first: ``(B, channels, H/32, W/32)`` to ``(B, channels, H/4, W/4)``."""
        first, *others = [lateral(features) for lateral, features in zip(self.lateral, reversed(encoded), strict=True)]
        pyramid: list[Tensor] = [first]
        for upward, features in zip(self.upward, others, strict=True):
            pyramid.append(features + upward(upsampled(pyramid[-1], 2)))
        return pyramid

    def heatmaps(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """Predict ``(B, J, H/4, W/4)`` heatmaps from every level, coarsest first; for training alone."""
        predicted = [head(features) for head, features in zip(self.heads, pyramid, strict=True)]
        return [upsampled(heatmaps, scale) for heatmaps, scale in zip(predicted, _scales(len(pyramid)), strict=True)]


class RefineBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, half as wide inside."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        inner = channels // SQUEEZE
        self.convolutions = nn.Sequential(
            conv_bn_relu(in_channels, inner),
            *conv_bn(inner, inner, 3),
            nn.ReLU(inplace=True),
            *conv_bn(inner, channels, 1),
        )
        self.project = shortcut(in_channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, H, W)``."""
        kept = features if self.project is None else self.project(features)
        summed: Tensor = self.convolutions(features) + kept
        return functional.relu(summed)


class RefineNet(nn.Module):
    """The second network: all levels, refined by more blocks the coarser they are, side by side at stride 4.

    Args:
        levels: of the pyramid.
        channels: of the pyramid.
        num_keypoints: of the skeleton.
    """

    def __init__(self, levels: int, channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.refine = nn.ModuleList(
            nn.Sequential(*(RefineBlock(channels, channels) for _ in range(count))) for count in reversed(range(levels))
        )
        self.join = RefineBlock(levels * channels, channels)
        self.head = norm_head(channels, num_keypoints)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Predict ``(B, J, H/4, W/4)`` heatmaps from the pyramid, coarsest level first."""
        refined = [blocks(features) for blocks, features in zip(self.refine, pyramid, strict=True)]
        levels = [upsampled(features, scale) for features, scale in zip(refined, _scales(len(refined)), strict=True)]
        heatmaps: Tensor = self.head(self.join(torch.cat(levels, dim=1)))
        return heatmaps


def _scales(levels: int) -> list[int]:
    """Return the factors from each level to stride 4, coarsest first."""
    return [2**level for level in reversed(range(levels))]


class CascadedPyramid(PoseModel[CascadedPyramidConfig]):
    """CPN: an encoder, GlobalNet and RefineNet.

    Args:
        config: encoder and width.

    Source:
        Figure 1. Departures: resampling keeps the centers of cells where they are (``align_corners=False``), as our
        pixel convention needs; heads start at the scale of targets (`norm_head`); in evaluation mode GlobalNet's heads
        do not run.

    Examples:
        >>> import torch
        >>> model = CascadedPyramid(CascadedPyramidConfig(encoder="resnet_nano", channels=16))
        >>> len(model(torch.zeros(2, 3, 64, 64)).auxiliary), model.eval()(torch.zeros(1, 3, 64, 64)).final.shape
        (4, torch.Size([1, 17, 16, 16]))
    """

    config_class: ClassVar[type[CascadedPyramidConfig]] = CascadedPyramidConfig

    def __init__(self, config: CascadedPyramidConfig) -> None:
        super().__init__(config)
        keypoints = config.skeleton.num_keypoints
        self.encoder = ResNet(RESNETS[config.encoder])
        widths = self.encoder.pyramid_channels
        self.global_net = GlobalNet(widths, config.channels, keypoints)
        self.refine_net = RefineNet(len(widths), config.channels, keypoints)

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps of stride 4.

        Args:
            crops: ``(B, 3, H, W)`` float, RGB, normalized; H and W are multiples of 32.

        Returns:
            In evaluation mode RefineNet's heatmaps alone, ``(B, J, H/4, W/4)``, ready to decode. In training mode its
            raw output, and as auxiliary ones GlobalNet's four, the coarsest level first.

        Raises:
            ValueError: if ``crops`` has another shape.
        """
        self.check_crops(crops)
        pyramid: list[Tensor] = self.global_net(self.encoder.pyramid(crops))
        refined: Tensor = self.refine_net(pyramid)
        if not self.training:
            return HeatmapOutput(self.finish(refined))
        return HeatmapOutput(refined, tuple(self.global_net.heatmaps(pyramid)))
