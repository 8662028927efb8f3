"""``pcrpose verify``: an exported file beside the model that it was made of."""

import argparse
import sys

from pcrpose.cli.shared.options import model_name, path
from pcrpose.inference.verify_export import CLEAR, KEYPOINT_LIMIT, ExportDifferences, verify_export
from pcrpose.models.load import load_model

EPILOG = """\
examples:
  pcrpose verify pose.onnx --against pcr-small

Both predict on drawn images: with boxes inside and beyond the border, with one box and with none.

exit codes: 0 the differences are within their limits; 1 some are not; 2 a mistake in what was asked for
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=path, metavar="FILE", help='file of "pcrpose export"')
    parser.add_argument(
        "--against",
        type=model_name,
        required=True,
        metavar="MODEL",
        help="name in the zoo, folder, or owner/name on the Hub",
    )


def run(options: argparse.Namespace) -> int:
    """Compare, and print the largest differences."""
    differences = verify_export(options.file, load_model(options.against))
    problems = differences.problems
    sys.stdout.write(differences_text(differences) + "".join(f"too large: {problem}\n" for problem in problems))
    return int(bool(problems))


def differences_text(differences: ExportDifferences) -> str:
    """Write the largest differences, one a line."""
    clear = f"{differences.clear_keypoints} keypoints whose two best cells differ by more than {CLEAR:g}"
    beyond = f"{differences.exceptions} of them beyond {KEYPOINT_LIMIT:g}"
    lines = [
        f"heatmaps, same crops: {differences.heatmaps:.1e}",
        f"keypoints: {differences.keypoints:.1e} pixels, of {clear}; {beyond}",
        f"keypoint scores: {differences.keypoint_scores:.1e}",
    ]
    if differences.keypoint_probabilities is not None:
        lines.append(f"keypoint probabilities: {differences.keypoint_probabilities:.1e}")
    return "largest differences\n" + "".join(f"  {line}\n" for line in lines)
