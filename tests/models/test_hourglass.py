"""Stacked hourglass: its size, its shape, and its intermediate supervision."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch

from pcrpose.keypoints.skeleton import MPII_16
from pcrpose.models.hourglass import Hourglass, StackedHourglass, StackedHourglassConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.supervision import Supervision

# The network that bearpaw/pytorch-pose (commit edc7aec) builds for MPII: its second residual module is twice as wide
# as that of the original code.
PYTORCH_POSE = {1: 3_586_960, 2: 6_730_912, 8: 25_594_624}


@pytest.fixture
def config(tiny_system: Callable[[str], PoseConfig]) -> StackedHourglassConfig:
    """Return a tiny network of two hourglasses."""
    return cast("StackedHourglassConfig", tiny_system("StackedHourglass"))


def count(config: StackedHourglassConfig) -> int:
    """Count the parameters of a network that is never built."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in StackedHourglass(config).parameters())


@pytest.mark.parametrize("stacks", PYTORCH_POSE)
def test_the_size_is_that_of_another_implementation(stacks: int) -> None:
    """Equal but for the 256 biases per hourglass that stand before a batch norm there."""
    config = StackedHourglassConfig(num_stacks=stacks, skeleton=MPII_16, stem_channels=(64, 128, 256))
    assert count(config) == PYTORCH_POSE[stacks] - 256 * stacks


def residual(before: int, after: int) -> int:
    """Count a residual module by hand."""
    inner = after // 2
    norms = 2 * (before + inner + inner)
    convolutions = (before + 1) * inner + (9 * inner + 1) * inner + (inner + 1) * after
    return norms + convolutions + (before != after) * (before + 1) * after


def test_the_size_is_that_of_the_original_stem() -> None:
    """7x7 to 64, then 128, 128 and 256; 13 modules per hourglass and one after it; two ways back but in the last."""
    stem = 7 * 7 * 3 * 64 + 64 + 2 * 64 + residual(64, 128) + residual(128, 128) + residual(128, 256)
    hourglass = (3 * 4 + 1) * residual(256, 256)
    after = residual(256, 256) + 256 * 256 + 2 * 256 + (256 + 1) * 17
    back = (256 + 1) * 256 + (17 + 1) * 256
    assert count(StackedHourglassConfig()) == stem + 8 * (hourglass + after) + 7 * back


def test_every_hourglass_is_supervised_alike(config: StackedHourglassConfig) -> None:
    """One map set each at stride 4, all against the same targets; in evaluation mode the last one, and the same."""
    model = StackedHourglass(config).eval()
    crops = torch.randn(2, 3, 64, 64)
    only = model(crops)
    model.training = True  # the norms stay as they are
    every = model(crops)
    assert only.auxiliary == ()
    assert [tuple(maps.shape) for maps in (every.final, *every.auxiliary)] == [(2, 17, 16, 16)] * 2
    torch.testing.assert_close(only.final, every.final)
    assert config.supervision() == Supervision()


def test_the_next_hourglass_reads_the_heatmaps(config: StackedHourglassConfig) -> None:
    """Another bias of the first head changes the last heatmaps."""
    model = StackedHourglass(config).eval()
    crops = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(crops).final
        dict(model.named_parameters())["stacks.0.head.bias"].add_(1.0)
        after = model(crops).final
    assert float((after - before).abs().max()) > 1e-6


def test_the_waist_sees_the_whole_crop(config: StackedHourglassConfig) -> None:
    """A crop has to be a multiple of the cells at the waist, which depth makes: 4 pixels, doubled so many times."""
    assert StackedHourglassConfig().coarsest_cell == 64
    assert config.coarsest_cell == 16
    with pytest.raises(ValueError, match="input_size: expected multiples of 256"):
        StackedHourglassConfig(depth=6)


def test_an_hourglass_without_residuals_repeats_the_maximum() -> None:
    """With modules that pass on what they get, each level adds the maxima of its cells, repeated."""
    hourglass = Hourglass(2, 2)
    for name, parameter in hourglass.named_parameters():
        if "conv3" in name:
            torch.nn.init.zeros_(parameter)
    features = torch.randn(1, 2, 8, 8)
    halves, quarters = (torch.nn.functional.max_pool2d(features, size) for size in (2, 4))
    expected = features + halves.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = expected + quarters.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(hourglass.eval()(features), expected)


def test_values_without_a_meaning_are_refused(config: StackedHourglassConfig) -> None:
    """Counts are positive, widths even."""
    for changes in ({"num_stacks": 0}, {"depth": 0}, {"channels": 15}, {"stem_channels": (16, 3, 16)}):
        with pytest.raises(ValueError, match=next(iter(changes)).removeprefix("stem_")):
            replace(config, **changes)
