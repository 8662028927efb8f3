"""Bootstrap confidence intervals of COCO metrics: images resampled with replacement.

A pose is matched within its image, whatever the other images hold. So every image is matched once, and a resample
only accumulates again.
"""

from dataclasses import fields
from typing import NamedTuple

import numpy as np

from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.evaluation.matching import Matches, curves
from pcrpose.files.checks import at_least, fraction, one_of
from pcrpose.keypoints.arrays import Floats, Indices

METRICS = tuple(field.name for field in fields(CocoMetrics))[:10]
UNDEFINED = -1.0  # pycocotools' value for a range of sizes without a person


class Interval(NamedTuple):
    """Confidence interval of a metric, both ends included; -1 to -1 where it is undefined."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


def bootstrap_interval(
    evaluator: CocoEvaluator, *, draws: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Estimate how far each metric would move with other images of the same kind.

    As many images as there are get drawn with replacement, and the metrics computed on them; so ``draws`` times.
    Persons who share an image stay together, because they are not independent. Interpolated precision gains a little
    from images that come twice, so an interval of AP lies a little high.

    Args:
        evaluator: with the poses of every image; not changed.
        draws: how many resamples.
        confidence: fraction of the resamples that lies inside an interval, in ``(0, 1)``; as much lies below as above.
        seed: equal seeds resample alike.

    Returns:
        An interval per metric, in the order of `CocoMetrics`. Resamples without a person of a size say nothing about
        that size and are left out; with no such person at all the interval is -1 to -1.

    Raises:
        ValueError: if ``draws`` or ``confidence`` is out of range.

    Source:
        The percentile interval of Efron's bootstrap.

    Examples:
        >>> person = {"image_id": 7, "category_id": 1, "keypoints": [9, 9, 2, 9, 60, 2], "area": 10000.0}
        >>> content = {"images": [{"id": 7}], "categories": [{"id": 1}], "annotations": [person]}
        >>> intervals = bootstrap_interval(CocoEvaluator(content, sigmas=[0.1, 0.1]), draws=10)
        >>> print(intervals["ap"], "and", intervals["ap_medium"])
        0.000 to 0.000 and -1.000 to -1.000
    """
    _check(draws, confidence)
    matches = evaluator._matches()  # noqa: SLF001 - of the same room
    drawn = np.array([curves(matches, images).metrics() for images in _resamples(matches.num_images, draws, seed)])
    return {name: _interval(drawn[:, index], confidence) for index, name in enumerate(METRICS)}


def paired_difference(
    evaluator_a: CocoEvaluator,
    evaluator_b: CocoEvaluator,
    *,
    metric: str = "ap",
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimate how much better the first poses are than the second, both measured on the same resampled images.

    What makes an image easy or hard moves both metrics alike, so the difference is far surer than either metric:
    an interval without 0 tells two models apart.

    Args:
        evaluator_a: with the poses of every image; not changed.
        evaluator_b: of the same annotations, with the other poses; not changed.
        metric: which of the ten, as `CocoMetrics` calls it.
        draws: as for `bootstrap_interval`.
        confidence: likewise.
        seed: likewise.

    Returns:
        Interval of the first metric minus the second, over the resamples with a person of the metric's size.

    Raises:
        ValueError: if the two count other images, persons or keypoints, if ``metric`` is none of the ten or
            undefined here, or if ``draws`` or ``confidence`` is out of range.
    """
    _check(draws, confidence)
    one_of("metric", metric, METRICS)
    a, b = (evaluator._matches() for evaluator in (evaluator_a, evaluator_b))  # noqa: SLF001 - of the same room
    _check_same((evaluator_a, evaluator_b), (a, b))
    column = METRICS.index(metric)
    resamples = list(_resamples(a.num_images, draws, seed))
    first, second = (
        np.array([curves(matches, images).metrics()[column] for images in resamples]) for matches in (a, b)
    )
    defined = first > UNDEFINED  # by the persons resampled, so alike for both
    if not defined.any():
        raise ValueError(f"{metric}: expected annotated persons of its size, found none")
    return _quantiles(first[defined] - second[defined], confidence)


def _check(draws: int, confidence: float) -> None:
    at_least("draws", draws, 1)
    fraction("confidence", confidence, zero=False, one=False)


def _check_same(evaluators: tuple[CocoEvaluator, CocoEvaluator], matches: tuple[Matches, Matches]) -> None:
    a, b = evaluators
    if a.image_ids != b.image_ids:
        shared = len(a.image_ids & b.image_ids)
        raise ValueError(
            f"expected the same images twice, found {len(a.image_ids)} and {len(b.image_ids)}, {shared} shared"
        )
    if not np.array_equal(a.sigmas, b.sigmas):
        raise ValueError(f"expected the same sigmas twice, found {a.sigmas.tolist()} and {b.sigmas.tolist()}")
    different = (matches[0].persons != matches[1].persons).any(axis=0)
    for image_id in np.array(sorted(a.image_ids))[different][:1]:
        raise ValueError(f"expected the same persons twice, found others in image {image_id}")


def _resamples(num_images: int, draws: int, seed: int) -> Indices:
    """Return ``(draws, num_images)`` indices of images, each row ascending."""
    drawn = np.random.default_rng(seed).integers(0, max(num_images, 1), (draws, num_images))
    return np.sort(drawn, axis=1)


def _interval(values: Floats, confidence: float) -> Interval:
    defined = values[values > UNDEFINED]
    return _quantiles(defined, confidence) if len(defined) else Interval(UNDEFINED, UNDEFINED)


def _quantiles(values: Floats, confidence: float) -> Interval:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
