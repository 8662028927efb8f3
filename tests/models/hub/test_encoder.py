"""Encoders from the Hub: timm's repositories, by the Hub's own client."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.pcr import PCR, PCRConfig

if TYPE_CHECKING:
    from tests.models.hub.conftest import HubServer


def test_an_encoder_is_downloaded(hub: "HubServer") -> None:
    """Both files of a repository in timm's form arrive: the tensors, and whose they are."""
    size = Size(width=32, height=64)
    model = PCR(PCRConfig(encoder="resnet18", channels=(8, 8, 8), se_norm="none", input_size=size))
    tensors = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    tensors["conv1.weight"] = torch.full_like(tensors["conv1.weight"], 0.25)
    config = {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.5, 0.5, 0.5]}}
    files = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": save(tensors | {"fc.bias": torch.ones(2)}),
    }
    hub.create("timm/resnet18.a1_in1k").commit(files)

    report = load_encoder(model, "timm/resnet18.a1_in1k")

    assert report.left_out == ("fc.bias",)
    assert report.differences == ("it was trained with pixel_std [0.5, 0.5, 0.5], the model has [0.229, 0.224, 0.225]",)
    assert bool((model.encoder.state_dict()["conv1.weight"] == 0.25).all())


@pytest.mark.parametrize("name", ["timm/resnet18.pth", Path("timm/resnet18.a1_in1k")])
def test_a_path_is_not_asked_for(hub: "HubServer", name: str | Path) -> None:
    """A suffix of weights, or a `Path`, is a file on this machine."""
    model = PCR(PCRConfig(encoder="resnet18", channels=(8, 8, 8), se_norm="none", input_size=Size(width=32, height=64)))

    with pytest.raises(FileNotFoundError, match="expected a file of weights"):
        load_encoder(model, name)

    assert hub.requests == []
