"""``pcrpose calibrate``: fit what a model's scores are worth, and write the model with it."""

import argparse
import logging
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pcrpose.cli.shared.options import at_least, device, existing_file, model_name, path
from pcrpose.cli.shared.progress import ProgressLine
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.negatives import NegativesFile, as_sample
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.calibration import area_under_roc
from pcrpose.evaluation.reliability import reliability
from pcrpose.files.atomic import check_free, create_folder, write_text
from pcrpose.files.json import read_json
from pcrpose.inference.calibrate import (
    Evidence,
    collect_evidence,
    fit_calibration,
    held_out_presence,
    held_out_probabilities,
)
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.hub import CONFIG_FILE, WEIGHTS_FILE, find_folder, write_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_config import PoseConfig, config_text
from pcrpose.models.pose_model import CARD_FILE, PoseModel

logger = logging.getLogger(__name__)

EPILOG = """\
examples:
  pcrpose calibrate runs/mine/best --data held_out.json --images photos --out calibrated
  pcrpose calibrate pcr-small --data val.json --images val --negatives negatives.json --out calibrated

Give persons that the model was not trained on, a thousand if there are as many: of those it has learnt it is too sure.
Their keypoints are those of the model. The table compares how far promised and observed rates are apart (expected
calibration error), of the height of the peak and of the calibrated probability, each person's fitted on other images.
With negatives, two lines below say how well persons are told from them, likewise on images that were not fitted on.

exit codes: 0 the folder is written; 2 it is not, and nothing is left of it; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("model", type=model_name, metavar="MODEL", help="name in the zoo, folder, or owner/name")
    data = parser.add_argument_group("persons")
    data.add_argument(
        "--data",
        type=existing_file,
        action="append",
        required=True,
        metavar="ANNOTATIONS.json",
        help="annotated persons in COCO's form; may be given several times, each with its --images",
    )
    data.add_argument("--images", type=path, action="append", required=True, metavar="FOLDER", help="their images")
    chosen = data.add_mutually_exclusive_group()
    chosen.add_argument(
        "--only", type=existing_file, metavar="FILE.json", help="image ids to use: a list, or an object's image_ids"
    )
    chosen.add_argument("--leave-out", type=existing_file, metavar="FILE.json", help="image ids not to use, likewise")
    data.add_argument(
        "--negatives",
        type=existing_file,
        metavar="FILE.json",
        help="boxes that hold nobody, of pcrpose mine: fits the probability that a box holds a person, too",
    )
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER", help="new folder of the model")
    run = parser.add_argument_group("run")
    run.add_argument(
        "--device", type=device, default="auto", help="cpu, cuda, cuda:1, mps; by default cuda if there is one, or cpu"
    )
    run.add_argument("--batch", type=at_least(1), default=16, metavar="N", help="most crops at once (%(default)s)")
    run.add_argument("--decoding", choices=get_args(Decoding), default="dark", help="of the predictors (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Predict, fit, write the folder, and print the table."""
    check_free(options.out)
    model = load_model(options.model)
    skeleton = model.config.skeleton
    persons = read_persons(options, skeleton)
    negatives = [] if options.negatives is None else read_nobody(options.negatives, options.images, skeleton)
    runtime = Runtime(device=options.device, batch_size=options.batch)
    found = []
    for samples, label in ((persons, "persons: "), (negatives, "negatives: ")):
        if samples:
            with ProgressLine(len({sample.image_id for sample in samples}), label=label) as progress:
                found.append(_collect(model, samples, options.decoding, runtime, progress))
    evidence, nobody = found[0], found[1] if len(found) > 1 else None
    calibration = fit_calibration(evidence, nobody, model.config, decoding=options.decoding)
    config = replace(model.config, calibration=calibration)
    report = table(evidence, skeleton)  # before anything is written: it may find too few images
    if nobody is not None:
        report += f"\n{presence_table(evidence, nobody)}"
    write_calibrated(options.out, model, config, find_folder(options.model))
    sys.stdout.write(f"{report}\nwrote {options.out}\n")
    return 0


def read_persons(options: argparse.Namespace, skeleton: Skeleton) -> list[Sample]:
    """Read the persons of all files, of the images that are asked for."""
    if len(options.data) != len(options.images):
        raise ValueError(f"--images: expected one per --data, found {len(options.images)} for {len(options.data)}")
    parts: list[AnnotatedPersons] = [
        read_coco(file, folder, skeleton=skeleton) for file, folder in zip(options.data, options.images, strict=True)
    ]
    samples = [sample for part in parts for sample in part.samples]
    if options.only is not None:
        wanted = read_ids(options.only)
        samples = [sample for sample in samples if sample.image_id in wanted]
        empty = sorted(wanted - {sample.image_id for sample in samples}, key=str)
        if empty and samples:
            message = "%s: %d of %d images have no annotated person in --data, the first of them %r"
            logger.warning(message, options.only, len(empty), len(wanted), empty[0])
    elif options.leave_out is not None:
        unwanted = read_ids(options.leave_out)
        samples = [sample for sample in samples if sample.image_id not in unwanted]
    if not samples:
        raise ValueError("--data: expected persons with keypoints in the images asked for, found none")
    for sample in samples:
        if isinstance(sample.image, Path) and not sample.image.is_file():
            raise FileNotFoundError(f"{sample.image}: no such image file")
    return samples


def read_nobody(file: Path, folders: Iterable[Path], skeleton: Skeleton) -> list[Sample]:
    """Read the boxes of a file of negatives that somebody has looked at; all, where nobody has looked at any."""
    listed = NegativesFile.read(file).negatives
    verified = [each for each in listed if each.verified] or [each for each in listed if each.verified is None]
    if not verified:
        raise ValueError(f"{file}: expected boxes that hold nobody, found none")
    samples = []
    for negative in verified:
        places = [folder for folder in folders if (folder / negative.file_name).is_file()]
        if not places:
            raise FileNotFoundError(f"{negative.file_name}: expected in a folder of --images, of {file}, found none")
        samples.append(as_sample(negative, places[0], skeleton))
    return samples


def read_ids(file: Path) -> set[Any]:
    """Read the image ids of a list, or of an object's ``image_ids``."""
    content = read_json(file, what="list of image ids")
    ids = content.get("image_ids") if isinstance(content, dict) else content
    if not isinstance(ids, list) or not all(isinstance(each, int | str) for each in ids):
        raise ValueError(f"{file}: expected a list of image ids, or an object with image_ids, found {content!r:.80}")
    return set(ids)


def table(evidence: Evidence, skeleton: Skeleton) -> str:
    """Return rows of how far promised and observed rates are apart, per keypoint and in all."""
    lines = [f"{'keypoint':<16}{'labelled':>9}{'right':>8}   peak -> calibrated   without the mirrored crop"]
    both = {flip: (held_out_probabilities(evidence, flip=flip), evidence.right(flip=flip)) for flip in (True, False)}
    names = [*skeleton.keypoints, "all"]
    for index, name in enumerate(names):
        rows = evidence.labelled.copy()
        if name != "all" or index < skeleton.num_keypoints:
            rows[:, [other for other in range(skeleton.num_keypoints) if other != index]] = False
        if not rows.any():
            lines.append(f"{name:<16}{0:>9}")
            continue
        cells = []
        for flip in (True, False):
            probabilities, right = both[flip]
            peaks = evidence.of_pass(flip=flip).scores.clip(0, 1)
            errors = [reliability(values[rows], right[rows]).calibration_error for values in (peaks, probabilities)]
            cells.append(f"{errors[0]:>7.3f} -> {errors[1]:.3f}")
        rate = both[True][1][rows].mean()
        lines.append(f"{name:<16}{rows.sum():>9}{rate:>8.3f}   {cells[0]:<20} {cells[1]}")
    return "\n".join(lines)


def presence_table(persons: Evidence, negatives: Evidence) -> str:
    """Return how well persons are told from negatives, with and without the mirrored crop; both kinds count alike."""
    head = f"presence of {len(persons.images)} persons and {len(negatives.images)} boxes that hold nobody"
    lines = []
    for flip, name in ((True, "with the mirrored crop"), (False, "without it")):
        found = held_out_presence(persons, negatives, flip=flip)
        if found is None:
            return f"{head}: not measured, they are of too few images"
        area = area_under_roc(np.concatenate(found), np.repeat([True, False], [len(part) for part in found]))
        brier = (np.square(1 - found[0]).mean() + np.square(found[1]).mean()) / 2
        lines.append(f"  {name:<22} area under ROC {area:.3f}, Brier score {brier:.3f}")
    return "\n".join([head, *lines])


def write_calibrated(folder: Path, model: PoseModel[Any], config: PoseConfig, source: Path) -> None:
    """Write the model's folder with another configuration, as a whole; weights that are ours are copied as they are."""
    text = config_text(type(model).__name__, config)
    with create_folder(folder) as part:
        if "architecture" in read_json(source / CONFIG_FILE) and (source / WEIGHTS_FILE).is_file():
            shutil.copyfile(source / WEIGHTS_FILE, part / WEIGHTS_FILE)
            write_text(part / CONFIG_FILE, text)
        else:  # of another library
            write_folder(part, text, model.state_dict())
        if (source / CARD_FILE).is_file():
            shutil.copyfile(source / CARD_FILE, part / CARD_FILE)


def _collect(
    model: PoseModel[Any], samples: list[Sample], decoding: Decoding, runtime: Runtime, progress: ProgressLine
) -> Evidence:
    seen: set[int] = set()

    def advance(group: list[Sample]) -> None:
        image = group[0].image_id
        progress.advance(images=int(image not in seen), persons=len(group))
        seen.add(image)

    return collect_evidence(model, samples, decoding=decoding, runtime=runtime, on_boxes=advance)
