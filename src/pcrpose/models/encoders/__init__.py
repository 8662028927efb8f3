"""The table of encoders. A new one is a file beside this one and a row here."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from pcrpose.models.encoders import efficientnet, hrnet, mobilenet_v2, resnet
from pcrpose.models.encoders.encoder import Encoder

ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        **{
            name: Encoder(
                build=partial(resnet.ResNet, config),
                stride=32,
                coarsest_cell=32,
                from_published=resnet.from_published,
            )
            for name, config in resnet.RESNETS.items()
        },
        **{
            name: Encoder(
                build=partial(hrnet.HRNet, config),
                stride=4,
                coarsest_cell=32,
                from_published=hrnet.from_published,
            )
            for name, config in hrnet.HRNETS.items()
        },
        **{
            name: Encoder(
                build=partial(efficientnet.EfficientNet, config),
                stride=config.stride,
                coarsest_cell=config.stride,
                from_published=efficientnet.from_published,
            )
            for name, config in efficientnet.EFFICIENTNETS.items()
        },
        **{
            name: Encoder(
                build=partial(mobilenet_v2.MobileNetV2, config),
                stride=16,
                coarsest_cell=32,
                from_published=mobilenet_v2.from_published,
            )
            for name, config in mobilenet_v2.MOBILENETS.items()
        },
    }
)
