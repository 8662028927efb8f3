"""Bootstrap confidence intervals of COCO metrics: images resampled with replacement.

A pose is matched within its image, whatever the other images hold. So every image is matched once, and a resample
only accumulates again.
"""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.files.checks import at_least, fraction, one_of
from pcrpose.keypoints.arrays import Bools, Floats, Indices

METRICS = tuple(field.name for field in fields(CocoMetrics))[:10]
UNDEFINED = -1.0  # pycocotools' value for a range of sizes without a person

_AT_50, _AT_75 = slice(0, 1), slice(5, 6)  # indices of these OKS thresholds among the ten


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
    matches = Matches.of(evaluator)
    drawn = np.array([matches.metrics(images) for images in _resamples(matches.num_images, draws, seed)])
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
    a, b = Matches.of(evaluator_a), Matches.of(evaluator_b)
    _check_same((evaluator_a, evaluator_b), (a, b))
    column = METRICS.index(metric)
    resamples = list(_resamples(a.num_images, draws, seed))
    first, second = (np.array([matches.metrics(images)[column] for images in resamples]) for matches in (a, b))
    defined = first > UNDEFINED  # by the persons resampled, so alike for both
    if not defined.any():
        raise ValueError(f"{metric}: expected annotated persons of its size, found none")
    return _quantiles(first[defined] - second[defined], confidence)


@dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """Matched poses: which hit a person and which hit nobody, image after image in the order of their ids.

    Attributes:
        starts: ``(P + 1,)`` intp: image p's poses are those from ``starts[p]`` up to ``starts[p + 1]``, best first.
        scores: ``(D,)`` float64, pose scores.
        hits: ``(3, 10, D)`` bool, by size range (all, medium, large) and OKS threshold.
        misses: ``(3, 10, D)`` bool: poses that hit nobody; the others are ignored, they found a crowd for example.
        persons: ``(3, P)`` intp, the persons of each size that count.
        recalls: ``(101,)`` float64, where precision is read.
    """

    starts: Indices
    scores: Floats
    hits: Bools
    misses: Bools
    persons: Indices
    recalls: Floats

    @classmethod
    def of(cls, evaluator: CocoEvaluator) -> Self:
        """Match the poses that an evaluator has so far."""
        evaluation = evaluator._match(evaluator.results, "poses")  # noqa: SLF001 - of the same room
        ranges, thresholds = len(evaluation.params.areaRng), len(evaluation.params.iouThrs)
        images = len(evaluation.params.imgIds)
        found = [evaluation.evalImgs[index * images : (index + 1) * images] for index in range(ranges)]
        none = np.zeros((thresholds, 0))
        nothing: dict[str, Any] = {"dtScores": [], "gtIgnore": np.zeros(0), "dtMatches": none, "dtIgnore": none}
        rows = [[match or nothing for match in matches] for matches in found]
        matched, ignored = (
            np.array([_side_by_side([match[key] for match in row], thresholds) for row in rows])
            for key in ("dtMatches", "dtIgnore")
        )
        return cls(
            starts=np.cumsum([0, *(len(match["dtScores"]) for match in rows[0])]),
            scores=np.array([score for match in rows[0] for score in match["dtScores"]], dtype=np.float64),
            hits=matched & ~ignored,
            misses=~matched & ~ignored,
            persons=np.array([[(match["gtIgnore"] == 0).sum() for match in row] for row in rows], dtype=np.intp),
            recalls=evaluation.params.recThrs,
        )

    @property
    def num_images(self) -> int:
        """How many images there are to draw from."""
        return len(self.starts) - 1

    def metrics(self, images: npt.ArrayLike) -> Floats:
        """Compute the metrics of a resample.

        Args:
            images: ``(M,)`` whole numbers, indices of images, ascending; one that comes twice counts as two
                images that look alike. Poses of equal score are taken in this order, as pycocotools does.

        Returns:
            ``(10,)`` float64, the metrics in the order of `CocoMetrics`, -1 where nobody is in range.
        """
        drawn = np.asarray(images, dtype=np.intp)
        counts = self.starts[drawn + 1] - self.starts[drawn]
        poses = np.repeat(self.starts[drawn + 1] - np.cumsum(counts), counts) + np.arange(counts.sum())
        order = poses[np.argsort(-self.scores[poses], kind="stable")]
        groups: list[Floats] = []
        for of_all, *of_sizes in zip(
            *(self._range(index, order, drawn) for index in range(len(self.persons))), strict=True
        ):
            groups += [of_all, of_all[_AT_50], of_all[_AT_75], *of_sizes]
        return np.array([values.mean() if values.size else UNDEFINED for values in groups])

    def _range(self, index: int, order: Indices, images: Indices) -> tuple[Floats, Floats]:
        """Return precision ``(10, 101)`` and recall ``(10,)`` of a range of sizes, both of length 0 without persons."""
        persons = self.persons[index, images].sum()
        if not persons:
            return np.zeros((0, len(self.recalls))), np.zeros(0)
        hits = self.hits[index][:, order].cumsum(axis=1)
        misses = self.misses[index][:, order].cumsum(axis=1)
        recall = hits / persons
        precision = hits / (hits + misses + np.spacing(1))
        best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        readable = np.concatenate([best_from_here, np.zeros((len(hits), 1))], axis=1)  # 0 at a recall never reached
        read = np.array(
            [row[np.searchsorted(reached, self.recalls)] for row, reached in zip(readable, recall, strict=True)]
        )
        return read, recall.max(axis=1, initial=0.0)


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


def _side_by_side(parts: list[npt.NDArray[np.generic]], rows: int) -> Bools:
    return np.concatenate([np.zeros((rows, 0)), *parts], axis=1).astype(np.bool_)


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
