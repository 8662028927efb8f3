"""The table of encoders. A new one is a file beside this one and a row here."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from pcrpose.models.encoders import efficientnet, hrnet, mobilenet_v2, resnet
from pcrpose.models.encoders.batch_norm import change_epsilon, fold_norms
from pcrpose.models.encoders.encoder import Encoder, Published

_SYMMETRIC = (
    "its convolutions of stride 2 pad all four sides, the encoder's, like TensorFlow's, the bottom and the right: "
    "features are those of crops shifted by up to one cell, a start for training and not the published features"
)
_TENSORFLOW = (
    "its convolutions of stride 2 pad the bottom and the right, like TensorFlow's, the encoder's all four sides: "
    "features are those of crops shifted by up to one cell, a start for training and not the published features"
)

# Weights of timm and torchvision that each encoder takes. A name that is not here is refused where a file's
# configuration says it: "resnetblur50" has the tensors of "resnet50" and computes something else.
_RESNETS = {name: {name: Published(holds=("conv1.weight",))} for name in resnet.RESNETS if name != "resnet_nano"}
_HRNETS = {
    "hrnet_w32": {"hrnet_w32": Published(holds=("stage4.0.branches.0.0.conv1.weight",))},
    "hrnet_w48": {
        "hrnet_w48": Published(holds=("stage4.0.branches.0.0.conv1.weight",)),
        "hrnet_w48_ssld": Published(holds=("stage4.0.branches.0.0.conv1.weight",)),
    },
}
_LITE_0 = {
    "efficientnet_lite0": Published(
        holds=("conv_stem.weight",),
        adapt=partial(change_epsilon, before=efficientnet.USUAL_EPSILON, after=efficientnet.NORM_EPSILON),
    ),
    "tf_efficientnet_lite0": Published(holds=("conv_stem.weight",), difference=_TENSORFLOW),
}
_B0 = {
    "efficientnet_b0": Published(holds=("conv_stem.weight", "features.0.0.weight")),
    "tf_efficientnet_b0": Published(
        holds=("conv_stem.weight",),
        adapt=partial(change_epsilon, before=efficientnet.NORM_EPSILON, after=efficientnet.USUAL_EPSILON),
        difference=_TENSORFLOW,
    ),
}
_FOLDED = partial(fold_norms, epsilon=efficientnet.USUAL_EPSILON)
_MOBILENET = {
    "mobilenetv2_100": Published(holds=("conv_stem.weight",), adapt=_FOLDED, difference=_SYMMETRIC),
    "mobilenet_v2": Published(holds=("features.0.0.weight",), adapt=_FOLDED, difference=_SYMMETRIC),
}

ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        **{
            name: Encoder(
                build=partial(resnet.ResNet, config),
                stride=32,
                coarsest_cell=32,
                from_published=resnet.from_published,
                published=_RESNETS.get(name, {}),
            )
            for name, config in resnet.RESNETS.items()
        },
        **{
            name: Encoder(
                build=partial(hrnet.HRNet, config),
                stride=4,
                coarsest_cell=32,
                from_published=hrnet.from_published,
                published=_HRNETS.get(name, {}),
            )
            for name, config in hrnet.HRNETS.items()
        },
        **{
            name: Encoder(
                build=partial(efficientnet.EfficientNet, config),
                stride=config.stride,
                coarsest_cell=config.stride,
                from_published=efficientnet.from_published,
                published=_B0 if config.gated else _LITE_0,
            )
            for name, config in efficientnet.EFFICIENTNETS.items()
        },
        **{
            name: Encoder(
                build=partial(mobilenet_v2.MobileNetV2, config),
                stride=16,
                coarsest_cell=32,
                from_published=mobilenet_v2.from_published,
                published=_MOBILENET,
            )
            for name, config in mobilenet_v2.MOBILENETS.items()
        },
    }
)
