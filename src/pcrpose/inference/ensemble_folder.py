"""Members of an ensemble, and the folder that an ensemble is saved in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pcrpose.files.atomic import replace_folder
from pcrpose.files.checks import positive
from pcrpose.files.digest import file_sha256
from pcrpose.keypoints.boxes import Size
from pcrpose.models.ensemble_file import ENSEMBLE_FILE, SavedEnsemble, SavedMember, read_ensemble_file
from pcrpose.models.hub import WEIGHTS_FILE, read_folder, write_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_config import PoseConfig, config_text
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.zoo import ZOO, pretrained_folder

_CARD = "README.md"  # kept when an ensemble takes the place of another


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model in an ensemble, and what it sees there.

    Attributes:
        model: of `load_model`, or its name.
        weight: of its heatmaps in the mean, positive.
        padding: from a person's box to the crop; None is the model's own.
        input_size: of the crops; None is the model's own.

    Raises:
        ValueError: if ``weight`` is not positive.
    """

    model: PoseModel[Any] | str | Path
    weight: float = 1.0
    padding: float | None = None
    input_size: Size | None = None

    def __post_init__(self) -> None:
        positive("weight", self.weight)

    def changed(self, config: PoseConfig) -> PoseConfig:
        """Return a model's configuration with this member's crops; raises ValueError for a size it does not take.

        Its calibration is left out: it was fitted on the model's own heatmaps, not on a mean.
        """
        given = {"padding": self.padding, "input_size": self.input_size}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(config, calibration=None, **changes)


def write_ensemble(folder: Path, members: Sequence[tuple[Member, PoseModel[Any]]], *, mirrored: bool) -> None:
    """Write a folder that `read_ensemble` reads; it is whole, or as it was.

    Args:
        folder: new, empty, or holding an ensemble, whose card is kept.
        members: each with its loaded model. A model that comes several times is written once.
        mirrored: see `SavedEnsemble`.

    Raises:
        FileExistsError: if the folder holds anything else, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / ENSEMBLE_FILE).is_file()):
        raise FileExistsError(f"{folder}: expected a new or empty folder, or one with {ENSEMBLE_FILE}")
    card = (folder / _CARD).read_bytes() if (folder / _CARD).is_file() else None
    with replace_folder(folder) as new:
        places: dict[int, dict[str, Any]] = {}  # by model
        for member, model in members:
            if id(model) not in places:
                places[id(model)] = _place(new / f"member-{len(places) + 1}", member, model)
        saved = tuple(
            SavedMember(**places[id(model)], weight=member.weight, padding=member.padding, input_size=member.input_size)
            for member, model in members
        )
        if card is not None:
            (new / _CARD).write_bytes(card)
        (new / ENSEMBLE_FILE).write_text(str(SavedEnsemble(members=saved, mirrored=mirrored)), encoding="utf-8")


def read_ensemble(folder: Path) -> tuple[list[Member], bool]:
    """Read what `write_ensemble` wrote, strictly.

    Returns:
        The members, with loaded models or names of the zoo, and whether mirrored crops are averaged in.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged, its SHA-256 is not that of when it was saved, or a name is not of the zoo.
    """
    saved = read_ensemble_file(folder / ENSEMBLE_FILE)
    models: dict[str, PoseModel[Any]] = {}
    members = []
    for number, member in enumerate(saved.members, start=1):
        if member.folder is not None:
            _check_digest(folder / member.folder / WEIGHTS_FILE, member.sha256)
            if member.folder not in models:
                models[member.folder] = load_model(folder / member.folder)
            model: PoseModel[Any] | str = models[member.folder]
        elif member.name in ZOO:
            model = str(member.name)
            _check_digest(pretrained_folder(model) / WEIGHTS_FILE, member.sha256)
        else:
            raise ValueError(f"{folder}: member {number}: expected one of {list(ZOO)}, found {member.name!r}")
        members.append(Member(model=model, weight=member.weight, padding=member.padding, input_size=member.input_size))
    return members, saved.mirrored


def _place(folder: Path, member: Member, model: PoseModel[Any]) -> dict[str, Any]:
    """Return where a model's weights are, in the words of the file; they are written unless they are the zoo's."""
    name = str(member.model)
    if isinstance(member.model, str) and name in ZOO and _unchanged(name, model):
        return {"name": name, "folder": None, "sha256": file_sha256(pretrained_folder(name) / WEIGHTS_FILE)}
    write_folder(folder, config_text(type(model).__name__, model.config), model.state_dict())
    return {"name": None, "folder": folder.name, "sha256": file_sha256(folder / WEIGHTS_FILE)}


def _unchanged(name: str, model: PoseModel[Any]) -> bool:
    """Return whether a model's tensors are still those of the zoo, in whatever precision it holds them."""
    own = model.state_dict()
    published = read_folder(pretrained_folder(name)).tensors
    return all(torch.equal(own[key].cpu(), tensor.to(own[key].dtype)) for key, tensor in published.items())


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the weights of a member, found none")
    found = file_sha256(path)
    if found != expected:
        raise ValueError(f"{path}: expected the SHA-256 {expected}, found {found}: other weights than were saved")
