"""HRNet's pose network: the published one, tensor by tensor and heatmap by heatmap."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pcrpose.models import high_resolution
from pcrpose.models.config import HighResolutionPoseConfig
from pcrpose.models.convert import to_published
from pcrpose.models.high_resolution import HighResolutionPose
from pcrpose.models.hrnet import HRNet, HRNetConfig

if TYPE_CHECKING:
    from tests.models.conftest import PublishedNetwork

RUNS = ["hrnet_w32_256x192", "hrnet_w48_256x192", "hrnet_w32_384x288"]


@pytest.mark.parametrize("key", RUNS, scope="module")
def test_names_and_shapes_are_the_published_ones(key: str, published: "Callable[[str], PublishedNetwork]") -> None:
    """The state dict has the published names, shapes and order, and their number of parameters."""
    network = published(key)
    found = [(name, tuple(tensor.shape)) for name, tensor in to_published(network.model.state_dict()).items()]
    assert found == network.names_and_shapes
    expected = {"hrnet_w32": 28_536_113, "hrnet_w48": 63_595_745}[network.facts["model"]]
    assert sum(parameter.numel() for parameter in network.model.parameters()) == expected


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


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> HighResolutionPose:
    """Build the network on an encoder of few channels."""
    encoder = HRNet(HRNetConfig(width=8, modules=(1, 1, 1), blocks=1))
    monkeypatch.setattr(high_resolution, "build_encoder", lambda _name: encoder)
    return HighResolutionPose(HighResolutionPoseConfig())


def test_heatmaps_are_a_linear_map_of_the_features(narrow: HighResolutionPose) -> None:
    """The head is one 1x1 convolution on the encoder's features."""
    narrow.eval()
    crops = torch.randn(2, 3, 64, 32)
    head, features = narrow.final_layer, narrow.encoder(crops)
    assert head.bias is not None
    expected = torch.einsum("jc,bchw->bjhw", head.weight[:, :, 0, 0], features) + head.bias[:, None, None]
    torch.testing.assert_close(narrow(crops).final, expected, rtol=1e-5, atol=1e-6)


def test_there_are_no_auxiliary_heatmaps(narrow: HighResolutionPose) -> None:
    """There is one head in either mode, for no crop at all too."""
    assert narrow(torch.zeros(2, 3, 64, 64)).auxiliary == ()
    output = narrow.eval()(torch.zeros(0, 3, 64, 32))
    assert output.auxiliary == ()
    assert output.final.shape == (0, 17, 16, 8)


def test_the_default_is_the_published_convention() -> None:
    """Published weights need the published alignment, so a fresh configuration has it."""
    assert HighResolutionPoseConfig().alignment == "edge"
