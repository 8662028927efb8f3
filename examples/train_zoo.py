r"""Train the models of the zoo on a CPU: a chain of runs, each begun from the weights of the one before.

    python examples/convert_movenet.py --model thunder --out movenet-thunder.safetensors
    python examples/train_zoo.py small-frozen --coco COCO --start movenet-thunder.safetensors --out runs
    python examples/train_zoo.py small-tuned --coco COCO --out runs
    python examples/train_zoo.py small-longer --coco COCO --out runs

    python examples/convert_movenet.py --model lightning --out movenet-lightning.safetensors
    python examples/train_zoo.py nano-frozen --coco COCO --start movenet-lightning.safetensors --out runs
    python examples/train_zoo.py nano-distilled --coco COCO --out runs
    python examples/train_zoo.py nano-longer --coco COCO --out runs

``nano-plain`` is ``nano-distilled`` without a teacher, to compare. COCO holds
annotations/person_keypoints_{train,more,val}.json and the images in train/, more/ and val/. The images of
``benchmarks/set_aside.json`` are left out of every run. A run is in the folder of its name; the same command goes on
after an interruption. On Linux the allocator is told to keep freed memory, which makes a step up to 1.6 times as fast.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pcrpose import (
    PCR,
    Augmentation,
    CocoEvaluator,
    CocoValidation,
    KeypointDataset,
    MixedDataset,
    PCRConfig,
    TrainConfig,
    Trainer,
    load_encoder,
    read_coco,
)

SET_ASIDE = Path(__file__).parents[1] / "benchmarks" / "set_aside.json"
PARTS = ("train", "more")
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}

SMALL = PCRConfig(
    encoder="mobilenet_v2_175",
    channels=(128, 96),
    se_norm="none",
    pixel_mean=(0.5, 0.5, 0.5),
    pixel_std=(0.5, 0.5, 0.5),
    heatmaps="probability",
    blackout=1.15,
)
NANO = replace(SMALL, encoder="mobilenet_v2", channels=(64, 64))
PLAIN = TrainConfig(
    epochs=4,
    batch_size=64,
    optimizer="muon",
    learning_rate=3e-3,
    schedule="cosine",
    warmup_steps=100,
    loss="cross_entropy",
    ema_decay=0.998,
    max_grad_norm=5.0,
    precision="bf16",
    num_workers=1,
    checkpoint_every_steps=40,
    validate_every_epochs=1,
    log_every_steps=20,
)
# The first blocks need no more training and are the dearest to train; so are depthwise filters on a CPU.
FIRST_BLOCKS = ("encoder.stem.*", "encoder.blocks.0.*", "encoder.blocks.1.*", "encoder.blocks.2.*")
DEPTHWISE = ("encoder.*.depthwise.*",)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One link of a chain: what it begins from, and how it trains."""

    model: PCRConfig
    train: TrainConfig
    augmentation: Augmentation
    after: str | None = None  # the run whose final weights it begins from; None begins from an encoder
    teacher: str | None = None  # a model whose heatmaps are learnt beside the labels


TUNED = replace(PLAIN, learning_rate=2e-3, encoder_learning_rate_factor=0.2, freeze=(*FIRST_BLOCKS, *DEPTHWISE))
MILD = Augmentation(rotation=30.0, color_jitter=0.2)
STRONGER = Augmentation(rotation=40.0, box_jitter=0.08, color_jitter=0.2)
RUNS: Mapping[str, Run] = {
    "small-frozen": Run(
        model=replace(SMALL, blackout=None), train=replace(PLAIN, freeze=("encoder.*",)), augmentation=MILD
    ),
    "small-tuned": Run(
        model=SMALL,
        train=replace(TUNED, epochs=7),
        augmentation=STRONGER,
        after="small-frozen",
    ),
    "small-longer": Run(
        model=SMALL,
        train=replace(TUNED, epochs=7, encoder_learning_rate_factor=0.3),
        augmentation=replace(STRONGER, erase_probability=0.25),
        after="small-tuned",
    ),
    "nano-frozen": Run(model=NANO, train=replace(PLAIN, freeze=("encoder.*",)), augmentation=STRONGER),
    "nano-plain": Run(model=NANO, train=TUNED, augmentation=STRONGER, after="nano-frozen"),
    "nano-distilled": Run(model=NANO, train=TUNED, augmentation=STRONGER, after="nano-frozen", teacher="pcr-small"),
    "nano-longer": Run(
        model=NANO,
        train=replace(TUNED, epochs=5),
        augmentation=STRONGER,
        after="nano-distilled",
        teacher="pcr-small",
    ),
}


def main() -> None:
    """Read the arguments, prepare the data, train."""
    options = arguments()
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run = RUNS[options.run]
    torch.manual_seed(0)
    model = PCR(run.model)
    start = options.start or (options.out / str(run.after) / "final")
    if run.after is None:
        load_encoder(model, start)
    else:
        model.load_state_dict(PCR.from_pretrained(start).state_dict())
    config = run.train if options.epochs is None else replace(run.train, epochs=options.epochs)
    people = coco_persons(options.coco, run)
    annotations = options.coco / "annotations/person_keypoints_val.json"
    validation = CocoValidation(read_coco(annotations, options.coco / "val"), CocoEvaluator(annotations))
    teacher = None if run.teacher is None else PCR.from_pretrained(run.teacher)
    print(Trainer(model, people, options.out / options.run, config, validate=validation, teacher=teacher).train())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=list(RUNS))
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder with one folder a run")
    parser.add_argument("--start", type=Path, help="encoder or model to begin from, in place of the run before")
    parser.add_argument("--epochs", type=int, help="in place of the run's own number, to try the script")
    options = parser.parse_args()
    if RUNS[options.run].after is None and options.start is None:
        parser.error(f"{options.run} begins from an encoder: name its file with --start")
    return options


def keep_freed_memory() -> None:
    """Start over with an allocator that gives nothing back: pages that are asked for anew are a third of a step."""
    if sys.platform == "linux" and not KEEP_MEMORY.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})  # noqa: S606 - itself


def coco_persons(coco: Path, run: Run) -> MixedDataset:
    """Make crops of all persons but those set aside, every image decoded once."""
    set_aside = json.loads(SET_ASIDE.read_text(encoding="utf-8"))
    left_out = {*set_aside["image_ids"], *map(int, set_aside["leaks"])}
    parts = []
    for name in PARTS:
        source = read_coco(coco / "annotations" / f"person_keypoints_{name}.json", coco / name)
        people = KeypointDataset(
            [sample for sample in source.samples if sample.image_id not in left_out],
            source_skeleton=source.skeleton,
            skeleton=run.model.skeleton,
            crop=run.model.crop_spec,
            augmentation=run.augmentation,
            cache="decoded",
        )
        people.preload()  # worker processes share what is decoded before they start
        parts.append(people)
    return MixedDataset(parts)


if __name__ == "__main__":
    main()
