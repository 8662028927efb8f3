"""``pcrpose reproduce``: the rows of the paper's tables, their steps, and running one."""

import argparse
import logging
import sys
from pathlib import Path
from typing import get_args

from pcrpose.cli.shared.options import BATCH, at_least, device, existing_file, path
from pcrpose.cli.shared.results import new_folder
from pcrpose.inference.runtime import Runtime
from pcrpose.publishing.coco_folder import CocoFolder
from pcrpose.publishing.ledger import describe, listing, page
from pcrpose.publishing.reproduce import TableRow, find_row, in_words
from pcrpose.publishing.run_row import CHECK, Setup, check_row, percent, run_row
from pcrpose.training.config import Precision

EPILOG = """\
examples:
  pcrpose reproduce
  pcrpose reproduce table3/pcr-r50
  pcrpose reproduce table3/pcr-r50 --subset coco
  pcrpose reproduce table3/pcr-r50 --run --coco coco --out runs

--subset runs the row's own configurations for two optimizer steps per stage and 16 persons: a pipeline check, not a
result. --run is the whole thing; the same command again goes on from the last checkpoint.

exit codes: 0 all is well; 2 a mistake in what was asked for, or a file that is missing; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("row", nargs="?", metavar="NAME", help="a row, to print its steps; all are listed without")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--run", action="store_true", help="train and test the row")
    action.add_argument("--subset", type=path, metavar="COCO_FOLDER", help="check its pipeline on a part of COCO")
    action.add_argument("--page", action="store_true", help="print all rows as a page of the documentation")
    parser.add_argument(
        "--out", type=new_folder, default=Path("runs"), metavar="DIR", help="folder to write into (%(default)s)"
    )
    parser.add_argument("--device", type=device, default="auto", help="of the test; training finds its own")
    data = parser.add_argument_group("data of --run")
    data.add_argument("--coco", type=path, metavar="DIR", help="COCO's files under their own names")
    data.add_argument("--aic", type=path, metavar="DIR", help="AI Challenger's, for rows with A")
    data.add_argument(
        "--encoders",
        type=path,
        metavar="DIR",
        help="files of ImageNet's weights, resnet50.pth and so on; by default timm's on the Hub",
    )
    data.add_argument(
        "--detections", type=existing_file, metavar="FILE", help="boxes to test with, instead of the published ones"
    )
    training = parser.add_argument_group("training of --run")
    training.add_argument(
        "--precision", choices=get_args(Precision), default="float32", help="of its arithmetic (%(default)s)"
    )
    training.add_argument(
        "--parts", type=at_least(1), default=1, metavar="N", help="cut batches for less memory (%(default)s)"
    )
    training.add_argument(
        "--workers", type=at_least(0), default=2, metavar="N", help="processes that prepare crops (%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """List, describe, check or run."""
    if options.row is None:
        if options.run or options.subset is not None:
            raise ValueError("expected the name of a row before --run or --subset; pcrpose reproduce lists them")
        sys.stdout.write(page() if options.page else listing())
        return 0
    if options.page:
        raise ValueError(f"--page: expected no name, found {options.row}: the page holds all rows")
    row = find_row(options.row)
    runtime = Runtime(device=options.device, batch_size=BATCH)
    if options.subset is not None:
        return _check(row, options, runtime)
    if options.run:
        return _run(row, options, runtime)
    sys.stdout.write(describe(row))
    return 0


def _check(row: TableRow, options: argparse.Namespace, runtime: Runtime) -> int:
    found = check_row(row, CocoFolder(options.subset), options.out, runtime=runtime)
    sys.stdout.write(f"{CHECK}: {row.name}, {found.num_poses} poses in {found.results}\n")
    return 0


def _run(row: TableRow, options: argparse.Namespace, runtime: Runtime) -> int:
    if options.coco is None:
        raise ValueError("--coco: expected the folder of COCO's files; the page Full COCO lists them")
    logging.getLogger("pcrpose").setLevel(logging.INFO)  # who waits for days wants to see that it moves
    setup = Setup(
        coco=CocoFolder(options.coco),
        aic=options.aic,
        encoders=options.encoders,
        detections=options.detections,
        precision=options.precision,
        parts=options.parts,
        num_workers=options.workers,
        runtime=runtime,
    )
    found = run_row(row, setup, options.out)
    if found is None:  # another process tests
        return 0
    lines = [f"{row.name}: {found.num_poses} poses in {found.results}"]
    if found.metrics is None:
        lines.append(f"its annotations are not public: upload {found.results.with_suffix('.zip')}")
    else:
        lines += [f"measured: {in_words(percent(found.metrics))}", f"paper: {in_words(row.published)}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
