"""Renaming between our state dicts and the published ones; with it, the published networks cell by cell."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pcrpose.models.checkpoints.original import from_published, to_published
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.load import build_model
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig

if TYPE_CHECKING:
    from tests.models.conftest import PublishedNetwork

PARAMETERS = {
    "hrnet_w32_256x192": 28_536_113,
    "hrnet_w32_384x288": 28_536_113,
    "hrnet_w48_256x192": 63_595_745,
    "poseresnet_18_256x192": 15_376_721,
    "poseresnet_50_256x192": 33_999_697,
    "poseresnet_152_256x192": 68_635_473,
}


@pytest.mark.parametrize("config", [SimpleBaselineConfig(encoder="resnet18"), HighResolutionPoseConfig()])
def test_renaming_goes_both_ways(config: PoseConfig) -> None:
    """There and back gives the same names, the same tensors and the same order."""
    with torch.device("meta"):
        tensors = build_model(config).state_dict()
    published = to_published(tensors)
    assert len(published) == len(tensors)
    assert not any(name.startswith("encoder.") for name in published)
    back = from_published(published)
    assert list(back) == list(tensors)
    assert all(back[name] is tensors[name] for name in tensors)


def test_an_encoder_alone_is_renamed() -> None:
    """A published ImageNet encoder becomes the encoder's part of a model."""
    tensor = torch.zeros(1)
    assert list(from_published({"conv1.weight": tensor, "layer1.0.bn1.bias": tensor})) == [
        "encoder.conv1.weight",
        "encoder.layer1.0.bn1.bias",
    ]


def test_nothing_is_renamed_to_nothing() -> None:
    """An empty state dict stays empty."""
    assert to_published({}) == from_published({}) == {}


@pytest.mark.parametrize("key", PARAMETERS, scope="module")
def test_names_and_shapes_are_the_published_ones(key: str, published: "Callable[[str], PublishedNetwork]") -> None:
    """The state dict has the published names, shapes and order, and the recorded number of parameters."""
    network = published(key)
    found = [(name, tuple(tensor.shape)) for name, tensor in to_published(network.model.state_dict()).items()]
    assert found == network.names_and_shapes
    assert sum(parameter.numel() for parameter in network.model.parameters()) == PARAMETERS[key]


@pytest.mark.parametrize("key", PARAMETERS, scope="module")
def test_heatmaps_fit_the_record(key: str, published: "Callable[[str], PublishedNetwork]") -> None:
    """With the recorded parameters the heatmaps have the recorded corner, peaks and mean."""
    network = published(key)
    assert network.digest == network.facts["state_dict_sha256"]
    tolerance = network.facts["tolerance_float32_abs"]
    corner = network.facts["output_slice_b0_j0_rows0_2_cols0_4"]
    np.testing.assert_allclose(network.heatmaps[0, 0, :2, :4], corner, rtol=0, atol=tolerance)
    assert network.heatmaps[0].flatten(1).argmax(dim=1).tolist() == network.facts["argmax_b0"]
    assert network.heatmaps.mean().item() == pytest.approx(network.facts["stats"]["mean"], abs=tolerance)


@pytest.mark.parametrize("key", PARAMETERS, scope="module")
def test_heatmaps_are_the_published_ones(
    key: str, published: "Callable[[str], PublishedNetwork]", golden: Callable[[str], Any]
) -> None:
    """Every cell of every heatmap equals the reference's, computed in double precision."""
    expected = golden("models/model_outputs")[key]
    network = published(key)
    assert network.heatmaps.shape == expected.shape
    np.testing.assert_allclose(network.heatmaps, expected, rtol=0, atol=network.facts["tolerance_float32_abs"])
