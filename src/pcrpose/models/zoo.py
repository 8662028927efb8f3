"""The pretrained models: size, recipe, training data and metrics of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

# What the two parts of a key of `ZooEntry.metrics` stand for.
DATA_SETS: Mapping[str, str] = MappingProxyType(
    {"coco-subset-99": "subset of COCO val2017 (99 images, 303 persons)"},
)
BOXES: Mapping[str, str] = MappingProxyType(
    {"annotated": "annotated", "yolox-nano": "YOLOX-nano, score 0.05 and above"},
)


class Metric(NamedTuple):
    """A measured number with its 95 % interval, a bootstrap over images.

    Examples:
        >>> str(Metric(0.308, 0.267, 0.357))
        '0.308 (0.267 to 0.357)'
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write the value and its interval with three digits."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Conditions(NamedTuple):
    """On which images and with whose boxes metrics were measured, in words."""

    data: str
    boxes: str


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One pretrained model; every metric was measured, and tests check what can be checked.

    Attributes:
        name: what `PCR.from_pretrained` takes.
        architecture: class name of the model.
        recipe: training stages in the paper's notation; A, C, H, U as in the glossary.
        summary: one sentence for tables.
        input_size: of the crops, as `Size` prints it: height first.
        parameters: number of trained values.
        gmacs: thousand million multiply-accumulates per crop.
        license: of the weights, as the Hub writes it.
        metrics: data set and boxes -> metric -> value and interval: ``metrics["coco-subset-99/annotated"]["AP"]``. The
            heatmaps of the mirrored crop are averaged in. `conditions` says in words what a key stands for.
        data: what it was trained on and the terms of that data.
    """

    name: str
    architecture: str
    recipe: str
    summary: str
    input_size: str
    parameters: int
    gmacs: float
    license: str
    metrics: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    data: str = ""


def conditions(key: str) -> Conditions:
    """Return what a key of `ZooEntry.metrics` stands for.

    Raises:
        ValueError: for a data set or boxes that are not in `DATA_SETS` and `BOXES`.

    Examples:
        >>> conditions("coco-subset-99/annotated")
        Conditions(data='subset of COCO val2017 (99 images, 303 persons)', boxes='annotated')
    """
    data, _, boxes = key.partition("/")
    if data not in DATA_SETS or boxes not in BOXES:
        raise ValueError(f"metrics: expected one of {list(DATA_SETS)} / one of {list(BOXES)}, found {key!r}")
    return Conditions(DATA_SETS[data], BOXES[boxes])


_ENTRIES: tuple[ZooEntry, ...] = (
    ZooEntry(
        name="pcr-small",
        architecture="PCR",
        recipe="C",
        summary="The default: usually right about whole people, less sure where they cover one another or are cut off.",
        input_size="256x192",
        parameters=8_557_858,
        gmacs=1.4640,
        license="apache-2.0",
        metrics={
            "coco-subset-99/annotated": {
                "AP": Metric(0.597, 0.554, 0.644),
                "AP50": Metric(0.869, 0.828, 0.913),
                "AP75": Metric(0.644, 0.572, 0.716),
                "AR": Metric(0.640, 0.598, 0.681),
            },
            "coco-subset-99/yolox-nano": {
                "AP": Metric(0.539, 0.490, 0.596),
                "AP50": Metric(0.779, 0.730, 0.827),
                "AP75": Metric(0.587, 0.516, 0.666),
                "AR": Metric(0.611, 0.568, 0.658),
            },
        },
        data="A part of COCO train2017 (annotations CC BY 4.0, images under Flickr's terms); the encoder began with "
        "MoveNet Thunder's trunk (Google, Apache-2.0; trained on COCO and on Google's Active set).",
    ),
    ZooEntry(
        name="pcr-nano",
        architecture="PCR",
        recipe="C",
        summary="For a laptop: often right about people who stand alone, often wrong where they cover one another.",
        input_size="192x144",
        parameters=2_676_570,
        gmacs=0.4342,
        license="apache-2.0",
        metrics={
            "coco-subset-99/annotated": {
                "AP": Metric(0.308, 0.267, 0.357),
                "AP50": Metric(0.691, 0.620, 0.774),
                "AP75": Metric(0.241, 0.178, 0.322),
                "AR": Metric(0.379, 0.336, 0.421),
            },
            "coco-subset-99/yolox-nano": {
                "AP": Metric(0.286, 0.246, 0.334),
                "AP50": Metric(0.639, 0.574, 0.710),
                "AP75": Metric(0.223, 0.159, 0.303),
                "AR": Metric(0.375, 0.334, 0.417),
            },
        },
        data="A part of COCO train2017 (annotations CC BY 4.0, images under Flickr's terms); the encoder began with "
        "ImageNet's weights (images for non-commercial research).",
    ),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def list_pretrained() -> list[str]:
    """Return the names of the pretrained models, in the zoo's order."""
    return list(ZOO)


def pretrained_folder(name: str) -> Path:
    """Return the folder of a model that ships inside the package."""
    return Path(str(resources.files("pcrpose.models") / "pretrained" / name))
