"""What helps the zoo's models: one more epoch from shipped weights, each time with one thing changed.

    PYTHONPATH=examples python benchmarks/ablations.py --shared FOLDER --out runs --json benchmarks/ablations.json

FOLDER has coco/, lsp/ and unlabelled/. Every run begins from the same weights (--start) and takes 163 steps of 64 crops
as `examples/train_zoo.py` trains, at half its rate. Measured are AP on the subset of COCO val2017 (annotated boxes,
mirrored) and PCK within 0.1 of the torso on Leeds Sports; differences are to the run in which nothing was changed, on
equal resamples, 95 %. Weights that have seen other data than COCO are for this table alone and never ship.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from compare_models import compare, evaluate
from lsp_pck import hit_rates, summary
from miniature import read_samples
from train_zoo import DEPTHWISE, FIRST_BLOCKS, STRONGER, TUNED

from pcrpose import PCR, Augmentation, MixedDataset, Trainer, read_coco

CROPS = 163 * 64
PCK = 0.1


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is other than in the run in which nothing is.

    Attributes:
        augmentation: of all crops.
        others: samples per epoch of other letters than C, in C's place; those of `miniature.read_samples`.
        config: fields of the network's configuration.
        train: fields of the training's.
        teacher: whose heatmaps are learnt beside the labels.
    """

    augmentation: Augmentation = STRONGER
    others: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    teacher: str | None = None


CHANGES: Mapping[str, Change] = {
    "nothing": Change(),
    "rectangles erased from half of the crops": Change(
        augmentation=replace(STRONGER, erase_probability=0.5, erase_area=(0.02, 0.2))
    ),
    "no half bodies": Change(augmentation=replace(STRONGER, half_body_probability=0.0)),
    "nothing blacked out": Change(config={"blackout": None}),
    "hard negatives, one to eight persons": Change(others={"H": CROPS // 9}),
    "Leeds Sports in the place of a fifth": Change(others={"A": CROPS // 5}),
    "pseudo-labels of unlabelled images in the place of a fifth": Change(others={"U": CROPS // 5}),
    "pcr-small as the teacher": Change(teacher="pcr-small"),
    "depthwise filters trained": Change(train={"freeze": FIRST_BLOCKS}),
    "encoder frozen": Change(train={"freeze": ("encoder.*",)}),
    "first blocks trained": Change(train={"freeze": DEPTHWISE}),
}


def main() -> None:
    """Train what is not there yet, measure all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with the data sets' folders")
    parser.add_argument("--start", default="pcr-nano", help="zoo name or folder (%(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=list(CHANGES), action="append", help="train and measure this one alone")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    samples = read_samples(options.shared, (3, 4))
    names = options.only or list(CHANGES)
    folders = {name: train(change, samples, options, name) for name, change in CHANGES.items() if name in names}
    rows = measure({"the weights it began from": options.start, **folders}, options.shared)
    content = {
        "command": "python benchmarks/ablations.py --shared FOLDER --out runs --json benchmarks/ablations.json",
        "what": f"one more epoch of {Path(options.start).name}, each time one thing changed",
        "rows": rows,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def train(change: Change, samples: Mapping[str, Any], options: argparse.Namespace, name: str) -> str:
    """Train one run, or go on with it; return the folder of its weights."""
    start = PCR.from_pretrained(options.start)
    torch.manual_seed(0)
    model = PCR(replace(start.config, **change.config))
    model.load_state_dict(start.state_dict())
    counts = {"C": CROPS - sum(change.others.values()), **change.others}
    sources = [replace(samples[letter], augmentation=change.augmentation) for letter in counts]
    config = replace(TUNED, epochs=1, learning_rate=1e-3, quotas=tuple(counts.values()))
    teacher = None if change.teacher is None else PCR.from_pretrained(change.teacher)
    crops = MixedDataset([source.crops(model.config) for source in sources])
    folder = options.out / name.replace(" ", "-").replace(",", "")
    return str(Trainer(model, crops, folder, replace(config, **change.train), teacher=teacher).train())


def measure(models: Mapping[str, str], shared: Path) -> list[dict[str, Any]]:
    """Measure every model and its difference to the run in which nothing was changed."""
    persons = read_coco(shared / "lsp/annotations_val.json", shared / "lsp/val")
    evaluators = {name: evaluate(model, shared / "coco") for name, model in models.items()}
    hits = {name: hit_rates(model, persons, PCK) for name, model in models.items()}
    rows = []
    for name in models:
        row = compare(name, evaluators[name], evaluators["nothing"])
        rows.append({**row, f"lsp_pck@{PCK}": summary(hits[name], hits["nothing"])})
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
