"""MSPN: stages that each go down and up again, take in the features of the stage before, and sharpen its heatmaps.

Source:
    Li et al., *Rethinking on Multi-Stage Networks for Human Pose Estimation*, 2019, figures 1 and 2; what the paper
    leaves open is as in the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from pcrpose.files.checks import at_least
from pcrpose.models.encoders.hrnet import conv_bn
from pcrpose.models.encoders.resnet import Bottleneck, block_chain
from pcrpose.models.layers import conv_bn_relu, norm_head, upsampled
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel
from pcrpose.models.supervision import HeadSupervision, Supervision, check_hardest

SPREADS = (2.6, 2.0, 1.7, 1.4, 1.1)  # cells: OpenCV's for the authors' kernels of 15, 11, 9, 7 and 5 cells
COARSE_WEIGHT = 1 / 4  # of all but the finest heatmaps of a stage


@dataclass(frozen=True, kw_only=True)
class MultiStagePoseConfig(PoseConfig):
    """An MSPN network; the defaults are those of the published 4-stage network on ResNet-50's blocks.

    Attributes:
        sigma: of the final heatmaps' targets, crop pixels; the others' are wider in proportion, see `supervision`.
            4.4 is the authors' at 256x192.
        num_stages: how many times the network goes down and up.
        blocks: bottleneck blocks at each of the four levels of a stage.
        stem_channels: width of the stem and inner width of the blocks of the first level; each level doubles it.
        channels: width of the way up.
        hardest: how many keypoints of a crop count at the finest level of a stage, all where the skeleton has fewer;
            None counts all.

    Raises:
        ValueError: if a number is not positive, or hard keypoints are to be mined in ``"probability"`` heatmaps.
    """

    sigma: float = 4.4
    num_stages: int = 4
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    stem_channels: int = 64
    channels: int = 256
    hardest: int | None = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("num_stages", self.num_stages, 1)
        at_least("blocks", min(self.blocks), 1)
        at_least("stem_channels", self.stem_channels, 1)
        at_least("channels", self.channels, 1)
        check_hardest(self.hardest, self.heatmaps)

    @property
    def level_channels(self) -> tuple[int, ...]:
        """The widths of the way down, from the finest level to the coarsest."""
        return tuple(Bottleneck.expansion * self.stem_channels * 2**level for level in range(len(self.blocks)))

    def supervision(self) -> Supervision:
        """Return the coarse-to-fine supervision, stage by stage and in each from the coarsest level to the finest.

        A stage's targets have spreads of 2.6, 2.0, 1.7 and 1.4 cells at 256x192, the last stage's 2.0, 1.7, 1.4 and
        1.1. At the finest level only the hardest keypoints count; the coarser levels weigh a quarter each.

        Source:
            Section 3.3 and the authors' code, which counts only visible keypoints at the coarser levels; here every
            labelled one counts.
        """
        heads: list[HeadSupervision] = []
        for stage in range(self.num_stages):
            *coarse, fine = SPREADS[1:] if stage == self.num_stages - 1 else SPREADS[:-1]
            scale = self.sigma / SPREADS[-1]
            heads += [HeadSupervision(sigma=scale * spread, weight=COARSE_WEIGHT) for spread in coarse]
            hardest = None if self.hardest is None else min(self.hardest, self.skeleton.num_keypoints)
            heads.append(HeadSupervision(sigma=scale * fine, hardest=hardest))
        return Supervision(final=heads[-1], auxiliary=tuple(heads[:-1]))


class Passed(NamedTuple):
    """What a stage passes on to the next.

    Attributes:
        features: its input, of stride 4.
        skips: what is added to each level of its way down, from the finest to the coarsest; nothing at the first stage.
    """

    features: Tensor
    skips: Sequence[Tensor] = ()


class Level(NamedTuple):
    """What the way up gives at one level.

    Attributes:
        features: ``(B, channels, H, W)``.
        heatmaps: ``(B, J, H', W')`` of stride 4, if they are asked for.
        skip: what is added to the next stage's way down, if there is one.
    """

    features: Tensor
    heatmaps: Tensor | None
    skip: Tensor | None


class UpwardUnit(nn.Module):
    """One level of the way up: features of the way down plus those of the coarser level, and heatmaps.

    Args:
        in_channels: of the way down at this level.
        config: widths and keypoints.
        scale: from this level to a quarter of the crop's resolution.
        is_coarsest: nothing comes from below.
        is_last_stage: no stage follows, so nothing is passed on.
    """

    def __init__(
        self, in_channels: int, config: MultiStagePoseConfig, *, scale: int, is_coarsest: bool, is_last_stage: bool
    ) -> None:
        super().__init__()
        width, keypoints = config.channels, config.skeleton.num_keypoints
        self.scale = scale
        self.lateral = nn.Sequential(*conv_bn(in_channels, width, 1))
        self.upward = None if is_coarsest else nn.Sequential(*conv_bn(width, width, 1))
        self.head = nn.Sequential(conv_bn_relu(width, width), *norm_head(width, keypoints))
        self.from_down = None if is_last_stage else conv_bn_relu(in_channels, in_channels)
        self.from_up = None if is_last_stage else conv_bn_relu(width, in_channels)

    def forward(self, down: Tensor, coarser: Tensor | None, *, predicts: bool) -> Level:
        """Join ``(B, in_channels, H, W)`` of the way down and ``(B, channels, H/2, W/2)`` from below."""
        joined: Tensor = self.lateral(down)
        if self.upward is not None and coarser is not None:
            joined = joined + self.upward(upsampled(coarser, 2))
        features = functional.relu(joined)
        heatmaps = upsampled(self.head(features), self.scale) if predicts else None
        if self.from_down is None or self.from_up is None:
            return Level(features, heatmaps, None)
        return Level(features, heatmaps, self.from_down(down) + self.from_up(features))


class Stage(nn.Module):
    """One stage: down through residual blocks, and up again.

    Args:
        config: of the network.
        is_last: no stage follows.
    """

    def __init__(self, config: MultiStagePoseConfig, *, is_last: bool) -> None:
        super().__init__()
        inner = [config.stem_channels * 2**level for level in range(len(config.blocks))]
        before = [config.stem_channels, *config.level_channels]
        self.down = nn.ModuleList(
            block_chain(Bottleneck, before[level], inner[level], count, stride=2 if level else 1)
            for level, count in enumerate(config.blocks)
        )
        self.up = nn.ModuleList(
            UpwardUnit(
                width,
                config,
                scale=2**level,
                is_coarsest=level == len(inner) - 1,
                is_last_stage=is_last,
            )
            for level, width in reversed(list(enumerate(config.level_channels)))
        )
        self.onward = None if is_last else conv_bn_relu(config.channels, config.stem_channels)

    def forward(self, passed: Passed, *, every_head: bool) -> tuple[list[Tensor], Passed | None]:
        """Predict heatmaps at each level, the coarsest first, or at the finest alone; the rest is passed on."""
        levels: list[Level] = []
        for unit, down in zip(self.up, reversed(self._descend(passed)), strict=True):
            coarser = levels[-1].features if levels else None
            levels.append(unit(down, coarser, predicts=every_head or len(levels) == len(self.up) - 1))
        heatmaps = [level.heatmaps for level in levels if level.heatmaps is not None]
        if self.onward is None:
            return heatmaps, None
        skips = [level.skip for level in reversed(levels) if level.skip is not None]
        return heatmaps, Passed(self.onward(levels[-1].features), skips)

    def _descend(self, passed: Passed) -> list[Tensor]:
        """Return the features of each level of the way down, from the finest to the coarsest."""
        features, levels = passed.features, list[Tensor]()
        for number, blocks in enumerate(self.down):
            features = blocks(features)
            if passed.skips:
                features = features + passed.skips[number]
            levels.append(features)
        return levels


class MultiStagePose(PoseModel[MultiStagePoseConfig]):
    """MSPN: several stages, each an encoder and a decoder, with cross-stage aggregation of features.

    Args:
        config: stages, blocks and widths.

    Source:
        Figures 1 and 2. Departures: resampling keeps the centers of cells where they are (``align_corners=False``),
        as our pixel convention needs; convolutions before batch norm have no bias; heads start at the scale of
        targets (`norm_head`); in evaluation mode only the head
        runs whose heatmaps are decoded.

    Examples:
        >>> import torch
        >>> config = MultiStagePoseConfig(num_stages=2, blocks=(1, 1, 1, 1), stem_channels=4, channels=8)
        >>> model = MultiStagePose(config)
        >>> len(model(torch.zeros(2, 3, 64, 64)).auxiliary), model.eval()(torch.zeros(1, 3, 64, 64)).final.shape
        (7, torch.Size([1, 17, 16, 16]))
    """

    config_class: ClassVar[type[MultiStagePoseConfig]] = MultiStagePoseConfig

    def __init__(self, config: MultiStagePoseConfig) -> None:
        super().__init__(config)
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.stem_channels, 7, 2, 3, bias=False),
            nn.BatchNorm2d(config.stem_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        last = config.num_stages - 1
        self.stages = nn.ModuleList(Stage(config, is_last=stage == last) for stage in range(config.num_stages))

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps of stride 4.

        Args:
            crops: ``(B, 3, H, W)`` float, RGB, normalized; H and W are multiples of 32.

        Returns:
            In evaluation mode the last stage's finest heatmaps alone, ``(B, J, H/4, W/4)``, ready to decode. In
            training mode the raw outputs of every stage and level: stage by stage, the coarsest level first.

        Raises:
            ValueError: if ``crops`` has another shape.
        """
        self.check_crops(crops)
        passed: Passed | None = Passed(self.stem(crops))
        heatmaps: list[Tensor] = []
        for stage in self.stages:
            found, passed = stage(passed, every_head=self.training)
            heatmaps += found
        if not self.training:
            return HeatmapOutput(self.finish(heatmaps[-1]))
        return HeatmapOutput(heatmaps[-1], tuple(heatmaps[:-1]))
