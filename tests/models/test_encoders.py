"""The one table of encoders."""

import pytest
import torch

from pcrpose.models.encoders import ENCODER_CELLS, ENCODER_STRIDES, build_encoder


@pytest.mark.parametrize("name", ENCODER_STRIDES)
def test_every_encoder_is_what_the_table_says(name: str) -> None:
    """Each name builds, with the stride of the table and the width it announces."""
    with torch.device("meta"):
        encoder = build_encoder(name).eval()
        features = encoder(torch.empty(1, 3, 64, 96))
    stride = ENCODER_STRIDES[name]
    assert encoder.stride == stride
    assert features.shape == (1, encoder.out_channels, 64 // stride, 96 // stride)


def test_the_table_holds_the_published_encoders() -> None:
    """The encoders of the paper and of its rivals are there, and the small ones."""
    residual = ["resnet_nano", "resnet18", "resnet34", "resnet50", "resnet152"]
    small = {"efficientnet_lite0": 32, "efficientnet_nano": 16, "mobilenet_v2": 16, "mobilenet_v2_175": 16}
    assert dict(ENCODER_STRIDES) == dict.fromkeys(residual, 32) | small | {"hrnet_w32": 4, "hrnet_w48": 4}


def test_cells_are_what_a_crop_is_made_of() -> None:
    """HRNet and MobileNetV2 go down to 1/32 inside, whatever they give; the others give their coarsest features."""
    deeper = ["hrnet_w32", "hrnet_w48", "mobilenet_v2", "mobilenet_v2_175"]
    assert dict(ENCODER_CELLS) == dict(ENCODER_STRIDES) | dict.fromkeys(deeper, 32)


def test_an_unknown_encoder_is_named() -> None:
    """The error lists what there is."""
    with pytest.raises(ValueError, match=r"encoder: expected one of \['resnet_nano', .*\], found 'resnet51'"):
        build_encoder("resnet51")
