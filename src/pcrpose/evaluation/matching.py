"""Matching of poses to annotated persons by COCO's rules, all images at once, and the curves that follow from it.

Whatever the rules ask of a pose and a person, for ten OKS thresholds and three size ranges, is one bit of an integer:
30 bits a pose, 30 a person. Only pairs that reach the lowest threshold matter, and they are taken in rounds: the first
of every image, then the second. There are as many rounds as the busiest image has such pairs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcrpose.keypoints.arrays import Bools, Floats, Indices

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREA_RANGES = np.array([[0.0, 1e10], [32.0**2, 96.0**2], [96.0**2, 1e10]])  # all, medium, large; ends included
MAX_POSES = 20  # per image

_SPACING = np.spacing(1)  # COCO's guard against a division by 0
_CHUNK = 1 << 15  # keypoint distances held at once: larger arrays leave the cache and cost fresh memory
_LEVELS = len(OKS_THRESHOLDS)
_ALL_LEVELS = (1 << _LEVELS) - 1
_RANGE_BITS = np.array([_ALL_LEVELS << _LEVELS * index for index in range(len(AREA_RANGES))])
_EVERY_RANGE = sum(1 << _LEVELS * index for index in range(len(AREA_RANGES)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Persons:
    """Annotated persons of many images.

    Attributes:
        images: ``(G,)`` intp, the image of each, counted from 0.
        keypoints: ``(G, J, 2)`` float64, x then y, image pixels.
        labelled: ``(G, J)`` bool.
        boxes_xywh: ``(G, 4)`` float64; read for persons without a labelled keypoint.
        areas: ``(G,)`` float64, image pixels squared.
        crowds: ``(G,)`` bool: any number of poses may find one.
        ignored: ``(G,)`` bool: crowds, and persons that COCO says have no keypoint.
    """

    images: Indices
    keypoints: Floats
    labelled: Bools
    boxes_xywh: Floats
    areas: Floats
    crowds: Bools
    ignored: Bools


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseResults:
    """Poses of many images.

    Attributes:
        images: ``(D,)`` intp, the image of each, counted from 0.
        keypoints: ``(D, J, 2)`` float64, x then y, image pixels.
        scores: ``(D,)`` float64, pose scores.
    """

    images: Indices
    keypoints: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def extents(self) -> tuple[Floats, Floats]:
        """Return the ``(D, 2)`` corners of the boxes around the keypoints."""
        low, high = np.empty((2, len(self), 2))
        step = _CHUNK // 32
        for part in (slice(start, start + step) for start in range(0, len(self), step)):
            points = self.keypoints[part].transpose(1, 2, 0).copy()  # long rows are faster to compare
            low[part], high[part] = points.min(axis=0).T, points.max(axis=0).T
        return low, high

    @property
    def areas(self) -> Floats:
        """``(D,)``: of these boxes. They decide on the size range of an unmatched pose."""
        low, high = self.extents()
        return (high[:, 0] - low[:, 0]) * (high[:, 1] - low[:, 1])


@dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """Matched poses: which found a person and which found nobody, image after image, the best 20 of each.

    Attributes:
        starts: ``(P + 1,)`` intp: image p's poses are those from ``starts[p]`` up to ``starts[p + 1]``, best first.
        scores: ``(D,)`` float64, pose scores.
        hits: ``(3, 10, D)`` bool, by size range (all, medium, large) and OKS threshold.
        misses: ``(3, 10, D)`` bool: poses that hit nobody; the others are ignored, they found a crowd for example.
        persons: ``(3, P)`` intp, the persons of each size that count.
    """

    starts: Indices
    scores: Floats
    hits: Bools
    misses: Bools
    persons: Indices

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return len(self.starts) - 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Curves:
    """Precision over recall, by size range and OKS threshold; -1 where nobody is in range.

    Attributes:
        precision: ``(3, 10, 101)`` float64.
        recall: ``(3, 10)`` float64, the highest.
        scores: ``(3, 10, 101)`` float64, the pose score at which each recall is reached.
    """

    precision: Floats
    recall: Floats
    scores: Floats

    def metrics(self) -> Floats:
        """Compute the ten metrics, in the order of ``COCOeval.stats``."""
        values = []
        for curve in (self.precision, self.recall):
            everybody, medium, large = curve
            values += [everybody, everybody[0:1], everybody[5:6], medium, large]
        return np.array([part[part > -1].mean() if (part > -1).any() else -1.0 for part in values])


def match(persons: Persons, poses: PoseResults, num_images: int, *, sigmas: Floats) -> Matches:
    """Match poses to persons: the best-scored pose chooses first, the most alike person that is still free.

    Args:
        persons: annotated.
        poses: found; of equal scores the first chooses first. Only the 20 best of an image count.
        num_images: P, those without persons and poses too.
        sigmas: ``(J,)`` float, of the keypoints.

    Source:
        ``COCOeval.evaluateImg`` of pycocotools: persons that count are asked before those that are ignored; of equally
        alike persons the last is taken.
    """
    order = _best_first(poses, num_images)
    counted = np.where(persons.ignored, 0, _in_range(persons.areas))
    extents = poses.extents()
    pairs = _pairs(persons, poses, order, _reach(persons, sigmas), extents)
    found, ignored = _assign(persons, poses, counted, pairs, sigmas)
    missed = ~(found | ignored) & _in_range(np.prod(extents[1] - extents[0], axis=1))
    size = num_images
    return Matches(
        starts=np.searchsorted(poses.images[order], np.arange(size + 1)),
        scores=poses.scores[order],
        hits=_unpacked(found[order]),
        misses=_unpacked(missed[order]),
        persons=np.array([np.bincount(persons.images[counted & bits > 0], minlength=size) for bits in _RANGE_BITS]),
    )


def curves(matches: Matches, images: Indices | None = None) -> Curves:
    """Accumulate matches over images.

    Args:
        matches: of all images.
        images: ``(M,)`` indices of the images that count, ascending; one that comes twice counts as two images that
            look alike. All by default. Poses of equal score are taken in this order, as pycocotools does.
    """
    hits, misses, persons, scores = matches.hits, matches.misses, matches.persons.sum(axis=1), matches.scores
    if images is None:
        order = np.argsort(-scores, kind="stable")
    else:
        counts = matches.starts[images + 1] - matches.starts[images]
        poses = np.repeat(matches.starts[images + 1] - np.cumsum(counts), counts) + np.arange(counts.sum())
        order = poses[np.argsort(-scores[poses], kind="stable")]
        persons = matches.persons[:, images].sum(axis=1)
    sorted_scores = scores[order]
    result = Curves(
        precision=np.full((*hits.shape[:2], len(RECALLS)), -1.0),
        recall=np.full(hits.shape[:2], -1.0),
        scores=np.full((*hits.shape[:2], len(RECALLS)), -1.0),
    )
    for group in np.flatnonzero(persons):
        for level in range(hits.shape[1]):
            at = np.flatnonzero(hits[group, level][order])
            missed = np.cumsum(misses[group, level][order], dtype=np.int32)[at]
            row = _curve(at, missed, sorted_scores, int(persons[group]))
            result.precision[group, level], result.recall[group, level], result.scores[group, level] = row
    return result


def _curve(at: Indices, missed: npt.NDArray[np.int32], scores: Floats, persons: int) -> tuple[Floats, float, Floats]:
    """Return one curve from the hits: their indices among the sorted poses and the misses before each.

    Precision between two hits is below that at the first of them, so only the hits matter.
    """
    hit = np.arange(1.0, len(at) + 1)
    precision = hit / (missed + hit + _SPACING)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(hit / persons, RECALLS)
    reached = reached[reached < len(at)]
    values, level = np.zeros((2, len(RECALLS)))
    values[: len(reached)], level[: len(reached)] = best_from_here[reached], scores[at[reached]]
    level[0] = scores[0] if len(scores) else 0.0  # the first pose, though it hit nobody, reaches a recall of 0
    return values, len(at) / persons, level


def _best_first(poses: PoseResults, num_images: int) -> Indices:
    """Return the indices of each image's best poses, image after image."""
    order = np.lexsort((-poses.scores, poses.images))
    images = poses.images[order]
    rank = np.arange(len(order)) - np.searchsorted(images, np.arange(num_images))[images]
    return order[rank < MAX_POSES]


def _in_range(areas: Floats) -> Indices:
    """Return ``(N,)`` bits: the ranges that an area lies in, for all thresholds."""
    bits = np.zeros(len(areas), dtype=np.intp)
    for (low, high), of_range in zip(AREA_RANGES, _RANGE_BITS, strict=True):
        bits[(areas >= low) & (areas <= high)] |= of_range
    return bits


def _unpacked(bits: Indices) -> Bools:
    narrow = bits.astype(np.int32)
    flags = np.empty((len(AREA_RANGES) * _LEVELS, len(bits)), dtype=np.bool_)
    for shift, row in enumerate(flags):
        np.not_equal(narrow & np.int32(1 << shift), 0, out=row)
    return flags.reshape(len(AREA_RANGES), _LEVELS, len(bits))


class _Pairs(NamedTuple):
    """Poses and persons that share an image: ``(P,)`` indices, pose after pose, the best of each image first."""

    pose: Indices
    person: Indices
    rank: Indices  # of the pose, over all images

    def take(self, chosen: Bools) -> "_Pairs":
        return _Pairs(*(values[chosen] for values in self))


def _assign(
    persons: Persons, poses: PoseResults, counted: Indices, pairs: _Pairs, sigmas: Floats
) -> tuple[Indices, Indices]:
    """Return ``(D,)`` bits of the poses that found a person who counts, and of those that found an ignored one."""
    similarities = _similarities(persons, poses, pairs, sigmas)
    alike = similarities >= OKS_THRESHOLDS[0]
    (pose, person, rank), similarities = pairs.take(alike), similarities[alike]
    levels = ((1 << np.searchsorted(OKS_THRESHOLDS, similarities, side="right")) - 1) * _EVERY_RANGE
    # Each pair comes twice: with the person as one who counts, then as one who is ignored, by size range.
    bits = np.concatenate([levels & counted[person], levels & ~counted[person]])
    second = np.repeat([0, 1], len(pose))
    pose, person, rank, similarities = (np.tile(values, 2) for values in (pose, person, rank, similarities))
    order = np.lexsort((-person, -similarities, second, rank))
    order = order[bits[order] > 0]
    pose, person, bits, second = pose[order], person[order], bits[order], second[order]
    found = np.zeros((2, len(poses)), dtype=np.int64)
    taken = np.zeros(len(persons.areas), dtype=np.int64)
    for now in _rounds(poses.images[pose]):
        chooser, wanted = pose[now], person[now]
        free = bits[now] & ~(found[0, chooser] | found[1, chooser] | taken[wanted])
        found[second[now], chooser] |= free
        taken[wanted] |= np.where(persons.crowds[wanted], 0, free)
    return found[0], found[1]


def _rounds(images: Indices) -> list[Indices]:
    """Split events, in the order of their images, into rounds: the first of every image, the second and so on."""
    if not len(images):
        return []
    number = np.arange(len(images)) - np.searchsorted(images, images)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number))[:-1])


def _pairs(
    persons: Persons,
    poses: PoseResults,
    order: Indices,
    reach: tuple[Floats, Floats, Floats],
    extents: tuple[Floats, Floats],
) -> _Pairs:
    """Return the pairs of an image, without those too far apart for the lowest threshold."""
    by_image = np.argsort(persons.images, kind="stable")
    images = persons.images[by_image]
    first, behind = (np.searchsorted(images, poses.images[order], side=side) for side in ("left", "right"))
    counts = behind - first
    rank = np.repeat(np.arange(len(order)), counts)
    pairs = _Pairs(order[rank], by_image[np.arange(len(rank)) + np.repeat(behind - np.cumsum(counts), counts)], rank)
    squares = np.zeros(len(rank))
    (low, high, farthest), (left, right) = reach, extents
    for axis in range(2):
        gap = np.maximum(
            low[pairs.person, axis] - right[pairs.pose, axis], left[pairs.pose, axis] - high[pairs.person, axis]
        )
        squares += np.maximum(gap, 0) ** 2
    return pairs.take(np.asarray(squares <= farthest[pairs.person]))


def _reach(persons: Persons, sigmas: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the ``(G, 2)`` corners of the box that OKS measures distances from, and how far a similar pose may be.

    The last are ``(G,)`` squared distances between that box and the pose's, with room for rounding.
    """
    counts = persons.labelled[..., None]
    corner, size = persons.boxes_xywh[:, :2], persons.boxes_xywh[:, 2:]
    nobody = np.count_nonzero(persons.labelled, axis=1, keepdims=True) == 0
    low = np.where(nobody, corner - size, np.where(counts, persons.keypoints, np.inf).min(axis=1))
    high = np.where(nobody, corner + size * 2, np.where(counts, persons.keypoints, -np.inf).max(axis=1))
    widest = 2 * (2 * sigmas.max()) ** 2 * -np.log(OKS_THRESHOLDS[0]) * (1 + 1e-6)
    farthest = np.where(persons.areas < 0, np.inf, widest * (persons.areas + _SPACING))
    return low, high, farthest


def _similarities(persons: Persons, poses: PoseResults, pairs: _Pairs, sigmas: Floats) -> Floats:
    """Compute the OKS of pairs.

    Persons with equally many labelled keypoints are computed together, on these alone: sums are then
    rounded as in pycocotools, to the last bit.
    """
    pose, person = pairs.pose, pairs.person
    values = np.zeros(len(pose))
    joints = len(sigmas)
    variances, areas = (sigmas * 2) ** 2, persons.areas + _SPACING
    annotated, found = _as_complex(persons.keypoints), _as_complex(poses.keypoints)
    number_labelled = persons.labelled.sum(axis=1)
    labelled_first = np.argsort(~persons.labelled, axis=1, kind="stable")
    by_person = number_labelled[person]
    squares: Floats
    for count in np.unique(by_person):
        rows = np.flatnonzero(by_person == count)
        step = max(1, _CHUNK // max(1, int(count)))
        for part in (rows[start : start + step] for start in range(0, len(rows), step)):
            chosen = person[part]
            if count:
                columns = labelled_first[chosen, :count]
                offsets = found.take(columns + (pose[part] * joints)[:, None])
                offsets -= annotated.take(columns + (chosen * joints)[:, None])
                squares, scales = offsets.real**2 + offsets.imag**2, variances[columns]
            else:
                squares, scales = _outside(poses.keypoints[pose[part]], persons.boxes_xywh[chosen]), variances
            exponents = squares / scales / areas[chosen, None] / -2
            values[part] = np.exp(exponents, out=exponents).sum(axis=1) / exponents.shape[1]
    return values


def _as_complex(points: Floats) -> npt.NDArray[np.complex128]:
    """Return ``(N * J,)`` points, x + iy: one is then one number to look up."""
    return np.ascontiguousarray(points).view(np.complex128).ravel()


def _outside(points: Floats, boxes_xywh: Floats) -> Floats:
    """Return the squared distances of ``(P, J, 2)`` points to ``(P, 4)`` boxes three times as large."""
    corner, size = boxes_xywh[:, None, :2], boxes_xywh[:, None, 2:]
    offsets = np.maximum(0, corner - size - points) + np.maximum(0, points - (corner + size * 2))
    return np.asarray(offsets[..., 0] ** 2 + offsets[..., 1] ** 2)
