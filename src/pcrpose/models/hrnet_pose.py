"""HRNet's pose network: the high-resolution encoder and one head.

Source:
    Sun et al., *Deep High-Resolution Representation Learning for Human Pose Estimation*, CVPR 2019.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pcrpose.files.checks import one_of
from pcrpose.keypoints.crop import Alignment
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.hrnet import HRNETS
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel, prediction_head


@dataclass(frozen=True, kw_only=True)
class HighResolutionPoseConfig(PoseConfig):
    """An HRNet pose network; ``alignment="edge"`` because its published weights need it.

    Attributes:
        encoder: one of the high-resolution encoders.
    """

    alignment: Alignment = "edge"
    encoder: str = "hrnet_w32"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, HRNETS)


class HighResolutionPose(PoseModel[HighResolutionPoseConfig]):
    """The paper's strongest rival; `to_published` renames its tensors to those of the published checkpoints.

    Args:
        config: encoder.
    """

    config_class: ClassVar[type[HighResolutionPoseConfig]] = HighResolutionPoseConfig

    def __init__(self, config: HighResolutionPoseConfig) -> None:
        super().__init__(config)
        self.encoder = ENCODERS[config.encoder].build()
        self.final_layer = prediction_head(self.encoder.out_channels, config.skeleton.num_keypoints)

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """``(B, 3, H, W)`` normalized crops to ``(B, J, H/4, W/4)`` heatmaps; there are no auxiliary ones."""
        self.check_crops(crops)
        logits = self.final_layer(self.encoder(crops))
        return HeatmapOutput(logits if self.training else self.finish(logits))
