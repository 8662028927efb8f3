"""A folder of COCO: its own names, those of a part of it, and what is missing."""

from pathlib import Path

import pytest

from pcrpose.publishing.coco_folder import CocoFolder


def test_coco_s_own_names_come_first(tmp_path: Path) -> None:
    """A part of COCO is found where the whole is not."""
    (tmp_path / "val").mkdir()
    assert CocoFolder(tmp_path).path("val images") == tmp_path / "val"

    (tmp_path / "val2017").mkdir()
    assert CocoFolder(tmp_path).path("val images") == tmp_path / "val2017"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the name that COCO gives it."""
    with pytest.raises(FileNotFoundError, match=r"expected annotations/image_info_test-dev2017\.json \(test list\)"):
        CocoFolder(tmp_path).path("test list")
