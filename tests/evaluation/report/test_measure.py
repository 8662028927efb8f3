"""Measured for a report: who came out best and worst."""

import numpy as np

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.report.measure import measure
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17


def test_the_best_have_many_labels_before_others_fill_the_row() -> None:
    """One labelled keypoint that is exactly right comes behind 17 that are nearly so; nobody is best and worst."""
    places = np.linspace(20, 120, 17)[:, None] * (1.0, 0.5)
    labels, offsets = (1, 17, 1, 1), (0.0, 2.0, 40.0, 80.0)
    evaluator = CocoEvaluator(
        {
            "images": [{"id": image} for image in range(4)],
            "categories": [{"id": 1}],
            "annotations": [
                {
                    "image_id": image,
                    "category_id": 1,
                    "keypoints": np.column_stack([places, 2 * (np.arange(17) < count)]).ravel().tolist(),
                    "area": 10000.0,
                    "bbox": [10, 5, 120, 65],
                }
                for image, count in enumerate(labels)
            ],
        },
        skeleton=COCO_17,
    )
    poses = {
        image: Poses(
            keypoints=places[None] + offset,
            keypoint_scores=np.ones((1, 17)),
            boxes_xyxy=np.array([[10.0, 5.0, 130.0, 70.0]]),
            box_scores=np.ones(1),
            pose_scores=np.ones(1),
        )
        for image, offset in enumerate(offsets)
    }
    for image, found in poses.items():
        evaluator.update(image, found)

    measured = measure(evaluator, poses, draws=5)

    assert [person.image_id for person in measured.best] == [1, 0]
    assert [person.image_id for person in measured.worst] == [3, 2]
