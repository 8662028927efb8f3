"""Results files in COCO's form: predicted poses by image."""

from pathlib import Path

import numpy as np

from pcrpose.data.readers.coco import PERSON, Record
from pcrpose.data.readers.json_file import load_json
from pcrpose.files.json import field, identifier, number, numbers
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton


def read_results(
    path: str | Path | list[Record], *, skeleton: Skeleton = COCO_17, category_id: int = PERSON
) -> dict[int, Poses]:
    """Read predicted poses from a file in COCO's results format.

    The format holds no boxes: each box is the extent of the keypoints, its score 1.

    Args:
        path: the JSON file, or its content.
        skeleton: of the keypoints.
        category_id: results of other categories are left out.

    Returns:
        By image id, images in the order in which they first appear, poses in the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, or an entry lacks a field or has a wrong one.
    """
    name, content = load_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{name}: expected a list of results, found a {type(content).__name__}")  # noqa: TRY004 - file content
    values: dict[int, list[list[float]]] = {}
    scores: dict[int, list[float]] = {}
    for position, entry in enumerate(content):
        where = f"{name}: result {position}"
        image_id, score = identifier(entry, "image_id", where), number(entry, "score", where)
        triples = numbers(entry, "keypoints", 3 * skeleton.num_keypoints, where, finite=True)
        if field(entry, "category_id", where) == category_id:
            values.setdefault(image_id, []).append(triples)
            scores.setdefault(image_id, []).append(score)
    return {image_id: _poses(np.array(rows), scores[image_id], skeleton) for image_id, rows in values.items()}


def _poses(rows: Floats, scores: list[float], skeleton: Skeleton) -> Poses:
    triples = rows.reshape(len(rows), skeleton.num_keypoints, 3)
    points = triples[..., :2]
    return Poses(
        keypoints=points,
        keypoint_scores=triples[..., 2],
        boxes_xyxy=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
        box_scores=np.ones(len(rows)),
        pose_scores=np.array(scores),
        skeleton=skeleton,
    )
