"""MATLAB files."""

import struct
import zlib
from pathlib import Path
from typing import Any

from scipy.io.matlab import MatReadError, loadmat, mat_struct, whosmat

VERSIONS = "those of version 5 to 7 are read, as MATLAB's save writes them with -v7"

_SIGNATURES = (b"MATLAB 5.0 MAT-file", b"\x89HDF", b"MATLAB 7.3 MAT-file")

# What scipy raises for a broken file.
_BROKEN = (MatReadError, OSError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error)


def is_mat(path: str | Path) -> bool:
    """Return whether the first bytes are a MATLAB file's; False for a file that does not exist."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as stream:
        return stream.read(20).startswith(_SIGNATURES)


def mat_variables(path: str | Path) -> list[str]:
    """List the names of a file's variables; errors as `load_mat`."""
    return [name for name, *_ in _read(path, whosmat)]


def load_mat(path: str | Path, variable: str) -> Any:  # noqa: ANN401 - arrays, structures, numbers
    """Read a variable: axes of length one are dropped, structures have attributes, an empty value is an empty array.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is no MATLAB file, broken, of version 7.3, or without that variable.
    """

    def load(name: str) -> dict[str, Any]:
        return loadmat(name, variable_names=[variable], squeeze_me=True, struct_as_record=False)

    names = mat_variables(path)
    if variable not in names:
        raise ValueError(f"{path}: expected a variable {variable!r}, found {names}")
    return _read(path, load)[variable]


def structs(value: object) -> list[mat_struct]:
    """List the structures of a value: one, several, or none where it is empty or something else."""
    items = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    return [item for item in items if isinstance(item, mat_struct)]


def _read(path: str | Path, read: Any) -> Any:  # noqa: ANN401 - scipy's functions and what they give
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path}: expected an annotation file, found a folder")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such annotation file")
    if not is_mat(path):
        raise ValueError(f"{path}: expected a MATLAB file, found one that does not begin as they do; {VERSIONS}")
    try:
        return read(str(path))
    except NotImplementedError as error:
        raise ValueError(f"{path}: expected a MATLAB file up to version 7, found 7.3; save it with -v7") from error
    except _BROKEN as error:
        raise ValueError(f"{path}: expected a whole MATLAB file, found a broken or truncated one ({error})") from error
