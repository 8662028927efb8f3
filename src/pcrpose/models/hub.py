"""Folders of weights: find, download, read, write and strictly load them; safetensors and JSON only.

`load_strictly` is the one place where tensors enter a module: a missing or unexpected one is an error.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcrpose.files.atomic import write_together
from pcrpose.files.digest import file_sha256
from pcrpose.files.json import read_json
from pcrpose.models.checkpoints.read import SUFFIXES
from pcrpose.models.checkpoints.vitpose import config_of, from_transformers, is_of_transformers
from pcrpose.models.download import HubFiles
from pcrpose.models.ensemble_file import ENSEMBLE_FILE, read_ensemble_file
from pcrpose.models.zoo import PUBLISHED, ZOO, pretrained_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FILE_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".h5", ".json", ".npz", ".onnx", ".pkl", ".pt", ".pth", ".safetensors", ".tar", ".tflite", ".zip"}
)
SHOWN_PROBLEMS = 5  # enough to see the pattern


class Stored(NamedTuple):
    """Contents of a folder: the architecture's name, its configuration as JSON values, and its tensors."""

    architecture: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]


def find_folder(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Path:
    """Return the local folder of a zoo name, a folder or a Hub repository id, downloading where needed.

    `is_local` says which names are never looked for on the Hub.

    Args:
        name: a name of `list_pretrained`; a folder; or ``owner/name`` on the Hugging Face Hub.
        revision: branch, tag or commit on the Hub; by default the one that `PUBLISHED` pins, else the newest.
        cache_dir: where downloads are kept; the Hub client's default otherwise.
        token: of a private repository.
        local_files_only: never download; use what is cached.

    Returns:
        A folder with the configuration and the weights, or with an ensemble.

    Raises:
        ValueError: for a name that is neither; the closest zoo names are offered; or for a file whose SHA-256 is not
            what the Hub announced.
        FileNotFoundError: if a path is no folder, the repository, the revision or a file does not exist, or nothing
            is cached and the Hub cannot be asked.
        OSError: if the repository is gated, the Hub answers with an error, or a download breaks off.
    """
    if isinstance(name, str) and name in ZOO:  # a folder of that name is reached as ./name
        return pretrained_folder(name)
    if str(name) and Path(name).is_dir():
        return Path(name)
    if isinstance(name, Path) or Path(name).is_file() or Path(name).suffix in SUFFIXES:
        raise FileNotFoundError(_no_folder(Path(name)))
    if is_local(name):
        raise _no_such_model(name)
    if revision is None and name in PUBLISHED:
        revision = PUBLISHED[name].revision
    files = HubFiles(name=name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
    found = files.first_of(CONFIG_FILE, ENSEMBLE_FILE)
    commit = found.parent.name  # the commit that the first file came from, should the branch move in between
    if found.name == CONFIG_FILE:
        return files.of_commit(WEIGHTS_FILE, commit).parent
    for folder in read_ensemble_file(found).folders:
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            files.of_commit(f"{folder}/{file}", commit)
    return found.parent


def is_local(name: str) -> bool:
    """Return whether a name that is no folder is still meant as one here, so that the Hub is not asked.

    It is if it is absolute, begins with ``./``, ``../`` or ``~``, has the suffix of a file of weights, holds no slash
    or more than one, or if its first part is a folder here.

    Examples:
        >>> [is_local(name) for name in ("./mine/best", "weights/best.pth", "best", "owner/name-v1.5")]
        [True, True, True, False]
    """
    path = Path(name)
    if path.is_absolute() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        return True
    return path.suffix.lower() in FILE_SUFFIXES or path.parent.is_dir()


def _no_such_model(name: str) -> Exception:
    """Return the error for a local name that leads nowhere."""
    path = Path(name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        why = f"{path.parent} is a folder here" if path.parent.is_dir() else f"{path.suffix} is the suffix of a file"
        return FileNotFoundError(f"{name}: no such file or folder; the Hub is not asked, because {why}")
    close = difflib.get_close_matches(name, ZOO)
    known = f"; pretrained: {', '.join(ZOO)}" if ZOO else ""
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else known
    return ValueError(f"{name!r} is no folder, no pretrained model and no Hub repository (owner/name){hint}")


def _no_folder(path: Path) -> str:
    """Say what was expected where a path leads to no folder; a file of weights can be made one."""
    expected = f"{path}: expected a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
    if path.suffix not in SUFFIXES:
        return expected
    if path.is_file() and (path.parent / CONFIG_FILE).is_file():
        return f"{expected}, found a file in one: {path.parent}"
    found = "a file of weights" if path.is_file() else "no such folder, and no such file"
    return (
        f"{expected}, found {found}; a published checkpoint becomes one: pcrpose convert {path} --as NAME --out FOLDER"
    )


def read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """Read the architecture's name and its configuration as JSON values, without the weights.

    A configuration of transformers' ViTPose is returned as ours.

    Raises:
        FileNotFoundError: if there is no configuration.
        ValueError: if it cannot be read, names no architecture, or is of another network of transformers.
    """
    architecture, config, _ = _read_config(folder)
    return architecture, config


def _read_config(folder: Path) -> tuple[str, dict[str, Any], bool]:
    """Return the name, the values, and whether they are transformers'."""
    path = _existing(folder, CONFIG_FILE)
    config: Any = read_json(path)
    if isinstance(config, dict) and isinstance(config.get("architecture"), str):
        return config.pop("architecture"), config, False
    if isinstance(config, dict) and is_of_transformers(config):
        return "ViTPose", config_of(config, path), True
    raise ValueError(f"{path}: expected an object that names its 'architecture'")


def read_folder(folder: Path) -> Stored:
    """Read and check what `write_folder` wrote, or transformers' ``save_pretrained`` of a ViTPose.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file cannot be read or the configuration names no architecture.
    """
    architecture, config, of_transformers = _read_config(folder)
    path = _existing(folder, WEIGHTS_FILE)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged: {error}") from error
    return Stored(architecture, config, from_transformers(tensors) if of_transformers else tensors)


def _existing(folder: Path, file: str) -> Path:
    if not (folder / file).is_file():
        if (folder / ENSEMBLE_FILE).is_file():
            raise ValueError(f"{folder}: expected one model, found an ensemble; use Ensemble.load")
        raise FileNotFoundError(
            f"{folder}: expected {CONFIG_FILE} and {WEIGHTS_FILE}, {file} is missing (pickled weights are never loaded)"
        )
    return folder / file


def write_folder(folder: Path, config_text: str, tensors: Mapping[str, Tensor]) -> None:
    """Write both files: a reader finds all of the new, all of the old, or no configuration."""
    stored = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_together(
        folder,
        {
            WEIGHTS_FILE: lambda path: save_file(stored, path),
            CONFIG_FILE: lambda path: path.write_text(config_text, encoding="utf-8"),
        },
    )


def load_strictly(module: torch.nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Copy tensors into a module, each exactly once; half precision is raised to the module's own.

    Raises:
        ValueError: naming the tensors that are missing, unexpected, of another shape, or whole numbers where others
            are expected (or the reverse).
    """
    own = module.state_dict()
    problems = [f"missing {name}" for name in own if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in own]
    for name, tensor in tensors.items():
        if name in own and own[name].shape != tensor.shape:
            problems.append(f"{name}: expected shape {tuple(own[name].shape)}, found {tuple(tensor.shape)}")
        elif name in own and own[name].is_floating_point() != tensor.is_floating_point():
            problems.append(f"{name}: expected {own[name].dtype}, found {tensor.dtype}")
    if problems:
        rest = len(problems) - SHOWN_PROBLEMS
        shown = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else "")
        raise ValueError(f"{source}: the weights do not fit the configuration: {shown}")
    module.load_state_dict(dict(tensors))


def describe_weights(name: str | Path) -> dict[str, str]:
    """Return the name and the SHA-256 of weights, as values for JSON.

    Args:
        name: a saved model, as for `load_model`, or a file of weights. Of a path only the last part is
            returned: folders are nobody else's concern.

    Returns:
        ``name`` and ``sha256``, the latter of the file of weights; of an ensemble, of the file that lists its members'.

    Raises:
        ValueError: as `load_model`.
        FileNotFoundError: as `load_model`, or if the folder holds no weights.
    """
    if Path(name).is_file():
        return {"name": Path(name).name, "sha256": file_sha256(Path(name))}
    folder = find_folder(name)
    known_as = folder.resolve().name if Path(name) == folder else str(name)
    return {"name": known_as, "sha256": file_sha256(weights_file(folder))}


def weights_file(folder: Path) -> Path:
    """Return the file whose digest tells one saved model, or one ensemble, from another."""
    listed = folder / ENSEMBLE_FILE
    return listed if listed.is_file() else folder / WEIGHTS_FILE
