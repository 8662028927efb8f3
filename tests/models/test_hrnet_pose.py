"""HRNet's pose network; test_convert holds it to the published one."""

from dataclasses import replace

import pytest
import torch

from pcrpose.models import hrnet_pose
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.hrnet import HRNet, HRNetConfig
from pcrpose.models.hrnet_pose import HighResolutionPose, HighResolutionPoseConfig


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> HighResolutionPose:
    """Build the network on an encoder of few channels."""
    encoder = HRNet(HRNetConfig(width=8, modules=(1, 1, 1), blocks=1))
    row = replace(ENCODERS["hrnet_w32"], build=lambda: encoder)
    monkeypatch.setattr(hrnet_pose, "ENCODERS", {"hrnet_w32": row})
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
