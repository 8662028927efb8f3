"""Files of weights that other projects wrote: read their tensors, run nothing."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

SAFETENSORS = ".safetensors"
PICKLED = (".pth", ".pt", ".bin", ".tar")
SUFFIXES = (SAFETENSORS, *PICKLED)
# errors that reading a broken file may raise, besides the unpickler's own
DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, struct.error, TypeError, ValueError)
WRAPPERS = ("state_dict", "model")  # keys under which training scripts put their tensors
PARALLEL = "module."


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name, as their maker named them.

    What training scripts wrap around is taken off: a state dict under ``state_dict`` or ``model``, and the prefix
    ``module.`` of DataParallel.

    Args:
        path: safetensors, or what ``torch.save`` wrote; of the latter only tensors and plain values are unpickled
            (``weights_only=True``), so that nothing in it is run.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for another suffix, a damaged file, one that holds objects, or one without a state dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of weights, found none")
    if path.suffix == SAFETENSORS:
        return _unwrap(_read_safetensors(path), path)
    if path.suffix not in PICKLED:
        raise ValueError(f"{path}: expected {SAFETENSORS} or one of {', '.join(PICKLED)}, found {path.suffix!r}")
    return _unwrap(_unpickle(path), path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged: {error}") from error


def _unpickle(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: the error, if there is one, says enough
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: expected tensors alone; this file is damaged or holds objects, which are never run"
        ) from error
    except DAMAGE as error:
        raise ValueError(f"{path}: damaged: {type(error).__name__}: {error}") from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:  # noqa: ANN401 - whatever the file holds
    """Return the state dict inside what a training script saved, without DataParallel's prefix."""
    if isinstance(content, Mapping):
        for key in WRAPPERS:
            content = content.get(key, content) if isinstance(content.get(key), Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path}: expected a state dict, tensors by name, found {_describe(content)}")
    return {str(name).removeprefix(PARALLEL): tensor for name, tensor in content.items()}


def _describe(content: object) -> str:
    kind = type(content).__name__
    return f"a {kind} of {', '.join(map(str, list(content)[:3]))}, ..." if isinstance(content, Mapping) else f"a {kind}"
