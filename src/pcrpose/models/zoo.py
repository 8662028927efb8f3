"""The pretrained models, ours and others': size, training data and metrics of each."""

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


@dataclass(frozen=True, kw_only=True)
class PublishedEntry:
    """One model that others published, and what they say of it; nothing of it was measured here.

    Attributes:
        repository: what `load_model` takes, ``owner/name`` on the Hugging Face Hub.
        revision: commit that is loaded where none is asked for; None is not pinned: the newest.
        architecture: class name of the model.
        summary: one sentence for tables.
        input_size: of the crops, as `Size` prints it: height first.
        parameters: number of trained values, as loaded.
        gmacs: thousand million multiply-accumulates per crop.
        license: of the weights, as the Hub writes it.
        metrics: published ones, fractions.
        conditions: on which images and with whose boxes.
        source: of the metrics.
        data: what it was trained on.
    """

    repository: str
    revision: str | None
    architecture: str
    summary: str
    input_size: str
    parameters: int
    gmacs: float
    license: str
    metrics: Mapping[str, float]
    conditions: Conditions
    source: str
    data: str


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
        summary="Two fifths of the size, half the time: usually right about whole people, less sure from behind.",
        input_size="256x192",
        parameters=3_287_714,
        gmacs=0.5602,
        license="apache-2.0",
        metrics={
            "coco-subset-99/annotated": {
                "AP": Metric(0.537, 0.492, 0.586),
                "AP50": Metric(0.833, 0.782, 0.878),
                "AP75": Metric(0.585, 0.513, 0.660),
                "AR": Metric(0.581, 0.538, 0.626),
            },
            "coco-subset-99/yolox-nano": {
                "AP": Metric(0.484, 0.437, 0.538),
                "AP50": Metric(0.735, 0.693, 0.786),
                "AP75": Metric(0.509, 0.434, 0.592),
                "AR": Metric(0.559, 0.514, 0.608),
            },
        },
        data="A part of COCO train2017 (annotations CC BY 4.0, images under Flickr's terms); the encoder began with "
        "MoveNet Lightning's trunk (Google, Apache-2.0; trained on COCO and on Google's Active set); "
        "the teacher was pcr-small.",
    ),
)


def _vitpose(
    name: str, revision: str, size: tuple[int, float], metrics: tuple[float, float], *, summary: str, data: str
) -> PublishedEntry:
    """Build the entry of one of the repositories that hold the ViTPose authors' weights.

    Source:
        Metrics: the README of their repository. Revisions: the last that https://huggingface.co/OWNER/NAME/tree/main
        was seen at, where both files lie; they could not be downloaded here.
    """
    average_precision, average_recall = metrics
    return PublishedEntry(
        repository=f"usyd-community/{name}",
        revision=revision,
        architecture="ViTPose",
        summary=summary,
        input_size="256x192",
        parameters=size[0],
        gmacs=size[1],
        license="apache-2.0",
        metrics={"AP": average_precision, "AR": average_recall},
        conditions=Conditions("COCO val2017", "a detector with 56 AP on persons"),
        source="https://github.com/ViTAE-Transformer/ViTPose",
        data=f"{data}; the transformer began with MAE's weights.",
    )


_S, _B, _L, _H = (24_290_577, 5.5939), (89_994_513, 18.5228), (308_544_785, 61.5690), (637_208_849, 125.8299)
_THREE = "COCO, AI Challenger and MPII"
_SIX = "COCO, AI Challenger, MPII, AP-10K, APT-36K and COCO-WholeBody, of which COCO's part is loaded"
_PUBLISHED: tuple[PublishedEntry, ...] = (
    _vitpose(
        "vitpose-base-simple",
        "a93ac0c67e0b7e2c55287d21d4c460c8f3c54d45",
        (85_912_337, 17.4611),
        (0.755, 0.809),
        summary="ViTPose-B with the simple decoder.",
        data="COCO",
    ),
    _vitpose(
        "vitpose-base",
        "95be2991424e646950d656bb7fc15ec9be119700",
        _B,
        (0.758, 0.811),
        summary="ViTPose-B with the classic decoder.",
        data="COCO",
    ),
    _vitpose(
        "vitpose-base-coco-aic-mpii",
        "1c97abb299207947767d028bf349c543ae06a49f",
        _B,
        (0.771, 0.822),
        summary="ViTPose-B with the classic decoder, trained on three data sets.",
        data=_THREE,
    ),
    _vitpose(
        "vitpose-plus-small",
        "0c30b6534bb621af0162b481176742577264e36e",
        _S,
        (0.758, 0.826),
        summary="ViTPose+-S, its part for COCO.",
        data=_SIX,
    ),
    _vitpose(
        "vitpose-plus-base",
        "92be54d7a29e42fad47b6e2ca01dd9e685a61e0d",
        _B,
        (0.770, 0.826),
        summary="ViTPose+-B, its part for COCO.",
        data=_SIX,
    ),
    _vitpose(
        "vitpose-plus-large",
        "e211df377e49c89dba508ab3e83ddef13c0832b4",
        _L,
        (0.786, 0.841),
        summary="ViTPose+-L, its part for COCO.",
        data=_SIX,
    ),
    _vitpose(
        "vitpose-plus-huge",
        "9f36d7aec1800d23e97f10c2e74393aee92aa53f",
        _H,
        (0.794, 0.848),
        summary="ViTPose+-H, its part for COCO; a download of 3.6 GB.",
        data=_SIX,
    ),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
PUBLISHED: Mapping[str, PublishedEntry] = MappingProxyType({entry.repository: entry for entry in _PUBLISHED})


def list_pretrained() -> list[str]:
    """Return the names of the pretrained models that ship inside the package, in the zoo's order.

    `load_model` also takes the repositories of `PUBLISHED`, which it downloads.
    """
    return list(ZOO)


def pretrained_folder(name: str) -> Path:
    """Return the folder of a model that ships inside the package."""
    return Path(str(resources.files("pcrpose.models") / "pretrained" / name))
