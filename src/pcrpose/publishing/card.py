"""Model cards: intended use, how to use it, results, training data and terms.

A card is built from values, and raises where they do not bear it out: a claim of the zoo that no measurement shows, an
image that is not there. ``benchmarks/zoo_figures.py`` writes the measurements, ``benchmarks/zoo_cards.py`` the cards of
the models that ship.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import EvalResult, ModelCardData

from pcrpose.files.atomic import write_text
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.zoo import Conditions, Metric, ZooEntry, conditions
from pcrpose.publishing.measurement import SHOWN, Measurement

CARD_FILE = "README.md"

TASK = "keypoint-detection"
TAGS = ["pose-estimation", TASK, "pcrpose"]
INTENDED_USE = """\
For finding the keypoints of people in images: to try out, to teach, for research, and as a start for training on your
own keypoints. Not for recognizing, judging or watching anybody: do not decide anything about a person with it."""
USUAL_LIMITS = (
    "It sees one box at a time: a box that is wrong or holds two people gives a wrong pose.",
    "`keypoint_scores` are the heights of heatmap peaks, not probabilities.",
)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """A data set that a model was trained on.

    Attributes:
        name: ``"Leeds Sports Pose Extended"``.
        extent: how much of it: ``"10,000 persons"``.
        terms: on which it may be used: ``"for research, with citation"``.
        citation: what its makers ask to be cited.
        hub_id: ``owner/name`` of the data set on the Hub, where it has one.
    """

    name: str
    extent: str
    terms: str
    citation: str = ""
    hub_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model was trained, in epochs and crops, which mean the same on every machine.

    Attributes:
        method: Markdown: what the recipe's letters stand for here, losses, schedules, augmentation, departures.
        data: every data set, also those that only gave an initialization.
        seed: of the run.
        epochs: in all stages together.
        crops: seen in all stages together.
    """

    method: str
    data: tuple[TrainingData, ...]
    seed: int
    epochs: float
    crops: int


@dataclass(frozen=True, kw_only=True)
class License:
    """Terms of the weights.

    Attributes:
        identifier: as the Hub lists them: ``"apache-2.0"``, or ``"other"`` with a name.
        name: of another license: ``"research-use-with-citation"``.
        terms: one sentence that says what is allowed.
    """

    identifier: str
    terms: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything a card states.

    Attributes:
        entry: the model in the zoo.
        config: the model's.
        measurements: rows of the table of results.
        training: how it was trained, and on what.
        license: of the weights.
        lacks: what is known to be missing or weak, one sentence each; at least one.
        image: file name of a drawn image, relative to the card.
        intended_use: Markdown, in place of the usual text.
        load_as: name for `load_model`; the entry's by default.

    Raises:
        ValueError: if there is no measurement, no data set or nothing that the model lacks, if intervals of
            different confidence meet, or if the license or a metric of the entry is not that of the card.
    """

    entry: ZooEntry
    config: PoseConfig
    measurements: tuple[Measurement, ...]
    training: Training
    license: License
    lacks: tuple[str, ...]
    image: str | None = None
    intended_use: str = INTENDED_USE
    load_as: str | None = None

    def __post_init__(self) -> None:
        for name, values in (
            ("measurements", self.measurements),
            ("training.data", self.training.data),
            ("lacks", self.lacks),
        ):
            if not values:
                raise ValueError(f"card of {self.entry.name}: expected {name}, found none")
        confidences = {measurement.confidence for measurement in self.measurements}
        if len(confidences) > 1:
            raise ValueError(f"measurements: expected intervals of one confidence, found {sorted(confidences)}")
        self._check_claims()

    def _check_claims(self) -> None:
        """Raise ValueError for what the zoo says and the measurements do not."""
        entry = self.entry
        if entry.license != self.license.identifier:
            raise ValueError(f"{entry.name}: license: expected {self.license.identifier!r}, found {entry.license!r}")
        measured = {Conditions(row.data, row.boxes): _results(row) for row in self.measurements if row.flip}
        for key, metrics in entry.metrics.items():
            results = measured.get(conditions(key), {})
            for name, metric in metrics.items():
                if str(results.get(name)) != str(metric):
                    raise ValueError(f"{entry.name}: {key}: {name} {metric} is not measured, found {results}")

    def __str__(self) -> str:
        """Return the card's text: the Hub's metadata, then Markdown."""
        return f"---\n{self._metadata().to_yaml()}\n---\n\n" + "\n".join(
            f"{paragraph.rstrip()}\n" for paragraph in self._paragraphs()
        )

    def _metadata(self) -> ModelCardData:
        return ModelCardData(
            library_name="pcrpose",
            pipeline_tag=TASK,
            license=self.license.identifier,
            license_name=self.license.name or None,
            tags=TAGS,
            datasets=[source.hub_id for source in self.training.data if source.hub_id] or None,
            model_name=self.entry.name,
            eval_results=[result for measurement in self.measurements for result in hub_results(measurement)],
        )

    def _paragraphs(self) -> Iterator[str]:
        entry, config = self.entry, self.config
        yield f"# {entry.name}"
        yield entry.summary
        yield (
            f"{entry.architecture}: {config.skeleton.num_keypoints} keypoints ({config.skeleton.name}) from a "
            f"{config.input_size} (height x width) crop of one person, {entry.parameters / 1e6:.2f} M parameters, "
            f"{entry.gmacs:.2f} GMACs per crop."
        )
        if self.image is not None:
            yield f"![Poses that {entry.name} found](<{self.image}>)"
        yield "## Intended use"
        yield self.intended_use
        yield from how_to_use(self.load_as or entry.name)
        yield from tabulate(self.measurements)
        yield from self._origin()
        yield "## Limits"
        yield "\n".join(f"- {limit}" for limit in (*self.lacks, *USUAL_LIMITS))

    def _origin(self) -> Iterator[str]:
        """Yield where the weights come from and on what terms."""
        training = self.training
        yield "## Training"
        yield f"Recipe `{self.entry.recipe}`. {training.method}"
        yield f"Seed {training.seed}, {training.epochs:g} epochs, {training.crops:,} crops seen."
        yield "## Data and license"
        yield "\n".join(_source_line(source) for source in training.data)
        yield f"The weights: {self.license.terms} The code is Apache-2.0."


def write_card(folder: str | Path, card: Card) -> Path:
    """Write a card beside the weights; the file appears whole or not at all.

    Returns:
        The file, ``README.md``.

    Raises:
        FileNotFoundError: if there is no such folder, or the card's image is not in it.
        ValueError: if the image is not named relative to the folder.
    """
    target = Path(folder) / CARD_FILE
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{folder}: expected the folder of the model")
    if card.image is not None:
        name = PurePosixPath(card.image)
        if name.is_absolute() or ".." in name.parts or "\\" in card.image:
            raise ValueError(f"image: expected a name inside {folder}, found {card.image!r}")
        if not (target.parent / name).is_file():
            raise FileNotFoundError(f"{folder}: expected the card's image {card.image!r} in it")
    write_text(target, str(card))
    return target


def hub_results(measurement: Measurement) -> Iterator[EvalResult]:
    """Yield the metrics as the Hub shows them beside a model."""
    condition = f"boxes: {measurement.boxes}; {'with' if measurement.flip else 'without'} the mirrored crop"
    for column, key in SHOWN.items():
        yield EvalResult(
            task_type=TASK,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", measurement.data.lower()).strip("-"),
            dataset_name=measurement.data,
            metric_type=key,
            metric_name=f"{column} ({condition})",
            metric_value=round(measurement.metrics[key], 3),
        )


def how_to_use(name: str, *, ensemble: bool = False) -> Iterator[str]:
    """Yield the paragraphs that show how to load a model, or an ensemble, and find a pose with it."""
    load = "Ensemble.load" if ensemble else "load_model"
    names = "Ensemble, PosePredictor" if ensemble else "PosePredictor, load_model"
    yield "## How to use"
    yield f"""\
```python
from PIL import Image
from pcrpose import {names}

image = Image.open("image.jpg")
poses = PosePredictor({load}({json.dumps(name)})).predict(image, boxes_xyxy=[[20, 15, 365, 511]])
poses.draw(image).save("poses.png")
```"""
    yield "A box is left, top, right, bottom of one person, in pixels; so are x and y of `poses.keypoints`."


def tabulate(measurements: tuple[Measurement, ...]) -> Iterator[str]:
    """Yield the paragraphs of results, one at least, with their intervals."""
    yield "## Results"
    decodings = " and ".join(sorted({f"`{measurement.decoding}`" for measurement in measurements}))
    yield (
        f"In brackets: {100 * measurements[0].confidence:g} % intervals, bootstrap over images. "
        "None of the images was trained on.\n"
        "Results on a part of a data set do not compare with published ones on the whole. "
        f"Decoding: {decodings}."
    )
    head = ["data", "boxes", "mirrored crop", *SHOWN]
    lines = [head, ["---"] * len(head)]
    for row in measurements:
        mirrored = "averaged in" if row.flip else "no"
        lines.append([row.data, row.boxes, mirrored, *map(str, _results(row).values())])
    yield "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _results(measurement: Measurement) -> dict[str, Metric]:
    """Return the metrics of `SHOWN` with their intervals, by column."""
    return {column: Metric(measurement.metrics[key], *measurement.intervals[key]) for column, key in SHOWN.items()}


def _source_line(source: TrainingData) -> str:
    cite = f" Please cite: {source.citation.rstrip('.')}." if source.citation else ""
    return f"- {source.name}, {source.extent}: {source.terms.rstrip('.')}.{cite}"
