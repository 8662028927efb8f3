"""Simple Baselines: a residual encoder, three transposed convolutions, one head.

Source:
    Xiao et al., *Simple Baselines for Human Pose Estimation and Tracking*, ECCV 2018.
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pcrpose.files.checks import one_of
from pcrpose.keypoints.crop import Alignment
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.resnet import RESNETS
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel, prediction_head


@dataclass(frozen=True, kw_only=True)
class SimpleBaselineConfig(PoseConfig):
    """A Simple Baselines network; ``alignment="edge"`` because its published weights need it.

    Attributes:
        encoder: one of the residual encoders.
        channels: width of each of the three transposed convolutions.
    """

    alignment: Alignment = "edge"
    encoder: str = "resnet50"
    channels: tuple[int, int, int] = (256, 256, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, RESNETS)
        if min(self.channels) < 1:
            raise ValueError(f"channels: expected positive widths, found {list(self.channels)}")


class SimpleBaseline(PoseModel[SimpleBaselineConfig]):
    """The paper's baseline; `to_published` renames its tensors to those of the published checkpoints.

    Args:
        config: encoder and widths.
    """

    config_class: ClassVar[type[SimpleBaselineConfig]] = SimpleBaselineConfig

    def __init__(self, config: SimpleBaselineConfig) -> None:
        super().__init__(config)
        self.encoder = ENCODERS[config.encoder].build()
        widths = (self.encoder.out_channels, *config.channels)
        self.deconv_layers = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (
                    nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(inplace=True),
                )
            )
        )
        self.final_layer = prediction_head(widths[-1], config.skeleton.num_keypoints)

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """``(B, 3, H, W)`` normalized crops to ``(B, J, H/4, W/4)`` heatmaps; there are no auxiliary ones."""
        self.check_crops(crops)
        logits = self.final_layer(self.deconv_layers(self.encoder(crops)))
        return HeatmapOutput(logits if self.training else self.finish(logits))
