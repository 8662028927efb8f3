"""Names of the layers of MobileNetV2 and EfficientNet in other projects' checkpoints, and ours.

Source:
    timm's ``efficientnet.py`` (MobileNetV2 too), torchvision's ``mobilenetv2.py`` and ``efficientnet.py``, and the
    EfficientNet ports whose names begin with an underscore.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

FIELDS: Mapping[str, tuple[str, ...]] = {
    "conv": ("weight",),
    "norm": ("weight", "bias", "running_mean", "running_var"),
    "reduce": ("weight", "bias"),
    "expand": ("weight", "bias"),
}
GATE = "gate."


@dataclass(frozen=True, kw_only=True)
class Names:
    """How one project names a network of inverted bottlenecks; keys are our names.

    Attributes:
        stem: the first convolution and its norm.
        block: what the names of a block begin with; ``{stage}`` and ``{position}`` in the stage count from 0, so does
            ``{index}`` over all blocks; ``{stage_number}`` and ``{number}`` count from 1.
        widening: a block that widens its input first; its ``gate`` is there where the network has any.
        plain: the first block, which does not.
        last: the 1x1 convolution behind the blocks, and its norm.
        classifier: what the classifier's names begin with.
    """

    stem: Mapping[str, str]
    block: str
    widening: Mapping[str, str]
    plain: Mapping[str, str]
    last: Mapping[str, str]
    classifier: str

    @property
    def stem_name(self) -> str:
        """Published name of the first convolution, which tells whose names they are."""
        return self.stem["stem.conv"]


TIMM = Names(
    stem={"stem.conv": "conv_stem", "stem.norm": "bn1"},
    block="blocks.{stage}.{position}",
    widening={
        "expand.conv": "conv_pw",
        "expand.norm": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn2",
        "gate.reduce": "se.conv_reduce",
        "gate.expand": "se.conv_expand",
        "project.conv": "conv_pwl",
        "project.norm": "bn3",
    },
    plain={
        "depthwise.conv": "conv_dw",
        "depthwise.norm": "bn1",
        "gate.reduce": "se.conv_reduce",
        "gate.expand": "se.conv_expand",
        "project.conv": "conv_pw",
        "project.norm": "bn2",
    },
    last={"last.conv": "conv_head", "last.norm": "bn2"},
    classifier="classifier.",
)
TORCHVISION_MOBILENET_V2 = Names(
    stem={"stem.conv": "features.0.0", "stem.norm": "features.0.1"},
    block="features.{number}",
    widening={
        "expand.conv": "conv.0.0",
        "expand.norm": "conv.0.1",
        "depthwise.conv": "conv.1.0",
        "depthwise.norm": "conv.1.1",
        "project.conv": "conv.2",
        "project.norm": "conv.3",
    },
    plain={
        "depthwise.conv": "conv.0.0",
        "depthwise.norm": "conv.0.1",
        "project.conv": "conv.1",
        "project.norm": "conv.2",
    },
    last={"last.conv": "features.18.0", "last.norm": "features.18.1"},
    classifier="classifier.",
)
TORCHVISION_EFFICIENTNET = Names(
    stem={"stem.conv": "features.0.0", "stem.norm": "features.0.1"},
    block="features.{stage_number}.{position}.block",
    widening={
        "expand.conv": "0.0",
        "expand.norm": "0.1",
        "depthwise.conv": "1.0",
        "depthwise.norm": "1.1",
        "gate.reduce": "2.fc1",
        "gate.expand": "2.fc2",
        "project.conv": "3.0",
        "project.norm": "3.1",
    },
    plain={
        "depthwise.conv": "0.0",
        "depthwise.norm": "0.1",
        "gate.reduce": "1.fc1",
        "gate.expand": "1.fc2",
        "project.conv": "2.0",
        "project.norm": "2.1",
    },
    last={"last.conv": "features.8.0", "last.norm": "features.8.1"},
    classifier="classifier.",
)
EFFICIENTNET_PORTS = Names(
    stem={"stem.conv": "_conv_stem", "stem.norm": "_bn0"},
    block="_blocks.{index}",
    widening={
        "expand.conv": "_expand_conv",
        "expand.norm": "_bn0",
        "depthwise.conv": "_depthwise_conv",
        "depthwise.norm": "_bn1",
        "project.conv": "_project_conv",
        "project.norm": "_bn2",
    },
    plain={
        "depthwise.conv": "_depthwise_conv",
        "depthwise.norm": "_bn1",
        "project.conv": "_project_conv",
        "project.norm": "_bn2",
    },
    last={"last.conv": "_conv_head", "last.norm": "_bn1"},
    classifier="_fc.",
)


def recognize(published: Mapping[str, Tensor], known: Sequence[Names]) -> Names | None:
    """Return whose names a state dict has; None if none of the known ones."""
    return next((names for names in known if f"{names.stem_name}.weight" in published), None)


def rename(
    published: Mapping[str, Tensor],
    names: Names,
    *,
    whole: Sequence[int],
    kept: Sequence[int],
    last: bool,
    gated: bool = False,
) -> dict[str, Tensor]:
    """Rename an encoder's layers to ``stem.conv``, ``stem.norm``, ``blocks.0.expand.conv``, ..., ``last.norm``.

    Args:
        published: the state dict.
        names: whose names it has.
        whole: how many blocks each stage of the published network has.
        kept: how many of them, the first ones, the encoder has; stages at the end may be absent.
        last: whether the encoder has the convolution behind the blocks.
        gated: whether each block has squeeze-and-excitation.

    Returns:
        The tensors of those layers. The published network's others are left out.

    Raises:
        ValueError: naming the first tensor that is missing, or that no such network has.
    """
    layers = [layer for layer in _layers(names, whole) if gated or not layer.ours.startswith(GATE)]
    around = {**names.stem, **names.last}
    known = {layer.theirs for layer in layers} | set(around.values())
    for name in published:
        if name.rpartition(".")[0] not in known and not name.startswith(names.classifier):
            raise ValueError(f"found {name!r} too")
    wanted = {layer.theirs: name for layer, name in _kept(layers, kept)}
    wanted |= {theirs: ours for ours, theirs in around.items() if last or ours in names.stem}
    for theirs, ours in wanted.items():
        for field in FIELDS[ours.rpartition(".")[2]]:
            if f"{theirs}.{field}" not in published:
                raise ValueError(f"found no tensor '{theirs}.{field}'")
    parts = ((name.rpartition("."), tensor) for name, tensor in published.items())
    return {f"{wanted[module]}.{field}": tensor for (module, _, field), tensor in parts if module in wanted}


class _Layer(NamedTuple):
    """A layer of the published network: stage and position of its block, and its names: ours in the block, theirs."""

    stage: int
    position: int
    ours: str
    theirs: str


def _layers(names: Names, whole: Sequence[int]) -> Iterator[_Layer]:
    index = 0
    for stage, count in enumerate(whole):
        for position in range(count):
            places = {"stage": stage, "position": position, "index": index}
            prefix = names.block.format(**places, number=index + 1, stage_number=stage + 1)
            for ours, theirs in (names.widening if index else names.plain).items():
                yield _Layer(stage, position, ours, f"{prefix}.{theirs}")
            index += 1


def _kept(layers: Sequence[_Layer], kept: Sequence[int]) -> Iterator[tuple[_Layer, str]]:
    """Yield the layers of an encoder that may be cut short, with their whole names in it."""
    for layer in layers:
        if layer.stage < len(kept) and layer.position < kept[layer.stage]:
            yield layer, f"blocks.{sum(kept[: layer.stage]) + layer.position}.{layer.ours}"
