"""Matching and curves against pycocotools: metrics, precision, recall and scores of small sets of special cases."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.matching import Persons, PoseResults, curves, match
from pcrpose.evaluation.pycocotools_engine import accumulated, evaluate
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17

IMAGES = 6


def scene(seed: int) -> tuple[Persons, PoseResults]:
    """Scatter persons and poses on few places, so that they compete; crowds, ties and empty images are frequent."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 16))
    places = rng.uniform(0, 300, (4, 1, 2)) + rng.uniform(0, 90, (4, 17, 2))
    keypoints = places[rng.integers(0, 4, count)] + rng.integers(0, 3, (count, 17, 2))
    labelled = rng.random((count, 17)) < rng.choice([0, 0.1, 0.5, 1], (count, 1))
    crowds = rng.random(count) < 0.2
    corners = keypoints.min(axis=1)
    persons = Persons(
        images=rng.integers(0, IMAGES, count),
        keypoints=keypoints,
        labelled=labelled,
        boxes_xywh=np.concatenate([corners, keypoints.max(axis=1) - corners], axis=1),
        areas=rng.choice([0.0, 500.0, 32.0**2, 5000.0, 96.0**2, 20000.0], count),
        crowds=crowds,
        ignored=crowds | (rng.random(count) < 0.1) | ~labelled.any(axis=1),
    )
    found = int(rng.integers(0, 90))  # more than 20 for some image
    noise = rng.normal(0, 1, (found, 17, 2)) * rng.choice([0, 1, 4, 12, 200], (found, 1, 1))
    poses = PoseResults(
        images=rng.choice([0, 1, 1, 1, 2, 5], found),
        keypoints=places[rng.integers(0, 4, found)] + noise,
        scores=rng.choice([0.1, 0.5, 0.5000001, 0.9, 1.0], found),
    )
    return persons, poses


@given(seed=st.integers(0, 100_000))
def test_everything_is_as_pycocotools_has_it(seed: int) -> None:
    """The ten metrics and the three curves, without a tolerance."""
    persons, poses = scene(seed)

    found = curves(match(persons, poses, IMAGES, sigmas=COCO_17.sigmas))

    metrics, expected = accumulated(evaluate(persons, poses, IMAGES, sigmas=COCO_17.sigmas))
    assert found.metrics().tolist() == metrics.tolist()
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_matches_are_counted_by_hand() -> None:
    """Two poses on one person: the better-scored hits, the other is a mistake; one on a crowd is neither."""
    where = np.arange(34.0).reshape(17, 2) * 5
    persons = Persons(
        images=np.array([0, 0]),
        keypoints=np.stack([where, where + 400]),
        labelled=np.array([[True] * 17, [False] * 17]),
        boxes_xywh=np.array([[0.0, 0, 160, 165], [400, 400, 160, 165]]),
        areas=np.array([20000.0, 20000.0]),
        crowds=np.array([False, True]),
        ignored=np.array([False, True]),
    )
    poses = PoseResults(
        images=np.zeros(3, dtype=np.intp),
        keypoints=np.stack([where, where + 1, where + 410]),
        scores=np.array([0.3, 0.8, 0.5]),
    )

    matches = match(persons, poses, 2, sigmas=COCO_17.sigmas)

    assert matches.scores.tolist() == [0.8, 0.5, 0.3]
    assert matches.hits[0, 0].tolist() == [True, False, False]
    assert matches.misses[0, 0].tolist() == [False, False, True]
    assert matches.persons.tolist() == [[1, 0], [0, 0], [1, 0]]  # all, medium, large; the second image is empty
    assert matches.starts.tolist() == [0, 3, 3]


def test_the_reference_is_an_option() -> None:
    """An evaluator with pycocotools inside gives the same metrics, counts and curves."""
    keypoints = np.arange(34.0).reshape(1, 17, 2) * 5
    person = {"image_id": 7, "category_id": 1, "area": 20000.0}
    triples = np.concatenate([keypoints[0], np.full((17, 1), 2)], axis=1).ravel().tolist()
    content = {
        "images": [{"id": 7}, {"id": 3}],
        "categories": [{"id": 1}],
        "annotations": [{**person, "keypoints": triples}],
    }
    poses = Poses(
        keypoints=keypoints + 4,
        keypoint_scores=np.ones((1, 17)),
        boxes_xyxy=np.zeros((1, 4)),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
    )
    ours, reference = CocoEvaluator(content), CocoEvaluator(content, engine="pycocotools")
    for evaluator in (ours, reference):
        evaluator.update(7, poses)

    found, expected = ours.compute(), reference.compute()

    assert found == expected
    assert 0 < found.ap < 1
    assert found.precision.shape == (10, 101, 1, 3, 1)
    assert found.recall.shape == (10, 1, 3, 1)
    np.testing.assert_array_equal(found.precision, expected.precision)
    np.testing.assert_array_equal(found.scores, expected.scores)
