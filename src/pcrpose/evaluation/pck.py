"""PCK, the fraction of correct keypoints, for data without areas; and the accuracy that published code prints."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcrpose.files.checks import at_least
from pcrpose.keypoints.arrays import Bools, Floats, Indices, as_floats


@dataclass(frozen=True, eq=False, kw_only=True)
class PckMetrics:
    """Fractions of the keypoints that were hit.

    Attributes:
        mean: mean of the keypoints' rates, each keypoint weighing the same; NaN if none counts.
        overall: rate of all points, each labelled point weighing the same (MPII's "Mean"); NaN if none counts.
        per_keypoint: ``(J,)`` float64 in ``[0, 1]``; NaN for a keypoint that nobody has labelled.
        counted: ``(J,)`` intp: how many points each rate is made of.
    """

    mean: float
    overall: float
    per_keypoint: Floats = field(repr=False)
    counted: Indices = field(repr=False)


def pck(
    predictions: npt.ArrayLike,
    ground_truth: npt.ArrayLike,
    labelled: npt.ArrayLike,
    normalizers: npt.ArrayLike,
    *,
    threshold: float,
) -> PckMetrics:
    """Compute PCK: a keypoint is hit if it is at most ``threshold`` times the person's length away.

    With head lengths as ``normalizers`` and 0.5 as the threshold this is PCKh; MPII's own takes 0.6 times the diagonal
    of an annotated head box.

    Args:
        predictions: ``(N, J, 2)`` float, x then y, image pixels; row n belongs to row n of the ground truth.
        ground_truth: ``(N, J, 2)`` float, x then y, image pixels.
        labelled: ``(N, J)`` bool, points that count.
        normalizers: ``(N,)`` float, a length of each person, pixels, positive: torso, head, longer side of the box.
            A person whose length is NaN, because it could not be measured, does not count.
        threshold: fraction of the length, not negative; a point at exactly this distance is hit.

    Returns:
        The rates; a labelled point whose prediction is not finite is missed.

    Raises:
        ValueError: if a shape differs, a length is not positive or the threshold is negative.

    Examples:
        >>> truth = [[[10, 10], [20, 20]], [[30, 30], [40, 40]]]
        >>> guess = [[[10, 11], [20, 26]], [[30, 30], [40, 41]]]
        >>> pck(guess, truth, [[True, True], [True, False]], [10, 10], threshold=0.5)
        PckMetrics(mean=0.5, overall=0.6666666666666666)
    """
    at_least("threshold", threshold, 0)
    distances, counts = _distances(predictions, ground_truth, labelled, normalizers)
    return _rates((distances <= threshold) & counts, counts)


def heatmap_accuracy(heatmaps: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Floats, int]:
    """Reproduce the accuracy that the published HRNet and Simple Baselines code prints while it trains.

    It compares the highest cells of prediction and target, and counts a point as hit if they are less than half a
    tenth of the heatmap apart. It is good for watching a loss fall, not for measuring:

    - the lengths are swapped: distances along x are divided by a tenth of the height, along y of the width;
    - a target whose highest cell lies in the first two rows or columns does not count, since (0, 0) stands for "none";
    - a prediction without a positive value counts as if it were at (0, 0).

    Args:
        heatmaps: ``(B, J, h, w)`` float, predicted.
        targets: ``(B, J, h, w)`` float.

    Returns:
        ``(1 + J,)`` float64: the mean over the keypoints that have any target (0 if none has), then each keypoint's
        rate, -1 for one without target; and how many keypoints have targets.

    Raises:
        ValueError: if the shapes are not ``(B, J, h, w)`` and equal.
    """
    predicted = as_floats(heatmaps, shape=(None, None, None, None), name="heatmaps")
    wanted = as_floats(targets, shape=predicted.shape, name="targets")
    lengths = np.array(predicted.shape[2:]) / 10  # height, width against x, y: the published slip
    offsets = (_highest_cells(predicted) / lengths) - (_highest_cells(wanted) / lengths)
    counts = _highest_cells(wanted).min(axis=-1) > 1
    hits = (np.linalg.norm(offsets, axis=-1) < 0.5) & counts  # noqa: PLR2004 - the published threshold
    per_keypoint = np.where(counts.any(axis=0), hits.sum(axis=0) / np.maximum(counts.sum(axis=0), 1), -1.0)
    found = per_keypoint[per_keypoint >= 0]
    mean = sum(found.tolist()) / max(len(found), 1)  # in order, as published: equal to the last digit
    return np.concatenate([[mean], per_keypoint]), len(found)


def _distances(
    predictions: npt.ArrayLike, ground_truth: npt.ArrayLike, labelled: npt.ArrayLike, normalizers: npt.ArrayLike
) -> tuple[Floats, Bools]:
    """Return distances in the person's lengths ``(N, J)``, infinite where not finite; and which of them count."""
    truth = as_floats(ground_truth, shape=(None, None, 2), name="ground_truth")
    guess = as_floats(predictions, shape=truth.shape, name="predictions")
    lengths = as_floats(normalizers, shape=(len(truth),), name="normalizers")
    for index in np.flatnonzero(lengths <= 0)[:1]:
        raise ValueError(f"normalizers: expected positive lengths, found {lengths[index]} in row {index}")
    distances = np.linalg.norm(guess - truth, axis=-1) / lengths[:, None]
    counts: Bools = _labelled(labelled, truth.shape[:2]) & ~np.isnan(lengths)[:, None]
    return np.where(np.isfinite(distances), distances, np.inf), counts


def _labelled(labelled: npt.ArrayLike, shape: tuple[int, ...]) -> Bools:
    mask = np.asarray(labelled)
    if mask.shape != shape or mask.dtype != np.bool_:
        raise ValueError(f"labelled: expected bool of shape {shape}, found {mask.dtype} of shape {mask.shape}")
    return mask


def _rates(hits: Bools, counts: Bools) -> PckMetrics:
    counted = counts.sum(axis=0)
    per_keypoint = np.where(counted > 0, hits.sum(axis=0) / np.maximum(counted, 1), np.nan)
    seen = per_keypoint[counted > 0]
    return PckMetrics(
        mean=float(seen.mean()) if len(seen) else float("nan"),
        overall=float(hits.sum() / counted.sum()) if len(seen) else float("nan"),
        per_keypoint=per_keypoint,
        counted=counted,
    )


def _highest_cells(heatmaps: Floats) -> Floats:
    """Return ``(B, J, 2)``, x then y; (0, 0) where nothing is above zero."""
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, height * width)
    rows, columns = np.divmod(flat.argmax(axis=2), width)
    cells = np.stack([columns, rows], axis=-1).astype(np.float64)
    cells[flat.max(axis=2) <= 0] = 0.0
    return cells
