"""Marks by which files are known again."""

from pathlib import Path

from pcrpose.cli.marks import mark_of_file, mark_of_text


def test_marks(tmp_path: Path) -> None:
    """Equal contents have equal marks, others others."""
    (tmp_path / "file").write_text("same")

    assert mark_of_file(tmp_path / "file") == mark_of_text("same")
    assert mark_of_text("same") != mark_of_text("other")
