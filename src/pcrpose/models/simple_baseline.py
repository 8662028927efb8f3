"""Simple Baselines: a residual encoder, three transposed convolutions, one head.

Source:
    Xiao et al., *Simple Baselines for Human Pose Estimation and Tracking*, ECCV 2018.
"""

import itertools
from typing import ClassVar

from torch import Tensor, nn

from pcrpose.models.config import SimpleBaselineConfig
from pcrpose.models.encoders import build_encoder
from pcrpose.models.pose_model import HeatmapOutput, PoseModel, prediction_head


class SimpleBaseline(PoseModel[SimpleBaselineConfig]):
    """The paper's baseline; `to_published` gives its tensors the names of the published checkpoints.

    Args:
        config: encoder and widths.
    """

    config_class: ClassVar[type[SimpleBaselineConfig]] = SimpleBaselineConfig

    def __init__(self, config: SimpleBaselineConfig) -> None:
        super().__init__(config)
        self.encoder = build_encoder(config.encoder)
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
