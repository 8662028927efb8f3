"""Folded batch norms: every architecture predicts what it did, without norms behind convolutions."""

import copy
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.fold import fold_batch_norms
from pcrpose.inference.runtime import Runtime, place
from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.hourglass import ResidualModule
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig
from pcrpose.models.vitpose import ViTPoseConfig

Network = TypeVar("Network", bound=nn.Module)
SIZE = Size(width=64, height=64)
DEEP = ("resnet34", "resnet101", "resnet152", "hrnet_w48")  # other depths or widths of blocks tested here
ENCODER_NAMES = [name for name in ENCODERS if name not in DEEP]


def trained_looking(network: Network) -> Network:
    """Give norms statistics, scales and offsets that matter, and heads weights that show it; in evaluation mode."""
    generator = torch.Generator().manual_seed(0)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.copy_(draw(module.running_mean, -0.2, 0.2))
            module.running_var.copy_(draw(module.running_var, 0.5, 2.0))
            module.weight.data.copy_(draw(module.weight, 0.4, 1.0))
            module.bias.data.copy_(draw(module.bias, -0.3, 0.3))
    return network.eval()


def norms(network: nn.Module) -> int:
    """Count batch norms."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def crops(dtype: torch.dtype = torch.float32) -> Tensor:
    """Return two crops of noise."""
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).to(dtype)


def check(config: PoseConfig, *, kept: int = 0) -> None:
    """Compare a network with its folded copy, in float32 to 1e-5 of its output's range, and in float64."""
    network = trained_looking(build_model(config))
    before = norms(network)
    with torch.inference_mode():
        expected = network(crops()).final

        folded = place(network, Runtime(fuse=True))

        assert isinstance(folded, nn.Module)
        assert norms(folded) == kept
        assert norms(network) == before
        scale = expected.abs().max().clamp(min=1.0)
        assert torch.equal(network(crops()).final, expected)
        torch.testing.assert_close(folded(crops()).final / scale, expected / scale, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_pcr(encoder: str) -> None:
    """Of every kind of encoder, with the paper's norms in the gates; the auxiliary heads have none."""
    check(PCRConfig(input_size=SIZE, encoder=encoder, channels=(16, 16, 16)))


@pytest.mark.parametrize(
    "config",
    [
        SimpleBaselineConfig(input_size=SIZE, encoder="resnet_nano", channels=(16, 16, 16)),
        HighResolutionPoseConfig(input_size=SIZE),
        ViTPoseConfig(input_size=SIZE, hidden_size=48, num_hidden_layers=1, num_attention_heads=3),
    ],
    ids=lambda config: type(config).__name__,
)
def test_published_systems(config: PoseConfig) -> None:
    """With transposed convolutions before norms, with exchanges of branches, and with none but the decoder's."""
    check(config)


@pytest.mark.parametrize("architecture", ["MultiStagePose", "CascadedPyramid", "DeepPose"])
def test_other_systems(architecture: str, tiny_system: Callable[[str], PoseConfig]) -> None:
    """Heads that run in training alone keep their norms, which prediction does not read."""
    config = tiny_system(architecture)
    network = trained_looking(build_model(config))
    unused = copy.deepcopy(network)
    seen: list[nn.Module] = []
    for module in unused.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda norm, _inputs, _output: seen.append(norm))
    with torch.inference_mode():
        unused(crops())
    check(config, kept=norms(network) - len(seen))


def test_norms_before_convolutions_stay(tiny_system: Callable[[str], PoseConfig]) -> None:
    """Of an hourglass's residual modules the first of three norms reads a sum, the other two a convolution each."""
    config = tiny_system("StackedHourglass")
    modules = [module for module in build_model(config).modules() if isinstance(module, ResidualModule)]

    check(config, kept=len(modules))


class Shared(nn.Module):
    """A convolution whose output is read twice, one that runs twice, and one in groups that can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice, self.first = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.runs_twice, self.second, self.third = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.grouped, self.fourth = nn.ConvTranspose2d(4, 6, 2, groups=2), nn.BatchNorm2d(6)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, 6, H + 1, W + 1)``."""
        out = self.read_twice(features)
        out = functional.relu(self.first(out)) + out
        out = self.second(self.runs_twice(out)) + self.third(self.runs_twice(out))
        grouped: Tensor = self.fourth(self.grouped(out))
        return grouped


def test_only_sole_readers_are_folded() -> None:
    """Where a convolution's output goes elsewhere too, nothing is changed."""
    network = trained_looking(Shared())
    expected = network(crops()).detach()

    assert fold_batch_norms(network, crops()) == 1

    assert isinstance(network.fourth, nn.Identity)
    assert norms(network) == 3
    torch.testing.assert_close(network(crops()), expected, atol=1e-5, rtol=0.0)


def test_precisions(tiny_config: Callable[..., PCRConfig]) -> None:
    """A float64 network stays one and is exact; the folded weights are rounded once to another precision."""
    network = trained_looking(PCR(tiny_config()).double())
    with torch.inference_mode():
        expected = network(crops(torch.float64)).final
        folded = place(network, Runtime(fuse=True))
        half = place(network, Runtime(fuse=True, dtype="bfloat16"))

        torch.testing.assert_close(folded(crops(torch.float64)).final, expected, atol=1e-12, rtol=0.0)
        assert half(crops(torch.bfloat16)).final.dtype == torch.bfloat16


def test_ensembles_copies_and_pickles(tiny_config: Callable[..., PCRConfig]) -> None:
    """A network that an ensemble asks twice is folded once, and what is folded can be copied and pickled."""
    network = trained_looking(PCR(tiny_config()))
    both = Ensemble([network, network])
    expected = both(crops()).final

    folded = place(both, Runtime(fuse=True))

    assert isinstance(folded, Ensemble)
    for again in (folded, copy.deepcopy(folded), pickle.loads(pickle.dumps(folded))):  # noqa: S301 - our own
        assert norms(again) == 0
        torch.testing.assert_close(again(crops()).final, expected, atol=1e-5, rtol=0.0)
