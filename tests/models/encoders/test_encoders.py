"""The one table of encoders."""

import pytest
import torch

from pcrpose.models.encoders import ENCODERS

RESIDUAL = ("resnet_nano", "resnet18", "resnet34", "resnet50", "resnet152")
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
    lite = {"efficientnet_lite0": 32, "efficientnet_nano": 16}

    assert {name: row.stride for name, row in ENCODERS.items()} == residual | high_resolution | lite | mobile


def test_crops_are_made_of_the_coarsest_cells() -> None:
    """HRNet and MobileNetV2 go down to 1/32 inside, whatever they give; the others give their coarsest features."""
    deeper = dict.fromkeys((*HIGH_RESOLUTION, *MOBILE), 32)
    expected = {name: row.stride for name, row in ENCODERS.items()} | deeper

    assert {name: row.coarsest_cell for name, row in ENCODERS.items()} == expected
