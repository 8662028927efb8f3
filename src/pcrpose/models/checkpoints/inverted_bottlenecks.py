"""Names of the layers of MobileNetV2 and EfficientNet in other projects' checkpoints, and ours.

Source:
    timm's ``efficientnet.py`` (MobileNetV2 too), torchvision's ``mobilenetv2.py``, and the EfficientNet ports whose
    names begin with an underscore.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

FIELDS: Mapping[str, tuple[str, ...]] = {"conv": ("weight",), "norm": ("weight", "bias", "running_mean", "running_var")}


class Layer(NamedTuple):
    """Published names of a convolution and of the batch norm behind it."""

    conv: str
    norm: str


@dataclass(frozen=True, kw_only=True)
class Names:
    """How one project names a network of inverted bottlenecks.

    Attributes:
        stem: the first convolution.
        block: what the names of a block's layers begin with; ``{stage}`` and ``{position}`` in the stage count from 0,
            so does ``{index}`` over all blocks, ``{number}`` from 1.
        widening: layers of a block that widens its input first, by our names.
        plain: layers of the first block, which does not.
        last: the 1x1 convolution behind the blocks.
        classifier: what the classifier's names begin with.
    """

    stem: Layer
    block: str
    widening: Mapping[str, Layer]
    plain: Mapping[str, Layer]
    last: Layer
    classifier: str


TIMM = Names(
    stem=Layer("conv_stem", "bn1"),
    block="blocks.{stage}.{position}",
    widening={
        "expand": Layer("conv_pw", "bn1"),
        "depthwise": Layer("conv_dw", "bn2"),
        "project": Layer("conv_pwl", "bn3"),
    },
    plain={"depthwise": Layer("conv_dw", "bn1"), "project": Layer("conv_pw", "bn2")},
    last=Layer("conv_head", "bn2"),
    classifier="classifier.",
)
TORCHVISION_MOBILENET_V2 = Names(
    stem=Layer("features.0.0", "features.0.1"),
    block="features.{number}",
    widening={
        "expand": Layer("conv.0.0", "conv.0.1"),
        "depthwise": Layer("conv.1.0", "conv.1.1"),
        "project": Layer("conv.2", "conv.3"),
    },
    plain={"depthwise": Layer("conv.0.0", "conv.0.1"), "project": Layer("conv.1", "conv.2")},
    last=Layer("features.18.0", "features.18.1"),
    classifier="classifier.",
)
EFFICIENTNET_PORTS = Names(
    stem=Layer("_conv_stem", "_bn0"),
    block="_blocks.{index}",
    widening={
        "expand": Layer("_expand_conv", "_bn0"),
        "depthwise": Layer("_depthwise_conv", "_bn1"),
        "project": Layer("_project_conv", "_bn2"),
    },
    plain={"depthwise": Layer("_depthwise_conv", "_bn1"), "project": Layer("_project_conv", "_bn2")},
    last=Layer("_conv_head", "_bn1"),
    classifier="_fc.",
)


def recognize(published: Mapping[str, Tensor], known: Sequence[Names]) -> Names | None:
    """Return whose names a state dict has; None if none of the known ones."""
    return next((names for names in known if f"{names.stem.conv}.weight" in published), None)


def rename(
    published: Mapping[str, Tensor], names: Names, *, whole: Sequence[int], kept: Sequence[int], last: bool
) -> dict[str, Tensor]:
    """Rename an encoder's layers to ``stem.conv``, ``stem.norm``, ``blocks.0.expand.conv``, ..., ``last.norm``.

    Args:
        published: the state dict.
        names: whose names it has.
        whole: how many blocks each stage of the published network has.
        kept: how many of them, the first ones, the encoder has; stages at the end may be absent.
        last: whether the encoder has the convolution behind the blocks.

    Returns:
        The tensors of those layers. The published network's others are left out.

    Raises:
        ValueError: naming the first tensor that is missing, or that no such network has.
    """
    layers = dict(_layers(names, whole))
    ours = {**dict(_kept(layers, kept)), "stem": names.stem} | ({"last": names.last} if last else {})
    wanted = {prefix: f"{layer}.{part}" for layer, pair in ours.items() for part, prefix in pair._asdict().items()}
    known = {prefix for pair in (*layers.values(), names.stem, names.last) for prefix in pair}
    for name in published:
        if name.rpartition(".")[0] not in known and not name.startswith(names.classifier):
            raise ValueError(f"found {name!r} too")
    for prefix, layer in wanted.items():
        for field in FIELDS[layer.rpartition(".")[2]]:
            if f"{prefix}.{field}" not in published:
                raise ValueError(f"found no tensor '{prefix}.{field}'")
    pairs = ((name.rpartition("."), tensor) for name, tensor in published.items())
    return {f"{wanted[module]}.{field}": tensor for (module, _, field), tensor in pairs if module in wanted}


def _layers(names: Names, whole: Sequence[int]) -> Iterator[tuple[tuple[int, int, str], Layer]]:
    """Yield stage, position and our name of every layer in a block, with its published names."""
    index = 0
    for stage, count in enumerate(whole):
        for position in range(count):
            prefix = names.block.format(stage=stage, position=position, index=index, number=index + 1)
            for part, layer in (names.widening if index else names.plain).items():
                yield (stage, position, part), Layer(f"{prefix}.{layer.conv}", f"{prefix}.{layer.norm}")
            index += 1


def _kept(layers: Mapping[tuple[int, int, str], Layer], kept: Sequence[int]) -> Iterator[tuple[str, Layer]]:
    """Yield the layers of an encoder that may be cut short, by its own names."""
    for (stage, position, part), layer in layers.items():
        if stage < len(kept) and position < kept[stage]:
            yield f"blocks.{sum(kept[:stage]) + position}.{part}", layer
