"""Simple Baselines: the published network, tensor by tensor and heatmap by heatmap."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pcrpose.models.config import SimpleBaselineConfig
from pcrpose.models.convert import to_published
from pcrpose.models.simple_baseline import SimpleBaseline

if TYPE_CHECKING:
    from tests.models.conftest import PublishedNetwork

RUNS = ["poseresnet_18_256x192", "poseresnet_50_256x192", "poseresnet_152_256x192"]


@pytest.mark.parametrize("key", RUNS, scope="module")
def test_names_and_shapes_are_the_published_ones(key: str, published: "Callable[[str], PublishedNetwork]") -> None:
    """The state dict has the published names, shapes and order, and the recorded number of parameters."""
    network = published(key)
    found = [(name, tuple(tensor.shape)) for name, tensor in to_published(network.model.state_dict()).items()]
    assert found == network.names_and_shapes
    assert sum(parameter.numel() for parameter in network.model.parameters()) == network.facts["n_params"]


@pytest.mark.parametrize("key", RUNS, scope="module")
def test_heatmaps_fit_the_record(key: str, published: "Callable[[str], PublishedNetwork]") -> None:
    """With the recorded parameters the heatmaps have the recorded corner, peaks and mean."""
    network = published(key)
    assert network.digest == network.facts["state_dict_sha256"]
    tolerance = network.facts["tolerance_float32_abs"]
    corner = network.facts["output_slice_b0_j0_rows0_2_cols0_4"]
    np.testing.assert_allclose(network.heatmaps[0, 0, :2, :4], corner, rtol=0, atol=tolerance)
    assert network.heatmaps[0].flatten(1).argmax(dim=1).tolist() == network.facts["argmax_b0"]
    assert network.heatmaps.mean().item() == pytest.approx(network.facts["stats"]["mean"], abs=tolerance)


@pytest.mark.parametrize("key", RUNS, scope="module")
def test_heatmaps_are_the_published_ones(
    key: str, published: "Callable[[str], PublishedNetwork]", golden: Callable[[str], Any]
) -> None:
    """Every cell of every heatmap equals the reference's, computed in double precision."""
    expected = golden("models/model_outputs")[key]
    network = published(key)
    assert network.heatmaps.shape == expected.shape
    np.testing.assert_allclose(network.heatmaps, expected, rtol=0, atol=network.facts["tolerance_float32_abs"])


def test_widths_and_keypoints_follow_the_configuration() -> None:
    """Each transposed convolution doubles the resolution at the configured width."""
    model = SimpleBaseline(SimpleBaselineConfig(encoder="resnet18", channels=(16, 8, 4))).eval()
    tensors = model.state_dict()
    shapes = [tuple(tensors[f"deconv_layers.{index}.weight"].shape) for index in (0, 3, 6)]
    assert shapes == [(512, 16, 4, 4), (16, 8, 4, 4), (8, 4, 4, 4)]
    for batch in (0, 1):
        output = model(torch.zeros(batch, 3, 64, 32))
        assert output.final.shape == (batch, 17, 16, 8)
        assert output.auxiliary == ()


def test_training_mode_gives_no_auxiliary_heatmaps() -> None:
    """There is one head, in training too."""
    model = SimpleBaseline(SimpleBaselineConfig(encoder="resnet18", channels=(4, 4, 4)))
    output = model(torch.zeros(2, 3, 64, 64))
    assert output.auxiliary == ()
    assert output.final.requires_grad


def test_the_default_is_the_published_convention() -> None:
    """Published weights need the published alignment, so a fresh configuration has it."""
    assert SimpleBaselineConfig().alignment == "edge"
    assert SimpleBaselineConfig().codec().alignment == "edge"
