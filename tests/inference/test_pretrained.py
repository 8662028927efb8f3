"""The model that ships has plainly learned."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.models.zoo import ZOO

if TYPE_CHECKING:
    from pcrpose.keypoints.arrays import Image

FACE = {"nose": (220, 122), "left_eye": (247, 105), "right_eye": (205, 103), "left_ear": (277, 122)}  # read by eye


@pytest.mark.parametrize("name", ZOO)
def test_the_astronaut_has_a_face(name: str) -> None:
    """On the photograph of the demo the points of the face lie within an eye's distance of where they are."""
    from skimage import data  # noqa: PLC0415 - an extra

    image: Image = data.astronaut()  # type: ignore[no-untyped-call] # scikit-image annotates little
    poses = PosePredictor(PCR.from_pretrained(name)).predict(image, [[20, 15, 365, 511]])

    for point, place in FACE.items():
        found = poses.keypoints[0, COCO_17.index(point)]
        assert np.hypot(*(found - place)) < 30, f"{point}: expected near {place}, found {found}"
        assert poses.keypoint_scores[0, COCO_17.index(point)] > 0.3


@pytest.mark.parametrize(("name", "least"), [("pcr-small", 0.58), ("pcr-nano", 0.48)])
def test_ap_on_the_subset_is_what_the_zoo_says(name: str, least: float, shared_data: Callable[[str], Path]) -> None:
    """AP on images never trained on, with annotated boxes, is the declared one and not below what was asked for."""
    annotations = shared_data("coco/annotations/person_keypoints_val.json")
    dataset = read_coco(annotations, shared_data("coco/val"))

    metrics = validate(PosePredictor(PCR.from_pretrained(name)), dataset, CocoEvaluator(annotations))

    declared = ZOO[name].metrics["coco-subset-99/annotated"]["AP"].value
    assert metrics.ap > least
    assert abs(metrics.ap - declared) < 0.003  # arithmetic differs a little between processors
