"""The model that ships has plainly learned."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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


def test_the_astronaut_has_a_face() -> None:
    """On the photograph of the demo the points of the face lie within an eye's distance of where they are."""
    from skimage import data  # noqa: PLC0415 - an extra

    image: Image = data.astronaut()  # type: ignore[no-untyped-call] # scikit-image annotates little
    poses = PosePredictor(PCR.from_pretrained("pcr-nano")).predict(image, [[20, 15, 365, 511]])

    for name, place in FACE.items():
        found = poses.keypoints[0, COCO_17.index(name)]
        assert np.hypot(*(found - place)) < 30, f"{name}: expected near {place}, found {found}"
        assert poses.keypoint_scores[0, COCO_17.index(name)] > 0.3


def test_ap_on_the_subset_is_what_the_zoo_says(shared_data: Callable[[str], Path]) -> None:
    """AP on images never trained on, with annotated boxes, is the declared one and above 0.25."""
    annotations = shared_data("coco/annotations/person_keypoints_val.json")
    dataset = read_coco(annotations, shared_data("coco/val"))

    metrics = validate(PosePredictor(PCR.from_pretrained("pcr-nano")), dataset, CocoEvaluator(annotations))

    declared = ZOO["pcr-nano"].metrics["coco-subset-99/annotated"]["AP"].value
    assert metrics.ap > 0.25
    assert abs(metrics.ap - declared) < 0.003  # arithmetic differs a little between processors
