"""MATLAB's files: what is read, and what is said of a file that cannot be."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pcrpose.data.readers.mat_file import is_mat, load_mat, mat_variables, structs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a file of a matrix and a structure."""
    noise = np.random.default_rng(0).random((3, 14, 20))
    savemat(tmp_path / "a.mat", {"joints": noise, "release": {"one": 1.5, "two": {"name": "x"}}}, do_compression=True)
    return tmp_path / "a.mat"


def test_variables(path: Path) -> None:
    """Variables are listed and read one by one, structures with attributes."""
    assert sorted(mat_variables(path)) == ["joints", "release"]
    assert load_mat(path, "joints").shape == (3, 14, 20)
    release = load_mat(path, "release")
    assert (release.one, release.two.name) == (1.5, "x")


def test_structs(path: Path) -> None:
    """One structure, several, and none in numbers, empty arrays or what is missing."""
    release = load_mat(path, "release")

    assert structs(release) == [release]
    assert structs(np.array([release, release], dtype=object)) == [release, release]
    assert structs(np.zeros((0, 0))) == structs(np.zeros(3)) == structs(None) == structs(3.0) == []


def test_mat_files_are_told_by_their_beginning(path: Path, tmp_path: Path) -> None:
    """The name does not matter; a file that does not exist is none."""
    (tmp_path / "b.mat").write_text("[]")

    assert is_mat(path)
    assert not is_mat(tmp_path / "b.mat")
    assert not is_mat(tmp_path / "c.mat")


def test_wrong_files_are_refused(path: Path, tmp_path: Path) -> None:
    """Missing, no MATLAB file, of a version that scipy cannot read, or without the variable."""
    text, newer = tmp_path / "text.mat", tmp_path / "newer.mat"
    text.write_text("joints")
    newer.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x00" * 400)

    with pytest.raises(IsADirectoryError, match="expected an annotation file, found a folder"):
        load_mat(tmp_path, "joints")
    with pytest.raises(FileNotFoundError, match=r"none\.mat: no such annotation file"):
        load_mat(tmp_path / "none.mat", "joints")
    with pytest.raises(ValueError, match=r"expected a MATLAB file, found one .*; those of version 5 to 7 are read"):
        load_mat(text, "joints")
    with pytest.raises(ValueError, match=r"up to version 7, found 7\.3; save it with -v7"):
        load_mat(newer, "joints")
    with pytest.raises(ValueError, match=r"expected a variable 'RELEASE', found \['joints', 'release'\]"):
        load_mat(path, "RELEASE")


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(share: float, path: Path) -> None:
    """Wherever a file was cut off: one kind of error, with the file's name."""
    content = path.read_bytes()
    path.write_bytes(content[: max(30, int(share * len(content)))])

    with pytest.raises(ValueError, match=r"a\.mat: expected a (whole MATLAB file|variable)"):
        load_mat(path, "release")
