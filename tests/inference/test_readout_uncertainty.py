"""Covariances and the consistency of left and right beside poses: by hand, mirrored, and where there are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.covariance import CovarianceCalibration
from pcrpose.keypoints.left_right import left_right_consistency
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.models.deeppose import DeepPose, DeepPoseConfig
from pcrpose.models.pcr import PCR, PCRConfig

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0], [-10.0, -5.0, 60.0, 80.0]])
MAPS = CovarianceCalibration(
    weights=(0.0, -0.5, 0.3, 1.0, 0.8), intercepts=tuple((0.1 * np.arange(17)).tolist()), sigma=2.0
)
SAME = replace(MAPS, intercepts=(0.5,) * 17)


def calibrated(model: PCR, maps: CovarianceCalibration) -> PCR:
    """Give a network covariances, of both ways to predict."""
    one = PassCalibration(covariances=maps)
    calibration = Calibration(
        keypoints=model.config.skeleton.keypoints, input_size=model.config.input_size, plain=one, mirrored=one
    )
    model.config = replace(model.config, calibration=calibration)
    return model


@pytest.mark.parametrize("flip", [False, True])
def test_covariances_are_of_the_heatmaps_that_are_decoded(model: PCR, photo: Image, *, flip: bool) -> None:
    """In the image, by hand: a crop's scale squared times what the maps say in cells; batches change nothing."""
    predictor = PosePredictor(calibrated(model, MAPS), flip=flip, runtime=Runtime(batch_size=2))

    poses = predictor.predict(photo, BOXES)

    assert poses.keypoint_covariances is not None
    for box, found in zip(BOXES, poses.keypoint_covariances, strict=True):
        heatmaps, crop = predictor.heatmaps(photo, box)
        cells, _ = predictor.codec.locate(torch.from_numpy(heatmaps)[None])
        scale = predictor.codec.stride / crop.matrices[0, 0, 0]  # image pixels per cell
        expected = MAPS(torch.from_numpy(heatmaps)[None], cells)[0].numpy() * scale**2
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_mirrored_image_has_mirrored_covariances(model: PCR, photo: Image) -> None:
    """End to end with both passes: off the diagonal negated, left for right; the consistency stays."""
    predictor = PosePredictor(calibrated(model, SAME))
    mirrored_boxes = BOXES.copy()
    mirrored_boxes[:, [0, 2]] = photo.shape[1] - 1 - BOXES[:, [2, 0]]

    poses = predictor.predict(photo, BOXES)
    mirrored = predictor.predict(photo[:, ::-1].copy(), mirrored_boxes)

    assert poses.keypoint_covariances is not None
    assert mirrored.keypoint_covariances is not None
    expected = poses.keypoint_covariances[:, COCO_17.flip_indices] * np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(mirrored.keypoint_covariances, expected, rtol=1e-2, atol=1e-2)
    assert mirrored.left_right_consistency == pytest.approx(poses.left_right_consistency, abs=1e-4)


def test_consistency_compares_the_two_passes(model: PCR, photo: Image) -> None:
    """Of each person, without a calibration: the model's own heatmaps of the crop and the mirrored crop."""
    poses = PosePredictor(model).predict(photo, BOXES)

    assert poses.left_right_consistency is not None
    for box, found in zip(BOXES, poses.left_right_consistency, strict=True):
        _, pixels = model.config.crop_spec.cut(photo, box[None])
        crop = model.config.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.float64)
        with torch.inference_mode():
            passes = model(crop).final, model(crop.flip(3)).final
        assert found == pytest.approx(left_right_consistency(*passes, COCO_17.flip_indices).item(), abs=1e-5)


def test_who_cannot_compare_says_none(model: PCR, photo: Image) -> None:
    """One pass, an ensemble, coordinates, and a skeleton without pairs; also for an image without persons."""
    alike = PCR(replace(model.config, skeleton=Skeleton("dots", COCO_17.keypoints, [], [], COCO_17.sigmas)))
    predictors = [
        PosePredictor(model, flip=False),
        PosePredictor(Ensemble([model])),
        PosePredictor(DeepPose(DeepPoseConfig(encoder="resnet_nano"))),
        PosePredictor(alike),
    ]
    for predictor in predictors:
        for count in (1, 0):
            assert predictor.predict(photo, BOXES[:count]).left_right_consistency is None


def test_an_image_without_persons_has_the_same_arrays(model: PCR, photo: Image) -> None:
    """Whoever joins images needs no exception for an empty one."""
    empty = PosePredictor(calibrated(model, MAPS)).predict(photo, [])

    assert empty.keypoint_covariances is not None
    assert empty.left_right_consistency is not None
    assert (empty.keypoint_covariances.shape, empty.left_right_consistency.shape) == ((0, 17, 2, 2), (0,))


def test_a_configuration_keeps_its_covariances(model: PCR) -> None:
    """What is saved in a folder is what is loaded."""
    config = calibrated(model, MAPS).config

    assert PCRConfig.from_dict(config.to_dict()).calibration == config.calibration


def test_covariances_of_another_skeleton_are_refused() -> None:
    """As many as keypoints."""
    with pytest.raises(ValueError, match="expected maps of 2 keypoints, found 17"):
        Calibration(
            keypoints=("low", "high"),
            input_size=PCRConfig().input_size,
            plain=PassCalibration(covariances=MAPS),
        )
