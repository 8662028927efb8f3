"""The paper's tables 3 and 4 in miniature: equal small budgets, real images, three seeds, paired differences.

    PYTHONPATH=examples python benchmarks/miniature.py train --shared FOLDER --out runs
    python benchmarks/miniature.py report --out runs --json benchmarks/miniature.json

FOLDER has coco/, lsp/, lspet/ and unlabelled/. Every row sees 10,240 crops of 192x128 (160 steps of 64) with the
encoder of pcr-small, which already knows people, frozen; so only the decoder learns, and a run takes minutes. Table 3
compares the decoder's parts on COCO. Table 4 compares recipes: A is Leeds Sports, both sets; U is ``unlabelled``,
labelled by pcr-small; H is ``negatives_coco_subset.json``. Measured are AP on the subset of COCO val2017 (annotated
boxes, mirrored) and, on the persons of ``set_aside.json``, the divergence between heatmap and target and PCK within
0.05 of the box. A run that is finished is not done again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from set_aside import LIST, PARTS, read_set_aside
from torch.utils.data import DataLoader
from train_zoo import PLAIN, SMALL

from pcrpose import (
    COCO_17,
    PCR,
    Augmentation,
    CocoEvaluator,
    KeypointDataset,
    PCRConfig,
    PosePredictor,
    Recipe,
    Sample,
    Size,
    Source,
    load_model,
    read_coco,
    run_recipe,
)
from pcrpose.data.readers.negatives import read_negatives
from pcrpose.evaluation.matching import curves
from pcrpose.inference.validate import validate
from pcrpose.keypoints.arrays import Floats, Indices
from pcrpose.models.loss import cross_entropy
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.start import Encoder

NEGATIVES = Path(__file__).with_name("negatives_coco_subset.json")
SEEDS = (0, 1, 2)
SURE = 0.5  # keypoint score from which pcr-small's keypoints are labels
NEAR, PADDING = 0.05, 1.25  # PCK: fraction of the box's height, which is the crop's without its padding
DRAWS = 1000
METRICS = ("ap", "pck", "divergence")

FULL = replace(SMALL, input_size=Size(width=128, height=192))
FIRST = replace(
    PLAIN,
    epochs=2,
    warmup_steps=20,
    ema_decay=0.98,
    freeze=("encoder.*",),
    num_workers=0,
    checkpoint_every_steps=1000,
)
SECOND = replace(FIRST, epochs=1, learning_rate=1e-3, warmup_steps=5)
CHANGED = Augmentation(rotation=40.0, color_jitter=0.2)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a miniature table: the network, the recipe, and how many samples of each letter an epoch takes."""

    table: int
    model: PCRConfig
    recipe: str
    per_epoch: Mapping[str, int]


def _parts(*, se: bool = False, hdc: bool = False, auxiliary: bool = False, residual: bool = True) -> Row:
    model = replace(FULL, se=se, hdc=hdc, auxiliary=auxiliary, residual=residual)
    return Row(table=3, model=model, recipe="C", per_epoch={"C": 5120})


def _recipe(recipe: str, **per_epoch: int) -> Row:
    return Row(table=4, model=FULL, recipe=recipe, per_epoch=per_epoch)


# Two epochs of 3,840 crops and one of 2,560 are as many as two of 5,120.
ROWS: Mapping[str, Row] = {
    "baseline": _parts(residual=False),
    "SE": _parts(se=True),
    "HDC": _parts(hdc=True),
    "AD": _parts(auxiliary=True),
    "SE + HDC + AD": _parts(se=True, hdc=True, auxiliary=True),
    "A->C": _recipe("A->C", A=3840, C=2560),
    "AC->C": _recipe("AC->C", A=1280, C=2560),
    "ACH->CH": _recipe("ACH->CH", A=1280, C=2280, H=280),
    "ACHU->CH": _recipe("ACHU->CH", A=760, C=2280, H=280, U=520),
}
FIRST_OF_TABLE = {3: "baseline", 4: "A->C"}


def main() -> None:
    """Train and measure all rows, or report what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "report"))
    parser.add_argument("--shared", type=Path, help="the folder with the data sets' folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=int, choices=(3, 4), action="append", help="this one alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tables = options.table or [3, 4]
    if options.what == "train":
        train(options.shared, options.out, tables)
    else:
        report(options.out, tables, options.json)


def train(shared: Path, out: Path, tables: Sequence[int]) -> None:
    """Train and measure what is not there yet, seed after seed, so that early rows of a table can be compared."""
    out.mkdir(parents=True, exist_ok=True)
    encoder = out / "encoder.safetensors"
    save_file(
        {name: value.contiguous() for name, value in PCR.from_pretrained("pcr-small").encoder.state_dict().items()},
        encoder,
    )
    samples = read_samples(shared, tables)
    for seed in SEEDS:
        for name, row in ROWS.items():
            measured = result_file(out, name, seed)
            if row.table not in tables or measured.exists():
                continue
            sources = {letter: replace(samples[letter], per_epoch=count) for letter, count in row.per_epoch.items()}
            configs = [replace(config, seed=10 * seed) for config in (FIRST, SECOND)]
            final = run_recipe(
                Recipe.parse(row.recipe),
                sources,
                row.model,
                measured.with_suffix(""),
                configs=configs if row.table == 4 else configs[:1],  # noqa: PLR2004 - its recipes have two stages
                start=Encoder(encoder),
            )
            values = measure(load_model(final), shared / "coco")
            np.savez(measured, **values)
            print(
                f"{name}, seed {seed}: " + ", ".join(f"{key} {values[key].mean():.4f}" for key in METRICS), flush=True
            )


def result_file(out: Path, name: str, seed: int) -> Path:
    """Return where a run's measured values are."""
    return out / f"{name.replace(' + ', '-').replace('->', '-to-')}-{seed}.npz"


def read_samples(shared: Path, tables: Sequence[int]) -> dict[str, Source]:
    """Read what the letters stand for; A, H and U only where table 4 asks for them."""
    coco = shared / "coco"
    left_out = set(json.loads(LIST.read_text(encoding="utf-8"))["image_ids"])
    persons = [read_coco(coco / f"annotations/person_keypoints_{part}.json", coco / part).samples for part in PARTS]
    train_samples = [sample for part in persons for sample in part if sample.image_id not in left_out]
    letters = {"C": (train_samples, COCO_17)}
    if 4 in tables:  # noqa: PLR2004
        sports = read_coco(shared / "lsp/annotations_train.json", shared / "lsp/train")
        extended = read_coco(shared / "lspet/annotations.json", shared / "lspet/images")
        negatives = [each for each in read_negatives(NEGATIVES, coco / "train") if each.image_id not in left_out]
        letters |= {
            "A": ([*sports.samples, *extended.samples], sports.skeleton),
            "H": (negatives, COCO_17),
            "U": (pseudo_labels(shared / "unlabelled"), COCO_17),
        }
    return {
        letter: Source(samples=samples, skeleton=skeleton, augmentation=CHANGED, cache="decoded")
        for letter, (samples, skeleton) in letters.items()
    }


def pseudo_labels(folder: Path) -> list[Sample]:
    """Label the boxed person of every unlabelled image with what pcr-small is sure of."""
    content = json.loads((folder / "actions_boxes.json").read_text(encoding="utf-8"))
    files = {image["id"]: folder / "actions" / image["file_name"] for image in content["images"]}
    boxes = {each["image_id"]: np.array(each["bbox"]) for each in content["annotations"]}
    corners = [np.concatenate([box[:2], box[:2] + box[2:]])[None] for box in boxes.values()]
    predictor = PosePredictor(PCR.from_pretrained("pcr-small"))
    labelled = []
    poses = predictor.predict_batch([files[image] for image in boxes], corners)
    for (image, box), pose in zip(boxes.items(), poses, strict=True):
        sure = pose.keypoint_scores[0] > SURE
        if sure.any():
            labelled.append(
                Sample(
                    image=files[image],
                    image_id=image,
                    box_xyxy=pose.boxes_xyxy[0],
                    keypoints=pose.keypoints[0],
                    visibility=np.where(sure, 2, 0),
                    area=float(0.53 * box[2] * box[3]),
                )
            )
    kept = sum(int((sample.visibility > 0).sum()) for sample in labelled)
    print(f"U: {len(labelled)} persons, {kept / len(boxes) / COCO_17.num_keypoints:.2f} of the keypoints kept")
    return labelled


def measure(model: PoseModel[Any], coco: Path) -> dict[str, Any]:
    """Measure on val and on the persons set aside; the latter person by person."""
    annotations = coco / "annotations/person_keypoints_val.json"
    evaluator = CocoEvaluator(annotations)
    validate(PosePredictor(model), read_coco(annotations, coco / "val"), evaluator)
    matches = evaluator._matches()  # noqa: SLF001 - what the library's own bootstrap resamples
    rng = np.random.default_rng(0)
    drawn = [np.sort(rng.integers(0, matches.num_images, matches.num_images)) for _ in range(DRAWS)]
    persons, _ = read_set_aside(coco)
    return {
        "ap": np.array(evaluator.compute().ap),
        "ap_draws": np.array([curves(matches, images).metrics()[0] for images in drawn]),
        "images": np.array([sample.image_id for sample in persons.samples]),
        **heatmap_errors(model, persons.samples),
    }


@torch.inference_mode()
def heatmap_errors(model: PoseModel[Any], samples: Sequence[Sample]) -> dict[str, Floats]:
    """Compute PCK and the divergence of each person: ``(N,)`` each, without the mirrored crop."""
    config, codec = model.config, model.config.codec()
    crops = KeypointDataset(samples, source_skeleton=COCO_17, crop=config.crop_spec)
    hits, divergences = [], []
    for batch in DataLoader(crops, batch_size=32):
        heatmaps = model(config.normalize(batch["crop"])).final
        truth, weights = batch["keypoints_crop"], batch["keypoint_weights"]
        found, _ = codec.decode(heatmaps)
        near = torch.linalg.vector_norm(found - truth, dim=2) <= NEAR * config.input_size.height / PADDING
        hits.append((near * weights).sum(dim=1) / weights.sum(dim=1))
        targets, target_weights = codec.encode(truth, weights)
        logits = heatmaps.clamp_min(torch.finfo(torch.float32).tiny).log()
        divergences += [
            cross_entropy(logits[each : each + 1], targets[each : each + 1], target_weights[each : each + 1])
            for each in range(len(logits))
        ]
    return {"pck": torch.cat(hits).numpy(), "divergence": torch.stack(divergences).numpy()}


def report(out: Path, tables: Sequence[int], file: Path | None) -> None:
    """Print the tables, the differences to the first row of each, and which of them exceed their interval."""
    rows = []
    for name, row in ROWS.items():
        if row.table in tables:
            runs, firsts = (
                [dict(np.load(result_file(out, each, seed))) for seed in SEEDS]
                for each in (name, FIRST_OF_TABLE[row.table])
            )
            compared = {key: compare(runs, firsts, key) for key in METRICS}
            rows.append({"table": row.table, "row": name, **compared})
            cells = [f"{each['value']:.3f} ({each['low']:+.3f} to {each['high']:+.3f})" for each in compared.values()]
            print(f"| {row.table} | {name} | {' | '.join(cells)} |")
    if file is not None:
        what = (
            "mean of three seeds; difference to the table's first row, 95 % interval of a paired bootstrap over images"
        )
        command = "python benchmarks/miniature.py train --shared FOLDER --out runs"
        file.write_text(json.dumps({"command": command, "what": what, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def compare(runs: Sequence[Mapping[str, Any]], firsts: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Compare the mean over seeds with that of the table's first row, on the same resampled images."""
    each = [float(np.mean(run[key]) - np.mean(first[key])) for run, first in zip(runs, firsts, strict=True)]
    if key == "ap":
        draws = np.mean([run["ap_draws"] - first["ap_draws"] for run, first in zip(runs, firsts, strict=True)], axis=0)
    else:
        persons = np.mean([run[key] - first[key] for run, first in zip(runs, firsts, strict=True)], axis=0)
        draws = resample(persons, runs[0]["images"])
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "value": round(float(np.mean([np.mean(run[key]) for run in runs])), 4),
        "difference": round(float(np.mean(each)), 4),
        "difference_of_each_seed": [round(value, 4) for value in each],
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "exceeds": bool(low > 0 or high < 0) and len({value > 0 for value in each}) == 1,
    }


def resample(persons: Floats, images: Indices) -> Floats:
    """Draw images with replacement, their persons together; return the mean over persons of each draw."""
    _, owners = np.unique(images, return_inverse=True)
    sums, counts = np.bincount(owners, persons), np.bincount(owners)
    drawn = np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))
    means: Floats = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


if __name__ == "__main__":
    main()
