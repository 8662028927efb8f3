"""Renaming between our state dicts and the published ones."""

import pytest
import torch

from pcrpose.models.config import HighResolutionPoseConfig, PoseConfig, SimpleBaselineConfig
from pcrpose.models.convert import from_published, to_published
from pcrpose.models.load import build_model


@pytest.mark.parametrize("config", [SimpleBaselineConfig(encoder="resnet18"), HighResolutionPoseConfig()])
def test_renaming_goes_both_ways(config: PoseConfig) -> None:
    """There and back gives the same names, the same tensors and the same order."""
    with torch.device("meta"):
        tensors = build_model(config).state_dict()
    published = to_published(tensors)
    assert len(published) == len(tensors)
    assert not any(name.startswith("encoder.") for name in published)
    back = from_published(published)
    assert list(back) == list(tensors)
    assert all(back[name] is tensors[name] for name in tensors)


def test_an_encoder_alone_is_renamed() -> None:
    """A published ImageNet encoder becomes the encoder's part of a model."""
    tensor = torch.zeros(1)
    assert list(from_published({"conv1.weight": tensor, "layer1.0.bn1.bias": tensor})) == [
        "encoder.conv1.weight",
        "encoder.layer1.0.bn1.bias",
    ]


def test_nothing_is_renamed_to_nothing() -> None:
    """An empty state dict stays empty."""
    assert to_published({}) == from_published({}) == {}
