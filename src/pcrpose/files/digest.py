"""Content digests: SHA-256 of files and texts."""

import hashlib
from pathlib import Path

SHORT_LENGTH = 12  # hexadecimal digits: enough to tell any two settings or weights apart


def file_sha256(path: str | Path) -> str:
    """Return a file's SHA-256, 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def short_file_digest(path: str | Path) -> str:
    """Return the first `SHORT_LENGTH` digits of a file's SHA-256."""
    return file_sha256(path)[:SHORT_LENGTH]


def short_text_digest(text: str) -> str:
    """Return the first `SHORT_LENGTH` digits of a text's SHA-256, in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT_LENGTH]
