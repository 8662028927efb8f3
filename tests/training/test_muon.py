"""Muon: orthogonal steps for kernels, Adam's for the rest."""

import math

import pytest
import torch
from torch import nn

from pcrpose.training.muon import LIKE_ADAM, Muon, is_kernel, orthogonalize


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    """Whatever the matrix, wide or tall, its directions become equally strong, and keep their sign."""
    matrix = torch.randn(shape)
    found = orthogonalize(matrix).float()
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    strengths = torch.diagonal(left.T @ found @ right.T)
    assert found.shape == matrix.shape
    assert ((strengths > 0.5) & (strengths < 1.4)).all()


def test_a_matrix_of_zeros_stays_zero() -> None:
    """A kernel without a gradient does not become nan."""
    assert orthogonalize(torch.zeros(3, 4)).abs().max() == 0


def test_a_kernels_step_has_the_usual_size() -> None:
    """The root mean square of a step is the learning rate times a fifth, for any shape."""
    kernel = nn.Parameter(torch.zeros(16, 8, 3, 3))
    kernel.grad = torch.randn_like(kernel)
    Muon([{"params": [kernel], "lr": 0.01, "orthogonal": True}]).step()
    expected = 0.01 * LIKE_ADAM * math.sqrt(72) / math.sqrt(72)
    assert float(kernel.detach().square().mean().sqrt()) == pytest.approx(expected, rel=0.15)


def test_the_rest_takes_adams_steps() -> None:
    """Five steps on a vector are those of torch's Adam."""
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    optimizers = (Muon([{"params": [ours], "lr": 0.1, "orthogonal": False}]), torch.optim.Adam([theirs], lr=0.1))
    for _ in range(5):
        gradient = torch.randn(5)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    """A head that was not used in a step keeps its value and has no state."""
    parameter = nn.Parameter(torch.ones(2, 4, 1, 1))
    optimizer = Muon([{"params": [parameter], "lr": 1.0, "orthogonal": True}])
    optimizer.step()
    assert bool((parameter == 1).all())
    assert not optimizer.state


def test_a_closure_is_refused() -> None:
    """Nothing is computed again."""
    parameter = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="closure"):
        Muon([{"params": [parameter], "lr": 1.0, "orthogonal": False}]).step(lambda: 0.0)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("decoders.0.0.hdc.weight", (32, 64, 3, 3), True),
        ("encoder.blocks.3.expand.conv.weight", (96, 16, 1, 1), True),
        ("encoder.blocks.3.depthwise.conv.weight", (96, 1, 3, 3), False),
        ("encoder.stem.conv.weight", (32, 3, 3, 3), False),
        ("heads.0.weight", (17, 64, 1, 1), False),
        ("encoder.stem.norm.weight", (32,), False),
    ],
)
def test_kernels_are_told_from_the_rest(name: str, shape: tuple[int, ...], expected: bool) -> None:  # noqa: FBT001 - a parameter
    """Filters of one channel, of colors, heads and vectors are no matrices between hidden features."""
    assert is_kernel(name, nn.Parameter(torch.zeros(shape))) is expected
