"""``pcrpose train``: fine-tune a model on one annotation file, or run a recipe over several kinds of data."""

import argparse
import logging
from importlib.util import find_spec
from typing import Any, get_args

import torch

from pcrpose.cli.shared.options import MODEL, at_least, existing_file, path
from pcrpose.cli.shared.results import new_folder
from pcrpose.cli.train_recipe import add_recipe_arguments, train_recipe
from pcrpose.cli.training import (
    COLOR_JITTER,
    EPOCHS,
    average_precision,
    check_val,
    choose_cache,
    fine_tuning,
    prepare_model,
    refuse_other_length,
    say_result,
    steps_done,
    warn_of_errors,
)
from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.skeleton import read_skeleton
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.boxes import Size
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import Precision
from pcrpose.training.run_recipe import Source
from pcrpose.training.trainer import Trainer

NEED_RECIPE = ("data", "format", "per_epoch", "verified_only", "network", "encoder", "fine_tune_epochs")
USAGE = """\
%(prog)s ANNOTATIONS.json IMAGES --out DIR [options]
       %(prog)s --recipe TEXT --data LETTER FILE IMAGES [--data ...] --out DIR [options]"""
EPILOG = """\
examples:
  pcrpose train train.json photos --out runs/mine
  pcrpose train train.json photos --out runs/mine --val val.json photos --epochs 60
  pcrpose train --recipe "CHU->CH" --data C train.json photos --data H negatives.json photos \\
      --data U pseudo.json unlabelled --out runs/recipe --val val.json photos

The model starts from a pretrained one. If the annotations have other keypoints, those of the same name keep what they
have learnt and the others start anew. "pcrpose doctor train.json photos" tells before what is wrong with the data.
The same command again goes on from the last checkpoint.

exit codes: 0 the training is done; 2 a mistake in what was asked for; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.usage, parser.epilog = USAGE, EPILOG
    places = [
        parser.add_argument(
            "annotations", type=existing_file, metavar="ANNOTATIONS.json", help="persons to learn from"
        ),
        parser.add_argument("images", type=path, metavar="IMAGES", help="folder of their images"),
    ]
    parser.add_argument("--out", type=new_folder, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--val",
        type=path,
        nargs=2,
        metavar=("ANNOTATIONS.json", "IMAGES"),
        help="persons to measure AP on now and then; the best model is kept",
    )
    add_recipe_arguments(parser, instead_of=places)
    model = parser.add_argument_group("model")
    model.add_argument("--start", metavar="NAME", help=f"name in the zoo, folder, or owner/name on the Hub ({MODEL})")
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
        "--epochs",
        type=at_least(1),
        metavar="N",
        help=f"passes over the data ({EPOCHS}; with --network the 210 of the paper's baselines)",
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


def run(options: argparse.Namespace) -> int:
    """Train, and say where the model is and how to use it."""
    logging.getLogger("pcrpose").setLevel(logging.INFO)  # who waits for hours wants to see that it moves
    torch.manual_seed(options.seed)
    if find_spec("accelerate") is None:  # before anything slow
        raise ImportError("training needs more packages: pip install 'pcrpose[train]'")
    if options.val is not None:
        check_val(*options.val)
    if options.recipe is not None:
        train_recipe(options)
    else:
        _fine_tune(options)
    return 0


def _fine_tune(options: argparse.Namespace) -> None:
    """Train on one annotation file."""
    for name in NEED_RECIPE:
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')}: expected with --recipe; --recipe C is one annotation file too"
            )
    if not options.images.is_dir():
        raise FileNotFoundError(f"{options.images}: expected the folder of the images")
    if any(options.out.glob("stage-*")):
        raise ValueError(f"{options.out}: holds the stages of a recipe; choose another --out")
    refuse_other_length(options.out, options.epochs or EPOCHS)
    skeleton = None if options.skeleton is None else read_skeleton(options.skeleton)
    warn_of_errors(options.annotations, options.images, skeleton=skeleton, val=options.val)
    data = read_coco(options.annotations, options.images, skeleton=skeleton)
    if not data.samples:
        raise ValueError(f"{options.annotations}: expected persons with keypoints, found none; see pcrpose doctor")
    start = load_model(options.start or MODEL)
    model = prepare_model(start, data.skeleton, size=options.size, keep=skeleton is None)
    people = _crops(data, model, options)
    config = fine_tuning(options, len(people), model.config)
    measure = None if options.val is None else average_precision(options.val[0], options.val[1], model.config.skeleton)
    trainer = Trainer(model, people, options.out, config, validate=measure)
    before = steps_done(options.out)
    trainer.train()
    finished = 0 < before == trainer.total_steps
    told = f"{config.epochs} of {config.epochs} epochs" if finished else None
    say_result(options.out, finished=told, val=options.val and options.val[0])


def _crops(data: AnnotatedPersons, model: PoseModel[Any], options: argparse.Namespace) -> KeypointDataset:
    people = Source(
        samples=data.samples,
        skeleton=data.skeleton,
        augmentation=Augmentation(mirror_probability=0.5 if options.mirror else 0.0, color_jitter=COLOR_JITTER),
        cache=choose_cache([data], reduce_jpegs=options.reduce_jpegs),
    )
    return people.crops(model.config, seed=options.seed)
