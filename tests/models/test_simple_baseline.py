"""Simple Baselines; test_convert holds it to the published one."""

import torch

from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig


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
