"""The encoders a model can name, in one explicit table."""

from collections.abc import Mapping
from types import MappingProxyType

from pcrpose.models.encoders.efficientnet import EFFICIENTNETS, EfficientNet
from pcrpose.models.encoders.hrnet import HRNETS, HRNet
from pcrpose.models.encoders.mobilenet_v2 import MOBILENETS, MobileNetV2
from pcrpose.models.encoders.resnet import RESNETS, ResNet

ENCODER_STRIDES: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(RESNETS, ResNet.stride)
    | dict.fromkeys(HRNETS, HRNet.stride)
    | {name: config.stride for name, config in EFFICIENTNETS.items()}
    | dict.fromkeys(MOBILENETS, MobileNetV2.stride)
)
# What width and height of a crop have to be multiples of: the coarsest cells inside the encoder.
ENCODER_CELLS: Mapping[str, int] = MappingProxyType(dict(ENCODER_STRIDES) | dict.fromkeys((*HRNETS, *MOBILENETS), 32))


def build_encoder(name: str) -> ResNet | HRNet | EfficientNet | MobileNetV2:
    """Build an encoder with fresh weights; raises ValueError for a name that is not in `ENCODER_STRIDES`."""
    if name in RESNETS:
        return ResNet(RESNETS[name])
    if name in HRNETS:
        return HRNet(HRNETS[name])
    if name in EFFICIENTNETS:
        return EfficientNet(EFFICIENTNETS[name])
    if name in MOBILENETS:
        return MobileNetV2(MOBILENETS[name])
    raise ValueError(f"encoder: expected one of {list(ENCODER_STRIDES)}, found {name!r}")
