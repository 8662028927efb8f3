"""Skeleton files, for data whose annotation files do not describe one."""

from collections.abc import Mapping
from pathlib import Path

from pcrpose.data.readers.coco import DEFAULT_SIGMA
from pcrpose.files.json import read_json
from pcrpose.keypoints.skeleton import Skeleton


def read_skeleton(path: str | Path) -> Skeleton:
    """Read an object with ``name``, ``keypoints`` and ``flip_pairs``, and if wanted ``bones`` and ``sigmas``.

    Pairs and bones are names or indices from 0. Without bones none are drawn; without sigmas each is `DEFAULT_SIGMA`.
    What ``Skeleton.to_dict`` gives is such an object.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such an object; the message names the file.
    """
    values = read_json(path, what="skeleton file")
    try:
        if not isinstance(values, Mapping) or not isinstance(values.get("keypoints"), list):
            raise ValueError("expected an object with a list 'keypoints'")  # noqa: TRY004, TRY301 - of the file
        optional = {"bones": [], "sigmas": [DEFAULT_SIGMA] * len(values["keypoints"])}
        return Skeleton.from_dict(optional | dict(values))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
