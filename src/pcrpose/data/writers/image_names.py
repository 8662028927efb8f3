"""Names of images in annotation files: their paths relative to a folder."""

import os
from pathlib import Path

from pcrpose.data.samples import AnnotatedPersons


def relative_names(persons: AnnotatedPersons, images: str | Path) -> dict[int, str]:
    """Return each image's path relative to a folder, with ``/``, by the image's number.

    Raises:
        ValueError: if an image is not in the folder.
    """
    folder = _absolute(images)
    names = {}
    for image_id, path in persons.image_paths.items():
        absolute = _absolute(path)
        if not absolute.is_relative_to(folder):
            raise ValueError(f"{path}: expected an image in the folder {images}, found one elsewhere")
        names[image_id] = absolute.relative_to(folder).as_posix()
    return names


def common_folder(persons: AnnotatedPersons) -> Path:
    """Return the innermost folder that all images are in."""
    return Path(os.path.commonpath([_absolute(path.parent) for path in persons.image_paths.values()]))


def _absolute(path: str | Path) -> Path:
    """Return a path from the root, without following links: an image may be a link to a file elsewhere."""
    return Path(os.path.normpath(Path.cwd() / path))
