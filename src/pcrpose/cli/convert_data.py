"""``pcrpose convert-data``: annotations of one format become annotations of another."""

import argparse
import sys
from pathlib import Path

from pcrpose.cli.shared.options import existing_file, path
from pcrpose.data.readers.read_annotations import FORMATS, read_annotations
from pcrpose.data.readers.skeleton import read_skeleton
from pcrpose.data.writers.image_names import common_folder
from pcrpose.data.writers.write_annotations import WRITERS, write_annotations
from pcrpose.files.atomic import check_free

EPILOG = """\
examples:
  pcrpose convert-data train.json photos --to yolo --out set
  pcrpose convert-data set/data.yaml --to coco --out as-coco
  pcrpose convert-data drawn --to coco --out to-correct

The last one makes annotations of the results of pcrpose predict --out drawn: CVAT imports them, and what is exported as
"COCO Keypoints 1.0" is read again as coco. No image is copied. What was written is one folder: annotations.json for
coco; data.yaml and labels for yolo, where the images belong beside them as "images".

exit codes: 0 the folder is written; 2 it is not, and nothing is left of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("source", type=path, metavar="SRC", help="annotation file; for predict the folder of results")
    parser.add_argument(
        "images",
        type=path,
        nargs="?",
        metavar="IMAGES",
        help="folder of the images; by default that of SRC",
    )
    parser.add_argument(
        "--from",
        dest="source_format",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}; found out where not given",
    )
    parser.add_argument("--to", required=True, choices=WRITERS, metavar="FORMAT", help=", ".join(WRITERS))
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER", help="new folder")
    parser.add_argument(
        "--skeleton", type=existing_file, metavar="JSON", help="skeleton that is to be used instead of the file's"
    )


def run(options: argparse.Namespace) -> int:
    """Read, write the folder as a whole, and count what is in it."""
    check_free(options.out)
    source = options.source
    images = options.images or _images_beside(source)
    skeleton = None if options.skeleton is None else read_skeleton(options.skeleton)
    persons = read_annotations(source, images, file_format=options.source_format, skeleton=skeleton)
    if options.images is None and source.is_dir():
        images = common_folder(persons)
    write_annotations(options.out, persons, images, file_format=options.to)
    sys.stdout.write(
        f"{options.out}: {len(persons.image_paths)} images, {len(persons)} persons of {persons.skeleton.name} "
        f"as {options.to}; names of images are relative to {images}\n"
    )
    return 0


def _images_beside(source: Path) -> Path:
    """Return where images are that nobody has said: YOLO's data file has a folder of them."""
    images = source.parent / "images"
    return images if source.suffix.lower() in FORMATS["yolo"].suffixes and images.is_dir() else source.parent
