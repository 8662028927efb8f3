"""A model whose configuration blacks out what is beyond a person's box never sees it."""

from dataclasses import replace

import numpy as np

from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.models.pcr import PCR

BOX = [60.0, 40.0, 100.0, 110.0]


def test_neighbors_do_not_matter(model: PCR, photo: Image) -> None:
    """Whatever stands beyond the grown box, the poses and the heatmaps are the same; without the option they differ."""
    other = photo.copy()
    other[:, 104:] = 255  # beyond 1.1 times the box, within the padded crop
    for blackout, equal in ((1.1, True), (None, False)):
        model.config = replace(model.config, blackout=blackout)
        predictor = PosePredictor(model)

        first, second = (predictor.predict(image, [BOX]).keypoint_scores for image in (photo, other))
        map_a, map_b = (predictor.heatmaps(image, BOX)[0] for image in (photo, other))

        assert np.array_equal(first, second) == equal
        assert np.array_equal(map_a, map_b) == equal


def test_the_mirrored_image_gives_the_mirrored_pose(model: PCR, photo: Image) -> None:
    """The blackout has no side: with the mirrored crop averaged in, mirroring image and box mirrors the pose."""
    model.config = replace(model.config, blackout=1.2)
    predictor, width = PosePredictor(model), photo.shape[1]
    left, top, right, bottom = BOX

    there = predictor.predict(photo, [BOX])
    back = predictor.predict(photo[:, ::-1], [[width - 1 - right, top, width - 1 - left, bottom]])

    expected = there.keypoints[:, model.config.skeleton.flip_indices].copy()
    expected[..., 0] = width - 1 - expected[..., 0]
    np.testing.assert_allclose(back.keypoints, expected, atol=0.01)
