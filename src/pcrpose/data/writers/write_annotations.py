"""The table of written annotation formats, and the writer of any of them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pcrpose.data.samples import AnnotatedPersons
from pcrpose.data.writers.coco import write_coco
from pcrpose.data.writers.yolo import write_yolo
from pcrpose.files.atomic import create_folder
from pcrpose.files.checks import one_of


class Writer(Protocol):
    """Writes persons in one format into a folder that is there."""

    def __call__(self, folder: Path, persons: AnnotatedPersons, images: str | Path) -> None:
        """Write; file names of images are relative to the folder ``images``."""


# A new format is one file with its writer, and one row.
WRITERS: Mapping[str, Writer] = MappingProxyType({"coco": write_coco, "yolo": write_yolo})


def write_annotations(
    folder: str | Path, persons: AnnotatedPersons, images: str | Path, *, file_format: str = "coco"
) -> None:
    """Write annotations in any format of `WRITERS` as a new folder, whole or not at all; no image is copied.

    The writer of the format documents what it keeps and how it rounds: `write_coco`, `write_yolo`.

    Args:
        folder: new or empty.
        persons: as any reader returns them.
        images: folder that the names of the images are relative to.
        file_format: of `WRITERS`.

    Raises:
        FileExistsError: if the folder is there and not empty.
        ValueError: if the format is unknown, an image is not in ``images``, or the format has no place for something.
    """
    one_of("file_format", file_format, WRITERS)
    with create_folder(Path(folder)) as part:
        WRITERS[file_format](part, persons, images)
