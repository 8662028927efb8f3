"""Results files: read(write(x)) is x, but for the boxes, which the format does not hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from pcrpose.data.readers.results import read_results
from pcrpose.data.writers.results import write_results
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])


def poses(count: int) -> Poses:
    """Draw poses, the same each time."""
    rng = np.random.default_rng(count)
    return Poses(
        keypoints=rng.uniform(-5, 900, (count, 2, 2)),
        keypoint_scores=rng.uniform(0, 1.1, (count, 2)),
        boxes_xyxy=rng.uniform(0, 9, (count, 4)),
        box_scores=rng.uniform(0, 1, count),
        pose_scores=rng.uniform(0, 1, count),
        skeleton=STICK,
    )


def test_results_come_back(tmp_path: Path) -> None:
    """Exactly, since a float32 is a JSON number; an image without poses has no entry."""
    written = {42: poses(2), 7: poses(0), 3: poses(1)}
    write_results(tmp_path / "results.json", written)
    read = read_results(tmp_path / "results.json", skeleton=STICK)

    assert list(read) == [42, 3]
    for image_id, found in read.items():
        np.testing.assert_array_equal(found.keypoints, written[image_id].keypoints)
        np.testing.assert_array_equal(found.keypoint_scores, written[image_id].keypoint_scores)
        np.testing.assert_array_equal(found.pose_scores, written[image_id].pose_scores)


def test_by_hand() -> None:
    """The box is the extent of the keypoints; other categories are left out."""
    entry = {"image_id": 5, "category_id": 1, "keypoints": [4, 9, 0.75, 6, 1, 0.5], "score": 0.625}
    found = read_results([entry, entry | {"category_id": 2}], skeleton=STICK)[5]

    assert found.keypoints.tolist() == [[[4, 9], [6, 1]]]
    assert found.keypoint_scores.tolist() == [[0.75, 0.5]]
    assert (found.boxes_xyxy.tolist(), found.box_scores.tolist()) == ([[4, 1, 6, 9]], [1])
    assert found.pose_scores.tolist() == [0.625]


def test_what_is_refused(tmp_path: Path) -> None:
    """A file that is there, another object, a wrong number of keypoints."""
    (tmp_path / "there.json").write_text("[]")

    with pytest.raises(FileExistsError, match=r"there\.json: expected no such file, found one"):
        write_results(tmp_path / "there.json", {})
    with pytest.raises(ValueError, match="expected a list of results, found a dict"):
        read_results({})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"result 0: expected 6 numbers in 'keypoints', found \[1\]"):
        read_results([{"image_id": 1, "category_id": 1, "score": 1, "keypoints": [1]}], skeleton=STICK)
    assert json.loads((tmp_path / "there.json").read_text()) == []
