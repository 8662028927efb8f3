"""Files that are whole or not there."""

from pathlib import Path

import pytest

from pcrpose.files.atomic import write_text, write_whole


def test_write_text(tmp_path: Path) -> None:
    """Folders are made as needed, and a file that was there is replaced."""
    target = tmp_path / "a" / "b.txt"

    write_text(target, "old")
    write_text(target, "n\u00e9w")

    assert target.read_text(encoding="utf-8") == "n\u00e9w"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An error half way through leaves what was there, and nothing beside it."""
    target = tmp_path / "file"
    write_text(target, "old")

    def fail(part: Path) -> None:
        part.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fail)

    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]
