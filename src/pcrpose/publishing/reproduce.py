"""Reproduction of the paper: every row of its tables 1 to 4, with its trainings, test and published metrics.

What the paper leaves open is ours and named here: the recipes of the rows with external data in table 1, the epochs of
the paper's own networks, and the estimate of GPU hours.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from pcrpose.data.augment import Augmentation
from pcrpose.data.sampler import background_quota
from pcrpose.models.paper_tables import TABLE_1
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import TABLE_3, TABLE_4, Recipe, Stage

Split = Literal["val2017", "test-dev2017", "test-challenge2019"]

NOT_RUN = "not yet run"
METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR")

# Persons by letter, as section 3.1 counts them; an epoch takes one hard negative to eight persons.
PERSONS: Mapping[str, int] = MappingProxyType({"A": 440_000, "C": 150_000, "U": 110_000})
# One training whose time its author tells: HRNet-W32 at 256x192, 210 epochs, "50-60 hours with 4 P100 GPUs"
# (github.com/leoxiaobin/deep-high-resolution-net.pytorch, issue 3). Others are estimated in proportion to their work.
KNOWN_HOURS, KNOWN_GMACS, KNOWN_CROPS = 4 * 55, 7.6450, 210 * PERSONS["C"]

# Weights that encoders start from, on the Hub: those that the cited baselines started from, torchvision's first ones
# and those of HRNet's authors.
IMAGENET: Mapping[str, str] = MappingProxyType(
    {
        "resnet50": "timm/resnet50.tv_in1k",
        "resnet152": "timm/resnet152.tv_in1k",
        "hrnet_w32": "timm/hrnet_w32.ms_in1k",
        "hrnet_w48": "timm/hrnet_w48.ms_in1k",
    }
)

HRNET = TrainConfig(batch_size=128)
HRNET_W48 = replace(HRNET, batch_size=96)
SIMPLE_BASELINES = replace(HRNET, epochs=140, milestones=(90 / 140, 120 / 140))
SIMPLE_AUGMENTATION = Augmentation(scale=0.3, rotation=40.0, half_body_probability=0.0)


@dataclass(frozen=True, kw_only=True)
class Training:
    """One network of a row and how it is trained.

    Attributes:
        name: of its folder; rows that need the same training share it.
        model: configuration of the network.
        parameters: number of trained values.
        gmacs: thousand million multiply-accumulates per crop.
        recipe: the data of its stages.
        config: of the first stage; `Stage.configure` makes the later ones.
        augmentation: of the crops.

    Source:
        Section 3.1, "all other hyper-parameters by following [10, 8]": batches of 32 crops (24 for HRNet-W48 at
        384x288) on each of four GPUs; 140 epochs for Simple Baselines and 210 for HRNet. That the paper's own networks
        are trained like HRNet is our reading.
    """

    name: str
    model: PoseConfig
    parameters: int
    gmacs: float
    recipe: Recipe = field(default_factory=lambda: Recipe.parse("C"))
    config: TrainConfig = HRNET
    augmentation: Augmentation = field(default_factory=Augmentation)

    def crops(self, stage: Stage) -> int:
        """Return the crops that a stage trains on, over all of its epochs."""
        persons = sum(PERSONS[letter] for letter in stage.sources if letter != "H")
        negatives = background_quota(persons) if "H" in stage.sources else 0
        return stage.configure(self.config).epochs * (persons + negatives)

    @property
    def encoder(self) -> str:
        """The name of the network's encoder."""
        return str(getattr(self.model, "encoder", ""))  # every network of the tables has one

    @property
    def gpu_hours(self) -> float:
        """Estimated hours of one P100: those known of HRNet-W32, times this training's crops x GMACs over its."""
        crops = sum(self.crops(stage) for stage in self.recipe.stages)
        return KNOWN_HOURS * crops * self.gmacs / (KNOWN_CROPS * KNOWN_GMACS)


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of one of the paper's tables.

    Attributes:
        name: ``tableN/...``, what `find_row` takes.
        label: what the paper calls it.
        split: of COCO, on which it is tested.
        published: the paper's metrics in percent, by the names of `METRICS`; one that is illegible is missing.
        trainings: its networks; several are an ensemble, none means that the row cannot be run.
        note: what a reader has to know, such as why it cannot be run.
        measured: our metrics in percent; None where nobody has run the row.
        own_detections: whether the paper's boxes are not published, so that a detector's of one's own are needed.
    """

    name: str
    label: str
    split: Split
    published: Mapping[str, float]
    trainings: tuple[Training, ...] = ()
    note: str = ""
    measured: Mapping[str, float] | None = None
    own_detections: bool = False

    @property
    def table(self) -> int:
        """The number of its table."""
        return int(self.name.removeprefix("table").partition("/")[0])

    @property
    def letters(self) -> tuple[str, ...]:
        """Letters of the data that some training needs, in the paper's order."""
        return tuple(letter for letter in "ACHU" if any(letter in each.recipe.letters for each in self.trainings))

    @property
    def gpu_hours(self) -> float:
        """Estimated hours of one P100 for all of its trainings, see `Training.gpu_hours`."""
        return sum(training.gpu_hours for training in self.trainings)


def _metrics(*values: float | None) -> Mapping[str, float]:
    """Name the metrics of a row in the order of `METRICS`; two are AP and AR, and None is illegible."""
    names = METRICS if len(values) == len(METRICS) else ("AP", "AR")
    return MappingProxyType({name: value for name, value in zip(names, values, strict=True) if value is not None})


_BASELINE_R50 = Training(
    name="baseline-r50",
    model=TABLE_3["Baseline (R50)"].model,
    parameters=33_999_697,
    gmacs=5.4264,
    config=SIMPLE_BASELINES,
    augmentation=SIMPLE_AUGMENTATION,
)
_HRNET_W32 = Training(
    name="hrnet-w32", model=TABLE_3["HRNet-W32"].model, parameters=28_536_113, gmacs=7.6450, config=HRNET
)
_PCR_R50_SE = Training(name="pcr-r50-se", model=TABLE_3["PCR (R50), SE"].model, parameters=34_871_505, gmacs=5.5147)
_PCR_R50_HDC = Training(name="pcr-r50-hdc", model=TABLE_3["PCR (R50), HDC"].model, parameters=33_216_337, gmacs=5.9549)
_PCR_R50_AD = Training(name="pcr-r50-ad", model=TABLE_3["PCR (R50), AD"].model, parameters=34_660_962, gmacs=5.5145)
_PCR_R50 = Training(
    name="pcr-r50", model=TABLE_3["PCR (R50), SE + HDC + AD"].model, parameters=33_435_618, gmacs=5.9551
)
_PCR_W32 = Training(
    name="pcr-w32", model=TABLE_3["PCR (HRNet-W32), SE + HDC + AD"].model, parameters=28_574_410, gmacs=7.7567
)
_BASELINE_R152 = Training(
    name="baseline-r152",
    model=TABLE_1["Baseline (R152)"],
    parameters=68_635_473,
    gmacs=28.5734,
    config=SIMPLE_BASELINES,
    augmentation=SIMPLE_AUGMENTATION,
)
_HRNET_W48 = Training(
    name="hrnet-w48", model=TABLE_1["HRNet-W48"], parameters=63_595_745, gmacs=35.3066, config=HRNET_W48
)
_PCR_R152 = Training(name="pcr-r152", model=TABLE_1["PCR (R152)"], parameters=64_871_140, gmacs=26.6754)
_PCR_W48 = Training(
    name="pcr-w48", model=TABLE_1["PCR* (HRNet-W48)"], parameters=63_688_916, gmacs=35.9118, config=HRNET_W48
)


def _on(training: Training, text: str) -> Training:
    """Return the same network, trained by another recipe."""
    return replace(training, name=f"{training.name}-{text.lower().replace('->', '-')}", recipe=Recipe.parse(text))


EXTERNAL = "ACHU->CH"
_OURS_EXTERNAL = "the recipe is ours: the paper says external data"
_PLUS = (_on(_PCR_R152, EXTERNAL), _on(_PCR_W48, EXTERNAL))
_MEAN = "the mean of heatmaps is ours"
_NO_MEMBERS = "a rival's ensemble, whose members and data are not stated"

_ROWS: tuple[TableRow, ...] = (
    TableRow(
        name="table1/baseline-r152",
        label="Baseline (R152)",
        split="test-dev2017",
        published=_metrics(73.7, 91.9, 81.1, 70.3, 80.0, 79.0),
        trainings=(_BASELINE_R152,),
    ),
    TableRow(
        name="table1/baseline-plus-external",
        label="Baseline+* (R152)",
        split="test-dev2017",
        published=_metrics(76.5, 92.4, 84.0, 73.0, 82.7, 81.5),
        note=_NO_MEMBERS,
    ),
    TableRow(
        name="table1/hrnet-w48",
        label="HRNet-W48",
        split="test-dev2017",
        published=_metrics(75.5, 92.5, 83.3, 71.9, 81.5, 80.5),
        trainings=(_HRNET_W48,),
    ),
    TableRow(
        name="table1/hrnet-w48-external",
        label="HRNet-W48*",
        split="test-dev2017",
        published=_metrics(77.0, 92.7, 84.5, 73.4, 83.1, 82.0),
        trainings=(_on(_HRNET_W48, "AC->C"),),
        note=_OURS_EXTERNAL,
    ),
    TableRow(
        name="table1/megvii-plus-external",
        label="Megvii+*",
        split="test-dev2017",
        published=_metrics(78.1, 94.1, 85.9, 74.5, 83.3, 83.1),
        note=_NO_MEMBERS,
    ),
    TableRow(
        name="table1/pcr-r152",
        label="PCR (R152)",
        split="test-dev2017",
        published=_metrics(75.6, 92.6, 83.3, 71.8, 81.1, 80.7),
        trainings=(_PCR_R152,),
    ),
    TableRow(
        name="table1/pcr-r152-external",
        label="PCR* (R152)",
        split="test-dev2017",
        published=_metrics(77.1, 93.0, 84.7, 73.2, 82.7, 82.1),
        trainings=_PLUS[:1],
        note=_OURS_EXTERNAL,
    ),
    TableRow(
        name="table1/pcr-w48-external",
        label="PCR* (HRNet-48)",
        split="test-dev2017",
        published=_metrics(77.9, 93.5, 85.0, 73.9, 83.5, 82.9),
        trainings=_PLUS[1:],
        note=_OURS_EXTERNAL,
    ),
    TableRow(
        name="table1/pcr-plus-external",
        label="PCR+* (R152, HRNet-48)",
        split="test-dev2017",
        published=_metrics(78.9, 93.8, 86.0, 75.0, 84.5, 83.6),
        trainings=_PLUS,
        note=f"{_OURS_EXTERNAL}; {_MEAN}",
    ),
    TableRow(
        name="table2/test-dev",
        label="PCR+* (test-dev)",
        split="test-dev2017",
        published=_metrics(None, 93.8, 86.0, None, 84.5, None),
        trainings=_PLUS,
        note=f"AP, APM and AR are illegible in our copy; the boxes, of person AP 60.6, are not published; {_MEAN}",
        own_detections=True,
    ),
    TableRow(
        name="table2/test-challenge",
        label="PCR+* (test-challenge)",
        split="test-challenge2019",
        published=_metrics(75.5, 92.3, 82.1, 69.9, 82.8, 81.1),
        trainings=_PLUS,
        note=f"only the challenge's server measures it; the boxes are not published; {_MEAN}",
        own_detections=True,
    ),
    *(
        TableRow(
            name=f"table3/{training.name}",
            label=label,
            split="val2017",
            published=_metrics(ap, ar),
            trainings=(training,),
        )
        for training, label, ap, ar in (
            (_BASELINE_R50, "Baseline", 70.4, 76.3),
            (_HRNET_W32, "HRNet-W32", 74.4, 79.8),
            (_PCR_R50_SE, "PCR (R50), SE", 72.8, 78.7),
            (_PCR_R50_HDC, "PCR (R50), HDC", 72.6, 78.5),
            (_PCR_R50_AD, "PCR (R50), AD", 73.0, 78.7),
            (_PCR_R50, "PCR (R50), SE + HDC + AD", 73.8, 79.3),
            (_PCR_W32, "PCR (HRNet-W32), SE + HDC + AD", 75.8, 81.1),
        )
    ),
    *(
        TableRow(
            name=f"table4/{text.lower().replace('->', '-')}",
            label=f"PCR (R50), {text}",
            split="val2017",
            published=_metrics(ap, ar),
            trainings=(_on(_PCR_R50, text),),
        )
        for text, (ap, ar) in zip(TABLE_4, ((74.8, 80.1), (75.0, 80.4), (75.3, 80.4), (75.6, 80.7)), strict=True)
    ),
)

ROWS: Mapping[str, TableRow] = MappingProxyType({row.name: row for row in _ROWS})


def find_row(name: str) -> TableRow:
    """Return the row of a name.

    Raises:
        ValueError: for an unknown name; the nearest ones are offered.

    Examples:
        >>> find_row("table3/pcr-r50").published["AP"]
        73.8
    """
    if name in ROWS:
        return ROWS[name]
    ending = [known for known in ROWS if known.partition("/")[2] == name]
    close = ending or difflib.get_close_matches(name.lower(), ROWS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else '"pcrpose reproduce" lists them'
    raise ValueError(f"{name}: expected a row of the paper's tables, such as table3/pcr-r50, found none; {hint}")


def in_words(metrics: Mapping[str, float] | None) -> str:
    """Write metrics in percent as ``AP 73.8, AR 79.3``; "not yet run" for None."""
    return NOT_RUN if metrics is None else ", ".join(f"{name} {value:.1f}" for name, value in metrics.items())


def rows_of(table: int) -> Iterator[TableRow]:
    """Yield the rows of a table in the paper's order."""
    return (row for row in ROWS.values() if row.table == table)
