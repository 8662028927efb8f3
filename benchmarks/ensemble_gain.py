"""What an ensemble and test-time augmentation bring: the paired difference of AP to each member, with its interval.

    python benchmarks/ensemble_gain.py --coco COCO --json benchmarks/ensemble_gain.json

COCO holds annotations/person_keypoints_val.json and val/. Annotated boxes; differences are a paired bootstrap over
images, 95 %. --limit N takes the first N images, to try it out: the file then says so, and its numbers mean nothing.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcrpose import (
    CocoEvaluator,
    Ensemble,
    PosePredictor,
    Size,
    bootstrap_interval,
    load_model,
    paired_difference,
    read_coco,
)
from pcrpose.inference.validate import validate
from pcrpose.models.pose_model import HeatmapModel

SMALL, NANO = "pcr-small", "pcr-nano"
LARGER = Size(width=288, height=384)
MIRRORED = ", mirrored"


@dataclass(frozen=True, kw_only=True)
class System:
    """A model or an ensemble, and what its AP is compared with."""

    build: Callable[[], HeatmapModel]
    flip: bool = True
    against: tuple[str, ...] = ()


SYSTEMS: Mapping[str, System] = {
    f"{SMALL}, not mirrored": System(build=lambda: load_model(SMALL), flip=False),
    f"{NANO}, not mirrored": System(build=lambda: load_model(NANO), flip=False),
    SMALL + MIRRORED: System(build=lambda: load_model(SMALL), against=(f"{SMALL}, not mirrored",)),
    NANO + MIRRORED: System(build=lambda: load_model(NANO), against=(f"{NANO}, not mirrored",)),
    f"{SMALL} and {NANO}, equal weights" + MIRRORED: System(
        build=lambda: Ensemble([SMALL, NANO]), against=(SMALL + MIRRORED, NANO + MIRRORED)
    ),
    f"{SMALL} and {NANO}, weights 3 and 1" + MIRRORED: System(
        build=lambda: Ensemble([SMALL, NANO], weights=[3, 1]), against=(SMALL + MIRRORED, NANO + MIRRORED)
    ),
    f"{SMALL}, paddings 1.1, 1.25 and 1.4" + MIRRORED: System(
        build=lambda: Ensemble.augmented(SMALL, paddings=[1.1, 1.4]), against=(SMALL + MIRRORED,)
    ),
    f"{SMALL}, inputs 256x192 and 384x288" + MIRRORED: System(
        build=lambda: Ensemble.augmented(SMALL, input_sizes=[LARGER]), against=(SMALL + MIRRORED,)
    ),
    f"{NANO}, paddings 1.1, 1.25 and 1.4" + MIRRORED: System(
        build=lambda: Ensemble.augmented(NANO, paddings=[1.1, 1.4]), against=(NANO + MIRRORED,)
    ),
}


def main() -> None:
    """Measure every system, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only, to try it out")
    parser.add_argument("--draws", type=int, default=1000, help="resamples of the bootstrap (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    annotations = options.coco / "annotations" / "person_keypoints_val.json"
    content = first_images(json.loads(annotations.read_text(encoding="utf-8")), options.limit)
    dataset = read_coco(annotations, options.coco / "val")
    measured: dict[str, CocoEvaluator] = {}
    rows = []
    for name, system in SYSTEMS.items():
        measured[name] = CocoEvaluator(content)
        validate(PosePredictor(system.build(), flip=system.flip), dataset, measured[name])
        rows.append(describe(name, measured, system.against, options.draws))
        print(in_words(rows[-1]), flush=True)
    counts = measured[SMALL + MIRRORED].compute()
    what = f"subset of COCO val2017 ({counts.num_images} images, {counts.num_persons} persons), annotated boxes"
    written = {
        "command": "python benchmarks/ensemble_gain.py --coco COCO --json benchmarks/ensemble_gain.json",
        "what": what if options.limit is None else f"try-out, not a result: the first images alone, {what}",
        "intervals": f"95 %, {options.draws} resamples of the images, paired for differences",
        "rows": rows,
    }
    options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def first_images(content: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Return annotations of the first images alone."""
    images = content["images"][:limit]
    kept = {image["id"] for image in images}
    persons = [person for person in content["annotations"] if person["image_id"] in kept]
    return {**content, "images": images, "annotations": persons}


def describe(name: str, measured: Mapping[str, CocoEvaluator], against: tuple[str, ...], draws: int) -> dict[str, Any]:
    """Return a system's AP with its interval, and the paired differences to others."""
    own = measured[name]
    ap = own.compute().ap
    row: dict[str, Any] = {"system": name, "ap": round(ap, 4)}
    row["interval"] = [round(end, 4) for end in bootstrap_interval(own, draws=draws)["ap"]]
    row["differences"] = {}
    for other in against:
        interval = paired_difference(own, measured[other], draws=draws)
        row["differences"][other] = {
            "difference": round(ap - measured[other].compute().ap, 4),
            "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
        }
    return row


def in_words(row: Mapping[str, Any]) -> str:
    """Return a row as lines of text."""
    lines = ["{}: AP {:.3f} ({:.3f} to {:.3f})".format(row["system"], row["ap"], *row["interval"])]
    for other, found in row["differences"].items():
        lines.append("    {:+.3f} ({:+.3f} to {:+.3f}) to {}".format(found["difference"], *found["interval"], other))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
