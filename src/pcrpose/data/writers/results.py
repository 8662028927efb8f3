"""Results files in COCO's form: predicted poses, as its evaluation takes them."""

import json
from collections.abc import Mapping
from pathlib import Path

from pcrpose.files.atomic import write_text
from pcrpose.keypoints.poses import Poses


def write_results(path: str | Path, poses: Mapping[int, Poses]) -> None:
    """Write the poses of many images as one file, whole or not at all; `read_results` reads it.

    Args:
        path: of a new file.
        poses: by image id; numbers are not rounded.

    Raises:
        FileExistsError: if the file is there.
        ValueError: if a keypoint or a score is not finite.
    """
    target = Path(path)
    if target.exists():
        raise FileExistsError(f"{path}: expected no such file, found one")
    results = [result for image_id, found in poses.items() for result in found.to_coco(image_id)]
    write_text(target, json.dumps(results, allow_nan=False))
