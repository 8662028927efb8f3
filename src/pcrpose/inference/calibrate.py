"""Calibrate a model: predict annotated persons, and fit what its heatmaps are worth."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pcrpose.data.images import open_image
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.calibration import (
    fit_keypoint_calibration,
    fit_keypoint_rates,
    fit_person_score,
    within_falloff,
)
from pcrpose.evaluation.coverage import fit_covariances
from pcrpose.inference.crop_model import CropModel
from pcrpose.inference.readout import scores_of_peaks
from pcrpose.inference.runtime import Runtime, place
from pcrpose.inference.validate import widened_box
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.covariance import second_moments
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.oks import keypoint_similarities
from pcrpose.keypoints.probability import heatmap_features
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel

Integers: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class PassEvidence:
    """What one way to predict says of N boxes.

    Attributes:
        features: ``(N, J, 4)`` float64, of `heatmap_features`.
        scores: ``(N, J)`` float64, the peaks; 0 where a heatmap has none.
        keypoints: ``(N, J, 2)`` float64, image pixels.
        moments: ``(N, J, 2, 2)`` float64, of `second_moments`, cells squared.
        errors: ``(N, J, 2)`` float64, from the keypoint to the annotated one, cells.
    """

    features: Floats
    scores: Floats
    keypoints: Floats
    moments: Floats
    errors: Floats

    @classmethod
    def join(cls, parts: Sequence["PassEvidence"]) -> "PassEvidence":
        """Return several as one; there has to be one at least."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def __getitem__(self, rows: Bools) -> "PassEvidence":
        return PassEvidence(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What a model says of N boxes, and what was annotated.

    Attributes:
        plain: without the mirrored crops.
        mirrored: averaged with them.
        truth: ``(N, J, 2)`` float64, image pixels.
        labelled: ``(N, J)`` bool.
        areas: ``(N,)`` float64, image pixels squared.
        images: ``(N,)`` whole numbers, of the images.
        sigmas: ``(J,)`` float64, of the skeleton.
        sigma: of the target's Gaussian, cells.
    """

    plain: PassEvidence
    mirrored: PassEvidence
    truth: Floats
    labelled: Bools
    areas: Floats
    images: Integers
    sigmas: Floats
    sigma: float

    def of_pass(self, *, flip: bool) -> PassEvidence:
        """Return what one way to predict says."""
        return self.mirrored if flip else self.plain

    def right(self, *, flip: bool) -> Bools:
        """Return ``(N, J)``: which keypoints lie within their OKS falloff."""
        return within_falloff(self.of_pass(flip=flip).keypoints, self.truth, self.areas, self.sigmas)

    def similarities(self, *, flip: bool) -> Floats:
        """Return ``(N, J)``: each keypoint's own part of OKS."""
        return keypoint_similarities(self.of_pass(flip=flip).keypoints, self.truth, self.areas, sigmas=self.sigmas)

    def __getitem__(self, rows: Bools) -> "Evidence":
        return replace(
            self,
            plain=self.plain[rows],
            mirrored=self.mirrored[rows],
            truth=self.truth[rows],
            labelled=self.labelled[rows],
            areas=self.areas[rows],
            images=self.images[rows],
        )


def calibrate(
    model: PoseModel[Any],
    persons: AnnotatedPersons,
    *,
    negatives: Sequence[Sample] = (),
    decoding: Decoding = "dark",
    runtime: Runtime = Runtime(),
    on_boxes: Callable[[list[Sample]], object] | None = None,
) -> Calibration:
    """Fit a model's calibration, and put it into its configuration.

    Predictors made afterwards return ``Poses.keypoint_probabilities``, with ``negatives`` also ``Poses.pose_presence``,
    and ``save_pretrained`` saves it. Both ways to predict are fitted, with and without the mirrored crop.

    Args:
        model: predicts heatmaps.
        persons: annotated, with the model's keypoints, and not those that it was trained on: of those it is too sure.
            A thousand are good; a keypoint with fewer than 200 labels takes the map that is fitted on all.
        negatives: boxes that hold no person, of `read_negatives`.
        decoding: that predictors will use.
        runtime: how the model is run.
        on_boxes: called with boxes, of one image, when they are predicted.

    Returns:
        What ``model.config.calibration`` now is.

    Raises:
        ValueError: if there are no persons, they have other keypoints, all keypoints are right or all wrong, or the
            model predicts coordinates.
        OSError: if an image cannot be read.

    Examples:
        >>> calibrate(model, read_coco("held_out.json", "images"), negatives=negatives)  # doctest: +SKIP
        >>> model.save_pretrained("calibrated")  # doctest: +SKIP
    """
    expected = model.config.skeleton
    if persons.skeleton.keypoints != expected.keypoints:
        raise ValueError(f"expected a data set of {expected.name}, found one of {persons.skeleton.name}")
    run = {"decoding": decoding, "runtime": runtime, "on_boxes": on_boxes}
    evidence = collect_evidence(model, persons.samples, **run)  # type: ignore[arg-type] # each its own type
    nobody = collect_evidence(model, negatives, **run) if negatives else None  # type: ignore[arg-type] # likewise
    calibration = fit_calibration(evidence, nobody, model.config, decoding=decoding)
    model.config = replace(model.config, calibration=calibration)
    return calibration


def collect_evidence(
    model: PoseModel[Any],
    samples: Sequence[Sample],
    *,
    decoding: Decoding = "dark",
    runtime: Runtime = Runtime(),
    on_boxes: Callable[[list[Sample]], object] | None = None,
) -> Evidence:
    """Predict boxes of images; arguments and errors as `calibrate`."""
    if not samples:
        raise ValueError("expected annotated persons with keypoints, found none")
    require_heatmaps(model.config, "calibrate")
    crop_model = CropModel(model=place(model, runtime), runtime=runtime, flip=True)
    codec = replace(model.config.codec(), decoding=decoding)
    read: list[tuple[PassEvidence, ...]] = []
    for group in _of_one_image(samples, runtime.batch_size):
        boxes = np.stack([widened_box(sample) for sample in group])
        crops, batch = crop_model.cut(open_image(group[0].image), boxes)
        passes = crop_model(batch)
        plain = passes.merged if passes.plain is None else passes.plain
        truth_crop = crops.forward(np.stack([sample.keypoints for sample in group]))
        read.append(tuple(_read(heatmaps, codec, crops, truth_crop) for heatmaps in (plain, passes.merged)))
        if on_boxes is not None:
            on_boxes(group)
    return Evidence(
        plain=PassEvidence.join([both[0] for both in read]),
        mirrored=PassEvidence.join([both[1] for both in read]),
        truth=np.stack([sample.keypoints for sample in samples]),
        labelled=np.stack([sample.labelled for sample in samples]),
        areas=np.array([sample.area for sample in samples], dtype=np.float64),
        images=np.array([sample.image_id for sample in samples]),
        sigmas=model.config.skeleton.sigmas,
        sigma=codec.sigma / codec.stride,
    )


def fit_calibration(
    persons: Evidence, negatives: Evidence | None, config: PoseConfig, *, decoding: Decoding
) -> Calibration:
    """Fit both ways to predict.

    Args:
        persons: what the model says of annotated persons.
        negatives: of boxes that hold nobody; None fits no presence.
        config: of the model.
        decoding: that the keypoints were found with.

    Raises:
        ValueError: if all keypoints are right, or all wrong.
    """
    plain, mirrored = (_fit_pass(persons, negatives, flip=flip) for flip in (False, True))
    return Calibration(
        keypoints=config.skeleton.keypoints,
        input_size=config.input_size,
        decoding=decoding,
        plain=plain,
        mirrored=mirrored,
    )


def held_out_probabilities(evidence: Evidence, *, flip: bool, folds: int = 5, seed: int = 0) -> Floats:
    """Return ``(N, J)`` probabilities, each fitted on the persons of other images: how good a calibration will be.

    Args:
        evidence: of annotated persons.
        flip: which way to predict.
        folds: parts that the images fall into; each is predicted by what was fitted on the others.
        seed: of the parts.
    """
    part = _parts(evidence.images, folds, seed)
    probabilities = np.zeros(evidence.labelled.shape)
    for fold in np.unique(part):
        rows = part == fold
        others = evidence[~rows]
        features, right = others.of_pass(flip=flip).features, others.right(flip=flip)
        outcomes = right[others.labelled]
        if outcomes.all() or not outcomes.any():  # so few persons that there is nothing to tell apart
            probabilities[rows] = float(outcomes.all())
            continue
        fitted = fit_keypoint_calibration(features, right, others.labelled, sigma=others.sigma, quiet=True)
        probabilities[rows] = fitted.of_numbers(evidence.of_pass(flip=flip).features[rows])
    return probabilities


def held_out_presence(
    persons: Evidence, negatives: Evidence, *, flip: bool, folds: int = 5, seed: int = 0
) -> tuple[Floats, Floats] | None:
    """Return the presences of N persons and of M negatives, ``(N,)`` and ``(M,)``, each fitted on other images' boxes.

    Args:
        persons: what the model says of annotated persons.
        negatives: of boxes that hold nobody.
        flip: which way to predict.
        folds: parts that the images fall into, with the persons and the negatives of each.
        seed: of the parts.

    Returns:
        None where so few images hold persons, or negatives, that a part has all of them.
    """
    scores, is_person = _boxes(persons, negatives, flip=flip)
    part = _parts(np.concatenate([persons.images, negatives.images]), folds, seed)
    presence = np.zeros(len(scores))
    for fold in np.unique(part):
        rows = part == fold
        if is_person[~rows].all() or not is_person[~rows].any():
            return None
        presence[rows] = fit_person_score(scores[~rows], is_person[~rows])(scores[rows])
    return presence[is_person], presence[~is_person]


def _parts(images: Integers, folds: int, seed: int) -> Integers:
    """Deal images into parts, and return that of each box."""
    distinct, owners = np.unique(images, return_inverse=True)
    parts: Integers = (np.random.default_rng(seed).permutation(len(distinct)) % folds)[owners]
    return parts


def _boxes(persons: Evidence, negatives: Evidence, *, flip: bool) -> tuple[Floats, Bools]:
    """Return the scores of persons, then of negatives, and which are persons."""
    scores = [persons.of_pass(flip=flip).scores, negatives.of_pass(flip=flip).scores]
    return np.concatenate(scores), np.repeat([True, False], [len(part) for part in scores])


def _fit_pass(persons: Evidence, negatives: Evidence | None, *, flip: bool) -> PassCalibration:
    features, labelled, sigma = persons.of_pass(flip=flip).features, persons.labelled, persons.sigma
    everything = np.ones_like(labelled)
    never = labelled.all() or not labelled.any()  # nothing to tell apart
    presence = None
    if negatives is not None:
        presence = fit_person_score(*_boxes(persons, negatives, flip=flip))
    one = persons.of_pass(flip=flip)
    return PassCalibration(
        covariances=fit_covariances(features, one.moments, one.errors, labelled, sigma=sigma, quiet=True),
        probabilities=fit_keypoint_calibration(
            features, persons.right(flip=flip), labelled, sigma=sigma, quiet=not flip
        ),
        presence=presence,
        expected_oks=fit_keypoint_rates(features, persons.similarities(flip=flip), labelled, sigma=sigma),
        labelled=None if never else fit_keypoint_rates(features, labelled, everything, sigma=sigma),
    )


def _image_of(sample: Sample) -> tuple[int, Path | int]:
    """Return what tells images apart: number and path, or the array itself."""
    return sample.image_id, sample.image if isinstance(sample.image, Path) else id(sample.image)


def _of_one_image(samples: Sequence[Sample], most: int) -> Iterator[list[Sample]]:
    """Yield samples that follow each other and share an image, no more than fit a batch.

    Images of two data sets may have one number, so the images themselves are compared.
    """
    for _, group in itertools.groupby(samples, key=_image_of):
        rest = list(group)
        for start in range(0, len(rest), most):
            yield rest[start : start + most]


def _read(heatmaps: Tensor, codec: HeatmapCodec, crops: Crops, truth_crop: Floats) -> PassEvidence:
    cells, scores = codec.locate(heatmaps)
    truth_cells = codec.to_heatmap(torch.from_numpy(truth_crop))
    return PassEvidence(
        features=_array(heatmap_features(heatmaps, codec.sigma / codec.stride)),
        scores=scores_of_peaks(heatmaps, scores),
        keypoints=crops.inverse(_array(codec.to_crop(cells))),
        moments=_array(second_moments(heatmaps, cells)),
        errors=truth_cells.numpy() - _array(cells),
    )


def _array(values: Tensor) -> Floats:
    array: Floats = values.double().cpu().numpy()
    return array
