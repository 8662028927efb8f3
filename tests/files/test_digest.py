"""Content digests."""

import hashlib
from pathlib import Path

from pcrpose.files.digest import SHORT_LENGTH, file_sha256, short_file_digest, short_text_digest


def test_file_sha256(tmp_path: Path) -> None:
    """The digest is the whole SHA-256 of the content."""
    (tmp_path / "weights").write_bytes(b"abc" * 1000)

    assert file_sha256(tmp_path / "weights") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_short_digests(tmp_path: Path) -> None:
    """Equal contents have equal digests, others others; they are the beginning of the whole one."""
    (tmp_path / "file").write_text("same")

    assert short_file_digest(tmp_path / "file") == short_text_digest("same")
    assert short_text_digest("same") == hashlib.sha256(b"same").hexdigest()[:SHORT_LENGTH]
    assert short_text_digest("same") != short_text_digest("other")
