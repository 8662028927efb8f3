"""Files that are whole or not there, and the marks by which a file is known again."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

MARK_LENGTH = 12  # hexadecimal digits: enough to tell any two settings or weights apart


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write under a temporary name, then rename: a reader finds all of the new file or what was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def mark_of_file(path: Path) -> str:
    """Give a short mark of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:MARK_LENGTH]


def mark_of_text(text: str) -> str:
    """Give a short mark of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:MARK_LENGTH]
