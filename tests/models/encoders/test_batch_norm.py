"""Norms rewritten: the same numbers with a folded kernel, and with another epsilon."""

import pytest
import torch
from torch import nn

from pcrpose.models.encoders.batch_norm import change_epsilon, fold_norms


def drawn(epsilon: float) -> nn.Sequential:
    """Build a convolution and a norm with statistics, a channel that hardly varies among them."""
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(3, 4, 3, bias=False))
    block.add_module("norm", nn.BatchNorm2d(4, eps=epsilon))
    block[1].load_state_dict(
        {
            "weight": torch.tensor([0.5, 1.0, 2.0, -1.0]),
            "bias": torch.tensor([0.0, 1.0, -1.0, 0.5]),
            "running_mean": torch.tensor([0.0, 0.2, -0.3, 1.0]),
            "running_var": torch.tensor([1.0, 0.5, 1e-6, 3.0]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    return block.double().eval()


def test_a_folded_norm_computes_the_same() -> None:
    """One convolution with a bias does what both did; other tensors are untouched."""
    block, crops = drawn(1e-5), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    tensors = {f"stem.{name}": tensor for name, tensor in block.state_dict().items()}
    other = torch.ones(2)

    folded = fold_norms({**tensors, "other.weight": other}, epsilon=1e-5)

    assert set(folded) == {"stem.weight", "stem.bias", "other.weight"}
    assert folded["other.weight"] is other
    computed = nn.functional.conv2d(crops, folded["stem.weight"], folded["stem.bias"])
    torch.testing.assert_close(computed, block(crops))


def test_another_epsilon_computes_the_same() -> None:
    """A network that is built with a larger epsilon gets larger weights where a channel hardly varies."""
    before, after = drawn(1e-5), drawn(1e-3)
    crops = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    changed = change_epsilon(before.state_dict(), before=1e-5, after=1e-3)
    assert not torch.allclose(after(crops), before(crops))  # the kernels differ, too

    after.load_state_dict(changed)

    torch.testing.assert_close(after(crops), before(crops))


def test_no_tensors() -> None:
    """Nothing becomes nothing."""
    assert fold_norms({}, epsilon=1e-5) == change_epsilon({}, before=1e-5, after=1e-3) == {}


def test_widths_that_differ_are_named() -> None:
    """A norm of another width is an error of the file."""
    tensors = {f"stem.{name}": tensor for name, tensor in drawn(1e-5).state_dict().items()}
    tensors["stem.conv.weight"] = torch.zeros(5, 3, 3, 3)
    with pytest.raises(ValueError, match="stem: expected a norm of 5 channels, found 4"):
        fold_norms(tensors, epsilon=1e-5)
