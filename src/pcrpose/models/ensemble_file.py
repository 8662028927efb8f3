"""The file ``ensemble.json`` of a saved ensemble: its members, their weights and the crops they see."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from pcrpose.files.checks import positive
from pcrpose.files.json import read_object, records
from pcrpose.keypoints.boxes import Size

ENSEMBLE_FILE = "ensemble.json"
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # of a member, beside the file: never a way out of the folder
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class SavedMember:
    """One member: where its weights are, and how its crops differ from those it was trained on.

    Attributes:
        name: in the zoo, or None.
        folder: beside the file, or None; exactly one of both is given.
        sha256: of the file of weights.
        weight: of its heatmaps in the mean, positive.
        padding: of its crops in place of its configuration's, or None.
        input_size: likewise.

    Raises:
        ValueError: for a value that is none of these.
    """

    name: str | None
    folder: str | None
    sha256: str
    weight: float
    padding: float | None
    input_size: Size | None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.folder is None):
            raise ValueError(f"expected a name or a folder, found {self.name!r} and {self.folder!r}")
        if self.folder is not None and not FOLDER_NAME.fullmatch(str(self.folder)):
            raise ValueError(f"folder: expected a name of letters and digits, found {self.folder!r}")
        if not _SHA256.fullmatch(str(self.sha256)):
            raise ValueError(f"sha256: expected 64 hexadecimal digits, found {self.sha256!r:.80}")
        positive("weight", self.weight)
        if self.padding is not None:
            positive("padding", self.padding)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a member; raises ValueError for a missing or unknown key or a wrong value."""
        expected = [field.name for field in fields(cls)]
        if set(values) != set(expected):
            raise ValueError(f"expected the keys {expected}, found {list(values)}")
        size = values["input_size"]
        if size is not None and not isinstance(size, str):
            raise ValueError(f"input_size: expected a text as '256x192', found {size!r:.80}")
        return cls(**{**values, "input_size": None if size is None else Size.parse(size)})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self) | {"input_size": None if self.input_size is None else str(self.input_size)}


@dataclass(frozen=True, kw_only=True)
class SavedEnsemble:
    """The content of the file.

    Attributes:
        members: one at least.
        mirrored: whether the mirrored crops' heatmaps are averaged in.
    """

    members: tuple[SavedMember, ...]
    mirrored: bool

    @property
    def folders(self) -> list[str]:
        """The members' folders, each once."""
        return list(dict.fromkeys(member.folder for member in self.members if member.folder is not None))

    def __str__(self) -> str:
        """Return the file's text."""
        content = {"mirrored": self.mirrored, "members": [member.to_dict() for member in self.members]}
        return json.dumps(content, indent=2) + "\n"


def read_ensemble_file(path: str | Path) -> SavedEnsemble:
    """Read the file strictly.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, or holds anything but what `SavedEnsemble` writes.
    """
    content = read_object(path, what="ensemble file")
    if set(content) != {"mirrored", "members"} or not isinstance(content["mirrored"], bool):
        raise ValueError(f"{path}: expected 'mirrored', true or false, and 'members', found {list(content)}")
    found = []
    for number, values in enumerate(records(content, "members", str(path)), start=1):
        try:
            found.append(SavedMember.from_dict(values))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: member {number}: {error}") from error
    if not found:
        raise ValueError(f"{path}: members: expected one at least, found none")
    return SavedEnsemble(members=tuple(found), mirrored=content["mirrored"])
