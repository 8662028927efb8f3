"""``pcrpose convert``: a published checkpoint becomes a folder that every command loads."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from pcrpose.cli.shared.options import path
from pcrpose.files.atomic import check_free, create_folder, write_text
from pcrpose.files.digest import file_sha256
from pcrpose.models.checkpoints.networks import NETWORKS
from pcrpose.models.convert import Converted, MisfitError, convert_checkpoint
from pcrpose.models.hub import write_folder
from pcrpose.models.pose_config import ChannelOrder, config_text
from pcrpose.publishing.card import CARD_FILE
from pcrpose.publishing.converted_card import UNKNOWN, Origin, converted_card

EPILOG = f"""\
examples:
  pcrpose convert pose_hrnet_w32_256x192.pth --as hrnet-w32-256x192 --out hrnet-w32 --license mit
  pcrpose predict photo.jpg --model ./hrnet-w32

Known are the names of the original Simple Baselines and HRNet checkpoints, of mmpose 0.x and 1.x, and our own. Only
tensors are unpickled; nothing that a file holds is run.

networks for --as:
  {chr(10).join(f"  {name}" for name in NETWORKS).strip()}

exit codes: 0 the folder is written; 2 it is not, and nothing is left of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=path, metavar="FILE", help="checkpoint: .pth, .pth.tar, .pt, .bin, .safetensors")
    parser.add_argument("--as", dest="network", required=True, metavar="NAME", help="network that the weights are of")
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER", help="new folder of the model")
    parser.add_argument(
        "--license",
        "--licence",
        default=UNKNOWN,
        metavar="TEXT",
        help="of the weights, for the card: apache-2.0, mit, ... (%(default)s)",
    )
    parser.add_argument(
        "--channels",
        choices=get_args(ChannelOrder),
        help="in which order the network reads a pixel; by default rgb, and bgr for the original Simple Baselines",
    )
    parser.add_argument(
        "--report", type=path, metavar="FILE", help="where to list every tensor that does not fit, if some do not"
    )


def run(options: argparse.Namespace) -> int:
    """Convert, and write the folder as a whole."""
    check_free(options.out)
    try:
        converted = convert_checkpoint(options.file, options.network, channel_order=options.channels)
    except MisfitError as error:
        if options.report is None:
            raise ValueError(f"{error}; --report REPORT lists them all") from error
        write_text(options.report, "".join(f"{problem}\n" for problem in error.problems))
        raise ValueError(f"{error}; all of them are in {options.report}") from error
    origin = Origin(
        file=options.file.name,
        sha256=file_sha256(options.file),
        family=converted.family.name,
        network=options.network,
        license=options.license,
    )
    _write(options.out, converted, origin)
    sys.stdout.write(_summary(options.out, converted))
    return 0


def _write(folder: Path, converted: Converted, origin: Origin) -> None:
    model = converted.model
    architecture = type(model).__name__
    with create_folder(folder) as part:
        write_folder(part, config_text(architecture, model.config), model.state_dict())
        write_text(part / CARD_FILE, converted_card(origin, architecture, model.config))


def _summary(folder: Path, converted: Converted) -> str:
    model = converted.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"{folder}: {type(model).__name__} with {parameters:,} parameters, from {converted.family.name} names, "
        f"reads {model.config.channel_order.upper()} crops of {model.config.input_size}\n"
        f"load it by its folder: load_model({str(folder)!r}), --model {folder}\n"
    )
