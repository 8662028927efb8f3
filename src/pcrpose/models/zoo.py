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
        intervals: 95 % interval, low and high, of the metric of that name; a bootstrap over pictures.
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
        recipe="AC",
        summary="Small and weak: about two hours of training on two CPU cores, to try everything with.",
        parameters=2_870_410,
        gmacs=0.2538,
        metrics={
            "AP on a subset of COCO val2017 (99 pictures, 303 persons), annotated boxes": 0.150,
            "AP50 on the same": 0.458,
            "AP on the same pictures, boxes of a small detector": 0.137,
        },
        data="A part of COCO train2017 (annotations CC BY 4.0) and Leeds Sports Pose Extended (research use, cite).",
    ),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def list_pretrained() -> list[str]:
    """Name the pretrained models, in the zoo's order."""
    return list(ZOO)


def pretrained_folder(name: str) -> Path:
    """Find the folder of a model that ships inside the package."""
    return Path(str(resources.files("pcrpose.models") / "pretrained" / name))
