"""The pretrained models: what each is, what it was trained on, and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One pretrained model; every figure here was measured and a test checks what can be checked.

    Attributes:
        name: what `PCR.from_pretrained` takes.
        architecture: class name of the model.
        recipe: training stages in the paper's notation; A, C, H, U as in the glossary.
        summary: one sentence for tables.
        parameters: number of trained values.
        gmacs: thousand million multiply-accumulates of one crop.
        metrics: figure by name, each name with its data set.
        intervals: 95 % interval, low and high, of the metric of that name; a bootstrap over images.
        data: what it was trained on and the terms of that data.
    """

    name: str
    architecture: str
    recipe: str
    summary: str
    parameters: int
    gmacs: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    data: str = ""


_ENTRIES: tuple[ZooEntry, ...] = (
    ZooEntry(
        name="pcr-nano",
        architecture="PCR",
        recipe="C",
        summary="For a laptop: often right about people who stand alone, often wrong where they cover one another.",
        parameters=2_676_570,
        gmacs=0.4342,
        metrics={
            "AP on a subset of COCO val2017 (99 images, 303 persons), annotated boxes": 0.308,
            "AP50 on the same": 0.691,
            "AP75 on the same": 0.241,
            "AP on the same images, boxes of YOLOX-nano": 0.286,
        },
        intervals={
            "AP on a subset of COCO val2017 (99 images, 303 persons), annotated boxes": (0.267, 0.357),
            "AP50 on the same": (0.620, 0.774),
            "AP75 on the same": (0.178, 0.322),
            "AP on the same images, boxes of YOLOX-nano": (0.246, 0.334),
        },
        data="A part of COCO train2017 (annotations CC BY 4.0, images under Flickr's terms); the encoder began with "
        "ImageNet's weights (images for non-commercial research).",
    ),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def list_pretrained() -> list[str]:
    """Name the pretrained models, in the zoo's order."""
    return list(ZOO)


def pretrained_folder(name: str) -> Path:
    """Find the folder of a model that ships inside the package."""
    return Path(str(resources.files("pcrpose.models") / "pretrained" / name))
