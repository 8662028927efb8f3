"""Object keypoint similarity (OKS), non-maximum suppression by it, and pose scores."""

import numpy as np
from numpy.typing import ArrayLike

from pcrpose.files.checks import at_least, fraction, positive
from pcrpose.keypoints.arrays import Bools, Floats, Indices, as_floats

_CHUNK = 1 << 19  # keypoint distances held at once: larger arrays leave the cache and cost fresh memory


def oks(
    keypoints_a: ArrayLike,
    keypoints_b: ArrayLike,
    areas: ArrayLike,
    *,
    sigmas: ArrayLike,
    labelled: ArrayLike | None = None,
    found: ArrayLike | None = None,
) -> Floats:
    """Compute the OKS of every pose of one set with every pose of another.

    The mean over the keypoints that count of ``exp(-distance^2 / (2 * area * (2 * sigma)^2))``.

    Args:
        keypoints_a: ``(A, J, 2)`` float, x then y, image pixels; ground truth, where there is any.
        keypoints_b: ``(B, J, 2)`` float, x then y, image pixels.
        areas: ``(A,)`` float, areas of the **first** set, image pixels squared, positive.
        sigmas: ``(J,)`` float, per-keypoint sigmas of the skeleton, no unit, positive.
        labelled: ``(A, J)`` bool, keypoints of the first set that count; all by default.
        found: ``(B, J)`` bool, keypoints of the second set that count; all by default.

    Returns:
        ``(A, B)`` float64 in ``[0, 1]``: 1 for equal poses, 0 where no keypoint counts (COCO's rule for persons
        without labelled keypoints needs their box; it lives in the evaluation).

    Raises:
        ValueError: if a shape differs, a keypoint is not finite, or an area or sigma is not positive.

    Source:
        The COCO keypoint evaluation.

    Examples:
        >>> oks([[[10, 10], [10, 40]]], [[[10, 10], [10, 40]], [[13, 13], [13, 43]]], [900], sigmas=[0.1, 0.1]).round(2)
        array([[1.  , 0.78]])
    """
    variances = _variances(sigmas)
    first = _points(keypoints_a, variances, "keypoints_a")
    second = _points(keypoints_b, variances, "keypoints_b")
    scales = _positive(areas, len(first))
    counted_a = _mask(labelled, first.shape[:2], "labelled")
    counted_b = _mask(found, second.shape[:2], "found")
    similarities = np.empty((len(first), len(second)))
    rows = max(1, _CHUNK // max(1, second.size))
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        counted = counted_b if counted_a is None else counted_a[part, None] & (counted_b is None or counted_b)
        similarities[part] = _similarity(first[part, None] - second, scales[part, None], variances, counted)
    return similarities


def keypoint_similarities(keypoints: ArrayLike, places: ArrayLike, areas: ArrayLike, *, sigmas: ArrayLike) -> Floats:
    """Compute each keypoint's term of OKS, ``exp(-distance^2 / (2 * area * (2 * sigma)^2))``.

    Args:
        keypoints: ``(J, 2)`` or ``(P, J, 2)`` float, x then y, image pixels.
        places: ``(P, J, 2)`` float, where they should be.
        areas: ``(P,)`` float, of the persons whose places these are, image pixels squared.
        sigmas: ``(J,)`` float, per-keypoint sigmas of the skeleton.

    Returns:
        ``(P, J)`` float64 in ``[0, 1]``.

    Examples:
        >>> keypoint_similarities([[[3.0, 0.0]]], [[[0.0, 0.0]]], [100.0], sigmas=[0.2]).round(2).tolist()
        [[0.75]]
    """
    squares = ((np.asarray(places) - np.asarray(keypoints)) ** 2).sum(axis=-1)
    scales = np.asarray(areas, dtype=np.float64)[:, None] + np.spacing(1)  # COCO's guard against a division by 0
    similarities: Floats = np.exp(-squares / (2 * scales * (2 * np.asarray(sigmas)) ** 2))
    return similarities


def oks_nms(
    keypoints: ArrayLike,
    scores: ArrayLike,
    areas: ArrayLike,
    *,
    sigmas: ArrayLike,
    threshold: float = 0.9,
    found: ArrayLike | None = None,
) -> Indices:
    """Keep the best pose of every group that shows one person.

    The best-scored pose is kept and the poses more alike to it than ``threshold`` go; so on with what is left.

    Args:
        keypoints: ``(N, J, 2)`` float, x then y, image pixels, all of one image.
        scores: ``(N,)`` float, pose scores; any scale, larger is better.
        areas: ``(N,)`` float, areas of the (padded) boxes, image pixels squared, positive.
        sigmas: ``(J,)`` float, per-keypoint sigmas of the skeleton, no unit.
        threshold: similarity in ``[0, 1]``; a pose is dropped **above** it and stays at it.
        found: ``(N, J)`` bool; two poses are compared on the keypoints found of the *worse-scored* one. (The published
            code means to ask both, and by a slip asks only the second.)

    Returns:
        ``(M,)`` intp, ``M <= N``: indices of the kept poses, best score first; equal scores keep their input order.

    Raises:
        ValueError: if a shape differs, a number is not finite, an area or sigma is not positive, or the threshold is
            not in ``[0, 1]``.

    Source:
        The published HRNet and Simple Baselines code: neither pose is ground truth, so the scale is their mean area.

    Examples:
        >>> keypoints = [[[20, 10], [20, 70]], [[20, 11], [20, 71]], [[80, 70], [80, 130]]]
        >>> oks_nms(keypoints, [0.4, 0.8, 0.6], [1600] * 3, sigmas=[0.1, 0.1])
        array([1, 2])
    """
    image = np.zeros(np.shape(scores)[:1], dtype=np.intp)
    return oks_nms_batch(keypoints, scores, areas, image, sigmas=sigmas, threshold=threshold, found=found)


def oks_nms_batch(
    keypoints: ArrayLike,
    scores: ArrayLike,
    areas: ArrayLike,
    image_ids: ArrayLike,
    *,
    sigmas: ArrayLike,
    threshold: float = 0.9,
    found: ArrayLike | None = None,
) -> Indices:
    """Run `oks_nms` on many images at once; poses of different images never meet.

    Each round decides the best waiting pose of every image: there are as many rounds as one image keeps poses.

    Args:
        keypoints: ``(N, J, 2)`` float; the poses of all images, in any order; as in `oks_nms` otherwise.
        scores: ``(N,)`` float; only compared within an image.
        areas: ``(N,)`` float.
        image_ids: ``(N,)`` whole numbers or names, the image of each pose.
        sigmas: ``(J,)`` float.
        threshold: similarity in ``[0, 1]``.
        found: ``(N, J)`` bool.

    Returns:
        ``(M,)`` intp: indices of the kept poses; images by first appearance, within one the best score first.

    Raises:
        ValueError: as `oks_nms`, or if ``image_ids`` has another length.
    """
    fraction("threshold", threshold)
    poses = _Candidates(keypoints, scores, areas, sigmas, found)
    images = np.asarray(image_ids)
    if images.shape != poses.scores.shape:
        raise ValueError(f"image_ids: expected shape {poses.scores.shape}, found {images.shape}")
    _, first_rows, inverse = np.unique(images, return_index=True, return_inverse=True)
    appearance = first_rows[inverse]
    order = np.lexsort((-poses.scores, appearance))  # stable: equal scores keep their input order
    undecided, kept = np.arange(len(order)), []
    while len(undecided):
        owner = appearance[order[undecided]]
        best = np.concatenate([[True], owner[1:] != owner[:-1]])
        kept.append(undecided[best])
        rivals = undecided[~best]
        rival_to = undecided[best][np.cumsum(best)[~best] - 1]
        undecided = rivals[poses.similarities(order[rival_to], order[rivals]) <= threshold]
    return order[np.sort(np.concatenate(kept))] if kept else order


def soft_oks_nms(
    keypoints: ArrayLike,
    scores: ArrayLike,
    areas: ArrayLike,
    *,
    sigmas: ArrayLike,
    threshold: float = 0.9,
    max_poses: int | None = None,
    found: ArrayLike | None = None,
) -> tuple[Indices, Floats]:
    """Lower the scores of poses that repeat a better one, instead of dropping them.

    Whenever a pose is taken, every pose still waiting has its score multiplied by ``exp(-oks^2 / threshold)``.
    The published function sorts by these lowered scores and then forgets them, so its caller counts a duplicate in
    full; and it stops silently at 20 poses. Here the lowered scores are returned and a limit is asked for.

    Args:
        keypoints: with ``areas``, ``sigmas`` and ``found`` as in `oks_nms`.
        scores: ``(N,)`` float, pose scores; positive ones are lowered.
        areas: ``(N,)`` float.
        sigmas: ``(J,)`` float.
        threshold: width of the decay, positive; smaller is harsher.
        max_poses: stop after this many; ``None`` keeps all, 20 is the published limit.
        found: ``(N, J)`` bool.

    Returns:
        ``(M,)`` intp, indices as they were taken, equal scores in input order; ``(M,)`` float64, their lowered scores.

    Raises:
        ValueError: as `oks_nms`, and if ``threshold`` is not positive or ``max_poses`` is negative.
    """
    positive("threshold", threshold)
    if max_poses is not None:
        at_least("max_poses", max_poses, 0)
    poses = _Candidates(keypoints, scores, areas, sigmas, found)
    lowered = poses.scores.copy()
    waiting = np.arange(len(lowered))
    taken: list[np.intp] = []
    while len(waiting) and (max_poses is None or len(taken) < max_poses):
        best = waiting[np.argmax(lowered[waiting])]
        taken.append(best)
        waiting = waiting[waiting != best]
        similarities = poses.similarities(np.full(len(waiting), best), waiting)
        lowered[waiting] *= np.exp(-(similarities**2) / threshold)
    indices = np.array(taken, dtype=np.intp)
    return indices, lowered[indices]


def pose_scores(box_scores: ArrayLike, keypoint_scores: ArrayLike, *, threshold: float = 0.2) -> Floats:
    """Rescore poses: the box's score times the mean score of the keypoints that were found.

    Scores are compared as float64: a float32 0.2, which is 0.2000000030, is above 0.2. So it was when the published
    results were made; numpy 2 compares in float32, and there the published code says no.

    Args:
        box_scores: ``(N,)`` float, the detector's scores; 1 for boxes a person has drawn.
        keypoint_scores: ``(N, J)`` float, heatmap peaks.
        threshold: a keypoint was found if its score is above this.

    Returns:
        ``(N,)`` float64; 0 for a pose of which no keypoint was found.

    Raises:
        ValueError: if the shapes do not fit.

    Source:
        The test procedure of the published HRNet and Simple Baselines code.

    Examples:
        >>> pose_scores([0.5], [[0.8, 0.1, 0.4]]).round(3).tolist()
        [0.3]
    """
    boxes = as_floats(box_scores, shape=(None,), name="box_scores")
    peaks = as_floats(keypoint_scores, shape=(None, None), name="keypoint_scores")
    if len(peaks) != len(boxes):
        raise ValueError(f"keypoint_scores: expected shape ({len(boxes)}, any), found {peaks.shape}")
    found = peaks > threshold
    means: Floats = np.where(found, peaks, 0.0).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    return boxes * means


class _Candidates:
    """Validated poses of any images, to be compared pair by pair."""

    def __init__(
        self, keypoints: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, found: ArrayLike | None
    ) -> None:
        self.variances = _variances(sigmas)
        self.keypoints = _points(keypoints, self.variances, "keypoints")
        self.scores = _finite(as_floats(scores, shape=(len(self.keypoints),), name="scores"), "scores")
        self.areas = _positive(areas, len(self.keypoints))
        self.found = _mask(found, self.keypoints.shape[:2], "found")

    def similarities(self, better: Indices, worse: Indices) -> Floats:
        """Compute the ``(P,)`` similarities of pairs given by ``(P,)`` and ``(P,)`` indices."""
        values = np.empty(len(better))
        step = max(1, _CHUNK // self.keypoints[:1].size) if len(better) else 1
        for start in range(0, len(better), step):
            one, other = better[start : start + step], worse[start : start + step]
            scales = (self.areas[one] + self.areas[other]) / 2
            counted = None if self.found is None else self.found[other]
            offsets = self.keypoints[one] - self.keypoints[other]
            values[start : start + step] = _similarity(offsets, scales, self.variances, counted)
        return values


def _similarity(offsets: Floats, scales: Floats, variances: Floats, counted: Bools | None) -> Floats:
    """Compute ``(...)`` similarities from ``(..., J, 2)`` offsets and ``(...)`` areas; overwrites ``offsets``."""
    with np.errstate(over="ignore"):  # infinitely far is far
        offsets *= offsets
        exponents = offsets[..., 0] + offsets[..., 1]
        exponents /= variances * (-2 * (scales[..., None] + np.spacing(1)))  # COCO adds the spacing, so parity does
    terms = np.exp(exponents, out=exponents)
    counted = np.ones(len(variances), dtype=np.bool_) if counted is None else counted
    mean: Floats = np.sum(terms, axis=-1, where=counted) / np.maximum(counted.sum(axis=-1), 1)
    return mean


def _variances(sigmas: ArrayLike) -> Floats:
    values = as_floats(sigmas, shape=(None,), name="sigmas")
    if not (len(values) and np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"sigmas: expected positive numbers, found {values.tolist()}")
    return np.square(2 * values)


def _points(keypoints: ArrayLike, variances: Floats, name: str) -> Floats:
    return _finite(as_floats(keypoints, shape=(None, len(variances), 2), name=name), name)


def _finite(values: Floats, name: str) -> Floats:
    for index in np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))[:1]:
        raise ValueError(f"{name}: expected finite numbers, found {values[index].tolist()!s:.80} in row {index}")
    return values


def _positive(areas: ArrayLike, count: int) -> Floats:
    values = _finite(as_floats(areas, shape=(count,), name="areas"), "areas")
    for index in np.flatnonzero(values <= 0)[:1]:
        raise ValueError(f"areas: expected positive numbers, found {values[index]} in row {index}")
    return values


def _mask(values: ArrayLike | None, shape: tuple[int, ...], name: str) -> Bools | None:
    if values is None:
        return None
    mask = np.asarray(values)
    if mask.shape != shape or mask.dtype != np.bool_:
        raise ValueError(f"{name}: expected bool of shape {shape}, found {mask.dtype} of shape {mask.shape}")
    return mask
