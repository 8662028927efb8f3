"""Shared layers."""

import pytest
import torch

from pcrpose.models.layers import conv_bn_relu, norm_head, upsampled


def test_up_sampling_keeps_positions_in_the_crop() -> None:
    """A ramp stays the same ramp: cell i of scale 4 lies at (i + 0.5) / 4 - 0.5 of the coarse cells, within them."""
    ramp = torch.arange(6.0).expand(1, 1, 3, 6)
    fine = upsampled(ramp, 4)
    expected = ((torch.arange(24.0) + 0.5) / 4 - 0.5).clamp(0, 5)
    assert fine.shape == (1, 1, 12, 24)
    torch.testing.assert_close(fine[0, 0, 5], expected)


def test_no_up_sampling_changes_nothing() -> None:
    """Scale 1 is the same tensor."""
    features = torch.randn(1, 2, 3, 4)
    assert upsampled(features, 1) is features


@pytest.mark.parametrize("scale", [2, 8])
def test_up_sampling_commutes_with_mirroring(scale: int) -> None:
    """Neither side of a map is favored."""
    features = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(upsampled(features.flip(3), scale), upsampled(features, scale).flip(3))


def test_the_convolution_has_no_bias_before_its_norm() -> None:
    """Weights and two values per channel, and nothing negative comes out."""
    layer = conv_bn_relu(5, 7)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 5 * 7 + 2 * 7
    assert float(layer(torch.randn(2, 5, 3, 3)).detach().min()) >= 0


def test_a_normed_head_starts_at_the_scale_of_targets() -> None:
    """Its maps deviate by a tenth over a batch, whatever the features are, and average to zero."""
    maps = norm_head(6, 3)(20 * torch.randn(4, 6, 16, 16)).detach()
    assert maps.shape == (4, 3, 16, 16)
    torch.testing.assert_close(maps.std(dim=(0, 2, 3), correction=0), torch.full((3,), 0.1), rtol=1e-3, atol=0)
    assert float(maps.mean(dim=(0, 2, 3)).abs().max()) < 1e-5
