"""Packages that a feature needs besides: how they are installed here."""

import json
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NAME = "pcrpose"


def install_command(extra: str) -> str:
    """Return the command that installs an extra where this package came from.

    From a clone, that is ``pip install '.[train]'`` in it, or with its path from elsewhere; from a package index,
    ``pip install 'pcrpose[train]'``.
    """
    clone = _clone()
    source = _NAME if clone is None else os.path.relpath(clone) if Path.cwd() == clone else os.fspath(clone)
    return f"pip install '{source}[{extra}]'"


def _clone() -> Path | None:
    """Return the checkout or the file that the package was installed from; None where it came from an index."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / _NAME).is_dir():
        return checkout
    try:
        text = distribution(_NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    address = urlsplit(json.loads(text)["url"]) if text else None
    if address is None or address.scheme != "file":
        return None
    local = Path(unquote(address.path))
    return local if local.exists() else None
