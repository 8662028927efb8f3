"""Metrics of groups of persons: by size, by how many keypoints are visible, by how much a neighbor overlaps."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pcrpose.evaluation.bootstrap import Interval, bootstrap_interval
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.evaluation.matching import AREA_RANGES
from pcrpose.evaluation.pairs import Pairs, PersonTable, box_overlaps
from pcrpose.keypoints.arrays import Bools, Floats

SMALLEST = float(AREA_RANGES[1, 0])  # area of COCO's medium persons

_SIZES = {"ap": "all", "ap_medium": "medium", "ap_large": "large"}
_VISIBLE_EDGES = (0.3, 0.6, 0.9, 1.0)  # of a skeleton's keypoints: 5, 10, 15 and 17 of COCO's, as Ronchi and Perona's
_OVERLAP_EDGES = (0.0, 0.1, 0.3, 1.0)  # intersection over union with the neighbor that overlaps most


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice:
    """A group of persons and how well their poses are.

    Attributes:
        name: of the group.
        num_persons: who count.
        ap: of the group; -1 without persons.
        ar: likewise.
        interval: of ``ap``; -1 to -1 without persons.
    """

    name: str
    num_persons: int
    ap: float
    ar: float
    interval: Interval


def slices_by_size(persons: PersonTable, metrics: CocoMetrics, intervals: Mapping[str, Interval]) -> list[Slice]:
    """Collect COCO's own groups, everybody, medium and large, from metrics that are computed already.

    Args:
        persons: of the evaluator.
        metrics: of all poses.
        intervals: of ``bootstrap_interval``.
    """
    groups = {
        name: (label, persons.counted & (persons.areas >= low) & (persons.areas <= high))
        for (name, label), (low, high) in zip(_SIZES.items(), AREA_RANGES.tolist(), strict=True)
    }
    return [
        Slice(
            name=label,
            num_persons=int(members.sum()),
            ap=getattr(metrics, name),
            ar=getattr(metrics, name.replace("ap", "ar")),
            interval=intervals[name],
        )
        for name, (label, members) in groups.items()
    ]


def measure_slices(
    evaluator: CocoEvaluator, pairs: Pairs, groups: Mapping[str, Bools], *, draws: int
) -> Iterator[Slice]:
    """Measure groups of persons, each as if it were a range of sizes.

    Persons outside the group are ignored, and so are the poses paired with them. A pose that is paired with nobody
    counts in every group: it could have been anybody's.

    Args:
        evaluator: with the poses of every image; not changed.
        pairs: of poses and persons, numbered as in `pcrpose.evaluation.pairs`.
        groups: by name, ``(P,)`` bool: who belongs to it.
        draws: resamples for the intervals.
    """
    counted = PersonTable.of(evaluator).counted
    for name, members in groups.items():
        part = _narrowed(evaluator, pairs, members)
        metrics = part.compute()
        yield Slice(
            name=name,
            num_persons=int((members & counted).sum()),
            ap=metrics.ap,
            ar=metrics.ar,
            interval=bootstrap_interval(part, draws=draws)["ap"],
        )


def groups_by_visible(persons: PersonTable) -> dict[str, Bools]:
    """Group persons by how many keypoints are visible (visibility 2); hidden ones are labelled, but not visible."""
    joints = persons.visible.shape[1]
    visible = persons.visible.sum(axis=1)
    edges = sorted({max(1, round(edge * joints)) for edge in _VISIBLE_EDGES})
    groups = {"none": visible == 0}
    for low, high in itertools.pairwise([0, *edges]):
        name = str(high) if high == low + 1 else f"{low + 1} to {high}"
        groups[name] = (visible > low) & (visible <= high)
    return groups


def groups_by_overlap(persons: PersonTable) -> dict[str, Bools]:
    """Group persons by the intersection over union of their box and that of the neighbor who overlaps most.

    Everybody who is annotated can be the neighbor, without labelled keypoints too; a crowd cannot.
    """
    overlaps = _neighbor_overlaps(persons)
    groups = {"none": overlaps <= _OVERLAP_EDGES[0]}
    for low, high in itertools.pairwise(_OVERLAP_EDGES):
        name = f"up to {high:g}" if low == 0 else f"{low:g} to {high:g}" if high < 1 else f"above {low:g}"
        groups[name] = (overlaps > low) & (overlaps <= high)
    return groups


def _neighbor_overlaps(persons: PersonTable) -> Floats:
    overlaps = np.zeros(len(persons))
    for image_id in np.unique(persons.image_ids):
        here = np.flatnonzero((persons.image_ids == image_id) & ~persons.crowd)
        boxes = persons.boxes_xyxy[here]
        overlaps[here] = (box_overlaps(boxes, boxes) * ~np.eye(len(here), dtype=np.bool_)).max(axis=1, initial=0.0)
    return overlaps


def _narrowed(evaluator: CocoEvaluator, pairs: Pairs, members: Bools) -> CocoEvaluator:
    """Copy an evaluator for one group."""
    part = copy.copy(evaluator)
    persons, results = evaluator._persons, evaluator._results  # noqa: SLF001 - of the same room
    part._persons = replace(persons, ignored=persons.ignored | ~members)  # noqa: SLF001
    kept = np.ones(sum(len(scores) for _, scores in results.values()), dtype=np.bool_)
    kept[pairs.poses[~members[pairs.persons]]] = False
    ends = np.cumsum([len(scores) for _, scores in results.values()])[:-1]
    part._results = {  # noqa: SLF001
        image_id: (triples[mine], scores[mine])
        for (image_id, (triples, scores)), mine in zip(results.items(), np.split(kept, ends), strict=False)
    }
    return part
