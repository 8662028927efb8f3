"""Options, checks, validation and results of the training commands, ``train`` and ``train-recipe``."""

import argparse
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch

from pcrpose.cli.shared.options import MODEL, at_least, existing_file, model_name, path
from pcrpose.cli.shared.results import new_folder
from pcrpose.data.doctor.examine import examine
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.json_file import JsonFile
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.files.extras import install_command
from pcrpose.files.json import read_object
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import Precision
from pcrpose.training.engine.distributed import Processes
from pcrpose.training.engine.run import RECORD_FILE
from pcrpose.training.fine_tune import FineTune
from pcrpose.training.validation import CocoValidation

logger = logging.getLogger(__name__)

AREA_PER_BOX = 0.53  # COCO's persons fill about so much of their boxes; for annotations without an area


def add_common_arguments(parser: argparse.ArgumentParser, *, epochs: str) -> None:
    """Add the arguments that ``train`` and ``train-recipe`` share.

    Args:
        parser: of the command.
        epochs: what ``--epochs`` is by default.
    """
    parser.add_argument("--out", type=new_folder, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--val",
        type=path,
        nargs=2,
        metavar=("ANNOTATIONS.json", "IMAGES"),
        help="persons to measure AP on now and then; the best model is kept",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--start", type=model_name, metavar="NAME", help=f"name in the zoo, folder, or owner/name on the Hub ({MODEL})"
    )
    model.add_argument(
        "--skeleton",
        type=existing_file,
        metavar="FILE.json",
        help="name, keypoints, flip_pairs, bones and sigmas, where the annotations do not say enough",
    )
    model.add_argument(
        "--size",
        type=_size,
        metavar="HxW",
        help="of the crops, multiples of 32; by default the model's",
    )
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=at_least(1), metavar="N", help=f"passes over the data ({epochs})")
    training.add_argument("--batch", type=at_least(2), default=32, metavar="N", help="crops per step (%(default)s)")
    training.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="R", help="at its highest; it falls to 0 (%(default)s)"
    )
    training.add_argument(
        "--no-mirror",
        dest="mirror",
        action="store_false",
        help="never mirror: for things whose left and right have no partner",
    )
    training.add_argument(
        "--precision", choices=get_args(Precision), default="float32", help="of its arithmetic (%(default)s)"
    )
    training.add_argument(
        "--workers", type=at_least(0), default=2, metavar="N", help="processes that prepare crops (%(default)s)"
    )
    training.add_argument(
        "--reduce-jpegs",
        action="store_true",
        help="decode JPEG files of many megapixels at a part of their size: quicker, colors differ a little",
    )
    training.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of everything random (%(default)s)")


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def prepare(options: argparse.Namespace) -> None:
    """Set up logging and the random state, and check what needs no reading."""
    logging.getLogger("pcrpose").setLevel(logging.INFO)  # who waits for hours wants to see that it moves
    torch.manual_seed(options.seed)
    if find_spec("accelerate") is None:  # before anything slow
        raise ImportError(f"training needs more packages: {install_command('train')}")
    if options.val is not None:
        check_val(*options.val)


def fine_tune(options: argparse.Namespace, *, teacher: str | None = None) -> FineTune:
    """Return the settings that the options ask for.

    Args:
        options: of the command.
        teacher: name of a model to learn from.
    """
    return FineTune(
        epochs=options.epochs or FineTune.epochs,
        batch_size=options.batch,
        learning_rate=options.learning_rate,
        mirror=options.mirror,
        input_size=options.size,
        reduce_jpegs=options.reduce_jpegs,
        precision=options.precision,
        num_workers=options.workers,
        seed=options.seed,
        teacher=teacher,
    )


def check_val(annotations: Path, images: Path) -> None:
    """Raise FileNotFoundError unless the validation data exist, before anything is read."""
    if not annotations.is_file():
        raise FileNotFoundError(f"--val {annotations}: expected an annotation file, found none")
    if not images.is_dir():
        raise FileNotFoundError(f"--val {annotations}: expected {images} to be the folder of its images, found none")


def average_precision(annotations: Path, images: Path, skeleton: Skeleton) -> CocoValidation:
    """Build the validation of a training: AP by COCO's rules on annotated boxes, each crop seen once."""
    file = AnnotationFile.read(annotations)
    source = annotations if file.content is None else JsonFile(str(annotations), file.content)
    dataset = read_coco(source, images, skeleton=skeleton)
    dataset.require_images()
    evaluator = CocoEvaluator(
        file.content or annotations,
        skeleton=skeleton,
        category_id=file.category.get("id"),
        area_per_box=AREA_PER_BOX,
    )
    return CocoValidation(dataset, evaluator)


def warn_of_errors(
    annotations: Path, images: Path, *, skeleton: Skeleton | None = None, val: tuple[Path, Path] | None = None
) -> None:
    """Log what ``pcrpose doctor`` calls an error; reading decides whether it stops the training."""
    logger.info("looking through %s", annotations)
    against, against_images = val or (None, None)
    found = examine(annotations, images, skeleton=skeleton, against=against, against_images=against_images)
    errors = [finding for finding in found if finding.severity == "error"]
    for finding in errors:
        logger.warning("%s", str(finding).removeprefix("error: "))
    if errors:
        command = f"pcrpose doctor {annotations} {images}"
        logger.warning('these are errors; better fix the file before a long training: "%s" says how', command)


def steps_done(folder: Path) -> int:
    """Return the steps that the training in a folder has done; 0 where there is none."""
    checkpoint = find_checkpoint(folder / "last")
    return 0 if checkpoint is None else read_progress(checkpoint).step


def refuse_other_length(folder: Path, epochs: int, *, newest: Path | None = None) -> None:
    """Raise ValueError where an existing training has another length; the message says what to do.

    Args:
        folder: of the training.
        epochs: that are asked for.
        newest: model to train further instead, by default the training's own.

    Raises:
        ValueError: if there is a training of another length: how its learning rate falls was decided with it.
    """
    checkpoint = find_checkpoint(folder / "last")
    if checkpoint is None or not (folder / RECORD_FILE).is_file():
        return
    before = read_object(folder / RECORD_FILE).get("epochs")
    if before != epochs:
        model = newest or next((path for path in (folder / "final", folder / "last") if path.is_dir()), checkpoint)
        raise ValueError(
            f"{folder}: holds a training of {before} epochs, found {epochs}; its learning rate falls over all of them. "
            f"Ask for {before} to go on with it, or train its model further in another run: "
            f"--start {model} --out ANOTHER"
        )


def say_result(folder: Path, *, finished: str | None, val: Path | None) -> None:
    """Print where a training's model is, its AP, and how to use it; of several processes the first does.

    Args:
        folder: of the training, or of the last stage.
        finished: how long a training was that was finished before; None for one that has just come to its end.
        val: the annotations it was measured on.
    """
    model = folder / "final"
    checkpoint = find_checkpoint(folder / "last")
    best = None if checkpoint is None else read_progress(checkpoint).best
    lines: list[str] = []
    if finished is not None:
        lines.append(f"this training is finished: {finished}; nothing was left to do")
    if val is not None and best is not None and (folder / "best").is_dir():
        model = folder / "best"
        lines.append(f"best AP {best:.3f} on {val}, annotated boxes, no mirroring")
    lines += [
        f"the model is in {model}",
        f"  pcrpose predict photo.jpg --model {model} --out drawn",
        f'  PosePredictor(load_model("{model}")).predict("photo.jpg")',
    ]
    if finished is not None:
        lines.append(f"to train it further, begin another run from it: --start {folder / 'final'} --out ANOTHER")
    if Processes.current().rank == 0:
        sys.stdout.write("\n".join(lines) + "\n")
