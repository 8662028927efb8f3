"""AP with other blackout factors, on persons that neither training nor any choice has seen.

    python benchmarks/blackout_factor.py --coco COCO --model pcr-small --json benchmarks/blackout_factor.json

The persons are those of ``benchmarks/set_aside.json``, in annotated boxes, the mirrored crop averaged in. Differences
are to the model's own factor, a paired bootstrap over images, 95 %.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from set_aside import read_set_aside

from pcrpose import PCR, CocoEvaluator, PosePredictor
from pcrpose.evaluation.bootstrap import bootstrap_interval, paired_difference
from pcrpose.inference.validate import validate

FACTORS = (1.0, 1.1, 1.25)


def main() -> None:
    """Measure every factor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--model", default="pcr-small", help="zoo name or folder (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trained = PCR.from_pretrained(options.model)
    own = evaluate(trained, trained.config.blackout, options.coco)
    rows = []
    for factor in dict.fromkeys((trained.config.blackout, *FACTORS)):
        evaluator = own if factor == trained.config.blackout else evaluate(trained, factor, options.coco)
        rows.append(row(factor, evaluator, own))
        print(rows[-1], flush=True)
    content = {
        "command": f"python benchmarks/blackout_factor.py --coco COCO --model {Path(options.model).name} --json FILE",
        "what": "AP on the persons of benchmarks/set_aside.json (a part of COCO train2017), annotated boxes, mirrored",
        "rows": rows,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def evaluate(trained: PCR, factor: float | None, coco: Path) -> CocoEvaluator:
    """Predict every image with one factor."""
    model = PCR(replace(trained.config, blackout=factor))
    model.load_state_dict(trained.state_dict())
    persons, annotations = read_set_aside(coco)
    evaluator = CocoEvaluator(annotations)
    validate(PosePredictor(model.eval()), persons, evaluator)
    return evaluator


def row(factor: float | None, evaluator: CocoEvaluator, own: CocoEvaluator) -> dict[str, Any]:
    """Collect the metric, its interval, and the difference to the model's own factor."""
    interval = bootstrap_interval(evaluator)["ap"]
    values: dict[str, Any] = {
        "blackout": "none" if factor is None else factor,
        "ap": round(evaluator.compute().ap, 4),
        "interval": [round(float(interval.low), 4), round(float(interval.high), 4)],
    }
    if evaluator is not own:
        difference = paired_difference(evaluator, own)
        values["difference"] = round(evaluator.compute().ap - own.compute().ap, 4)
        values["difference_interval"] = [round(float(difference.low), 4), round(float(difference.high), 4)]
    return values


if __name__ == "__main__":
    main()
