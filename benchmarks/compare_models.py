"""Paired differences of AP between models: what a choice brought, on the same images, with 95 % intervals.

    python benchmarks/compare_models.py --coco COCO --pair "blackout at test=runs/black,runs/plain" --json FILE

Each --pair is ``what it is about=MODEL,OTHER``: zoo names or folders. COCO holds annotations/person_keypoints_val.json
and val/. Annotated boxes, the mirrored crop averaged in; differences are a paired bootstrap over images. A row is added
to FILE, or takes the place of the row of its name.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from pcrpose import CocoEvaluator, PosePredictor, load_model, read_coco
from pcrpose.evaluation.bootstrap import bootstrap_interval, paired_difference
from pcrpose.inference.validate import validate


def main() -> None:
    """Measure every pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--pair", action="append", required=True, metavar="WHAT=MODEL,OTHER")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = json.loads(options.json.read_text(encoding="utf-8"))["rows"] if options.json.exists() else []
    measured: dict[str, CocoEvaluator] = {}
    for pair in options.pair:
        what, _, names = pair.partition("=")
        models = names.split(",")
        for name in models:
            if name not in measured:
                measured[name] = evaluate(name, options.coco)
        rows = [row for row in rows if row["what"] != what] + [compare(what, *(measured[name] for name in models))]
        print(rows[-1], flush=True)
    content = {
        "command": 'python benchmarks/compare_models.py --coco COCO --pair "WHAT=MODEL,OTHER" --json FILE',
        "what": "AP on a subset of COCO val2017, annotated boxes, mirrored; paired bootstrap over images, 95 %",
        "rows": rows,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def evaluate(name: str, coco: Path) -> CocoEvaluator:
    """Predict every image of the subset."""
    annotations = coco / "annotations" / "person_keypoints_val.json"
    evaluator = CocoEvaluator(annotations)
    validate(PosePredictor(load_model(name)), read_coco(annotations, coco / "val"), evaluator)
    return evaluator


def compare(what: str, model: CocoEvaluator, other: CocoEvaluator) -> dict[str, Any]:
    """Measure both and their difference."""
    difference = paired_difference(model, other)
    interval = bootstrap_interval(model)["ap"]
    return {
        "what": what,
        "ap": round(model.compute().ap, 4),
        "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
        "ap_of_the_other": round(other.compute().ap, 4),
        "difference": round(model.compute().ap - other.compute().ap, 4),
        "difference_interval": [round(float(difference.low), 4), round(float(difference.high), 4)],
    }


if __name__ == "__main__":
    main()
