"""MSPN: its size, its stages, and its coarse-to-fine supervision."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch

from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.mspn import MultiStagePose, MultiStagePoseConfig
from pcrpose.models.pose_config import PoseConfig

# mmpose 0.x, docs/en/inference_speed_summary.md (commit 53914a5): MSPN-50, 2x, 3x and 4x, millions
PUBLISHED = {1: 25.11, 2: 56.80, 3: 88.49, 4: 120.18}
STICK = Skeleton("stick", ["low", "middle", "high"], [], [], [0.1] * 3)


@pytest.fixture
def config(tiny_system: Callable[[str], PoseConfig]) -> MultiStagePoseConfig:
    """Return a tiny network of two stages."""
    return cast("MultiStagePoseConfig", tiny_system("MultiStagePose"))


@pytest.mark.parametrize("stages", PUBLISHED)
def test_the_size_is_the_published_one(stages: int) -> None:
    """Every stage adds an encoder, a decoder and the way between stages."""
    with torch.device("meta"):
        model = MultiStagePose(MultiStagePoseConfig(num_stages=stages))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(PUBLISHED[stages], abs=0.01)


def test_every_stage_is_supervised_at_four_levels(config: MultiStagePoseConfig) -> None:
    """All heatmaps have stride 4; in evaluation mode only the last remains, and it is the same."""
    model = MultiStagePose(config).eval()
    crops = torch.randn(2, 3, 64, 96)
    only = model(crops)
    model.training = True  # the norms stay as they are
    every = model(crops)
    assert only.auxiliary == ()
    assert len(every.auxiliary) == 2 * 4 - 1
    assert {tuple(maps.shape) for maps in (every.final, *every.auxiliary)} == {(2, 17, 16, 24)}
    torch.testing.assert_close(only.final, every.final)


def test_coarse_to_fine() -> None:
    """The authors' kernels, 15, 11, 9 and 7 cells, then 11, 9, 7 and 5, spread as OpenCV says; four pixels per cell."""
    spread = {kernel: 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8 for kernel in (5, 7, 9, 11, 15)}
    found = MultiStagePoseConfig(num_stages=3).supervision()
    assert found.auxiliary is not None
    heads = [*found.auxiliary, found.final]
    early, last = (15, 11, 9, 7), (11, 9, 7, 5)
    assert [head.sigma for head in heads] == pytest.approx([4 * spread[kernel] for kernel in (*early, *early, *last)])
    assert [head.weight for head in heads] == [0.25, 0.25, 0.25, 1.0] * 3
    assert [head.hardest for head in heads] == [None, None, None, 8] * 3


def test_targets_widen_with_sigma() -> None:
    """At a larger input all spreads grow alike, and the final one is the configuration's."""
    small, large = (MultiStagePoseConfig(sigma=sigma).supervision() for sigma in (4.4, 6.6))
    assert small.auxiliary is not None
    assert large.auxiliary is not None
    assert [small.final.sigma, large.final.sigma] == pytest.approx([4.4, 6.6])
    for first, second in zip(small.auxiliary, large.auxiliary, strict=True):
        assert second.sigma == pytest.approx(1.5 * (first.sigma or 0))


def test_the_hardest_are_no_more_than_there_are() -> None:
    """A skeleton of three keypoints counts them all; without mining there is no number."""
    assert MultiStagePoseConfig(skeleton=STICK).supervision().final.hardest == 3
    assert MultiStagePoseConfig(hardest=None).supervision().final.hardest is None


def test_a_stage_takes_in_the_one_before(config: MultiStagePoseConfig) -> None:
    """Every weight of the first stage moves the last stage's heatmaps: features, skips and the way onward."""
    model = MultiStagePose(config)
    model(torch.randn(4, 3, 64, 64)).final.square().mean().backward()
    idle = {
        name.rpartition(".")[0]
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().any()
    }
    assert {name for name in idle if ".head." not in name} == set()


def test_values_without_a_meaning_are_refused(config: MultiStagePoseConfig) -> None:
    """Counts are positive, and nothing is mined in probability heatmaps."""
    for changes in ({"num_stages": 0}, {"blocks": (1, 0, 1, 1)}, {"channels": 0}, {"stem_channels": 0}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            replace(config, **changes)
    with pytest.raises(ValueError, match="hardest: expected None with 'probability' heatmaps, found 8"):
        replace(config, heatmaps="probability")
