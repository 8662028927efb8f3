"""``pcrpose export``: a model as one file for onnxruntime or OpenVINO."""

import argparse
import sys
from typing import get_args

from pcrpose.cli.shared.options import MODEL, model_name, path
from pcrpose.cli.verify import differences_text
from pcrpose.inference.export import export_model
from pcrpose.inference.exported_file import SUFFIXES, ExportFormat
from pcrpose.keypoints.decoding import Decoding
from pcrpose.models.load import load_model

EPILOG = f"""\
examples:
  pcrpose export {MODEL} --to onnx --out pose.onnx
  pcrpose export {MODEL} --to openvino --crops --out pose.xml

The ONNX file takes an image and boxes and returns keypoints in the image's pixels, their scores and, for a calibrated
model, probabilities: crop, normalization, mirrored pass and decoding are inside. It needs onnxruntime and numpy, not
pcrpose. The file is compared with the model ("pcrpose verify") before it gets its name.

exit codes: 0 the file is written; 2 it is not, and nothing is left of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "model", type=model_name, metavar="MODEL", help="name in the zoo, folder, or owner/name on the Hub"
    )
    parser.add_argument("--to", choices=get_args(ExportFormat), default="onnx", help="kind of file (%(default)s)")
    suffixes = " or ".join(SUFFIXES.values())
    parser.add_argument("--out", type=path, required=True, metavar="FILE", help=f"file to write, {suffixes}")
    parser.add_argument("--crops", action="store_true", help="take crops, not an image and boxes; openvino files do")
    parser.add_argument(
        "--no-flip", dest="flip", action="store_false", help="do without the mirrored crop: twice as fast, less exact"
    )
    parser.add_argument(
        "--decoding", choices=get_args(Decoding), default="dark", help="how peaks become coordinates (%(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Export, and print how much the file differs from the model."""
    model = load_model(options.model)
    differences = export_model(
        model,
        options.out,
        format=options.to,
        crops=options.crops,
        flip=options.flip,
        decoding=options.decoding,
    )
    sys.stdout.write(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB\n{differences_text(differences)}")
    return 0
