"""PCK of models on the Leeds Sports persons that nothing was trained on, with intervals and paired differences.

    python benchmarks/lsp_pck.py --lsp FOLDER --model pcr-small --model pcr-nano --json benchmarks/lsp_pck.json

FOLDER holds annotations_val.json and the images in val/. Of the 14 keypoints the twelve that COCO has too are compared,
on annotated boxes, the mirrored crop averaged in. A keypoint is hit within 0.2 (and 0.1) of the torso: from the left
shoulder to the right hip. Intervals are a bootstrap over persons; differences are to the first model, on equal draws.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcrpose import COCO_17, PosePredictor, load_model
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.pck import pck
from pcrpose.keypoints.arrays import Bools, Floats

THRESHOLDS = (0.2, 0.1)
TORSO = ("left_shoulder", "right_hip")
DRAWS = 2000


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lsp", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, help="zoo name or folder; may be repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dataset = read_coco(options.lsp / "annotations_val.json", options.lsp / "val")
    rows: list[dict[str, Any]] = []
    first: dict[float, Floats] = {}
    for name in options.model:
        hits = {threshold: hit_rates(name, dataset, threshold) for threshold in THRESHOLDS}
        first = first or hits
        rows.append({"model": Path(name).name, **{f"pck@{key}": summary(hits[key], first[key]) for key in THRESHOLDS}})
        print(rows[-1], flush=True)
    if options.json is not None:
        content = {
            "command": "python benchmarks/lsp_pck.py --lsp FOLDER --model ... --json benchmarks/lsp_pck.json",
            "what": f"Leeds Sports, half of the test images, {len(dataset)} persons, 12 keypoints, PCK by torso",
            "rows": rows,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def hit_rates(name: str, dataset: AnnotatedPersons, threshold: float) -> Floats:
    """``(N,)``: which share of a person's labelled keypoints is hit; NaN where none is labelled."""
    here, there = dataset.skeleton.shared_with(COCO_17)
    predictor = PosePredictor(load_model(name))
    images, boxes = zip(*((sample.image, sample.box_xyxy[None]) for sample in dataset.samples), strict=True)
    found = np.concatenate([poses.keypoints[:, there] for poses in predictor.predict_batch(images, boxes)])
    truth = np.stack([sample.keypoints[here] for sample in dataset.samples])
    labelled: Bools = np.stack([sample.labelled[here] for sample in dataset.samples])
    ends = [dataset.skeleton.index(name) for name in TORSO]
    torso = np.array([np.linalg.norm(np.subtract(*sample.keypoints[ends])) for sample in dataset.samples])
    rates = [
        pck(found[[row]], truth[[row]], labelled[[row]], torso[[row]], threshold=threshold).overall
        for row in range(len(truth))
    ]
    return np.array(rates)


def summary(rates: Floats, first: Floats) -> dict[str, Any]:
    """Mean over persons, its 95 % interval, and the paired difference to the first model."""
    draws = np.random.default_rng(0).integers(0, len(rates), (DRAWS, len(rates)))
    return {
        "value": round(float(np.nanmean(rates)), 4),
        "interval": spread(np.nanmean(rates[draws], axis=1)),
        "difference_to_first": round(float(np.nanmean(rates - first)), 4),
        "difference_interval": spread(np.nanmean((rates - first)[draws], axis=1)),
    }


def spread(values: Floats) -> list[float]:
    """Return the 2.5 and the 97.5 percentile."""
    return [round(float(end), 4) for end in np.quantile(values, [0.025, 0.975])]


if __name__ == "__main__":
    main()
