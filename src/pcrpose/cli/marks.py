"""The marks by which files and settings are known again."""

import hashlib
from pathlib import Path

MARK_LENGTH = 12  # hexadecimal digits: enough to tell any two settings or weights apart


def mark_of_file(path: Path) -> str:
    """Give a short mark of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:MARK_LENGTH]


def mark_of_text(text: str) -> str:
    """Give a short mark of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:MARK_LENGTH]
