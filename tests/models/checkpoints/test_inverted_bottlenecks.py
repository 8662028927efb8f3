"""Names of inverted bottlenecks: recognized, renamed, and a shorter network takes the first blocks of each stage."""

import pytest
import torch
from torch import Tensor

from pcrpose.models.checkpoints.inverted_bottlenecks import TIMM, TORCHVISION_MOBILENET_V2, recognize, rename

FIELDS = ("weight", "bias", "running_mean", "running_var")


def layer(conv: str, norm: str) -> dict[str, Tensor]:
    """Make the tensors of a convolution and its norm, each of another number of values."""
    return {f"{conv}.weight": torch.zeros(1), **{f"{norm}.{field}": torch.zeros(2) for field in FIELDS}}


def timm(classifier: int = 3) -> dict[str, Tensor]:
    """Make a network of two stages with one and two blocks as timm names it."""
    tensors = layer("conv_stem", "bn1") | layer("conv_head", "bn2") | {"classifier.bias": torch.zeros(classifier)}
    tensors |= layer("blocks.0.0.conv_dw", "blocks.0.0.bn1") | layer("blocks.0.0.conv_pw", "blocks.0.0.bn2")
    for position in range(2):
        block = f"blocks.1.{position}"
        for number, conv in enumerate(("conv_pw", "conv_dw", "conv_pwl"), start=1):
            tensors |= layer(f"{block}.{conv}", f"{block}.bn{number}")
    return tensors


def test_whose_names_they_are() -> None:
    """The stem tells; names that nobody here has are nobody's."""
    known = (TIMM, TORCHVISION_MOBILENET_V2)

    assert recognize(timm(), known) is TIMM
    assert recognize({"features.0.0.weight": torch.zeros(1)}, known) is TORCHVISION_MOBILENET_V2
    assert recognize({"stem.weight": torch.zeros(1)}, known) is None
    assert recognize({}, known) is None


def test_a_whole_network() -> None:
    """Blocks are counted over the stages; where the first expands nothing, ``conv_pw`` is its last convolution."""
    tensors = timm()

    renamed = rename(tensors, TIMM, whole=[1, 2], kept=[1, 2], last=True)

    assert renamed["stem.conv.weight"] is tensors["conv_stem.weight"]
    assert renamed["blocks.0.project.conv.weight"] is tensors["blocks.0.0.conv_pw.weight"]
    assert renamed["blocks.1.expand.conv.weight"] is tensors["blocks.1.0.conv_pw.weight"]
    assert renamed["blocks.2.project.norm.running_var"] is tensors["blocks.1.1.bn3.running_var"]
    assert renamed["last.norm.bias"] is tensors["bn2.bias"]
    assert len(renamed) == len(tensors) - 1


def test_a_network_cut_short() -> None:
    """Without the second stage's last block, and without what stands behind the blocks."""
    tensors = timm()

    renamed = rename(tensors, TIMM, whole=[1, 2], kept=[1, 1], last=False)

    left_out = [name for name in tensors if not any(tensors[name] is tensor for tensor in renamed.values())]
    assert {name.rsplit(".", 1)[0] for name in left_out} == {
        *(f"blocks.1.1.{part}" for part in ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")),
        "conv_head",
        "bn2",
        "classifier",
    }


def test_what_is_missing_or_strange_is_named() -> None:
    """By its published name."""
    tensors = timm()
    strange = tensors | {"blocks.1.0.se.conv_reduce.bias": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"^found 'blocks\.1\.0\.se\.conv_reduce\.bias' too$"):
        rename(strange, TIMM, whole=[1, 2], kept=[1, 2], last=True)
    del tensors["blocks.1.1.bn2.running_mean"]
    with pytest.raises(ValueError, match=r"^found no tensor 'blocks\.1\.1\.bn2\.running_mean'$"):
        rename(tensors, TIMM, whole=[1, 2], kept=[1, 2], last=True)
    assert rename(tensors, TIMM, whole=[1, 2], kept=[1, 1], last=True)  # which has no such block
