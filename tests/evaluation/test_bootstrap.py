"""Resampled images: every resample measures what pycocotools would, and intervals say what was resampled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcrpose.evaluation.bootstrap import METRICS, Interval, bootstrap_interval, paired_difference
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.matching import curves
from pcrpose.evaluation.pycocotools_engine import accumulated, evaluate
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])
ByPycocotools = Callable[[dict[str, Any], list[dict[str, Any]], Floats], list[float]]
MEDIUM, LARGE = 50.0**2, 120.0**2


def annotations(persons: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Write persons by image as an annotation file."""
    people = [{"image_id": key, "category_id": 1, **person} for key, found in persons.items() for person in found]
    return {"images": [{"id": key} for key in persons], "categories": [{"id": 1}], "annotations": people}


def person(x: float, *, area: float = LARGE, visibility: int = 2, iscrowd: int = 0) -> dict[str, Any]:
    """Annotate somebody who stands at ``x``."""
    triples = [x, 10, visibility, x, 90, visibility]
    return {"keypoints": triples, "area": area, "iscrowd": iscrowd, "bbox": [x - 20, 0, 40, 100]}


def poses_at(places: list[tuple[float, float]]) -> Poses:
    """Find somebody at each place, with that score."""
    x, scores = np.array(places, dtype=np.float64).reshape(-1, 2).T
    keypoints = np.stack([np.stack([x, np.full(len(x), y)], axis=-1) for y in (10.0, 90.0)], axis=1)
    ones = np.ones((len(x), 2))
    boxes = np.concatenate([keypoints[:, 0] - 5, keypoints[:, 1] + 5], axis=1)
    return Poses(
        keypoints=keypoints,
        keypoint_scores=ones,
        boxes_xyxy=boxes,
        box_scores=ones[:, 0],
        pose_scores=scores,
        skeleton=STICK,
    )


def evaluated(persons: dict[int, list[dict[str, Any]]], found: dict[int, list[tuple[float, float]]]) -> CocoEvaluator:
    """Give an evaluator the poses of its images."""
    evaluator = CocoEvaluator(annotations(persons), skeleton=STICK)
    for image_id, places in found.items():
        evaluator.update(image_id, poses_at(places))
    return evaluator


def scene(seed: int, *, num_images: int = 6) -> tuple[dict[int, list[dict[str, Any]]], dict[int, Any]]:
    """Scatter persons of all kinds, crowds and unlabelled ones too, and poses with few different scores."""
    rng = np.random.default_rng(seed)
    persons: dict[int, list[dict[str, Any]]] = {}
    found: dict[int, list[tuple[float, float]]] = {}
    for image_id in (rng.permutation(50)[:num_images]).tolist():
        persons[image_id] = [
            person(
                150.0 * place,
                area=float(rng.choice([500.0, MEDIUM, LARGE])),
                visibility=int(rng.choice([0, 1, 2], p=[0.1, 0.3, 0.6])),
                iscrowd=int(rng.random() < 0.1),
            )
            for place in range(rng.integers(0, 4))
        ]
        spread = rng.normal(0, 12, rng.integers(0, 6))
        found[image_id] = [(150.0 * rng.integers(0, 4) + x, rng.integers(0, 4) / 4) for x in spread]
    return persons, found


def metrics_of(evaluator: CocoEvaluator) -> list[float]:
    """List the ten metrics."""
    return list(vars(evaluator.compute()).values())[:10]


@given(seed=st.integers(0, 10_000))
def test_every_image_once_gives_the_very_metrics(seed: int) -> None:
    """Summing up again changes nothing, not even in the last bit."""
    evaluator = evaluated(*scene(seed))
    matches = evaluator._matches()

    assert curves(matches, np.arange(matches.num_images)).metrics().tolist() == metrics_of(evaluator)


@given(seed=st.integers(0, 10_000))
def test_resamples_are_accumulated_as_pycocotools_does(seed: int) -> None:
    """The matches of resampled images, laid out for pycocotools and accumulated by it, give the same metrics."""
    evaluator = evaluated(*scene(seed))
    drawn = np.sort(np.random.default_rng(seed).integers(0, 6, 6))
    evaluation = evaluate(evaluator._persons, evaluator._collected(), 6, sigmas=STICK.sigmas)
    evaluation.evalImgs = [evaluation.evalImgs[6 * size + image] for size in range(3) for image in drawn]

    expected, _ = accumulated(evaluation)

    np.testing.assert_allclose(curves(evaluator._matches(), drawn).metrics(), expected, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_a_image_drawn_twice_counts_as_two_images(seed: int) -> None:
    """A data set that lists the drawn images under ids of their own measures the same."""
    persons, found = scene(seed)
    drawn = np.sort(np.random.default_rng(seed + 1).integers(0, 6, 9))
    listed = [sorted(persons)[place] for place in drawn]
    copies = evaluated(
        {number: persons[image_id] for number, image_id in enumerate(listed)},
        {number: found[image_id] for number, image_id in enumerate(listed)},
    )

    assert curves(evaluated(persons, found)._matches(), drawn).metrics().tolist() == metrics_of(copies)


def test_real_poses_too(shared_data: Callable[[str], Any], by_pycocotools: ByPycocotools) -> None:
    """Annotations of 99 real images, persons found a little beside themselves, resampled once."""
    import json  # noqa: PLC0415 - nothing else here reads files

    truth = json.loads(shared_data("coco/annotations/person_keypoints_val.json").read_text())
    rng = np.random.default_rng(0)
    results = []
    for each in truth["annotations"]:
        triples = np.reshape(each["keypoints"], (17, 3)) + rng.normal(0, 0.03 * each["area"] ** 0.5, (17, 3))
        numbers, score = triples.ravel().tolist(), float(rng.random())
        results.append({"image_id": each["image_id"], "category_id": 1, "keypoints": numbers, "score": score})
    evaluator = CocoEvaluator(truth)
    for image_id in {row["image_id"] for row in results}:
        rows = [row for row in results if row["image_id"] == image_id]
        triples = np.array([row["keypoints"] for row in rows]).reshape(-1, 17, 3)
        evaluator.update(
            image_id,
            Poses(
                keypoints=triples[..., :2],
                keypoint_scores=triples[..., 2],
                boxes_xyxy=np.zeros((len(rows), 4)),
                box_scores=np.ones(len(rows)),
                pose_scores=np.array([row["score"] for row in rows]),
            ),
        )
    ids = sorted(image["id"] for image in truth["images"])
    drawn = np.sort(rng.integers(0, len(ids), len(ids)))

    def resampled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**row, "image_id": number} for number, at in enumerate(drawn) for row in rows if row["image_id"] == ids[at]
        ]

    people = [{**row, "id": number} for number, row in enumerate(resampled(truth["annotations"]), 1)]
    copies = {**truth, "images": [{"id": number} for number in range(len(drawn))], "annotations": people}
    expected = by_pycocotools(copies, resampled(results), evaluator.sigmas)

    measured = curves(evaluator._matches(), drawn).metrics()
    assert 0.1 < measured[0] < 0.9
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-12)


def test_equal_seeds_give_equal_intervals() -> None:
    """An interval can be measured again, and another seed gives another one of much the same length."""
    evaluator = evaluated(*scene(3, num_images=20))

    first, again, other = (bootstrap_interval(evaluator, draws=200, seed=seed) for seed in (1, 1, 2))

    assert list(first) == list(METRICS)
    assert first == again
    assert first != other
    assert abs(first["ap"].low - other["ap"].low) < 0.1


def test_intervals_hold_what_they_are_about_and_widen_with_confidence() -> None:
    """The metric itself lies inside; a surer interval is a wider one."""
    evaluator = evaluated(*scene(3, num_images=30))
    narrow, wide = (bootstrap_interval(evaluator, draws=300, confidence=share) for share in (0.5, 0.99))

    for name, value in zip(METRICS, metrics_of(evaluator), strict=True):
        assert wide[name].low <= value <= wide[name].high
        assert wide[name].low <= narrow[name].low <= narrow[name].high <= wide[name].high
    assert wide["ap"].low < narrow["ap"].low


def test_one_image_found_and_one_missed() -> None:
    """Of two images, one perfect and one empty: AP is 0, about a half or 1, in a quarter, half, quarter of draws."""
    evaluator = evaluated({1: [person(100)], 2: [person(100)]}, {1: [(100, 0.5)]})

    half = evaluator.compute().ap
    interval = bootstrap_interval(evaluator, draws=2000, confidence=0.98)
    inner = bootstrap_interval(evaluator, draws=2000, confidence=0.3)

    assert interval["ap"] == pytest.approx((0.0, 1.0))
    assert inner["ap"] == Interval(half, half)
    assert half == pytest.approx(51 / 101)


def test_a_size_that_few_images_have() -> None:
    """Resamples without a medium person say nothing about medium persons: the interval stays that of those with one."""
    evaluator = evaluated({1: [person(100, area=MEDIUM)], 2: [person(100)], 3: [person(100)]}, {1: [(100, 0.5)]})

    intervals = bootstrap_interval(evaluator, draws=100)

    assert intervals["ap_medium"] == pytest.approx((1.0, 1.0))
    assert intervals["ap_large"] == Interval(0.0, 0.0)


@pytest.mark.parametrize(
    ("persons", "undefined"),
    [
        ({}, METRICS),
        ({1: [], 2: []}, METRICS),
        ({1: [person(100, visibility=0)]}, METRICS),
        ({1: [person(100)], 2: []}, ("ap_medium", "ar_medium")),
    ],
)
def test_metrics_of_nobody_are_undefined(persons: dict[int, Any], undefined: tuple[str, ...]) -> None:
    """No images, no persons, nobody of a size: -1 as in the metrics themselves."""
    intervals = bootstrap_interval(evaluated(persons, {}), draws=20)

    assert tuple(name for name, interval in intervals.items() if interval == (-1.0, -1.0)) == undefined
    assert all(interval in {(-1.0, -1.0), (0.0, 0.0)} for interval in intervals.values())


def test_a_small_difference_on_every_image_is_sure() -> None:
    """Images differ widely, the two sets of poses by little: the paired interval is far from 0 and narrow."""
    persons = {image_id: [person(100)] for image_id in range(40)}
    better, worse = (
        evaluated(persons, {image_id: [(100 + image_id + shift, 0.5)] for image_id in range(40)}) for shift in (0, 4)
    )

    difference = paired_difference(better, worse, draws=300)
    reverse = paired_difference(worse, better, draws=300)
    alone = bootstrap_interval(worse, draws=300)["ap"]

    assert 0 < difference.low < better.compute().ap - worse.compute().ap < difference.high
    assert reverse == pytest.approx((-difference.high, -difference.low))
    assert difference.high - difference.low < alone.high - alone.low


def test_the_same_poses_do_not_differ() -> None:
    """Both are measured on the same resamples."""
    assert paired_difference(evaluated(*scene(5)), evaluated(*scene(5)), draws=50, metric="ar50") == (0.0, 0.0)


def test_only_the_same_annotations_can_be_compared() -> None:
    """Other images, other persons, other sigmas, or a metric of nobody are refused."""
    truth = {1: [person(100)], 2: [person(100)]}
    evaluator = evaluated(truth, {})

    with pytest.raises(ValueError, match="the same images twice, found 2 and 1, 1 shared"):
        paired_difference(evaluator, CocoEvaluator(annotations(truth), skeleton=STICK, image_ids=[2]))
    with pytest.raises(ValueError, match="the same persons twice, found others in image 2"):
        paired_difference(evaluator, evaluated({1: [person(100)], 2: [person(100, area=MEDIUM)]}, {}))
    with pytest.raises(ValueError, match=r"the same sigmas twice, found \[0.1, 0.1\] and \[0.2, 0.1\]"):
        paired_difference(evaluator, CocoEvaluator(annotations(truth), sigmas=[0.2, 0.1]))
    with pytest.raises(ValueError, match="ap_medium: expected annotated persons of its size, found none"):
        paired_difference(evaluator, evaluator, metric="ap_medium")
    with pytest.raises(ValueError, match=r"metric: expected one of .*'ap75'.* found 'AP'"):
        paired_difference(evaluator, evaluator, metric="AP")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 0}, "draws: expected at least 1, found 0"),
        ({"confidence": 1.0}, "confidence: expected a number above 0 and below 1, found 1.0"),
        ({"confidence": 95}, "confidence: expected a number above 0 and below 1, found 95"),
        ({"confidence": float("nan")}, "confidence: expected a number above 0 and below 1, found nan"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes: dict[str, Any], message: str) -> None:
    """No draws, or a confidence in percent."""
    evaluator = evaluated({1: [person(100)]}, {})

    with pytest.raises(ValueError, match=message):
        bootstrap_interval(evaluator, **changes)
    with pytest.raises(ValueError, match=message):
        paired_difference(evaluator, evaluator, **changes)


def test_nothing_is_changed_or_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The evaluator measures afterwards what it measured before."""
    evaluator = evaluated(*scene(7))
    before = evaluator.compute()

    bootstrap_interval(evaluator, draws=10)

    assert evaluator.compute() == before
    assert capsys.readouterr() == ("", "")


def test_an_interval_prints_as_a_card_writes_it() -> None:
    """Three digits, low to high."""
    assert str(Interval(0.1204, 0.19)) == "0.120 to 0.190"
