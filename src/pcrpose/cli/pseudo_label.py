"""``pcrpose pseudo-label``: unlabelled images in, annotations for training out."""

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcrpose.cli.shared.inputs import ImageFile, find_images, find_persons
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
from pcrpose.cli.shared.progress import ProgressLine, counted
from pcrpose.cli.shared.results import new_file
from pcrpose.data.near_duplicates import MAX_DISTANCE, EvaluationImages
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.files.digest import file_sha256
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.detections import Detections, Detector
from pcrpose.labelling.pseudo_labels.predict import BOX_THRESHOLD, ImageLabeller, UnlabelledImage, number_images
from pcrpose.labelling.pseudo_labels.select import (
    THRESHOLD,
    Content,
    Selection,
    check_target,
    pseudo_labels,
    write_pseudo_labels,
)
from pcrpose.labelling.pseudo_labels.work_file import Shard
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.hub import describe_weights

logger = logging.getLogger(__name__)

SHOWN_LEAKS = 10

EPILOG = """\
examples:
  pcrpose pseudo-label photos --detector yolox-nano --out pseudo.json
  pcrpose pseudo-label photos --detector boxes.json --out pseudo.json --keep-fraction 0.3 --never-in val.json val
  pcrpose pseudo-label photos --detector boxes.json --out pseudo.json --model runs/a/final --model runs/b/final
  pcrpose pseudo-label photos --detector boxes.json --out pseudo.json --shard 2/4
  pcrpose pseudo-label --merge pseudo.json.*.work --out pseudo.json

Everything that is found goes into pseudo.json.work (with --shard pseudo.json.2-of-4.work), and what is sure enough from
there into pseudo.json. The same command goes on where it was stopped; with another threshold it predicts nothing again.
--merge makes pseudo.json of the work files of all shards.

exit codes: 0 all is well; 1 some images could not be read, the others are done; 2 a mistake in what was asked for;
130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("images", nargs="?", type=path, metavar="IMAGES", help="folder of the images")
    parser.add_argument("--recursive", action="store_true", help="look into the folders of the folder too")
    parser.add_argument(
        "--merge",
        nargs="+",
        type=existing_file,
        metavar="WORK",
        help="work files of all shards, instead of IMAGES: predict nothing, select from what they hold",
    )
    boxes = parser.add_argument_group("boxes")
    boxes.add_argument(
        "--detector",
        type=detector,
        metavar="NAME_OR_FILE",
        help=f"{DETECTORS}: published models, downloaded once; another YOLOX model as .onnx; or a COCO results file as "
        ".json, whose image ids are the numbers that the names of the images end in",
    )
    boxes.add_argument(
        "--score-threshold",
        type=fraction,
        default=BOX_THRESHOLD,
        metavar="S",
        help="leave out boxes that the detector scores below it (%(default)s)",
    )
    add_model_options(parser)
    _add_selection(parser)
    leaks = parser.add_argument_group("leaks")
    leaks.add_argument(
        "--never-in",
        type=path,
        nargs="+",
        metavar=("PLACE", "IMAGES"),
        help="a folder of images that are measured on, or an annotation file and its folder: what looks like one of "
        "them is left out and listed",
    )
    leaks.add_argument(
        "--distance",
        type=at_least(0),
        default=MAX_DISTANCE,
        metavar="BITS",
        help="how far hashes of images that look alike may differ (%(default)s)",
    )
    leaks.add_argument("--mirrored", action="store_true", help="mirrored copies count as alike too")
    results = parser.add_argument_group("results")
    results.add_argument("--out", type=new_file, required=True, metavar="JSON", help="annotation file to write")
    results.add_argument("--shard", type=_shard, metavar="K/N", help="do the K-th of N shards; then --merge them")
    results.add_argument("--date", metavar="TEXT", help="written into the file; by default none is")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selection")
    group.add_argument(
        "--threshold", type=_score, metavar="S", help=f"keep keypoints that are scored above it ({THRESHOLD})"
    )
    group.add_argument(
        "--keypoint-threshold",
        type=_named_score,
        action="append",
        default=[],
        metavar="NAME=S",
        help="another threshold for one keypoint; can be given several times",
    )
    group.add_argument(
        "--keep-fraction", type=fraction, metavar="P", help="keep this fraction of each keypoint instead, 0 to 1"
    )
    group.add_argument("--keep-share", dest="keep_fraction", type=fraction, help=argparse.SUPPRESS)  # earlier name
    group.add_argument(
        "--min-keypoints",
        type=at_least(1),
        default=1,
        metavar="K",
        help="leave out persons with fewer kept keypoints (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Predict what is not done yet, and select from it unless this is one shard of several."""
    if (options.images is None) == (options.merge is None):
        raise ValueError("expected a folder of images, or --merge and work files")
    selection = _selection(options)
    check_target(options.out)
    if options.merge is not None:
        return _select(options, options.merge, selection)
    if options.detector is None:
        raise ValueError("--detector: expected a YOLOX model or a file of boxes; nobody knows where the persons are")
    shard: Shard = options.shard or Shard()
    suffix = "work" if options.shard is None else f"{shard.number}-of-{shard.count}.work"
    work = options.out.with_name(f"{options.out.name}.{suffix}")
    _predict(options, work, shard, selection)
    if options.shard is None:
        return _select(options, [work], selection)
    sys.stdout.write(f"shard {shard} is done: {work}; --merge makes labels of all of them\n")
    return 0


def _selection(options: argparse.Namespace) -> Selection:
    if options.keep_fraction is not None and (options.threshold is not None or options.keypoint_threshold):
        raise ValueError("expected --keep-fraction or thresholds, found both")
    return Selection(
        threshold=THRESHOLD if options.threshold is None else options.threshold,
        by_keypoint=dict(options.keypoint_threshold),
        fraction=options.keep_fraction,
        min_keypoints=options.min_keypoints,
    )


def _predict(options: argparse.Namespace, work: Path, shard: Shard, selection: Selection) -> None:
    """Write the work file of a shard; what the selection asks for is checked before the hours that this takes."""
    if not options.images.is_dir():
        raise FileNotFoundError(
            f"{options.images}: expected a folder of images, found {'a file' * options.images.exists() or 'none'}"
        )
    files = find_images([str(options.images)], recursive=options.recursive, outside=options.out)
    numbered = number_images(options.images, [file.path for file in files])
    model = load_models(options.model).to(options.device)
    require_heatmaps(model.config, "pseudo-labels")  # the scores of coordinates say nothing
    predictor = PosePredictor(model, flip=options.flip, runtime=runtime(options))
    selection.check(predictor.model.config.skeleton)
    labeller = ImageLabeller(
        predictor=predictor,
        detector=_boxes(options, files, numbered),
        skeleton=predictor.model.config.skeleton,
        made_with=_provenance(options, predictor),
        box_threshold=options.score_threshold,
        evaluation_images=_evaluation_images(options),
    )
    count = sum(map(len, shard.chunks(len(numbered))))
    with ProgressLine(count) as line:
        labeller.label(
            numbered, work, shard=shard, progress=lambda more, persons: line.advance(images=more, persons=persons)
        )


def _boxes(
    options: argparse.Namespace, files: Sequence[ImageFile], numbered: Sequence[UnlabelledImage]
) -> Detector | Mapping[str, Detections]:
    """Return the detector to run, or its earlier detections by the names of the images."""
    persons = find_persons(
        files,
        boxes=None,
        detector=options.detector,
        score_threshold=options.score_threshold,
        threads=options.threads,
    )
    if persons.detector is not None:
        return persons.detector
    names = {image.path: image.file_name for image in numbered}
    return {names[file.path]: found for file, found in (persons.detections or {}).items()}


def _provenance(options: argparse.Namespace, predictor: PosePredictor) -> dict[str, Any]:
    weights = [describe_weights(name) for name in options.model]
    return {
        **({"model": weights[0]} if len(weights) == 1 else {"models": weights}),
        "flip": options.flip,
        **({} if options.dtype is None else {"dtype": options.dtype}),
        "decode": predictor.codec.decoding,
        "detector": {"name": options.detector.name, "sha256": file_sha256(options.detector)},
    }


def _evaluation_images(options: argparse.Namespace) -> EvaluationImages | None:
    """Hash the images that are evaluated on."""
    if options.never_in is None:
        return None
    listing, *folders = options.never_in
    if listing.is_dir() and not folders:
        files = find_images([str(listing)], recursive=True, outside=options.out)
        numbered = [(file.path.relative_to(listing).as_posix(), file.path) for file in files]
    elif listing.is_file() and len(folders) == 1:
        listed = AnnotationFile.read(listing)
        numbered = [(str(file.record["file_name"]), file.path) for file in listed.image_files(folders[0])]
    else:
        raise ValueError(
            f"--never-in: expected a folder, or a file and its folder, found {' '.join(map(str, options.never_in))}"
        )
    logger.info("hashing %d images that nothing may look like", len(numbered))
    return EvaluationImages(numbered, max_distance=options.distance, mirrored=options.mirrored)


def _select(options: argparse.Namespace, work: Sequence[Path], selection: Selection) -> int:
    """Write the labels; 1 if images were left out."""
    content = pseudo_labels(work, selection, date=options.date)
    write_pseudo_labels(options.out, content)
    sys.stdout.write("\n".join([*_table(content), f"labels in {options.out}"]) + "\n")
    return int(bool(content["info"]["pcrpose"]["images"]["left_out"]))


def _table(content: Content) -> list[str]:
    """Return the table of what was kept, keypoint by keypoint."""
    made = content["info"]["pcrpose"]
    thresholds, persons, numbered = made["selection"]["thresholds"], made["persons"], made["images"]
    width = max(map(len, thresholds))
    lines = [f"{'keypoint':<{width}}    kept  of all  threshold"]
    for name, counts in made["keypoints"].items():
        kept = counts["kept"] / max(counts["kept"] + counts["dropped"], 1)
        lines.append(f"{name:<{width}} {counts['kept']:>7}  {kept:>6.1%}  {thresholds[name]:>9.3f}")
    leaks = [f"leak: {leak['file_name']} looks like {leak['leak']['file_name']}" for leak in numbered["leaks"]]
    rest = len(leaks) - SHOWN_LEAKS
    lines += leaks if rest <= 0 else [*leaks[:SHOWN_LEAKS], f"and {counted(rest, 'leak')} more, listed in the file"]
    out = {"leak": len(numbered["leaks"]), "unreadable image": len(numbered["left_out"])}
    aside = ", ".join(counted(count, what) for what, count in out.items() if count)
    return [
        *lines,
        f"{persons['kept']} of {counted(persons['found'], 'person')} kept, in {numbered['listed']} of "
        f"{counted(numbered['seen'], 'image')}" + (f" (left out: {aside})" if aside else ""),
    ]


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _score(text: str) -> float:
    """Read a number; peaks of heatmaps can exceed 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}")
    return number


def _named_score(text: str) -> tuple[str, float]:
    name, sign, number = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"expected a keypoint, = and a score, such as nose=0.8, found {text!r}")
    return name, _score(number)
