"""``pcrpose push``: a model or an ensemble, with its card, to the Hugging Face Hub."""

import argparse
import sys
from pathlib import Path

from pcrpose.cli.shared.inputs import box
from pcrpose.cli.shared.options import existing_file
from pcrpose.publishing.measurement import read_measurements
from pcrpose.publishing.push import Facts, push

EPILOG = """\
examples:
  pcrpose push runs/mine/best --repo me/my-model --license apache-2.0 --image photo.jpg --boxes 10,20,200,400
  pcrpose push pcr-small --repo me/pcr-small --private

Weights, configuration and card go up as one commit; nothing else of the folder does. A card of your own (README.md in
the folder) is kept, with a drawn image put in; without one a card is written: what the network is, --license,
--recipe, --metrics. Log in before, with "hf auth login", or set HF_TOKEN. Then load_model("me/my-model") finds it.

exit codes: 0 it is there; 2 a mistake in what was asked for, or the Hub refuses or cannot be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("name", metavar="NAME_OR_FOLDER", help="name in the zoo, or folder of a model or an ensemble")
    parser.add_argument("--repo", required=True, metavar="ORG/NAME", help="repository; made where it does not exist")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch; made where it does not exist")
    card = parser.add_argument_group("card, where the folder has none")
    card.add_argument("--license", metavar="NAME", help="of the weights, as the Hub lists them: apache-2.0")
    card.add_argument("--recipe", metavar="TEXT", help="how it was trained; by default the folder's recipe.json")
    card.add_argument(
        "--metrics", type=existing_file, metavar="FILE.json", help="measurements, as benchmarks/zoo_figures.py writes"
    )
    drawing = parser.add_argument_group("drawn image")
    drawing.add_argument(
        "--image", type=existing_file, metavar="PHOTO", help="photo to draw poses on; by default one is generated"
    )
    drawing.add_argument(
        "--boxes",
        type=box,
        action="append",
        metavar="X1,Y1,X2,Y2",
        help="left, top, right, bottom of a person on it; the whole photo by default",
    )


def run(options: argparse.Namespace) -> int:
    """Upload, and print the commit's address."""
    if options.boxes is not None and options.image is None:
        raise ValueError("--boxes: expected with --image, the photo that they are on")
    facts = Facts(
        license=options.license,
        recipe=options.recipe,
        measurements=() if options.metrics is None else read_measurements(Path(options.metrics)),
        image=options.image,
        boxes_xyxy=options.boxes,
    )
    address = push(options.name, options.repo, private=options.private, revision=options.revision, facts=facts)
    sys.stdout.write(f"{address}\n")
    return 0
