"""A model's figures: AP with intervals, size, work and speed, and its best and worst persons drawn to be looked at.

    python benchmarks/zoo_figures.py --model pcr-nano --coco FOLDER --json figures.json --sheets sheets

FOLDER holds annotations/person_keypoints_val.json, annotations/person_detections_val.json and the images in val/.
Measured are annotated and detected boxes, each with and without the mirrored crop, each with a bootstrap over images;
--against MODEL adds the paired difference to another model. Without --coco there is only size, work and speed.
The JSON is what pcrpose.publishing.measurement.read_measurements reads, for the model's card. All runs on one thread.
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contact_sheets import Judged, judge, write_sheets, written_whole
from interleaved import measure

from pcrpose.data.readers.coco import read_coco, read_detections
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.bootstrap import METRICS, Interval, bootstrap_interval, paired_difference
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Detections
from pcrpose.models.flops import measure_cost
from pcrpose.models.hub import find_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.publishing.measurement import SHOWN, Measurement

CONFIDENCE = 0.95
DECODE: Decoding = "dark"
BATCHES = (1, 16)
ANNOTATED = "annotated"


@dataclass(frozen=True, kw_only=True)
class ValidationSet:
    """What models are measured on: annotated images, and boxes that a detector found in them."""

    annotations: Path
    dataset: AnnotatedPersons
    detections: Mapping[str, Mapping[int, Detections] | None]  # by name; None for the annotated boxes
    name: str

    @classmethod
    def read(cls, folder: Path, name: str, detector: str) -> "ValidationSet":
        """Read the files; without detections only the annotated boxes are measured."""
        annotations = folder / "annotations" / "person_keypoints_val.json"
        found = folder / "annotations" / "person_detections_val.json"
        counts = CocoEvaluator(annotations).compute()
        dataset = read_coco(annotations, folder / "val")
        detections: dict[str, Mapping[int, Detections] | None] = {ANNOTATED: None}
        if found.exists():
            boxes = read_detections(found)
            lowest = min((float(each.scores.min()) for each in boxes.values()), default=0.0)
            detections[f"{detector}, score {lowest:.2f} and above"] = boxes
        else:
            print(f"no {found.name}: only annotated boxes are measured")
        full_name = f"{name} ({counts.num_images:,} images, {counts.num_persons:,} persons)"
        return cls(annotations=annotations, dataset=dataset, detections=detections, name=full_name)

    def evaluate(self, model: PoseModel[Any], boxes: str, *, flip: bool) -> CocoEvaluator:
        """Predict every image; the evaluator comes back with the poses."""
        evaluator = CocoEvaluator(self.annotations)
        predictor = PosePredictor(model, flip=flip, decoding=DECODE)
        validate(predictor, self.dataset, evaluator, detections=self.detections[boxes])
        return evaluator


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code is 2 after a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pcr-small", help="zoo name, Hub repository or folder (%(default)s)")
    parser.add_argument("--against", help="another model, to compare AP with on the same resampled images")
    parser.add_argument("--coco", type=Path, metavar="FOLDER", help="annotated images in COCO's form")
    parser.add_argument("--data", default="subset of COCO val2017", help="what the images are (%(default)s)")
    parser.add_argument("--detector", default="YOLOX-nano", help="whose boxes the detections are (%(default)s)")
    parser.add_argument("--draws", type=int, default=1000, help="resamples of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="write best.png and worst.png")
    options = parser.parse_args(arguments)
    if options.coco is None and (options.sheets or options.against):
        parser.error("--sheets and --against need --coco")
    if options.draws < 1 or options.rounds < 2:  # noqa: PLR2004 - one round has no quartiles
        parser.error(f"expected --draws 1 and --rounds 2 or more, found {options.draws} and {options.rounds}")
    torch.set_num_threads(1)
    try:
        run(options)
    except (OSError, ValueError) as error:
        print(f"zoo_figures: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Do what the options ask for."""
    model = load_model(options.model)
    name = Path(options.model).resolve().name  # where things lie is nobody's business
    validation = None
    if options.coco is not None:
        validation = ValidationSet.read(options.coco, options.data, options.detector)
    written = {"model": name, **network(model, find_folder(options.model), options.rounds)}
    if validation is not None:
        accuracy, judged = measure_accuracy(model, validation, options)
        written |= accuracy
        if options.sheets is not None:
            written["sheets"] = write_sheets(options.sheets, judged, validation.dataset.skeleton, name, validation.name)
    if options.json is not None:
        command = " ".join(["python", *(Path(word).name for word in sys.argv)])
        machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
        text = json.dumps({"command": command, "machine": machine, **written}, indent=1) + "\n"
        with written_whole(options.json) as file:
            file.write_text(text, encoding="utf-8")
        print(f"wrote {options.json}")


def network(model: PoseModel[Any], folder: Path, rounds: int) -> dict[str, Any]:
    """Count and time the network alone: no image is opened, cropped or decoded."""
    config = model.config
    cost = measure_cost(config)
    crops = {batch: torch.rand(batch, 3, config.input_size.height, config.input_size.width) for batch in BATCHES}
    with torch.inference_mode():
        seconds = measure({f"batch {batch}": partial(model, each) for batch, each in crops.items()}, rounds=rounds)
    milliseconds = {}
    print(f"input {config.input_size} (height x width), {cost.parameters:,} parameters, {cost.gmacs:.4f} GMACs a crop")
    for (contestant, values), batch in zip(seconds.items(), BATCHES, strict=True):
        low, middle, high = (1000 * second / batch for second in statistics.quantiles(values, n=4))
        print(
            f"{middle:.2f} ms a crop at {contestant} (quartiles {low:.2f} to {high:.2f}), one thread, without mirroring"
        )
        milliseconds[contestant] = {"median": middle, "quartiles": [low, high]}
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return {
        "input_size": str(config.input_size),
        "parameters": cost.parameters,
        "gmacs": cost.gmacs,
        "weights_bytes": weights,
        "milliseconds_a_crop": {"threads": 1, "rounds": rounds, **milliseconds},
    }


def measure_accuracy(
    model: PoseModel[Any], validation: ValidationSet, options: argparse.Namespace
) -> tuple[dict[str, Any], list[Judged]]:
    """Evaluate both kinds of boxes, with and without the mirrored crop; give the JSON's part, and every person."""
    resampled = {"draws": options.draws, "confidence": CONFIDENCE, "seed": options.seed}
    rival = None if options.against is None else load_model(options.against)
    measurements, differences, judged = [], [], []
    print(f"\n{validation.name}\n\n| boxes | mirrored crop | {' | '.join(SHOWN)} |\n|{'---|' * (2 + len(SHOWN))}")
    for boxes in validation.detections:
        evaluators = {}
        for flip in (True, False):
            evaluators[flip] = validation.evaluate(model, boxes, flip=flip)
            measurements.append(measurement(evaluators[flip], validation.name, boxes, flip=flip, resampled=resampled))
        if boxes == ANNOTATED:
            judged = judge(validation.dataset, evaluators[True])
        pairs = {"with the mirrored crop minus without": (evaluators[True], evaluators[False])}
        if rival is not None:
            what = f"this model minus {Path(options.against).resolve().name}, mirrored crop averaged in"
            pairs[what] = (evaluators[True], validation.evaluate(rival, boxes, flip=True))
        differences += [difference(*pair, what, boxes, resampled) for what, pair in pairs.items()]
    print("\nAP differences on the same resampled images:")
    for each in differences:
        print(f"- {each['what']}; boxes: {each['boxes']}: {each['ap']:+.3f} ({Interval(*each['interval'])})")
    written = {
        "data": validation.name,
        "bootstrap": resampled,
        "measurements": [each.to_dict() for each in measurements],
        "differences": differences,
    }
    return written, judged


def measurement(
    evaluator: CocoEvaluator, data: str, boxes: str, *, flip: bool, resampled: Mapping[str, Any]
) -> Measurement:
    """Measure one set of poses and print it as a row."""
    figures = evaluator.compute().to_dict()
    intervals = bootstrap_interval(evaluator, **resampled)
    cells = [f"{figures[key]:.3f} ({intervals[key]})" for key in SHOWN.values()]
    print(f"| {boxes} | {'averaged in' if flip else 'no'} | {' | '.join(cells)} |", flush=True)
    return Measurement(
        data=data,
        boxes=boxes,
        flip=flip,
        decoding=DECODE,
        metrics={name: figures[name] for name in METRICS},
        intervals=intervals,
        confidence=CONFIDENCE,
    )


def difference(
    first: CocoEvaluator, second: CocoEvaluator, what: str, boxes: str, resampled: Mapping[str, Any]
) -> dict[str, Any]:
    """Compare two sets of poses by AP."""
    interval = paired_difference(first, second, **resampled)
    return {"what": what, "boxes": boxes, "ap": first.compute().ap - second.compute().ap, "interval": interval}


if __name__ == "__main__":
    sys.exit(main())
