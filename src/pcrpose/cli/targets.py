"""Where results are to go: refused before the work begins, not after it, where they cannot."""

import argparse
import os
from pathlib import Path


def new_file(text: str) -> Path:
    """Read the path of a file to write, which may be there already; ``~`` is the home folder."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected the name of a file to write, found a folder")
    _check_place(path.parent, text)
    return path


def new_folder(text: str) -> Path:
    """Read the path of a folder to write into, which is made if it is missing; ``~`` is the home folder."""
    path = Path(text).expanduser()
    _check_place(path, text)
    return path


def _check_place(folder: Path, text: str) -> None:
    """Refuse a folder that is none, or that cannot be made or written into."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected a folder to write into, found the file {there}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text}: nothing can be written into {there}")
