"""Files that are whole or not there."""

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write under a temporary name, then rename: a reader finds all of the new file or what was before.

    Folders on the way are made. Processes may write the same file at once: one of them wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole, in UTF-8."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
