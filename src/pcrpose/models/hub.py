"""Folders of weights: find, download, read, write and strictly load them; safetensors and JSON only.

`load_strictly` is the one place where tensors enter a module: a missing or unexpected one is an error.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcrpose.files.atomic import write_together
from pcrpose.files.digest import file_sha256
from pcrpose.files.json import read_json
from pcrpose.models.zoo import ZOO, pretrained_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
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

    Args:
        name: a name of `list_pretrained`; a folder; or ``owner/name`` on the Hugging Face Hub.
        revision: branch, tag or commit on the Hub.
        cache_dir: where downloads are kept; the Hub client's default otherwise.
        token: of a private repository.
        local_files_only: never download; use what is cached.

    Returns:
        A folder with the configuration and the weights.

    Raises:
        ValueError: for a name that is neither; the closest zoo names are offered.
        FileNotFoundError: if a path is no folder, the repository, the revision or a file does not exist, or nothing
            is cached and the Hub cannot be asked.
    """
    if isinstance(name, str) and name in ZOO:  # a folder of that name is reached as ./name
        return pretrained_folder(name)
    if str(name) and Path(name).is_dir():
        return Path(name)
    if isinstance(name, Path) or Path(name).is_file():
        raise FileNotFoundError(f"{name}: expected a folder with {CONFIG_FILE} and {WEIGHTS_FILE}")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        close = difflib.get_close_matches(name, ZOO)
        known = f"; pretrained: {', '.join(ZOO)}" if ZOO else ""
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else known
        raise ValueError(f"{name!r} is no folder, no pretrained model and no Hub repository (owner/name){hint}")

    def fetch(file: str, commit: str | None) -> Path:
        path: str = hf_hub_download(
            repo_id=str(name),
            filename=file,
            revision=commit,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
        )
        return Path(path)

    try:
        config = fetch(CONFIG_FILE, revision)
        # the commit that the configuration came from, should the branch move in between
        return fetch(WEIGHTS_FILE, config.parent.name).parent
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(f"no repository {name!r} on the Hub, or no access to it") from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"{name}: the repository has no revision {revision!r}") from error
    except LocalEntryNotFoundError as error:
        raise FileNotFoundError(f"{name}: not in the cache, and not to be had from the Hub: {error}") from error
    except EntryNotFoundError as error:
        raise FileNotFoundError(
            f"{name}: the repository lacks {CONFIG_FILE} or {WEIGHTS_FILE} (pickled weights are never loaded): {error}"
        ) from error


def read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """Read the architecture's name and its configuration as JSON values, without the weights.

    Raises:
        FileNotFoundError: if there is no configuration.
        ValueError: if it cannot be read or names no architecture.
    """
    path = _existing(folder, CONFIG_FILE)
    config: Any = read_json(path)
    if isinstance(config, dict) and isinstance(config.get("architecture"), str):
        return config.pop("architecture"), config
    raise ValueError(f"{path}: expected an object that names its 'architecture'")


def read_folder(folder: Path) -> Stored:
    """Read and check what `write_folder` wrote.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file cannot be read or the configuration names no architecture.
    """
    architecture, config = read_config(folder)
    path = _existing(folder, WEIGHTS_FILE)
    try:
        return Stored(architecture, config, load_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged: {error}") from error


def _existing(folder: Path, file: str) -> Path:
    if not (folder / file).is_file():
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
        ``name`` and ``sha256``, the latter of the file of weights.

    Raises:
        ValueError: as `load_model`.
        FileNotFoundError: as `load_model`, or if the folder holds no weights.
    """
    if Path(name).is_file():
        return {"name": Path(name).name, "sha256": file_sha256(Path(name))}
    folder = find_folder(name)
    known_as = folder.resolve().name if Path(name) == folder else str(name)
    return {"name": known_as, "sha256": file_sha256(folder / WEIGHTS_FILE)}
