"""A predictor, an annotated data set, ten figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.skeleton import LSP_14
from pcrpose.models.pcr import PCR


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Draw a data set of five images."""
    return write_synthetic_coco(tmp_path, count=5, seed=1)


def test_every_annotated_person_is_predicted(model: PCR, annotations: Path) -> None:
    """Validation with annotated boxes gives the evaluator one pose a person."""
    dataset = read_coco(annotations, annotations.parent / "images")

    metrics = validate(PosePredictor(model), dataset, CocoEvaluator(annotations))

    assert metrics.num_poses == len(dataset.samples) == 5
    assert 0 <= metrics.ap <= metrics.ap50 <= 1


def test_only_images_that_count_are_predicted(model: PCR, annotations: Path) -> None:
    """An evaluator of two images gets the poses of two."""
    dataset = read_coco(annotations, annotations.parent / "images")

    assert validate(PosePredictor(model), dataset, CocoEvaluator(annotations, image_ids=[1, 3])).num_poses == 2


def test_detections_replace_the_boxes(model: PCR, annotations: Path) -> None:
    """With detections, images that have none get no pose."""
    dataset = read_coco(annotations, annotations.parent / "images")
    evaluator = CocoEvaluator(annotations)

    metrics = validate(PosePredictor(model), dataset, evaluator, detections={})

    assert (metrics.ap, metrics.ar) == (0.0, 0.0)
    found = {dataset.samples[0].image_id: Detections(dataset.samples[0].box_xyxy[None], np.array([0.9]))}
    validate(PosePredictor(model), dataset, evaluator, detections=found)
    evaluator.save_results(annotations.parent / "results.json")
    results = json.loads((annotations.parent / "results.json").read_text())
    assert {row["image_id"] for row in results} == set(found)


def test_another_skeleton_is_refused(model: PCR, annotations: Path) -> None:
    """A 17-keypoint model does not validate on 14 keypoints."""
    content = json.loads(annotations.read_text())
    content["categories"][0]["keypoints"] = list(LSP_14.keypoints)
    content["annotations"] = []
    dataset = read_coco(content, annotations.parent / "images")

    with pytest.raises(ValueError, match="LSP_14"):
        validate(PosePredictor(model), dataset, CocoEvaluator(annotations))
