"""The one table of encoders."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.models import encoder_weights, pcr
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.encoder import Encoder, EncoderNetwork
from pcrpose.models.pcr import PCR, PCRConfig

RESIDUAL = ("resnet_nano", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
HIGH_RESOLUTION = ("hrnet_w32", "hrnet_w48")
MOBILE = ("mobilenet_v2", "mobilenet_v2_175")


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_what_the_table_says(name: str) -> None:
    """Each name builds, with the stride of its row and the width it announces."""
    row = ENCODERS[name]
    with torch.device("meta"):
        network = row.build().eval()
        features = network(torch.empty(1, 3, 64, 96))

    assert features.shape == (1, network.out_channels, 64 // row.stride, 96 // row.stride)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_coarsest_cell_is_enough(name: str) -> None:
    """A crop of one coarsest cell passes through every encoder."""
    row = ENCODERS[name]
    with torch.device("meta"):
        features = row.build().eval()(torch.empty(1, 3, row.coarsest_cell, row.coarsest_cell))

    cells = row.coarsest_cell // row.stride
    assert features.shape[2:] == (cells, cells)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_networks_own_tensors_need_no_renaming(name: str) -> None:
    """What an encoder itself saved is taken as it is, whatever else its row knows to rename."""
    with torch.device("meta"):
        network = ENCODERS[name].build()
    own = network.state_dict()

    assert ENCODERS[name].from_published(own, network) == own


def test_the_table_holds_the_published_encoders() -> None:
    """The encoders of the paper and of its rivals are there, and the small ones, with their strides."""
    residual, high_resolution, mobile = (
        dict.fromkeys(names, stride) for names, stride in ((RESIDUAL, 32), (HIGH_RESOLUTION, 4), (MOBILE, 16))
    )
    efficient = {"efficientnet_b0": 32, "efficientnet_lite0": 32, "efficientnet_nano": 16}

    assert {name: row.stride for name, row in ENCODERS.items()} == residual | high_resolution | efficient | mobile


def test_crops_are_made_of_the_coarsest_cells() -> None:
    """HRNet and MobileNetV2 go down to 1/32 inside, whatever they give; the others give their coarsest features."""
    deeper = dict.fromkeys((*HIGH_RESOLUTION, *MOBILE), 32)
    expected = {name: row.stride for name, row in ENCODERS.items()} | deeper

    assert {name: row.coarsest_cell for name, row in ENCODERS.items()} == expected


class Patches(EncoderNetwork):
    """The smallest encoder there is: one convolution of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 8
        self.patches = nn.Conv2d(3, 8, 8, 8)

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` crops to ``(B, 8, H/8, W/8)`` features."""
        features: Tensor = self.patches(crops)
        return features


def rename_patches(published: Mapping[str, Tensor], _network: nn.Module) -> dict[str, Tensor]:
    """Rename the tensors of a published network that calls its layer ``embed``."""
    return {
        name.replace("embed", "patches"): tensor for name, tensor in published.items() if not name.startswith("fc.")
    }


def test_a_new_encoder_is_one_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a row, a model can name the encoder, is as fine as it says, and takes its published weights."""
    row = Encoder(build=Patches, stride=8, coarsest_cell=8, from_published=rename_patches)
    for module in (pcr, encoder_weights):
        monkeypatch.setattr(module, "ENCODERS", {**ENCODERS, "patches": row})
    published = {"embed.weight": torch.rand(8, 3, 8, 8), "embed.bias": torch.rand(8), "fc.weight": torch.rand(1)}
    save_file(published, tmp_path / "published.safetensors")

    model = PCR(PCRConfig(encoder="patches", channels=(8,), input_size=Size(width=24, height=40)))
    report = load_encoder(model, tmp_path / "published.safetensors")

    assert model.eval()(torch.zeros(1, 3, 40, 24)).final.shape == (1, 17, 10, 6)
    assert report.copied == ("patches.weight", "patches.bias")
    assert report.left_out == ("fc.weight",)
    assert torch.equal(model.encoder.state_dict()["patches.bias"], published["embed.bias"])
