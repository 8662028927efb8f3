"""Members that see different crops: a spot in an image is found by each of them, and by all together."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_config import FINEST_STRIDE, PoseConfig
from pcrpose.models.pose_model import HeatmapModel, HeatmapOutput, PoseModel

SPOTS = np.array([[71.3, 88.8], [310.6, 95.2]])  # image pixels
BOXES = np.array([[30.0, 20.0, 110.0, 180.0], [255.5, 60.25, 375.0, 140.0]])  # a tall person, and a wide one


@dataclass(frozen=True, kw_only=True)
class SpotConfig(PoseConfig):
    """A configuration whose heatmaps may have another stride."""

    stride: int = 4

    def codec(self) -> HeatmapCodec:
        """Read heatmaps of that stride."""
        return replace(super().codec(), stride=self.stride)


class SpotModel(PoseModel[SpotConfig]):
    """Every heatmap is the crop's red, at the places that the alignment gives the cells."""

    config_class: ClassVar[type[PoseConfig]] = SpotConfig

    def __init__(self, config: SpotConfig) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Undo the normalization; a cell is the mean of its pixels, or the pixel at its corner."""
        stride = self.config.stride
        red = crops[:, :1] * self.config.pixel_std[0] + self.config.pixel_mean[0]
        if self.config.alignment == "edge":
            cells = red[..., ::stride, ::stride]
        elif self.config.alignment == "udp":
            size = [length // stride for length in red.shape[2:]]
            cells = nn.functional.interpolate(red, size, mode="bilinear", align_corners=True)
        else:
            cells = nn.functional.avg_pool2d(red, stride)
        return HeatmapOutput(self.gain * cells.expand(-1, 17, -1, -1))


def spot_model(**changes: Any) -> SpotModel:  # noqa: ANN401 - any field
    """Build one in evaluation mode."""
    return SpotModel(SpotConfig(**changes)).eval()


OTHERS: dict[str, dict[str, Any]] = {
    "larger": {"input_size": Size(width=288, height=384)},
    "smaller": {"input_size": Size(width=96, height=128)},
    "square": {"input_size": Size(width=256, height=256)},
    "padded": {"padding": 1.5},
    "edge": {"alignment": "edge"},
    "udp": {"alignment": "udp", "input_size": Size(width=288, height=384)},
    "fine": {"stride": 2},
    "coarse and edge": {"stride": 8, "alignment": "edge", "input_size": Size(width=288, height=384)},
    "normalized": {"pixel_mean": (0.5, 0.5, 0.5), "pixel_std": (0.25, 0.25, 0.25), "padding": 1.3},
    "blacked out": {"blackout": 1.2},
}


@pytest.fixture(scope="module")
def image() -> Image:
    """Draw two spots that are 9 pixels wide."""
    x, y = np.arange(420), np.arange(200)[:, None]
    bells = [np.exp(((x - left) ** 2 + (y - top) ** 2) / (-2 * 9.0**2)) for left, top in SPOTS]
    return np.repeat((200 * np.maximum(*bells)).round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("name", OTHERS)
def test_a_spot_is_found_where_it_is(name: str, image: Image) -> None:
    """By a plain model, by one that differs in a way, and by both together, whoever comes first."""
    plain, other = spot_model(), spot_model(**OTHERS[name])
    models: list[HeatmapModel] = [plain, Ensemble([plain, other])]
    models += [] if other.config.stride != FINEST_STRIDE else [other, Ensemble([other, plain])]

    for model in models:
        poses = PosePredictor(model, flip=False).predict(image, BOXES)

        expected = np.repeat(SPOTS[:, None], 17, axis=1)
        np.testing.assert_allclose(poses.keypoints, expected, atol=0.2)
        np.testing.assert_allclose(poses.keypoint_scores, 200 / 255, atol=0.08)


def test_all_of_them_at_once(image: Image) -> None:
    """All members in one; mirrored, too: where only those of alignment edge are off, by the published shift."""
    models = [spot_model(), *(spot_model(**changes) for changes in OTHERS.values())]

    for flip, tolerance in ((False, 0.1), (True, 0.25)):
        poses = PosePredictor(Ensemble(models), flip=flip).predict(image, BOXES)

        np.testing.assert_allclose(poses.keypoints, np.repeat(SPOTS[:, None], 17, axis=1), atol=tolerance)


def test_mirroring_is_each_members_own(model: PCR, image: Image) -> None:
    """A member of another alignment counts with the heatmaps that it gives alone, mirrored by its own rule."""
    edge = PCR(replace(model.config, alignment="edge")).double().eval()
    edge.load_state_dict(model.state_dict())

    for flip in (False, True):
        alone = PosePredictor(edge, flip=flip).heatmaps(image, BOXES[0])[0]
        heatmaps, _ = PosePredictor(Ensemble([edge, model], weights=[1e9, 1e-9]), flip=flip).heatmaps(image, BOXES[0])

        np.testing.assert_allclose(heatmaps, alone, atol=1e-6)


class Constant(SpotModel):
    """The same value everywhere."""

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Look at nothing but the size."""
        size = [length // self.config.stride for length in crops.shape[2:]]
        return HeatmapOutput(self.gain.expand(len(crops), 17, *size))


def constant(value: float, **changes: Any) -> Constant:  # noqa: ANN401 - any field
    """Build one for a value."""
    model = Constant(SpotConfig(**changes)).eval()
    nn.init.constant_(model.gain, value)
    return model


def test_what_a_member_does_not_show(image: Image) -> None:
    """Where a tight crop ends, the other members' mean goes on; 48 of 60 columns of a square see both."""
    size = Size(width=256, height=256)
    both = Ensemble([constant(1, input_size=size), constant(4, input_size=size, padding=1.0)], weights=[2, 1])

    heatmaps, _ = PosePredictor(both).heatmaps(image, BOXES[1])

    inside = np.abs(np.arange(64) - 31.5) <= 0.8 * 32
    np.testing.assert_allclose(heatmaps[3], np.where(inside[:, None] & inside, 2.0, 1.0), atol=1e-5)


def test_views_of_one_model(model: PCR, image: Image) -> None:
    """Augmented at test time: each view is the model with another crop, all in the cells of the model's own."""
    size = Size(width=96, height=128)
    views = Ensemble.augmented(model, paddings=[1.0, 1.5], input_sizes=[size])

    assert [(spec.padding, spec.input_size) for spec in views.crop_specs] == [
        (1.25, model.config.input_size),
        (1.0, model.config.input_size),
        (1.5, model.config.input_size),
        (1.25, size),
    ]
    assert views.mirrored
    assert list(views.parameters()) == list(model.parameters())
    members = [Member(model=model), Member(model=model, padding=1.5, weight=1e9)]
    wider = PCR(replace(model.config, padding=1.5)).double().eval()
    wider.load_state_dict(model.state_dict())
    expected = PosePredictor(wider).predict(image, BOXES)
    found = PosePredictor(Ensemble(members, mirrored=True)).predict(image, BOXES)
    assert np.abs(found.keypoint_scores / expected.keypoint_scores - 1).max() < 0.2
    with pytest.raises(ValueError, match="input_size: expected multiples of 32, found 100x96"):
        Ensemble.augmented(model, input_sizes=[Size(width=96, height=100)])


def test_persons_share_batches_and_are_suppressed(image: Image) -> None:
    """Several crops each pass through the stream's batches, boxes of several images together, and through OKS-NMS."""
    both = Ensemble([spot_model(), spot_model(**OTHERS["larger"])])
    found = Detections(np.concatenate([BOXES, BOXES[:1]]), np.array([0.5, 0.9, 0.8]))

    poses = PosePredictor(both).predict_batch([image] * 3, [found] * 3)

    assert [len(each) for each in poses] == [2, 2, 2]
    np.testing.assert_allclose(poses[2].keypoints[:, 0], SPOTS[::-1], atol=0.2)


def test_one_tensor_is_not_enough(model: PCR) -> None:
    """Crops that differ are cut by the predictor; one batch of crops alone is refused in one line."""
    both = Ensemble([model, Member(model=model, padding=1.1)])

    with pytest.raises(ValueError, match=r"^crops: expected 2 different ones, found one tensor; .*PosePredictor cuts$"):
        both(torch.zeros(1, 3, 96, 64))
