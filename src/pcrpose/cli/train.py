"""``pcrpose train``: fine-tune a pretrained model on the persons of one annotation file."""

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import torch

from pcrpose.cli.options import MODEL, at_least, existing_file, path
from pcrpose.data.augment import Augmentation
from pcrpose.data.coco import read_coco
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.doctor.annotation_file import AnnotationFile
from pcrpose.data.doctor.examine import examine
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.data.skeleton_file import read_skeleton
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.transfer import replace_skeleton
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.trainer import Trainer
from pcrpose.training.validation import CocoValidation

logger = logging.getLogger(__name__)

HELP = "train or fine-tune a model on annotations in COCO's form"
EPILOG = """\
examples:
  pcrpose train train.json photos --out runs/mine
  pcrpose train train.json photos --out runs/mine --val val.json photos --epochs 60

The model starts from a pretrained one. If the annotations have other keypoints, those of the same name keep what they
have learnt and the others start anew. "pcrpose doctor train.json photos" tells before what is wrong with the data.
The same command again goes on from the last checkpoint.

exit codes: 0 the training is done; 2 a mistake in what was asked for; 130 stopped by Ctrl-C
"""
AREA_PER_BOX = 0.53  # COCO's persons fill about so much of their boxes; for annotations without an area
CACHED_BYTES = 1 << 30  # of decoded pictures in memory
LOG_LINES = 20
VALIDATIONS = 10
CHECKPOINT_STEPS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("annotations", type=existing_file, metavar="ANNOTATIONS.json", help="persons to learn from")
    parser.add_argument("images", type=path, metavar="IMAGES", help="folder of their pictures")
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--val",
        type=path,
        nargs=2,
        metavar=("ANNOTATIONS.json", "IMAGES"),
        help="persons to measure AP on now and then; the best model is kept",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--start", default=MODEL, metavar="NAME", help="name in the zoo, folder, or owner/name on the Hub (%(default)s)"
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
        help="of the crops, multiples of 32, for pcr-nano of 16; by default the model's",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=at_least(1), default=30, metavar="N", help="passes over the data (%(default)s)"
    )
    training.add_argument("--batch", type=at_least(2), default=32, metavar="N", help="crops a step (%(default)s)")
    training.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="R", help="at its highest; it falls to 0 (%(default)s)"
    )
    training.add_argument(
        "--no-mirror",
        dest="mirror",
        action="store_false",
        help="never mirror: for things whose left and right have no partner",
    )
    training.add_argument("--precision", choices=get_args(Precision), default="float32", help="(%(default)s)")
    training.add_argument(
        "--workers", type=at_least(0), default=2, metavar="N", help="processes that prepare crops (%(default)s)"
    )
    training.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of everything random (%(default)s)")


def _size(text: str) -> Size:
    try:
        return Size.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Train, and say where the model is and how to use it."""
    logging.getLogger("pcrpose").setLevel(logging.INFO)  # who waits for hours wants to see that it moves
    torch.manual_seed(options.seed)
    skeleton = None if options.skeleton is None else read_skeleton(options.skeleton)
    if find_spec("accelerate") is None:  # before anything slow
        raise ImportError("training needs more packages: pip install 'pcrpose[train]'")
    if not options.images.is_dir():
        raise FileNotFoundError(f"{options.images}: expected the folder of the pictures")
    _warn(options, skeleton)
    data = read_coco(options.annotations, options.images, skeleton=skeleton)
    if not data.samples:
        raise ValueError(f"{options.annotations}: expected persons with keypoints, found none; see pcrpose doctor")
    model = prepare_model(load_model(options.start), data.skeleton, size=options.size, keep=skeleton is None)
    people = _crops(data, model, mirror=options.mirror, seed=options.seed)
    config = _config(options, len(people), model)
    measure = None if options.val is None else average_precision(options.val[0], options.val[1], model.config.skeleton)
    trainer = Trainer(model, people, options.out, config, validate=measure)
    with short_lines(trainer.total_steps):
        folder = trainer.train()
    best = options.out / "best"
    if measure is not None and best.is_dir():
        folder = best
        sys.stdout.write(f"best AP {trainer.progress.best:.3f} on {options.val[0]}, annotated boxes, no mirroring\n")
    sys.stdout.write(
        f"the model is in {folder}\n"
        f"  pcrpose predict photo.jpg --model {folder} --out drawn\n"
        f'  PosePredictor(load_model("{folder}")).predict("photo.jpg")\n'
    )
    return 0


def prepare_model(
    model: PoseModel[Any], skeleton: Skeleton, *, size: Size | None = None, keep: bool = True
) -> PoseModel[Any]:
    """Give a pretrained model the keypoints and the input size it is to learn.

    Args:
        model: to start from.
        skeleton: of the data.
        size: of the crops; None keeps the model's.
        keep: where the data's keypoints are the model's by name, keep the model's flip pairs, bones and sigmas too.
    """
    own = model.config.skeleton
    wanted = own if keep and own.keypoints == skeleton.keypoints else skeleton
    if wanted == own and size in {None, model.config.input_size}:
        return model
    return replace_skeleton(model, wanted, input_size=size)


def average_precision(annotations: Path, images: Path, skeleton: Skeleton) -> CocoValidation:
    """Make the validation of a training: AP by COCO's rules on annotated boxes, each crop seen once."""
    file = AnnotationFile.read(annotations)
    dataset = read_coco(file.content or annotations, images, skeleton=skeleton)
    evaluator = CocoEvaluator(
        file.content or annotations,
        skeleton=skeleton,
        category_id=file.category.get("id"),
        area_per_box=AREA_PER_BOX,
    )
    return CocoValidation(dataset, evaluator)


def _warn(options: argparse.Namespace, skeleton: Skeleton | None) -> None:
    """Log what ``pcrpose doctor`` calls an error; reading decides whether it stops the training."""
    logger.info("looking through %s", options.annotations)
    against, against_images = options.val or (None, None)
    found = examine(
        options.annotations, options.images, skeleton=skeleton, against=against, against_images=against_images
    )
    errors = [finding for finding in found if finding.severity == "error"]
    for finding in errors:
        logger.warning("%s", str(finding).removeprefix("error: "))
    if errors:
        command = f"pcrpose doctor {options.annotations} {options.images}"
        logger.warning('training goes on with what can be read; better mend the file first: "%s" says how', command)


def _crops(data: AnnotatedPersons, model: PoseModel[Any], *, mirror: bool, seed: int) -> KeypointDataset:
    used = {sample.image_id for sample in data.samples}
    pixels = sum(data.image_sizes[image_id].width * data.image_sizes[image_id].height for image_id in used)
    cached = 3 * pixels <= CACHED_BYTES
    people = KeypointDataset(
        data.samples,
        source_skeleton=data.skeleton,
        skeleton=model.config.skeleton,
        input_size=model.config.input_size,
        padding=model.config.padding,
        alignment=model.config.alignment,
        augmentation=Augmentation(mirror_probability=0.5 if mirror else 0.0, color_jitter=0.2),
        seed=seed,
        cache_images=cached,
    )
    if cached:
        people.preload()  # worker processes share what is decoded before they start
    return people


def _config(options: argparse.Namespace, persons: int, model: PoseModel[Any]) -> TrainConfig:
    batch = min(options.batch, persons)
    steps = options.epochs * (persons // batch)
    return TrainConfig(
        epochs=options.epochs,
        batch_size=batch,
        learning_rate=options.learning_rate,
        freeze_statistics=True,  # a small data set's would be worse than those of the first training
        schedule="cosine",
        warmup_steps=min(50, steps // 10),
        loss="cross_entropy" if model.config.heatmaps == "probability" else "squared_error",
        ema_decay=0.99,
        gradient_clip=5.0,
        precision=options.precision,
        num_workers=options.workers,
        seed=options.seed,
        checkpoint_every=CHECKPOINT_STEPS,
        validate_every=max(1, options.epochs // VALIDATIONS),
        log_every=max(1, steps // LOG_LINES),
    )


@contextlib.contextmanager
def short_lines(total_steps: int) -> Iterator[None]:
    """Let the figures that the trainer logs read ``step 50 of 400: loss 2.31``."""

    def shorten(record: logging.LogRecord) -> bool:
        if isinstance(record.args, Mapping) and "step" in record.args:
            figures = {**record.args}
            step = figures.pop("step")
            told = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items())
            record.msg, record.args = f"step {step} of {total_steps}: {told}", ()
        return True

    trainer = logging.getLogger(Trainer.__module__)
    trainer.addFilter(shorten)
    try:
        yield
    finally:
        trainer.removeFilter(shorten)
