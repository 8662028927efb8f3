"""What is read of persons' heatmaps: keypoints, their scores and, with a calibration, probabilities and covariances."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.calibration import PassCalibration
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.left_right import left_right_consistency
from pcrpose.keypoints.probability import heatmap_features
from pcrpose.models.deeppose import DeepPoseConfig
from pcrpose.models.pose_config import PoseConfig

logger = logging.getLogger(__name__)


class Passes(NamedTuple):
    """The output of a model for B crops.

    Attributes:
        merged: ``(B, J, h, w)`` heatmaps to decode, averaged where there are two passes; ``(B, J, 2)`` of a model that
            predicts coordinates.
        plain: of the crops as they are, before averaging; None where one cannot tell.
        mirrored: of the mirrored crops, as the model gives them: mirrored, left for right; None without a second pass.
    """

    merged: Tensor
    plain: Tensor | None = None
    mirrored: Tensor | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Readout:
    """What is read of B persons, in the units of `Poses` but for the frame; what cannot be told is None.

    Attributes:
        keypoints: ``(B, J, 2)`` float64, pixels of the (first kind of) crop; of the image after `to_image`.
        keypoint_scores: ``(B, J)`` float64.
        keypoint_probabilities: ``(B, J)`` float64.
        pose_presence: ``(B,)`` float64.
        keypoint_covariances: ``(B, J, 2, 2)`` float64, squared pixels of the same frame as the keypoints.
        left_right_consistency: ``(B,)`` float64.
        expected_oks: ``(B,)`` float64, of whole poses; where a predictor ranks by it.
    """

    keypoints: Floats
    keypoint_scores: Floats
    keypoint_probabilities: Floats | None = None
    pose_presence: Floats | None = None
    keypoint_covariances: Floats | None = None
    left_right_consistency: Floats | None = None
    expected_oks: Floats | None = None

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(**{name: array[rows] for name, array in self.arrays().items()})

    @classmethod
    def join(cls, parts: Sequence["Readout"]) -> "Readout":
        """Return the persons of several, one at least, as one; all have to hold the same arrays."""
        names = parts[0].arrays()
        return cls(**{name: np.concatenate([part.arrays()[name] for part in parts]) for name in names})

    def to_image(self, crops: Crops) -> Self:
        """Return the same with what lies in crops moved into the image."""
        moved = {"keypoints": crops.inverse(self.keypoints)}
        if self.keypoint_covariances is not None:
            moved["keypoint_covariances"] = crops.inverse_covariances(self.keypoint_covariances)
        return type(self)(**{**self.arrays(), **moved})

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays that there are; all but ``expected_oks`` have the name that they have in `Poses`."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in found.items() if array is not None}


@dataclass(frozen=True, eq=False, kw_only=True)
class Reader:
    """Read the output of one model, predicted in one way.

    Attributes:
        config: of the model.
        codec: with the decoding.
        calibration: what was fitted for this way to predict; empty without a calibration.
        two_passes: whether the output of both passes is there, beside their average.
        expect_oks: read what OKS is to be expected of a pose; the calibration has to know.
    """

    config: PoseConfig
    codec: HeatmapCodec
    calibration: PassCalibration
    two_passes: bool = False
    expect_oks: bool = False

    def __call__(self, passes: Passes) -> Readout:
        """Read B persons; keypoints are in pixels of the (first kind of) crop."""
        if isinstance(self.config, DeepPoseConfig):
            keypoints_crop = self.config.to_crop(passes.merged)
            return Readout(keypoints=_array(keypoints_crop), keypoint_scores=np.ones(keypoints_crop.shape[:2]))
        cells, scores = self.codec.locate(passes.merged)
        found = {"keypoints": _array(self.codec.to_crop(cells)), "keypoint_scores": _array(scores)}
        if self._compares_sides and passes.plain is not None and passes.mirrored is not None:
            consistency = left_right_consistency(
                passes.plain,
                passes.mirrored,
                self.config.skeleton.flip_indices,
                shift=self.codec.alignment == "edge",
            )
            found["left_right_consistency"] = _array(consistency)
        return Readout(**found, **self._calibrated(passes, cells, scores))

    def none(self) -> Readout:
        """Return the readout of nobody, with the arrays that others have."""
        joints = self.config.skeleton.num_keypoints
        fitted = self.calibration
        told = {
            "keypoint_probabilities": (fitted.probabilities is not None, (0, joints)),
            "pose_presence": (fitted.presence is not None, (0,)),
            "keypoint_covariances": (fitted.covariances is not None, (0, joints, 2, 2)),
            "left_right_consistency": (self._compares_sides, (0,)),
        }
        return Readout(
            keypoints=np.zeros((0, joints, 2)),
            keypoint_scores=np.zeros((0, joints)),
            **{name: np.zeros(shape) for name, (is_told, shape) in told.items() if is_told},
        )

    @property
    def _compares_sides(self) -> bool:
        """Whether the two passes can be asked which side is which."""
        is_pair = bool(self.config.skeleton.flip_pairs)
        return self.two_passes and is_pair and not isinstance(self.config, DeepPoseConfig)

    def _calibrated(self, passes: Passes, cells: Tensor, scores: Tensor) -> dict[str, Floats]:
        """Return what the calibration makes of heatmaps, by name."""
        probabilities, presence = self.calibration.probabilities, self.calibration.presence
        covariances = self.calibration.covariances
        found: dict[str, Floats] = {}
        if probabilities is not None:
            features = heatmap_features(passes.merged, probabilities.sigma)
            found["keypoint_probabilities"] = _array(probabilities.of_features(features))
        if presence is not None:
            found["pose_presence"] = presence(scores_of_peaks(passes.merged, scores))
        if covariances is not None:
            in_crop = self.codec.covariances_to_crop(covariances(passes.merged, cells))
            found["keypoint_covariances"] = _array(in_crop)
        if self.expect_oks:
            found["expected_oks"] = self._expected_oks(passes.merged) * found.get("pose_presence", 1)
        return found

    def _expected_oks(self, heatmaps: Tensor) -> Floats:
        return expected_oks(self.calibration, heatmap_features(heatmaps, self.codec.sigma / self.codec.stride))


def expected_oks(calibration: PassCalibration, features: Tensor) -> Floats:
    """Compute ``(B,)``: the OKS to be expected of poses, were there persons.

    The mean of what is expected of each keypoint, weighted by how likely somebody would label it; 0 without any peak.

    Args:
        calibration: with ``expected_oks``; without ``labelled`` all keypoints count alike.
        features: ``(B, J, 4)``, of `heatmap_features`.

    Raises:
        ValueError: if the calibration has no ``expected_oks``.
    """
    if calibration.expected_oks is None:
        raise ValueError("expected_oks: expected a calibration that has it, found none; see calibrate")
    similarities = _array(calibration.expected_oks.of_features(features))
    labelled = calibration.labelled
    weights = np.ones_like(similarities) if labelled is None else _array(labelled.of_features(features))
    weighted: Floats = (weights * similarities).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-6)
    return weighted


def scores_of_peaks(heatmaps: Tensor, scores: Tensor) -> Floats:
    """Return ``(B, J)`` scores of ``(B, J, h, w)`` heatmaps, 0 where one has no peak: it is constant or not finite."""
    has_peak = (heatmaps.amin(dim=(-2, -1)) < scores) & scores.isfinite()
    return _array(torch.where(has_peak, scores, 0))


def fitted_for(config: PoseConfig, *, flip: bool, decoding: Decoding, log: bool = True) -> PassCalibration:
    """Return the maps of a model's calibration for one way to predict; none for another decoding, which is logged."""
    calibration = config.calibration
    if calibration is None:
        return PassCalibration()
    if calibration.decoding != decoding:
        if log:
            logger.warning(
                "no probabilities: the model's calibration was fitted for decoding %r, found %r",
                calibration.decoding,
                decoding,
            )
        return PassCalibration()
    return calibration.of_pass(flip=flip)


def _array(values: Tensor) -> Floats:
    array: Floats = values.cpu().double().numpy()
    return array
