"""``pcrpose evaluate``: COCO metrics of a model or a results file."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pcrpose.cli.shared.options import (
    DETECTORS,
    add_model_options,
    at_least,
    detector,
    existing_file,
    fraction,
    load_models,
    path,
    runtime,
)
from pcrpose.cli.shared.progress import ProgressLine
from pcrpose.cli.shared.results import new_file
from pcrpose.data.images import open_image
from pcrpose.data.readers.coco import read_coco, read_detections
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.bootstrap import Interval, bootstrap_interval
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.evaluation.report.plots import require_matplotlib
from pcrpose.evaluation.report.write import write_report
from pcrpose.files.atomic import write_text
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.poses import Poses

EPILOG = """\
examples:
  pcrpose evaluate annotations/person_keypoints_val2017.json val2017
  pcrpose evaluate val.json images --model runs/mine/best --detections val_boxes.json --bootstrap 1000
  pcrpose evaluate val.json images --report report.html

Persons are taken from the annotated boxes; with --detections or --detector from those, and the poses then go through
OKS-NMS. A metric is -1 where nobody is in its range of sizes.

exit codes: 0 all is well; 2 a mistake in what was asked for, or a file that cannot be used; 130 stopped by Ctrl-C
"""
DRAWS = 1000  # resamples of a report, unless --bootstrap says otherwise
METRICS: Mapping[str, str] = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ar": "AR",
    "ar50": "AR50",
    "ar75": "AR75",
    "ar_medium": "AR medium",
    "ar_large": "AR large",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("annotations", type=existing_file, metavar="ANNOTATIONS.json", help="COCO keypoint annotations")
    parser.add_argument(
        "images", type=path, nargs="?", metavar="IMAGES", help="folder of the images; not for --from-results"
    )
    source = parser.add_argument_group("persons").add_mutually_exclusive_group()
    source.add_argument(
        "--detections", type=existing_file, metavar="FILE.json", help="boxes in COCO's results form, all of them"
    )
    source.add_argument(
        "--detector",
        type=detector,
        metavar="NAME_OR_FILE",
        help=f"a YOLOX model to find boxes with: {DETECTORS}, or an .onnx file",
    )
    source.add_argument(
        "--from-results",
        type=existing_file,
        metavar="FILE.json",
        help="measure the poses of this results file; no model runs",
    )
    parser.add_argument(
        "--score-threshold",
        type=fraction,
        default=0.05,
        metavar="S",
        help="leave out what --detector scores below it (%(default)s)",
    )
    add_model_options(parser)
    parser.add_argument(
        *("--decoding", "--decode"),
        choices=get_args(Decoding),
        default="dark",
        help="from heatmap to keypoint (%(default)s)",
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--bootstrap",
        type=at_least(1),
        metavar="N",
        help="95 %% intervals, from N resamples of the images",
    )
    results.add_argument("--results", type=new_file, metavar="FILE.json", help="write the poses as COCO takes them")
    results.add_argument("--json", type=new_file, metavar="FILE.json", help="write the metrics")
    results.add_argument(
        "--report",
        type=_new_report,
        metavar="FILE.html",
        help="write a page: metrics with intervals, groups of persons, errors, reliability, PCK, persons drawn",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Evaluated:
    """A model's poses, measured; ``poses`` are by image id."""

    evaluator: CocoEvaluator
    metrics: CocoMetrics
    dataset: AnnotatedPersons
    poses: dict[int, Poses]


def run(options: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    if options.report is not None:
        require_matplotlib()  # before anything slow
    evaluated, intervals = None, dict[str, Interval]()
    if options.from_results is not None:
        source, boxes = str(options.from_results), ""
        metrics = _of_file(options)
    else:
        source, boxes = " + ".join(options.model), _boxes_in_words(options)
        evaluated = _of_model(options)
        metrics = evaluated.metrics
        if options.bootstrap:
            intervals = bootstrap_interval(evaluated.evaluator, draws=options.bootstrap)
        if options.results is not None:
            options.results.parent.mkdir(parents=True, exist_ok=True)
            evaluated.evaluator.save_results(options.results)
    title = f"{source} on {options.annotations}" + (f", {boxes}" if boxes else "")
    sys.stdout.write(_report(title, metrics, intervals, options.bootstrap))
    if options.json is not None:
        content = {"source": source, "annotations": str(options.annotations), "boxes": boxes or None}
        values = metrics.to_dict() | {"intervals": {name: list(interval) for name, interval in intervals.items()}}
        write_text(options.json, json.dumps(content | values, indent=2) + "\n")
    if evaluated is not None and options.report is not None:
        _write_page(options, evaluated, source, boxes)
        sys.stdout.write(f"wrote {options.report}\n")
    return 0


def _write_page(options: argparse.Namespace, evaluated: _Evaluated, source: str, boxes: str) -> None:
    paths = evaluated.dataset.image_paths
    write_report(
        options.report,
        evaluated.evaluator,
        evaluated.poses,
        title=source,
        facts={
            "annotations": options.annotations.name,
            "boxes": boxes,
            "mirrored pass": "yes" if options.flip else "no",
            "decoding": options.decoding,
            **({} if options.dtype is None else {"precision": options.dtype}),
        },
        open_image=lambda image_id: open_image(paths[image_id]),
        image_names={image_id: path.name for image_id, path in paths.items()},
        draws=options.bootstrap or DRAWS,
    )


def _of_file(options: argparse.Namespace) -> CocoMetrics:
    for name in ("IMAGES", "--results", "--bootstrap", "--report"):
        if getattr(options, name.removeprefix("--").lower()) is not None:
            raise ValueError(f"{name} needs a model's own poses, expected it without --from-results")
    skeleton = read_coco(options.annotations, "").skeleton
    return CocoEvaluator(options.annotations, skeleton=skeleton).evaluate_file(options.from_results)


def _of_model(options: argparse.Namespace) -> _Evaluated:
    if options.images is None:
        raise ValueError("expected the folder of the images after the annotations, or --from-results")
    detections = None if options.detections is None else read_detections(options.detections)
    detector = None if options.detector is None else _detector(options)
    model = load_models(options.model).to(options.device)
    skeleton = model.config.skeleton
    dataset = read_coco(options.annotations, options.images, skeleton=skeleton)
    evaluator = CocoEvaluator(options.annotations, skeleton=skeleton)
    dataset.require_images()
    if detector is not None:
        detections = _detect(detector, dataset)
    predictor = PosePredictor(model, flip=options.flip, decoding=options.decoding, runtime=runtime(options))
    found: list[Poses] = []
    with ProgressLine(len(dataset.image_paths), label="poses: ") as progress:

        def collect(poses: Poses) -> None:
            found.append(poses)
            progress.advance(persons=len(poses))

        metrics = validate(predictor, dataset, evaluator, detections=detections, on_image=collect)
    poses = dict(zip(dataset.image_paths, found, strict=True))
    return _Evaluated(evaluator=evaluator, metrics=metrics, dataset=dataset, poses=poses)


def _new_report(text: str) -> Path:
    """Read the path of a report to write; a file that is there is somebody's."""
    path = new_file(text)
    if path.exists():
        raise argparse.ArgumentTypeError(f"{text}: expected the name of a new file, found one that is there")
    return path


def _detector(options: argparse.Namespace) -> YoloxDetector:
    return YoloxDetector(options.detector, score_threshold=options.score_threshold, num_threads=options.threads)


def _detect(detector: YoloxDetector, dataset: AnnotatedPersons) -> dict[int, Detections]:
    """Find the boxes of every image first: the poses can then be measured as those of a detection file are."""
    found: dict[int, Detections] = {}
    with ProgressLine(len(dataset.image_paths), label="boxes: ") as progress:
        for image_id, file in dataset.image_paths.items():
            found[image_id] = detector(file)
            progress.advance(persons=len(found[image_id]))
    return found


def _boxes_in_words(options: argparse.Namespace) -> str:
    if options.detections is not None:
        return f"boxes of {options.detections}"
    if options.detector is not None:
        return f"boxes that {options.detector.name} scores at least {options.score_threshold}"
    return "annotated boxes"


def _report(title: str, metrics: CocoMetrics, intervals: Mapping[str, Interval], draws: int | None) -> str:
    """Write the ten metrics in COCO's order, and on what they were measured."""
    counts = f"{metrics.num_images} images, {metrics.num_persons} persons, {metrics.num_poses} poses"
    lines = [title, counts]
    for name, label in METRICS.items():
        value = getattr(metrics, name)
        lines.append(f"{label:<10} {value:6.3f}" + (f"  ({intervals[name]})" if name in intervals else ""))
    if intervals:
        lines.append(f"in brackets: 95 % intervals over images, {draws} resamples")
    return "\n".join(lines) + "\n"
