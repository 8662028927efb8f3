"""Predicted poses become annotations: what is sure and inside the image is labelled."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.predictions import Prediction, predicted_persons
from pcrpose.data.readers.read_annotations import read_annotations
from pcrpose.data.writers.coco import coco_content
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

STICK = Skeleton("stick", ("low", "middle", "high"), [], [(0, 1), (1, 2)], [0.07] * 3)
SIZE = Size(width=50, height=40)
POSES = Poses(
    keypoints=np.array([[[10.0, 30], [10, 20], [10, -3]], [[1, 1], [2, 2], [3, 3]], [[1, 1], [2, 2], [3, 3]]]),
    keypoint_scores=np.array([[0.9, 0.2, 0.8], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9]]),
    boxes_xyxy=np.array([[-4.0, 2, 20, 60], [0, 0, 9, 9], [60, 2, 70, 9]]),
    box_scores=np.array([0.9, 0.9, 0.9]),
    pose_scores=np.array([0.75, 0.1, 0.9]),
    skeleton=STICK,
)


def test_labels_by_hand() -> None:
    """At the threshold or outside, no label; no label at all or no box inside, no person."""
    found = predicted_persons([Prediction(Path("a.jpg"), SIZE, POSES), Prediction(Path("b.jpg"), SIZE, POSES[:0])])

    (person,) = found.samples
    assert person.visibility.tolist() == [2, 0, 0]
    assert person.keypoints.tolist() == [[10, 30], [0, 0], [0, 0]]
    assert person.box_xyxy.tolist() == [0, 2, 20, 39]
    assert (person.area, person.box_score, person.annotation_id) == (21 * 38, 0.75, 1)
    assert found.image_paths == {1: Path("a.jpg"), 2: Path("b.jpg")}
    assert predicted_persons([Prediction(Path("a.jpg"), SIZE, POSES)], threshold=0.05).samples[0].labelled.sum() == 2


def test_corrected_predictions_come_back_in() -> None:
    """What an annotation tool gets, with one keypoint moved and one added, is read as labels."""
    content = coco_content(predicted_persons([Prediction(Path("x/a.jpg"), SIZE, POSES)]), "x")
    content["annotations"][0]["keypoints"][:6] = [11.5, 30, 2, 10, 21, 1]
    found = read_coco(content, "x")

    assert found.skeleton == STICK
    assert found.samples[0].keypoints.tolist() == [[11.5, 30], [10, 21], [0, 0]]
    assert found.samples[0].visibility.tolist() == [2, 1, 0]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Write two records, and the settings that lie beside them."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    (folder / "predict.json").write_text("{}")
    for name in ("b", "a"):
        content = {"image": f"../photos/{name}.jpg", "width": 50, "height": 40, "poses": POSES.to_dict()}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_records_of_predict(records: Path) -> None:
    """Each names its image relative to itself; a skeleton of the same keypoints is taken."""
    found = read_annotations(records, "anywhere", file_format="predict")
    mine = Skeleton("mine", STICK.keypoints, [], [], [0.1] * 3)

    assert found.image_paths == {1: records.parent / "photos/a.jpg", 2: records.parent / "photos/b.jpg"}
    assert [person.image_id for person in found.samples] == [1, 2]
    assert read_annotations(records, "", file_format="predict", skeleton=mine).skeleton is mine


def test_what_is_refused(records: Path, tmp_path: Path) -> None:
    """No record, another file, another skeleton: one line each."""
    with pytest.raises(ValueError, match=r"drawn: expected the keypoints of COCO_17 .*, found \['low'"):
        read_annotations(records, "", file_format="predict", skeleton=COCO_17)
    (records / "c.json").write_text('{"image": "c.jpg", "width": 5, "height": 5, "poses": {}}')
    with pytest.raises(ValueError, match=r"c\.json: Poses: expected the keys"):
        read_annotations(records, "", file_format="predict")
    with pytest.raises(FileNotFoundError, match="expected a folder of results of pcrpose predict, found no JSON"):
        read_annotations(tmp_path / "photos", "", file_format="predict")
    with pytest.raises(ValueError, match="predictions: expected at least one image, found none"):
        predicted_persons([])
    other = replace(POSES, skeleton=Skeleton("other", ("a", "b", "c")))
    with pytest.raises(ValueError, match=r"b\.jpg: expected poses of stick as the first, found other"):
        predicted_persons([Prediction(Path("a.jpg"), SIZE, POSES), Prediction(Path("b.jpg"), SIZE, other)])
    assert np.isfinite(POSES.keypoints).all()
