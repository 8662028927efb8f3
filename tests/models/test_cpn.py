"""CPN: its size, its two networks, and their supervision."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch

from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.cpn import CascadedPyramid, CascadedPyramidConfig
from pcrpose.models.pose_config import PoseConfig

PUBLISHED = 27.0  # millions: HRNet (CVPR 2019), table 1, CPN on ResNet-50


@pytest.fixture
def config(tiny_system: Callable[[str], PoseConfig]) -> CascadedPyramidConfig:
    """Return a tiny network."""
    return cast("CascadedPyramidConfig", tiny_system("CascadedPyramid"))


def test_the_size_is_the_published_one() -> None:
    """ResNet-50, GlobalNet and RefineNet together."""
    with torch.device("meta"):
        model = CascadedPyramid(CascadedPyramidConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(PUBLISHED, abs=0.05)


def test_coarser_levels_have_more_blocks() -> None:
    """Figure 1: three blocks at the coarsest level, none at the finest, one after they are joined."""
    with torch.device("meta"):
        refine_net = CascadedPyramid(CascadedPyramidConfig()).refine_net
    assert [len(list(blocks.children())) for blocks in refine_net.refine] == [3, 2, 1, 0]
    assert refine_net.join.project is not None


def test_global_net_is_supervised_in_training(config: CascadedPyramidConfig) -> None:
    """Its four levels predict at stride 4; in evaluation mode RefineNet alone does, and the same."""
    model = CascadedPyramid(config).eval()
    crops = torch.randn(2, 3, 64, 96)
    only = model(crops)
    model.training = True  # the norms stay as they are
    every = model(crops)
    assert only.auxiliary == ()
    assert [tuple(maps.shape) for maps in (every.final, *every.auxiliary)] == [(2, 17, 16, 24)] * 5
    torch.testing.assert_close(only.final, every.final)


def test_the_coarsest_level_comes_first(config: CascadedPyramidConfig) -> None:
    """What GlobalNet says first is bilinear between cells of stride 32: it has no second difference inside one."""
    model = CascadedPyramid(config).eval()
    model.training = True
    coarsest = model(torch.randn(1, 3, 64, 96)).auxiliary[0].detach()
    bends = coarsest.diff(n=2, dim=3).abs()
    assert float(bends[..., 4:10].max()) < 1e-5  # between the centers of the first two coarse cells, columns 4 to 11
    assert float(bends.max()) > 1e-5


def test_supervision() -> None:
    """The authors' kernels of 15, 11, 9 and 7 cells, spread as OpenCV says; RefineNet's 7 for its 8 hardest."""
    spread = {kernel: 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8 for kernel in (7, 9, 11, 15)}
    config = CascadedPyramidConfig()
    found = config.supervision()
    assert found.auxiliary is not None
    assert [head.sigma for head in found.auxiliary] == pytest.approx([4 * spread[kernel] for kernel in (15, 11, 9, 7)])
    assert sum(head.weight for head in found.auxiliary) == 0.5
    assert {head.hardest for head in found.auxiliary} == {None}
    assert (found.final.sigma, found.final.weight, found.final.hardest) == (None, 1.0, 8)
    assert config.sigma == pytest.approx(4 * spread[7])


def test_the_hardest_are_no_more_than_there_are() -> None:
    """A skeleton of two keypoints counts both; without mining there is no number."""
    stick = Skeleton("stick", ["low", "high"], [], [], [0.1] * 2)
    assert CascadedPyramidConfig(skeleton=stick).supervision().final.hardest == 2
    assert CascadedPyramidConfig(hardest=None).supervision().final.hardest is None


def test_every_weight_is_trained(config: CascadedPyramidConfig) -> None:
    """All heads together reach every parameter."""
    model = CascadedPyramid(config)
    output = model(torch.randn(4, 3, 64, 64))
    sum(maps.square().mean() for maps in (output.final, *output.auxiliary)).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_values_without_a_meaning_are_refused(config: CascadedPyramidConfig) -> None:
    """An even width, a residual encoder, and nothing mined in probability heatmaps."""
    for changes in ({"channels": 15}, {"channels": 0}, {"encoder": "hrnet_w32"}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            replace(config, **changes)
    with pytest.raises(ValueError, match="hardest: expected None with 'probability' heatmaps, found 8"):
        replace(config, heatmaps="probability")
