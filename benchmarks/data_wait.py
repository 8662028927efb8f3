"""Waiting for data: what a crop costs, how many of them a worker delivers, how long a training waits.

    python benchmarks/data_wait.py --coco FOLDER --note "nothing else ran" --json benchmarks/data_wait.json

FOLDER holds annotations/person_keypoints_train.json and the images in train/, of which those in their original size
(640 pixels) are taken. "12 megapixels" are the largest persons among them, enlarged to 4032 pixels with the grain of
a camera. One thread a process; all contestants of a table take turns, round by round.

1. Time of the processor a crop takes, stage by stage.
2. Crops a second that one worker delivers to somebody who does nothing else.
3. Share of the time spent waiting beside a network that takes no processor, as on a GPU: it sleeps.
4. Share of the time spent waiting in real trainings, which take the same processor.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import torch
from contact_sheets import written_whole

from pcrpose.data.augment import Augmentation, CropWindow
from pcrpose.data.dataset import Cache, KeypointDataset
from pcrpose.data.images import REDUCTIONS, decode_image, open_image
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import Sample
from pcrpose.keypoints.boxes import Size, windows
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.batches import BatchStream, PartSampler, whole_batches
from pcrpose.training.events import Event, Step
from pcrpose.training.trainer import Trainer

SMALL, LARGE = Size(width=144, height=192), Size(width=192, height=256)
AUGMENTATION = Augmentation(color_jitter=0.2)
SIZES = (SMALL, LARGE)
CACHES: dict[str, Cache] = {"whole": "none", "cached": "decoded", "reduced": "reduced"}
PADDING, BATCHES = 1.25, 6  # of windows; that a measurement takes
BATCH = {"640 pixels": 32, "12 megapixels": 8}
ENLARGED, WIDE, GRAIN = 12, 4032, 6.0  # images, pixels, deviation in gray levels
RATES = {"640 pixels": (50, 100, 200, 400), "12 megapixels": (10, 25)}  # crops a second of the sleeping network

Row: TypeAlias = dict[str, Any]
Measurement: TypeAlias = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code is 2 after a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, metavar="FOLDER", help="annotated images in COCO's form")
    parser.add_argument("--rounds", type=int, default=5, help="of every table (%(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="of every training, half of them measured (%(default)s)")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args(arguments)
    if options.coco is None:
        print("nothing measured: this needs annotated images, --coco FOLDER")
        return 0
    if options.rounds < 2 or options.steps < 2:  # noqa: PLR2004 - one round has no spread
        parser.error(f"expected --rounds 2 and --steps 2 or more, found {options.rounds} and {options.steps}")
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(options, Path(folder))
    except (OSError, ValueError) as error:
        print(f"data_wait: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace, folder: Path) -> None:
    """Make the four tables; what is measured is written after each of them."""
    images = {"640 pixels": originals(options.coco)}
    images["12 megapixels"] = enlarged(images["640 pixels"], folder)
    record: dict[str, Any] = {
        "command": f"python {Path(__file__).name} --coco FOLDER --rounds {options.rounds} --steps {options.steps}",
        "machine": {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()},
        "note": options.note,
        "load": [os.getloadavg()[0]],  # processes that wanted to run, in the last minute; after each table too
        "images": {name: describe(samples) for name, samples in images.items()},
    }
    tables: dict[str, Callable[[], list[Row]]] = {
        "milliseconds a crop": lambda: stages(images, options.rounds),
        "crops a second, one worker": lambda: delivered(images, options.rounds),
        "share waiting, sleeping network": lambda: sleeping(images, options.rounds),
        "share waiting, training": lambda: trainings(images["640 pixels"], folder, options),
    }
    for title, measure in tables.items():
        record[title] = measure()
        record["load"].append(os.getloadavg()[0])
        print(f"\n### {title}\n")
        for row in record[title]:
            cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in list(row.values())[:-1]]
            print("|", " | ".join(cells), "|")
        if options.json is not None:
            with written_whole(options.json) as file:
                file.write_text(f"{compact(record)}\n", encoding="utf-8")


def compact(record: dict[str, Any]) -> str:
    """Write JSON with one row of a table a line."""
    fields = []
    for name, value in record.items():
        rows = ",\n".join(f"  {json.dumps(row)}" for row in value) if isinstance(value, list) else ""
        fields.append(f" {json.dumps(name)}: " + (f"[\n{rows}\n ]" if rows else json.dumps(value)))
    return "{\n" + ",\n".join(fields) + "\n}"


def originals(coco: Path) -> list[Sample]:
    """Read the persons of the images that were not made smaller."""
    source = read_coco(coco / "annotations/person_keypoints_train.json", coco / "train")
    short = {number: min(size.width, size.height) for number, size in source.image_sizes.items()}
    samples = [sample for sample in source.samples if short[sample.image_id] > 256]  # noqa: PLR2004 - of the others
    if len(samples) < ENLARGED:
        raise ValueError(f"expected {ENLARGED} or more persons in images of their original size, found {len(samples)}")
    return samples


def enlarged(samples: list[Sample], folder: Path) -> list[Sample]:
    """Make images as a telephone takes them: the person fills much of it."""
    rng = np.random.default_rng(0)
    largest = {sample.image_id: sample for sample in sorted(samples, key=lambda sample: sample.area)}
    made = []
    for sample in list(largest.values())[-ENLARGED:]:
        pixels = open_image(sample.image)
        factor = WIDE / max(pixels.shape)
        size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
        grown = np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC), dtype=np.float32)
        grain = GRAIN * rng.standard_normal((*grown.shape[:2], 1), dtype=np.float32)
        path = folder / f"{sample.image_id}.jpg"
        PIL.Image.fromarray(np.clip(grown + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
        points = (sample.keypoints + 0.5) * factor - 0.5
        made.append(replace(sample, image=path, box_xyxy=sample.box_xyxy * factor, keypoints=points))
    return made


def describe(samples: list[Sample]) -> Row:
    """Say what the images are."""
    paths = {sample.image for sample in samples if isinstance(sample.image, Path)}
    kilobytes = statistics.median(path.stat().st_size / 1000 for path in paths)
    shrinks = {str(size): np.array([window_of(s, size).extent[1] / size.height for s in samples]) for size in SIZES}
    return {
        "images": len(paths),
        "persons": len(samples),
        "median_kilobytes": round(kilobytes),
        "share_of_persons_shrunk_to_half_or_less": {name: float((how >= 2).mean()) for name, how in shrinks.items()},  # noqa: PLR2004 - a half
    }


def window_of(sample: Sample, size: Size) -> CropWindow:
    """Give the window round a person, as a data set does."""
    centers, extents = windows([sample.box_xyxy], size.aspect, PADDING)
    return CropWindow(centers[0], extents[0])


def people(samples: list[Sample], size: Size, how: str) -> KeypointDataset:
    """Build a data set: ``"whole"``, ``"reduced"`` or ``"cached"`` images."""
    made = KeypointDataset(
        samples,
        source_skeleton=COCO_17,
        crop=CropSpec(input_size=size, padding=PADDING),
        augmentation=AUGMENTATION,
        cache=CACHES[how],
    )
    if how == "cached":
        made.preload()
    return made


def stages(images: dict[str, list[Sample]], rounds: int) -> list[Row]:
    """Table 1: read, decode, cut, recolor, and the rest of an item: window, targets, tensors."""
    rows = []
    for kind, samples in images.items():
        for size in SIZES:
            for how in ("whole", "reduced"):
                dataset = people(samples, size, how)
                taken = np.random.default_rng(0).permutation(len(samples))[: 8 * rounds]
                spent = np.array([stages_of(dataset, int(index)) for index in taken])[1:]  # the first one warms up
                names = ("read", "decode", "cut", "recolor", "rest")
                means = {name: float(value) for name, value in zip(names, spent.mean(axis=0) * 1000, strict=True)}
                row = {"images": kind, "crop": str(size), "how": how, "all": sum(means.values()), **means}
                rows.append({**row, "raw": (spent * 1000).round(3).tolist()})
    return rows


def stages_of(dataset: KeypointDataset, index: int) -> list[float]:
    """Give the processor's seconds in each stage of one crop."""
    sample, size = dataset.samples[index], dataset.crop.input_size
    rng = np.random.default_rng([dataset.seed, 0, index])
    is_upper = np.arange(17) < 11  # noqa: PLR2004 - COCO's first eleven
    window = AUGMENTATION.draw(window_of(sample, size), sample.keypoints, sample.labelled, is_upper=is_upper, rng=rng)
    crop = window.crop(size)
    shrinks = window.extent[0] / size.width if dataset.cache == "reduced" else 1.0
    reduction = max((reduction for reduction in REDUCTIONS if reduction <= shrinks), default=1)
    times = [time.process_time()]
    encoded = Path(str(sample.image)).read_bytes()
    times.append(time.process_time())
    decoded = decode_image(encoded, reduction=reduction)
    times.append(time.process_time())
    pixels = decoded.warp(crop)[0]
    times.append(time.process_time())
    AUGMENTATION.recolor(pixels, rng)
    times.append(time.process_time())
    dataset[index]
    whole = time.process_time() - times[-1]
    parts = np.diff(times).tolist()
    return [*parts, max(0.0, whole - sum(parts))]


def delivered(images: dict[str, list[Sample]], rounds: int) -> list[Row]:
    """Table 2: what somebody gets who only waits."""
    contestants: dict[tuple[object, ...], Measurement] = {}
    for kind, hows in (("640 pixels", ("whole", "reduced", "cached")), ("12 megapixels", ("whole", "reduced"))):
        for size in SIZES:
            for how in hows:
                batches = stream(people(images[kind], size, how), BATCH[kind], workers=1)
                contestants[kind, str(size), how] = lambda batches=batches: crops_per_second(batches)  # type: ignore[misc]
    return take_turns(("images", "crop", "how"), contestants, rounds)


def crops_per_second(batches: BatchStream) -> float:
    """Count from the first batch on, so that the worker's start does not matter."""
    moments = [time.monotonic() for _ in batches.steps(0)]
    return batches.config.batch_size * (len(moments) - 1) / (moments[-1] - moments[0])


def stream(dataset: KeypointDataset, batch: int, *, workers: int) -> BatchStream:
    """Give batches as a training gets them; small data sets are repeated."""
    config = TrainConfig(epochs=1, batch_size=batch, quotas=(batch * BATCHES,), num_workers=workers)
    return BatchStream(dataset, PartSampler(whole_batches(dataset, config)), config, torch.device("cpu"))


def sleeping(images: dict[str, list[Sample]], rounds: int) -> list[Row]:
    """Table 3: batches for a network that trains at a given rate somewhere else."""
    contestants: dict[tuple[object, ...], Measurement] = {}
    for kind, hows in (("640 pixels", ("whole", "cached")), ("12 megapixels", ("whole", "reduced"))):
        for how in hows:
            dataset = people(images[kind], LARGE, how)
            for rate in RATES[kind]:
                for workers in (0, 1, 2) if kind == "640 pixels" else (2,):
                    batches = stream(dataset, BATCH[kind], workers=workers)
                    contestants[kind, how, rate, workers] = lambda b=batches, r=rate: waited(b, r)  # type: ignore[misc]
    return take_turns(("images", "how", "crops_per_second", "workers"), contestants, rounds)


def waited(batches: BatchStream, rate: int) -> float:
    """Sleep as long as the network would take; the first batch, when workers start, does not count."""
    for step, _ in batches.steps(0):
        if step == 0:
            batches.wait.share()
        time.sleep(batches.config.batch_size / rate)
    return batches.wait.share()


def trainings(samples: list[Sample], folder: Path, options: argparse.Namespace) -> list[Row]:
    """Table 4: a small and a larger network."""
    contestants: dict[tuple[object, ...], Measurement] = {}
    for name, size, batch in (("pcr-nano", SMALL, 32), ("PCR (R50)", LARGE, 8)):
        for workers in (0, 1, 2):
            contestants[name, str(size), batch, workers] = lambda n=name, s=size, b=batch, w=workers: training_waits(  # type: ignore[misc]
                network(n, s), people(samples, s, "whole"), folder, batch=b, workers=w, steps=options.steps
            )
    return take_turns(("network", "crop", "batch", "workers"), contestants, min(options.rounds, 3))


def network(name: str, size: Size) -> PoseModel[Any]:
    """Build a network; what it has learned does not matter."""
    return load_model(name) if name == "pcr-nano" else PCR(PCRConfig(input_size=size))


def training_waits(
    model: PoseModel[Any], dataset: KeypointDataset, folder: Path, *, batch: int, workers: int, steps: int
) -> float:
    """Train a few steps, and return the waiting of the second half."""
    gaussian = model.config.heatmaps == "gaussian"
    config = TrainConfig(
        epochs=1,
        batch_size=batch,
        quotas=(batch * steps,),
        loss="squared_error" if gaussian else "cross_entropy",
        num_workers=workers,
        log_every_steps=steps // 2,
        checkpoint_every_steps=steps + 1,
    )
    waits: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Step):
            waits.append(event.data_wait)

    with tempfile.TemporaryDirectory(dir=folder) as output:
        Trainer(model, dataset, output, config, on_event=note).train()
    return waits[1]


def take_turns(names: Iterable[str], contestants: dict[Any, Measurement], rounds: int) -> list[Row]:
    """Measure everybody once a round, and give the medians with the lowest and the highest value."""
    values: dict[Any, list[float]] = {key: [] for key in contestants}
    for _ in range(rounds):
        for key, measure in contestants.items():
            values[key].append(measure())
    return [
        {
            **dict(zip(names, key, strict=True)),
            "median": statistics.median(raw),
            "lowest": min(raw),
            "highest": max(raw),
            "raw": raw,
        }
        for key, raw in values.items()
    ]


if __name__ == "__main__":
    raise SystemExit(main())
