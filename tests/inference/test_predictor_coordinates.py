"""DeepPose in a predictor: coordinates without heatmaps, and what refuses them."""

import logging
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.deeppose import DeepPose, DeepPoseConfig
from pcrpose.models.pose_config import PoseConfig

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0]])


@pytest.fixture
def constant(tiny_system: Callable[[str], PoseConfig]) -> DeepPose:
    """Build a network that says the same of every crop: keypoint j at (j / 40, j / 50) from the center."""
    model = DeepPose(cast("DeepPoseConfig", tiny_system("DeepPose"))).eval()
    torch.nn.init.zeros_(model.regression.weight)
    places = torch.arange(17.0)[:, None] / torch.tensor([40.0, 50.0])
    with torch.no_grad():
        model.regression.bias.copy_(places.flatten())
    return model


def test_coordinates_become_image_pixels(constant: DeepPose, photo: Image) -> None:
    """A fraction of the crop is that fraction of the box, extended to the crop's aspect and padded, from its center."""
    poses = PosePredictor(constant, flip=False).predict(photo, BOXES)
    centers, sides = (BOXES[:, :2] + BOXES[:, 2:]) / 2, 1.25 * (BOXES[:, 2:] - BOXES[:, :2]).max(axis=1)
    places = np.arange(17)[:, None] / np.array([40.0, 50.0])
    expected = centers[:, None] + places * sides[:, None, None]
    np.testing.assert_allclose(poses.keypoints, expected, atol=0.01)


def test_mirroring_averages_left_and_right(constant: DeepPose, photo: Image) -> None:
    """What a network says of the mirrored crop comes back mirrored, left for right."""
    plain = PosePredictor(constant, flip=False).predict(photo, BOXES).keypoints
    mean = PosePredictor(constant, flip=True).predict(photo, BOXES).keypoints
    centers = (BOXES[:, :2] + BOXES[:, 2:]) / 2
    mirrored = plain[:, COCO_17.flip_indices]
    mirrored[..., 0] = 2 * centers[:, None, 0] - mirrored[..., 0]
    np.testing.assert_allclose(mean, (plain + mirrored) / 2, atol=0.01)


def test_every_keypoint_scores_one(constant: DeepPose, photo: Image) -> None:
    """It does not say how sure it is, so a pose is scored as its box, and near-identical detections become one."""
    detections = Detections(BOXES[[0, 1, 0]], np.array([0.5, 0.9, 0.6]))
    poses = PosePredictor(constant).predict(photo, detections)
    assert set(poses.keypoint_scores.flatten().tolist()) == {1.0}
    assert poses.pose_scores.tolist() == pytest.approx([0.9, 0.6])


def test_it_runs_in_half_precision(constant: DeepPose, photo: Image) -> None:
    """Crops are of the weights' type, coordinates float32 again."""
    poses = PosePredictor(constant, runtime=Runtime(dtype=torch.bfloat16)).predict(photo, BOXES)
    assert np.isfinite(poses.keypoints).all()


def test_the_whole_image_and_no_person(constant: DeepPose, photo: Image, caplog: pytest.LogCaptureFixture) -> None:
    """Boxes and their absence mean what they mean for any model."""
    with caplog.at_level(logging.WARNING):
        assert len(PosePredictor(constant).predict(photo)) == 1
    assert "the whole image is taken for one person" in caplog.text
    assert len(PosePredictor(constant).predict(photo, [])) == 0


def test_what_needs_heatmaps_refuses_it(constant: DeepPose, photo: Image) -> None:
    """Decodings, heatmaps and ensembles, each in one line."""
    with pytest.raises(
        ValueError, match=r"^decoding='udp': expected a model that predicts heatmaps, .* found DeepPose$"
    ):
        PosePredictor(constant, decoding="udp")
    with pytest.raises(ValueError, match=r"^heatmaps: expected a model that predicts heatmaps, .* found DeepPose$"):
        PosePredictor(constant).heatmaps(photo, BOXES[0])
    with pytest.raises(
        ValueError, match=r"^models: model 1: expected a model that predicts heatmaps, .* found DeepPose$"
    ):
        Ensemble([constant])
