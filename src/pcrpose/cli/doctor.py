"""``pcrpose doctor``: report the problems of an annotation file, one line each, before a training meets them."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from pcrpose.data.doctor.examine import examine
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.findings import Finding
from pcrpose.data.readers.skeleton import read_skeleton

EPILOG = """\
examples:
  pcrpose doctor train.json photos
  pcrpose doctor train.json photos --against val.json photos

Each thing that is found is one line: what, how often, what to do, and where it first occurs. Errors come first; a
warning can be meant so.

exit codes: 0 no error was found; 1 there is one; 2 a mistake in what was asked for
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("annotations", type=Path, metavar="FILE", help="annotations in COCO's form")
    parser.add_argument(
        "images", type=Path, nargs="?", metavar="IMAGES", help="folder of the images; without it none is opened"
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar=("FILE", "IMAGES"),
        help="another annotation file, and the folder of its images, that should have no image in common",
    )
    parser.add_argument(
        "--skeleton", type=Path, metavar="JSON", help="skeleton that is to be used instead of the file's"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(options: argparse.Namespace) -> int:
    """Print the findings; 1 if one of them is an error."""
    other = options.against or []
    if len(other) > 2:  # noqa: PLR2004 - a file and a folder
        raise ValueError(f"--against: expected FILE or FILE IMAGES, found {' '.join(map(str, other))}")
    file = AnnotationFile.read(options.annotations)
    findings = examine(
        file,
        options.images,
        skeleton=None if options.skeleton is None else read_skeleton(options.skeleton),
        against=other[0] if other else None,
        against_images=other[1] if len(other) > 1 else None,
    )
    if options.json:
        content = {"summary": file.summary(), "findings": [asdict(finding) for finding in findings]}
        text = json.dumps(content, indent=2)
    else:
        unseen = "" if options.images or file.content is None else "; the images were not looked at: give their folder"
        text = "\n".join([*map(str, findings), f"{file.summary()}: {count_findings(findings)}{unseen}"])
    sys.stdout.write(text + "\n")
    return int(any(finding.severity == "error" for finding in findings))


def count_findings(findings: list[Finding]) -> str:
    """Return the number of errors and warnings in words."""
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning")}
    told = [f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count]
    return ", ".join(told) or "nothing wrong found"
