"""What folding, other precisions and compiling change: AP, and how far keypoints move from plain float32.

    python benchmarks/runtime_accuracy.py --coco COCO --model pcr-nano --model pcr-small --json FILE

COCO holds annotations/person_keypoints_val.json and the images in val/. Annotated boxes, the mirrored crop averaged in.
Shifts are in image pixels and as a fraction of the square root of the person's box, over keypoints scored above 0.2 in
plain float32. No times are taken.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from pcrpose import CocoEvaluator, PosePredictor, Poses, Runtime, load_model, read_coco
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.inference.validate import validate

SCORED = 0.2  # keypoints below it are hardly anywhere
WAYS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "fused": {"fuse": True},
        "bfloat16": {"dtype": "bfloat16"},
        "float16": {"dtype": "float16"},
        "fused bfloat16": {"fuse": True, "dtype": "bfloat16"},
        "compiled": {"fuse": True, "compile": True},
    }
)


def main() -> None:
    """Measure every model in every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, help="zoo name or folder; may be repeated")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="may be repeated; by default all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    file = options.coco / "annotations/person_keypoints_val.json"
    persons = read_coco(file, options.coco / "val")
    rows: list[dict[str, Any]] = []
    for name in options.model:
        plain, ap = predict(name, persons, file, Runtime(threads=options.threads))
        rows.append({"model": Path(name).name, "runtime": "float32", "ap": ap})
        for way in options.way or WAYS:
            found, ap = predict(name, persons, file, Runtime(threads=options.threads, **WAYS[way]))
            rows.append({"model": Path(name).name, "runtime": way, "ap": ap, **shifts(plain, found)})
        print(*rows, sep="\n", flush=True)
    images = len(persons.image_paths)
    content = {
        "command": "python benchmarks/runtime_accuracy.py --coco COCO "
        + " ".join([f"--model {Path(name).name}" for name in options.model])
        + "".join(f" --way '{way}'" for way in options.way or ())
        + " --json benchmarks/runtime_accuracy.json",
        "what": f"subset of COCO val2017 ({images} images, {len(persons.samples)} persons), annotated boxes, mirrored "
        f"crop averaged in; shifts from float32 of keypoints scored above {SCORED}",
        "torch": torch.__version__,
        "rows": rows,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def predict(name: str, persons: AnnotatedPersons, file: Path, runtime: Runtime) -> tuple[list[Poses], float]:
    """Return the poses of every image, and their AP."""
    found: list[Poses] = []
    evaluator = CocoEvaluator(file)
    metrics = validate(PosePredictor(load_model(name), runtime=runtime), persons, evaluator, on_image=found.append)
    return found, round(metrics.ap, 4)


def shifts(plain: list[Poses], found: list[Poses]) -> dict[str, Any]:
    """Return the largest and the 95th percentile shift of keypoints, and how many were compared."""
    moved, sizes = [], []
    for before, after in zip(plain, found, strict=True):
        scored = before.keypoint_scores > SCORED
        distance = np.linalg.norm(after.keypoints - before.keypoints, axis=-1)
        sides = before.boxes_xyxy[:, 2:] - before.boxes_xyxy[:, :2]
        moved.append(distance[scored])
        sizes.append(np.broadcast_to(np.sqrt(sides.prod(axis=1))[:, None], scored.shape)[scored])
    pixels, relative = np.concatenate(moved), np.concatenate(moved) / np.concatenate(sizes)
    return {
        "keypoints": len(pixels),
        "shift_pixels": {"largest": _digits(pixels.max()), "p95": _digits(np.quantile(pixels, 0.95))},
        "shift_of_box": {"largest": _digits(relative.max()), "p95": _digits(np.quantile(relative, 0.95))},
    }


def _digits(value: float) -> float:
    """Round to three significant digits."""
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
