"""Calibrating a model: what is collected is what predictors see, and what is fitted is what they return."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.data.images import open_image
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.inference.calibrate import (
    Evidence,
    PassEvidence,
    calibrate,
    collect_evidence,
    fit_calibration,
    held_out_presence,
    held_out_probabilities,
)
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.oks import oks
from pcrpose.keypoints.skeleton import AIC_14, COCO_17
from pcrpose.models.deeppose import DeepPose, DeepPoseConfig
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> AnnotatedPersons:
    """Draw a few persons."""
    folder = tmp_path_factory.mktemp("persons")
    return read_coco(write_synthetic_coco(folder, 14), folder / "images")


def nobody(persons: AnnotatedPersons) -> list[Sample]:
    """Return the corners of images, as boxes that hold nobody."""
    return [
        replace(
            sample,
            box_xyxy=np.array([0.0, 0.0, 20.0, 30.0]),
            visibility=np.zeros_like(sample.visibility),
            is_background=True,
        )
        for sample in persons.samples[:6]
    ]


def test_evidence_is_what_predictors_see(model: PCR, persons: AnnotatedPersons) -> None:
    """Keypoints and scores of both ways to predict; more persons of an image than fit a batch change nothing."""
    evidence = collect_evidence(model, persons.samples, runtime=Runtime(batch_size=1))

    for flip in (True, False):
        predictor = PosePredictor(model, flip=flip)
        found = [predictor.predict(sample.image, sample.box_xyxy[None]) for sample in persons.samples]
        seen = evidence.of_pass(flip=flip)
        assert seen.keypoints == pytest.approx(np.concatenate([poses.keypoints for poses in found]), abs=1e-3)
        assert seen.scores == pytest.approx(np.concatenate([poses.keypoint_scores for poses in found]), abs=1e-5)


def test_images_of_two_data_sets_may_share_a_number(model: PCR, persons: AnnotatedPersons) -> None:
    """Neighbors of one number are read from their own images, paths or arrays."""
    first, second = (replace(sample, image_id=0) for sample in (persons.samples[0], persons.samples[-1]))
    pixels = [replace(sample, image=open_image(sample.image)) for sample in (first, second)]
    expected = [collect_evidence(model, [sample]).plain.scores[0] for sample in (first, second)]

    assert (expected[0] != expected[1]).any()
    for samples in ([first, second], pixels):
        assert collect_evidence(model, samples).plain.scores == pytest.approx(np.stack(expected), abs=1e-9)


def test_right_and_similar_are_cocos(model: PCR, persons: AnnotatedPersons) -> None:
    """The mean similarity of the labelled keypoints is OKS, and right ones are above one half."""
    evidence = collect_evidence(model, persons.samples)
    similarities = evidence.similarities(flip=True)

    for index, sample in enumerate(persons.samples):
        expected = oks(
            sample.keypoints[None],
            evidence.mirrored.keypoints[index][None],
            [sample.area],
            sigmas=COCO_17.sigmas,
            labelled=sample.labelled[None],
        )
        assert similarities[index][sample.labelled].mean() == pytest.approx(expected[0, 0])
    np.testing.assert_array_equal(evidence.right(flip=True), similarities > 0.5)


def test_a_calibrated_model_predicts_probabilities(model: PCR, persons: AnnotatedPersons, tmp_path: Path) -> None:
    """Saved and loaded, both ways; with negatives there is presence, and expected OKS ranks poses."""
    told: list[int] = []
    calibration = calibrate(
        model, persons, negatives=nobody(persons), on_boxes=lambda samples: told.append(len(samples))
    )
    model.save_pretrained(tmp_path / "calibrated")
    loaded = load_model(tmp_path / "calibrated").double()
    sample = persons.samples[0]

    assert sum(told) == len(persons) + 6
    assert loaded.config.calibration == model.config.calibration == calibration
    for flip in (True, False):
        poses = PosePredictor(loaded, flip=flip).predict(sample.image, sample.box_xyxy[None])
        maps = calibration.of_pass(flip=flip)
        seen = collect_evidence(loaded, [sample]).of_pass(flip=flip)
        assert maps.probabilities is not None
        assert poses.keypoint_probabilities == pytest.approx(maps.probabilities.of_numbers(seen.features), abs=1e-5)
        assert poses.pose_presence is not None


def test_poses_are_ranked_by_the_oks_that_is_expected(model: PCR, persons: AnnotatedPersons) -> None:
    """By hand: the mean of what is expected of keypoints, weighted by how likely each is labelled, times presence."""
    some_labelled = [
        replace(sample, visibility=np.where(np.arange(17) % 3 == index % 3, 0, sample.visibility))
        for index, sample in enumerate(persons.samples)
    ]
    calibration = calibrate(model, replace(persons, samples=tuple(some_labelled)), negatives=nobody(persons))
    sample = persons.samples[0]
    maps, features = calibration.mirrored, collect_evidence(model, [sample]).mirrored.features
    assert maps.expected_oks is not None
    assert maps.labelled is not None
    similarities, weights = (part.of_numbers(features)[0] for part in (maps.expected_oks, maps.labelled))

    poses = PosePredictor(model, pose_score="expected_oks").predict(sample.image, sample.box_xyxy[None])

    assert poses.pose_presence is not None
    expected = (similarities * weights).sum() / weights.sum() * poses.pose_presence[0]
    assert poses.pose_scores[0] == pytest.approx(expected, abs=1e-5)
    assert PosePredictor(model).predict(sample.image, sample.box_xyxy[None]).pose_scores[0] != poses.pose_scores[0]


def test_ranking_by_expected_oks_needs_a_calibration(model: PCR) -> None:
    """One that fits the decoding, too; another word is none of the options."""
    with pytest.raises(ValueError, match="pose_score: expected 'mean_keypoint' for a model without a calibration"):
        PosePredictor(model, pose_score="expected_oks")
    with pytest.raises(ValueError, match=r"pose_score: expected one of \['mean_keypoint', 'expected_oks'\]"):
        PosePredictor(model, pose_score="best")  # type: ignore[arg-type] # what is tested


def test_another_architecture_is_calibrated_alike(persons: AnnotatedPersons) -> None:
    """Nothing in it is PCR's: a Simple Baseline of random weights, in edge alignment."""
    torch.manual_seed(0)
    config = SimpleBaselineConfig(encoder="resnet_nano", channels=(16, 16, 16), alignment="edge")
    model = SimpleBaseline(config).eval()
    for parameter in model.parameters():  # the head starts near zero; wake it up
        if parameter.shape[2:] == (1, 1):
            torch.nn.init.normal_(parameter, std=0.2)

    calibration = calibrate(model, persons)

    assert calibration.plain.probabilities is not None
    assert calibration.plain.presence is None
    assert calibration.input_size == config.input_size


def test_what_cannot_be_calibrated(model: PCR, persons: AnnotatedPersons) -> None:
    """Other keypoints, nobody, and coordinates."""
    with pytest.raises(ValueError, match="expected a data set of COCO_17, found one of AIC_14"):
        calibrate(model, replace(persons, skeleton=AIC_14))
    with pytest.raises(ValueError, match="expected annotated persons with keypoints, found none"):
        calibrate(model, replace(persons, samples=()))
    with pytest.raises(ValueError, match="calibrate: expected a model that predicts heatmaps"):
        calibrate(DeepPose(DeepPoseConfig(encoder="resnet_nano")), persons)
    assert model.config.calibration is None


def drawn(count: int) -> Evidence:
    """Draw evidence whose keypoints are right with a known probability of their features."""
    rng = np.random.default_rng(0)
    features = rng.normal([-1.0, 0.6, 0.3, 0.1], [0.6, 0.2, 0.2, 0.1], (count, 17, 4))
    right = rng.random((count, 17)) < 1 / (1 + np.exp(-(features @ [1.5, 2.0, -2.0, -1.0] + 1)))
    keypoints = np.where(right, 0.0, 1e4)[..., None].repeat(2, axis=2)
    one = PassEvidence(
        features=features,
        scores=np.exp(features[..., 0]),
        keypoints=keypoints,
        moments=np.tile(np.eye(2), (count, 17, 1, 1)),
        errors=-keypoints,
    )
    return Evidence(
        plain=one,
        mirrored=one,
        truth=np.zeros_like(keypoints),
        labelled=np.ones((count, 17), dtype=bool),
        areas=np.full(count, 1e4),
        images=np.arange(count) // 2,
        sigmas=COCO_17.sigmas,
        sigma=2.0,
    )


def test_held_out_persons_are_not_fitted_on() -> None:
    """Changed outcomes of an image change the probabilities of others, never its own."""
    evidence = drawn(300)
    before = held_out_probabilities(evidence, flip=True)
    moved = evidence.mirrored.keypoints.copy()
    moved[evidence.images == 7] = 1e4
    after = held_out_probabilities(replace(evidence, mirrored=replace(evidence.mirrored, keypoints=moved)), flip=True)

    own = evidence.images == 7
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any()


def test_held_out_presence_is_fitted_on_other_images() -> None:
    """A person's own score, however strange, does not move the map that is asked about it."""
    persons, negatives = drawn(60), drawn(40)
    low = replace(negatives.mirrored, scores=negatives.mirrored.scores / 3)
    negatives = replace(negatives, mirrored=low, images=negatives.images + 1000)
    found = held_out_presence(persons, negatives, flip=True)
    scores = persons.mirrored.scores.copy()
    scores[persons.images == 7] = 5.0
    changed = held_out_presence(
        replace(persons, mirrored=replace(persons.mirrored, scores=scores)), negatives, flip=True
    )

    assert found is not None
    assert changed is not None
    assert [len(part) for part in found] == [60, 40]
    assert found[0].mean() > 0.5 + found[1].mean()
    assert (changed[0][persons.images == 7] > 0.99).all()
    same = found[1] == changed[1]  # of the part that image 7 is in, whose map is fitted on the others
    assert same.any()
    assert not same.all()


def test_presence_is_not_measured_on_one_image_of_negatives() -> None:
    """Without that image there would be nothing to fit on."""
    negatives = replace(drawn(4), images=np.zeros(4, dtype=np.int64))

    assert held_out_presence(drawn(60), negatives, flip=True) is None


def test_each_way_to_predict_is_fitted_on_its_own(tiny_config: Callable[..., PCRConfig]) -> None:
    """Worse keypoints without the mirrored crop make lower probabilities there."""
    evidence = drawn(300)
    worse = evidence.plain.keypoints.copy()
    worse[::2] = 1e4
    changed: dict[str, Any] = {"plain": replace(evidence.plain, keypoints=worse)}

    calibration = fit_calibration(replace(evidence, **changed), None, tiny_config(), decoding="dark")

    means = [
        maps.probabilities.of_numbers(evidence.plain.features).mean()
        for maps in (calibration.plain, calibration.mirrored)
        if maps.probabilities is not None
    ]
    rates = [replace(evidence, **changed).right(flip=flip).mean() for flip in (False, True)]
    assert means == pytest.approx(rates, abs=0.02)
    assert means[0] < means[1] - 0.1
