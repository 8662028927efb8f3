"""DeepPose: coordinates in fractions of the crop, their loss, and what refuses them."""

from collections.abc import Callable
from typing import cast

import pytest
import torch

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.models.deeppose import (
    CoordinateLoss,
    CoordinateOutput,
    DeepPose,
    DeepPoseConfig,
    merge_mirrored_coordinates,
    require_heatmaps,
)
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig

# mmpose 0.x, docs/en/inference_speed_summary.md (commit 53914a5): DeepPose on ResNet-50 and -152, millions
PUBLISHED = {"resnet50": 23.58, "resnet152": 58.21}
WIDE = DeepPoseConfig(input_size=Size(width=64, height=32))
PAIR = Skeleton("pair", ["left", "right"], [(0, 1)], [], [0.1] * 2)


@pytest.fixture
def model(tiny_system: Callable[[str], PoseConfig]) -> DeepPose:
    """Build a tiny network."""
    return DeepPose(cast("DeepPoseConfig", tiny_system("DeepPose")))


@pytest.mark.parametrize("encoder", PUBLISHED)
def test_the_size_is_the_published_one(encoder: str) -> None:
    """An encoder and one layer of two values per keypoint."""
    with torch.device("meta"):
        model = DeepPose(DeepPoseConfig(encoder=encoder))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(PUBLISHED[encoder], abs=0.01)


def test_a_fresh_network_says_the_center(model: DeepPose) -> None:
    """It starts near the middle of the crop, whatever the crop's size, in either mode."""
    for training in (True, False):
        output = model.train(training)(torch.randn(2, 3, 64, 96))
        assert output.final.shape == (2, 17, 2)
        assert float(output.final.detach().abs().max()) < 0.1


def test_fractions_of_the_crop() -> None:
    """The crop's edges, half a pixel beyond its outermost centers, are at minus and plus one half."""
    pixels = torch.tensor([[-0.5, -0.5], [31.5, 15.5], [63.5, 31.5], [0.0, 0.0]])
    expected = torch.tensor([[-0.5, -0.5], [0.0, 0.0], [0.5, 0.5], [0.5 / 64 - 0.5, 0.5 / 32 - 0.5]])
    torch.testing.assert_close(WIDE.to_fractions(pixels), expected)
    torch.testing.assert_close(WIDE.to_crop(expected), pixels)


def test_keypoints_are_read_from_the_output(model: DeepPose) -> None:
    """Crop pixels, x then y, and a score of 1 for each: the network does not say how sure it is."""
    keypoints_crop, scores = model.decode(torch.tensor([[[0.25, -0.5]]]))
    assert keypoints_crop.tolist() == [[[0.75 * 64 - 0.5, -0.5]]]
    assert scores.tolist() == [[1.0]]


def test_mirrored_coordinates_come_back_exactly() -> None:
    """Mirror a crop's keypoints, W - 1 - x, left for right: their mean with the crop's own is the crop's own."""
    keypoints = torch.rand(3, 2, 2) * torch.tensor([63.0, 31.0])
    mirrored = keypoints.flip(1)
    mirrored = torch.stack([63 - mirrored[..., 0], mirrored[..., 1]], dim=-1)
    mean = merge_mirrored_coordinates(WIDE.to_fractions(keypoints), WIDE.to_fractions(mirrored), PAIR.flip_indices)
    torch.testing.assert_close(WIDE.to_crop(mean), keypoints, rtol=0, atol=1e-4)


def test_the_loss_by_hand() -> None:
    """Half the squared difference in fractions, by weight; NaN where nothing is labelled plays no part."""
    config = DeepPoseConfig(input_size=Size(width=64, height=32), skeleton=PAIR)
    output = torch.zeros(2, 2, 2, requires_grad=True)
    keypoints = torch.tensor([[[31.5 + 16, 15.5 - 8], [float("nan")] * 2], [[31.5, 15.5], [31.5 + 32, 15.5]]])
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.5]])
    loss = CoordinateLoss(config=config)(CoordinateOutput(output), keypoints, weights)
    expected = (0.5 * (0.25**2 + 0.25**2) + 0.5 * 0.5 * 0.5**2) / (2 * 2 * 2)
    assert loss.item() == pytest.approx(expected)
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it bare
    assert output.grad is not None
    assert bool(output.grad.isfinite().all())
    assert output.grad[0, 1].tolist() == [0.0, 0.0]


def test_a_crop_without_a_person_teaches_nothing() -> None:
    """There are no coordinates to learn there, and it counts in the divisor alone."""
    config = DeepPoseConfig(skeleton=PAIR)
    output = CoordinateOutput(torch.ones(2, 2, 2))
    keypoints, weights = torch.zeros(2, 2, 2), torch.ones(2, 2)
    loss = CoordinateLoss(config=config)
    both = loss(output, keypoints, weights)
    one = loss(output, keypoints, weights, torch.tensor([False, True]))
    assert float(one) == pytest.approx(float(both) / 2)
    assert float(loss(output, keypoints, weights, torch.tensor([True, True]))) == 0


def test_shapes_have_to_fit() -> None:
    """Keypoints and weights are as many as coordinates."""
    output = CoordinateOutput(torch.zeros(2, 17, 2))
    loss = CoordinateLoss(config=DeepPoseConfig())
    with pytest.raises(ValueError, match=r"expected keypoints \(2, 17, 2\) and their weights"):
        loss(output, torch.zeros(2, 14, 2), torch.zeros(2, 14))
    with pytest.raises(ValueError, match=r"found \(2, 17, 2\) and \(2, 14\)"):
        loss(output, torch.zeros(2, 17, 2), torch.zeros(2, 14))


def test_what_needs_heatmaps_refuses_it() -> None:
    """One line that begins with what was asked for; any other network passes."""
    require_heatmaps(PCRConfig(), "models")
    with pytest.raises(
        ValueError, match="models: expected a model that predicts heatmaps, not coordinates, found DeepPose"
    ):
        require_heatmaps(DeepPoseConfig(), "models")


def test_the_encoder_has_to_be_known() -> None:
    """Any row of the table of encoders, with its own coarsest cell."""
    assert DeepPoseConfig(encoder="mobilenet_v2", skeleton=COCO_17).coarsest_cell == 32
    with pytest.raises(ValueError, match="encoder"):
        DeepPoseConfig(encoder="alexnet")
