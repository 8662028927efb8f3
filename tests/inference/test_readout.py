"""Probabilities beside poses: which predictors return them, and what of."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.readout import Passes, Reader, Readout, fitted_for
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.presence import PersonScore
from pcrpose.keypoints.probability import KeypointCalibration
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.deeppose import DeepPose, DeepPoseConfig
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import HeatmapOutput

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0], [-10.0, -5.0, 60.0, 80.0]])


def fitted(shift: float) -> PassCalibration:
    """Make up a calibration whose probabilities differ from map to map."""
    ones = (1.0,) * COCO_17.num_keypoints
    maps = KeypointCalibration(
        weights=(1.0, 2.0, -1.0, -0.5), slopes=ones, intercepts=(shift,) * len(ones), counts=(300,) * 17, sigma=2.0
    )
    return PassCalibration(probabilities=maps, presence=PersonScore(slope=2.0, intercept=shift))


@pytest.fixture
def calibrated(model: PCR) -> PCR:
    """Give the small network, with maps that tell one pass from two."""
    config = model.config
    model.config = replace(
        config,
        calibration=Calibration(
            keypoints=config.skeleton.keypoints, input_size=config.input_size, plain=fitted(0.0), mirrored=fitted(1.0)
        ),
    )
    return model


@pytest.mark.parametrize("flip", [False, True])
def test_probabilities_are_of_the_heatmaps_that_are_decoded(calibrated: PCR, photo: Image, *, flip: bool) -> None:
    """The maps of the pass that was run, applied to its heatmaps by hand; chunks of a batch change nothing."""
    predictor = PosePredictor(calibrated, flip=flip, runtime=Runtime(batch_size=2))
    maps = fitted(float(flip))
    assert maps.probabilities is not None
    assert maps.presence is not None

    poses = predictor.predict(photo, BOXES)

    heatmaps = np.stack([predictor.heatmaps(photo, box)[0] for box in BOXES])
    expected = maps.probabilities(torch.from_numpy(heatmaps))
    assert poses.keypoint_probabilities == pytest.approx(expected.numpy(), abs=1e-5)
    assert poses.pose_presence == pytest.approx(maps.presence(poses.keypoint_scores), abs=1e-5)
    assert poses.keypoint_scores == pytest.approx(heatmaps.max(axis=(2, 3)))


def test_detections_keep_their_own_probabilities(calibrated: PCR, photo: Image) -> None:
    """Sorted by pose score, each pose has the numbers of its box."""
    plain = PosePredictor(calibrated).predict(photo, BOXES)
    found = PosePredictor(calibrated).predict(photo, Detections(BOXES, np.array([0.5, 0.9, 0.7])))

    order = [int(np.flatnonzero((plain.boxes_xyxy == box).all(axis=1))[0]) for box in found.boxes_xyxy]
    assert order != sorted(order)
    assert plain.keypoint_probabilities is not None
    assert found.keypoint_probabilities == pytest.approx(plain.keypoint_probabilities[order], abs=1e-5)


def test_images_without_persons_have_the_same_arrays(calibrated: PCR, photo: Image) -> None:
    """Whoever joins the probabilities of many images needs no exception for an empty one."""
    empty = PosePredictor(calibrated).predict(photo, [])

    assert empty.keypoint_probabilities is not None
    assert empty.pose_presence is not None
    assert (empty.keypoint_probabilities.shape, empty.pose_presence.shape) == ((0, 17), (0,))
    assert empty.keypoint_covariances is None


def test_without_a_calibration_there_is_none(model: PCR, photo: Image) -> None:
    """Neither of a model without, nor of an image without persons."""
    for count in (3, 0):
        poses = PosePredictor(model).predict(photo, BOXES[:count])
        assert poses.keypoint_probabilities is None
        assert poses.pose_presence is None


@pytest.mark.parametrize("decoding", ["dark", "argmax"])
def test_another_decoding_has_no_probabilities(
    calibrated: PCR, photo: Image, caplog: pytest.LogCaptureFixture, decoding: Decoding
) -> None:
    """Elsewhere is another keypoint: one line says why, however many images follow."""
    with caplog.at_level(logging.WARNING):
        predictor = PosePredictor(calibrated, decoding=decoding)
        poses = predictor.predict_batch([photo] * 2, [BOXES] * 2)[1]

    line = "no probabilities: the model's calibration was fitted for decoding 'dark', found 'argmax'"
    assert (poses.keypoint_probabilities is None) == (decoding == "argmax")
    assert caplog.messages == ([line] if decoding == "argmax" else [])


def test_what_was_said_is_not_said_again(calibrated: PCR, caplog: pytest.LogCaptureFixture) -> None:
    """Export has said that there are no probabilities before it compares the file."""
    with caplog.at_level(logging.WARNING):
        fitted = fitted_for(calibrated.config, flip=True, decoding="argmax", log=False)

    assert fitted.probabilities is None
    assert caplog.messages == []


def test_ensembles_and_coordinates_have_none(calibrated: PCR, photo: Image) -> None:
    """A mean of heatmaps has other shapes than those of its first member, and coordinates have none."""
    coordinates = DeepPose(DeepPoseConfig(encoder="resnet_nano"))

    for one in (Ensemble([calibrated]), coordinates):
        poses = PosePredictor(one).predict(photo, BOXES)
        assert poses.keypoint_probabilities is None
        assert poses.pose_presence is None
    assert poses.keypoint_scores.tolist() == [[1.0] * 17] * 3


class Fixed:
    """A model whose every cell has the same value, whatever it sees."""

    def __init__(self, config: PCRConfig, value: float) -> None:
        self.config = config
        self.value = value

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Predict."""
        return HeatmapOutput(torch.full((len(crops), 17, crops.shape[2] // 4, crops.shape[3] // 4), self.value))


@pytest.mark.parametrize("value", [0.0, 0.9, math.nan])
def test_heatmaps_that_say_nothing_say_so(calibrated: PCR, photo: Image, value: float) -> None:
    """Constant, zero and NaN heatmaps: no error, no keypoint, and the presence of a score of zero."""
    poses = PosePredictor(Fixed(calibrated.config, value)).predict(photo, BOXES)

    assert poses.keypoint_probabilities is not None
    assert not poses.keypoint_probabilities.any()
    assert poses.pose_presence == pytest.approx([1 / (1 + math.exp(-1.0))] * 3)


def test_what_lies_in_the_crop_is_moved_into_the_image() -> None:
    """Rows, joining and the way back; what is None stays None."""
    crops = CropSpec(input_size=Size(width=192, height=256)).crops(
        [[0.0, 0.0, 191.0, 255.0], [100.0, 50.0, 291.0, 305.0]]
    )
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 190, (2, 17, 2))
    read = Readout(
        keypoints=crops.forward(points), keypoint_scores=rng.random((2, 17)), pose_presence=np.array([0.1, 0.9])
    )

    both = Readout.join([read[:1], read[1:]]).to_image(crops)

    assert both.keypoints == pytest.approx(points)
    assert both.pose_presence is not None
    assert both.pose_presence.tolist() == [0.1, 0.9]
    assert set(both.arrays()) == {"keypoints", "keypoint_scores", "pose_presence"}


def test_the_two_passes_are_kept(calibrated: PCR, photo: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader gets: the mean, the crop's own heatmaps and the mirrored crop's as the model gives them."""
    seen: list[Passes] = []
    original = Reader.__call__

    def watching(reader: Reader, passes: Passes) -> Readout:
        seen.append(passes)
        return original(reader, passes)

    monkeypatch.setattr(Reader, "__call__", watching)
    PosePredictor(calibrated).predict(photo, BOXES[:1])
    (passes,) = seen

    assert passes.plain is not None
    assert passes.mirrored is not None
    back = passes.mirrored.flip(3)[:, COCO_17.flip_indices.tolist()]
    assert torch.allclose(passes.merged, (passes.plain + back) / 2)
