"""``pcrpose train``: fine-tune a model on one annotation file."""

import argparse
from typing import NoReturn

from pcrpose.cli.shared.options import MODEL, existing_file, path
from pcrpose.cli.shared.training import (
    add_common_arguments,
    average_precision,
    fine_tune,
    prepare,
    refuse_other_length,
    say_result,
    steps_done,
    warn_of_errors,
)
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.skeleton import read_skeleton
from pcrpose.models.load import load_model
from pcrpose.training.fine_tune import FineTune, learning_config

EPILOG = """\
examples:
  pcrpose train train.json photos --out runs/mine
  pcrpose train train.json photos --out runs/mine --val val.json photos --epochs 60

The model starts from a pretrained one. If the annotations have other keypoints, those of the same name keep what they
have learnt and the others start anew. "pcrpose doctor train.json photos" tells before what is wrong with the data.
"pcrpose train-recipe" trains on several kinds of data, stage after stage.
The same command again goes on from the last checkpoint.

exit codes: 0 the training is done; 2 a mistake in what was asked for; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("annotations", type=existing_file, metavar="ANNOTATIONS.json", help="persons to learn from")
    parser.add_argument("images", type=path, metavar="IMAGES", help="folder of their images")
    parser.add_argument("--recipe", type=_moved, help=argparse.SUPPRESS)
    add_common_arguments(parser, epochs=str(FineTune.epochs))
    parser.add_argument(
        "--teacher",
        metavar="NAME",
        help="model of the same keypoints and crops whose heatmaps are learnt beside the labels; named as for --start",
    )


def _moved(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f'expected no recipe: "pcrpose train-recipe {text!r} ..." runs it')


def run(options: argparse.Namespace) -> int:
    """Train, and print where the model is and how to use it."""
    prepare(options)
    if not options.images.is_dir():
        raise FileNotFoundError(f"{options.images}: expected the folder of the images")
    if any(options.out.glob("stage-*")):
        raise ValueError(f"{options.out}: holds the stages of a recipe; choose another --out")
    settings = fine_tune(options, teacher=options.teacher)
    refuse_other_length(options.out, settings.epochs)
    skeleton = None if options.skeleton is None else read_skeleton(options.skeleton)
    warn_of_errors(options.annotations, options.images, skeleton=skeleton, val=options.val)
    data = read_coco(options.annotations, options.images, skeleton=skeleton)
    if not data.samples:
        raise ValueError(f"{options.annotations}: expected persons with keypoints, found none; see pcrpose doctor")
    start = options.start or MODEL
    keep = skeleton is None
    learnt = learning_config(load_model(start).config, data.skeleton, keep=keep).skeleton
    validate = None if options.val is None else average_precision(options.val[0], options.val[1], learnt)
    before = steps_done(options.out)
    settings.train(start, data, options.out, validate, keep_skeleton=keep)
    finished = 0 < before == steps_done(options.out)
    told = f"{settings.epochs} of {settings.epochs} epochs" if finished else None
    say_result(options.out, finished=told, val=options.val and options.val[0])
    return 0
