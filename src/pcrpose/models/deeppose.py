"""DeepPose: keypoints regressed as coordinates, without heatmaps.

Source:
    Toshev and Szegedy, *DeepPose: Human Pose Estimation via Deep Neural Networks*, CVPR 2014, its first stage. The
    cascade, whose later stages look again at a crop around each keypoint, is left out.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pcrpose.files.checks import one_of
from pcrpose.keypoints.arrays import Indices
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel

COORDINATES = 2


class CoordinateOutput(NamedTuple):
    """Keypoints of one forward pass.

    Attributes:
        final: ``(B, J, 2)`` float, x then y, fractions of the crop's width and height, (0, 0) at its center and
            ``±0.5`` at its edges; not clipped.
    """

    final: Tensor


@dataclass(frozen=True, kw_only=True)
class DeepPoseConfig(PoseConfig):
    """A DeepPose network. ``sigma``, ``alignment`` and ``heatmaps`` say nothing here: there are no heatmaps.

    Attributes:
        encoder: one of `ENCODERS`.

    Raises:
        ValueError: for an encoder that is not in the table.
    """

    encoder: str = "resnet50"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, ENCODERS)

    @property
    def coarsest_cell(self) -> int:
        """The encoder's; the shared default for a name that is not in the table."""
        return ENCODERS[self.encoder].coarsest_cell if self.encoder in ENCODERS else super().coarsest_cell

    def to_fractions(self, keypoints_crop: Tensor) -> Tensor:
        """Convert ``(..., 2)`` crop pixels to fractions of the crop around its center; a mirrored x changes its sign.

        Source:
            Equation 1, with the crop as the box.
        """
        return (keypoints_crop + 0.5) / self._extent(keypoints_crop) - 0.5

    def to_crop(self, fractions: Tensor) -> Tensor:
        """Convert ``(..., 2)`` fractions, as the network gives them, to crop pixels."""
        return (fractions + 0.5) * self._extent(fractions) - 0.5

    def _extent(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.input_size.width, self.input_size.height])


class DeepPose(PoseModel[DeepPoseConfig]):
    """DeepPose's first stage: an encoder, global average pooling, and one layer that regresses coordinates.

    `PosePredictor` takes it and `Trainer` trains it. It does not say how sure it is: all its keypoint scores are 1, so
    that a pose's score is its box's. What needs heatmaps refuses it.

    Args:
        config: encoder.

    Source:
        Section 3. Departures: the encoder is any of `ENCODERS`, not AlexNet; coordinates are relative to the crop.

    Examples:
        >>> import torch
        >>> model = DeepPose(DeepPoseConfig(encoder="resnet_nano"))
        >>> model.eval()(torch.zeros(1, 3, 64, 64)).final.shape
        torch.Size([1, 17, 2])
    """

    config_class: ClassVar[type[DeepPoseConfig]] = DeepPoseConfig

    def __init__(self, config: DeepPoseConfig) -> None:
        super().__init__(config)
        self.encoder = ENCODERS[config.encoder].build()
        self.regression = nn.Linear(self.encoder.out_channels, COORDINATES * config.skeleton.num_keypoints)
        nn.init.normal_(self.regression.weight, std=0.001)
        nn.init.zeros_(self.regression.bias)

    def forward(self, crops: Tensor) -> CoordinateOutput:  # type: ignore[override] # no heatmaps: an output of its own
        """``(B, 3, H, W)`` normalized crops to ``(B, J, 2)`` coordinates, in training and evaluation mode alike."""
        self.check_crops(crops)
        features = self.encoder(crops).mean(dim=(2, 3))
        return CoordinateOutput(self.regression(features).unflatten(1, (-1, COORDINATES)))

    def decode(self, final: Tensor) -> tuple[Tensor, Tensor]:
        """Convert coordinates to ``(B, J, 2)`` crop pixels, with ``(B, J)`` scores of 1."""
        keypoints_crop = self.config.to_crop(final.float())
        return keypoints_crop, torch.ones_like(keypoints_crop[..., 0])


@dataclass(frozen=True, kw_only=True)
class CoordinateLoss:
    """Half the mean squared error of coordinates, in fractions of the crop.

    Attributes:
        config: of the model.
        kind: ``"squared_error"``, of which parts of a batch can be averaged.

    Source:
        Equation 4: squared error of the labelled keypoints. Those that are not labelled, and all of a crop without a
        person, add nothing, yet count in the mean's divisor, as in `squared_error`.
    """

    config: DeepPoseConfig
    kind: ClassVar[str] = "squared_error"

    def __call__(
        self,
        output: CoordinateOutput,
        keypoints_crop: Tensor,
        keypoint_weights: Tensor,
        is_background: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of coordinates against keypoints.

        Args:
            output: of the model.
            keypoints_crop: ``(B, J, 2)`` float, crop pixels; anything, NaN included, where the weight is 0.
            keypoint_weights: ``(B, J)`` float; zero where not labelled.
            is_background: ``(B,)`` bool: crops without a person, which have no coordinates to learn.

        Returns:
            Scalar.

        Raises:
            ValueError: if the shapes do not fit.
        """
        expected = output.final.shape
        if keypoints_crop.shape != expected or keypoint_weights.shape != expected[:2]:
            found = f"{tuple(keypoints_crop.shape)} and {tuple(keypoint_weights.shape)}"
            raise ValueError(f"expected keypoints {tuple(expected)} and their weights, found {found}")
        weights = keypoint_weights
        if is_background is not None:
            weights = torch.where(is_background[:, None], 0.0, weights)
        weights = weights[..., None]
        difference = output.final - self.config.to_fractions(keypoints_crop)
        return (0.5 * torch.where(weights > 0, difference, 0.0).square() * weights).mean()


def merge_mirrored_coordinates(coordinates: Tensor, mirrored: Tensor, flip_indices: Tensor | Indices) -> Tensor:
    """Average the coordinates of a crop with those of the mirrored crop.

    Args:
        coordinates: ``(B, J, 2)`` float, as the network gives them.
        mirrored: same shape, of the mirrored crop.
        flip_indices: ``(J,)`` integers, as `Skeleton.flip_indices`.

    Returns:
        ``(B, J, 2)``, the mean.
    """
    order = flip_indices if isinstance(flip_indices, Tensor) else torch.tensor(flip_indices)
    back = mirrored.index_select(1, order.to(mirrored.device)) * mirrored.new_tensor([-1.0, 1.0])
    return (coordinates + back) * 0.5


def require_heatmaps(config: PoseConfig, what: str) -> None:
    """Raise ValueError for a model that predicts coordinates where heatmaps are needed.

    Args:
        config: of the model.
        what: needs heatmaps; the message begins with it.
    """
    if isinstance(config, DeepPoseConfig):
        raise ValueError(  # noqa: TRY004 - a model of the right class, of the wrong kind
            f"{what}: expected a model that predicts heatmaps, not coordinates, found DeepPose"
        )
