"""The reproduction ledger: the page of all rows of the paper's tables, and the steps of one."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from pcrpose.publishing.reproduce import (
    KNOWN_CROPS,
    KNOWN_GMACS,
    KNOWN_HOURS,
    PERSONS,
    ROWS,
    TableRow,
    Training,
    in_words,
    rows_of,
)
from pcrpose.training.recipe import LETTERS

TITLES: Mapping[int, str] = MappingProxyType(
    {
        1: "Table 1: COCO test-dev, 384x288",
        2: "Table 2: the challenge of 2019, 384x288",
        3: "Table 3: COCO minival (val2017), 256x192",
        4: "Table 4: COCO minival (val2017), ResNet-50, 256x192",
    }
)
WHY_NOT = "because it needs the whole of COCO and many GPU hours"
CANNOT = "cannot be run"
HEAD = "| row | command | data | GPU hours, estimated | paper | measured |\n|---|---|---|---:|---|---|\n"
FORMULA = (
    f"{KNOWN_HOURS} h x crops x GMACs / ({KNOWN_CROPS / 1e6:g} M x {KNOWN_GMACS:.3f}). Crops are epochs x samples; "
    "the constants are those of HRNet-W32, whose author tells of 50 to 60 hours on 4 P100 GPUs"
)
SOURCE = "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch/issues/3"
INTRODUCTION = f"""# Reproduction

<!-- written by: pcrpose reproduce --page > docs/reproduction.md -->

Every row of the paper's tables 1 to 4: the command that reproduces it, what it needs, and what was measured.
"Not yet run" means that nobody has run it, {WHY_NOT}.
Metrics are in percent, as the paper prints them.

```console
pcrpose reproduce
pcrpose reproduce table3/pcr-r50
```

The first lists the rows, the second prints the steps of one. `--run` takes them, with the files that
[Full COCO](learn/full-coco.md) lists. `--subset COCO_FOLDER` takes the same steps with any part of COCO, in minutes on
a laptop: the row's own configurations for two optimizer steps per stage, and 16 persons through detected boxes,
mirrored test, ensemble, rescoring, OKS-NMS and the results file. Its output is a pipeline check, not a result.

GPU hours are an estimate for one P100, not a measurement: {FORMULA}
([issue 3 of its repository]({SOURCE})); a later GPU takes fewer.
An epoch counts {PERSONS["C"]:,} persons of COCO, {PERSONS["A"]:,} of AI Challenger and {PERSONS["U"]:,} with
pseudo-labels (section 3.1 of the paper), and one hard negative to eight persons. Rows with U need `table1/pcr-r152`
first, which makes the pseudo-labels; its hours are not added.
"""
LETTERS_NOTE = "Letters: " + ", ".join(f"{letter} {meaning}" for letter, meaning in LETTERS.items()) + "."


def page() -> str:
    """Return the ledger as a page of the documentation."""
    return INTRODUCTION + f"\n{LETTERS_NOTE}\n" + "".join(f"\n{_table(number)}" for number in TITLES)


def listing() -> str:
    """Return one line per row, for a terminal."""
    lines = [f"{'row':<30} {'paper AP':>9}  {'measured AP':<13} {'GPU hours, estimated':>20}"]
    for row in ROWS.values():
        paper = f"{row.published['AP']:.1f}" if "AP" in row.published else "illegible"
        measured = _measured(row) if row.measured is None else f"{row.measured['AP']:.1f}"
        lines.append(f"{row.name:<30} {paper:>9}  {measured:<13} {_hours(row):>20}")
    return "\n".join([*lines, '"pcrpose reproduce NAME" prints the steps of a row']) + "\n"


def describe(row: TableRow) -> str:
    """Return what a row needs, its steps, and the metrics."""
    lines = [f"{row.name}: {row.label}, {row.split}", f"paper: {in_words(row.published)}"]
    lines.append(f"measured: {_measured(row)}" + f", {WHY_NOT}" * (row.measured is None and bool(row.trainings)))
    lines += [f"note: {row.note}"] * bool(row.note)
    if not row.trainings:
        return "\n".join(lines) + "\n"
    lines += [f"network: {_network(training)}" for training in row.trainings]
    lines.append(f"data: {'; '.join(_needs(row))}")
    lines.append(f"GPU hours: {_hours(row)}, an estimate: {FORMULA}")
    lines += [f"{number}. {step}" for number, step in enumerate(steps(row), start=1)]
    return "\n".join(lines) + "\n"


def steps(row: TableRow) -> list[str]:
    """Return the commands of a row in order, with the folders ``coco``, ``aic`` and ``runs``."""
    found = []
    if "H" in row.letters:
        annotations = "coco/annotations/person_keypoints_train2017.json"
        found.append(f"pcrpose mine {annotations} train_boxes.json --out coco/pcrpose/negatives.json")
    if "U" in row.letters:
        found.append("pcrpose reproduce table1/pcr-r152 --run --coco coco --out runs")
        found.append(
            "pcrpose pseudo-label coco/unlabeled2017 --detector unlabelled_boxes.json "
            "--model runs/pcr-r152/stage-1-C/final --threshold 0.9 --out coco/pcrpose/pseudo.json"
        )
    folders = "--coco coco" + " --aic aic" * ("A" in row.letters)
    boxes = " --detections boxes.json" * row.own_detections
    found.append(f"pcrpose reproduce {row.name} --run {folders}{boxes} --out runs")
    if row.split != "val2017":
        archive = f"runs/{row.name.replace('/', '-')}/person_keypoints_{row.split}_pcrpose_results.zip"
        found.append(f"upload {archive} to COCO's evaluation server")
    return found


def _network(training: Training) -> str:
    stages = ", ".join(
        f"{stage.sources} {stage.configure(training.config).epochs} epochs" for stage in training.recipe.stages
    )
    size = f"{training.parameters / 1e6:.1f} M parameters, {training.gmacs:.1f} GMACs"
    return f"{training.name}, {training.model.input_size}, {size}; {stages}, batch {training.config.batch_size}"


def _needs(row: TableRow) -> Iterator[str]:
    """Yield the data of a row, in words."""
    names = {
        "A": "AI Challenger's training set",
        "C": "COCO train2017",
        "H": "a detector's boxes on train2017",
        "U": "COCO unlabeled2017 with a detector's boxes",
    }
    yield from (names[letter] for letter in row.letters)
    yield "COCO val2017" if row.split == "val2017" else "COCO test2017"
    yield "a detector's boxes on it" if row.own_detections else "its published boxes"
    yield "ImageNet's weights of " + " and ".join(dict.fromkeys(training.encoder for training in row.trainings))


def _table(number: int) -> str:
    rows = list(rows_of(number))
    notes = [f"- `{row.name}`: {row.note}.\n" for row in rows if row.note]
    return f"## {TITLES[number]}\n\n{HEAD}" + "".join(map(_line, rows)) + _list(notes)


def _list(notes: Sequence[str]) -> str:
    return "\n" + "".join(notes) if notes else ""


def _line(row: TableRow) -> str:
    if row.trainings:
        recipes = " and ".join(dict.fromkeys(str(training.recipe) for training in row.trainings))
        cells = [f"`pcrpose reproduce {row.name} --run`", f"`{recipes}`", _hours(row)]
    else:
        cells = ["none", "not stated", ""]
    return f"| {' | '.join([row.label, *cells, in_words(row.published), _measured(row)])} |\n"


def _measured(row: TableRow) -> str:
    return in_words(row.measured) if row.trainings else CANNOT


def _hours(row: TableRow) -> str:
    """Write the estimate with the two digits that it is worth."""
    return f"{float(f'{row.gpu_hours:.2g}'):,.0f}" if row.trainings else ""
