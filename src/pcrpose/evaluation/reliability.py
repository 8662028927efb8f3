"""How well probabilities keep what they promise: reliability, expected calibration error, Brier score."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcrpose.evaluation.bootstrap import Interval
from pcrpose.files.checks import at_least
from pcrpose.keypoints.arrays import Bools, Floats, Indices, as_floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Reliability:
    """Probabilities compared with what came true, in bins of equal width.

    Attributes:
        calibration_error: expected calibration error: the mean distance between promised and observed rate of a bin,
            weighted by how many predictions it holds.
        brier: mean squared distance between probability and outcome.
        promised: ``(bins,)`` float64, mean probability of each bin; NaN where it is empty.
        observed: ``(bins,)`` float64, fraction of each bin that came true; NaN where it is empty.
        counts: ``(bins,)`` intp.
    """

    calibration_error: float
    brier: float
    promised: Floats = field(repr=False)
    observed: Floats = field(repr=False)
    counts: Indices = field(repr=False)


def reliability(probabilities: npt.ArrayLike, came_true: npt.ArrayLike, *, bins: int = 10) -> Reliability:
    """Compare probabilities with outcomes.

    Args:
        probabilities: ``(N,)`` float in ``[0, 1]``.
        came_true: ``(N,)`` bool.
        bins: of equal width, the last one closed.

    Raises:
        ValueError: if the shapes differ, there is nothing, or a probability is outside ``[0, 1]``.

    Source:
        Guo et al., *On calibration of modern neural networks*, 2017, section 2; Brier, 1950.

    Examples:
        >>> found = reliability([0.9, 0.9, 0.1, 0.1], [True, False, False, False])
        >>> round(found.calibration_error, 2), round(found.brier, 2)
        (0.25, 0.21)
    """
    values, outcomes = _checked(probabilities, came_true, bins)
    index = np.minimum((values * bins).astype(np.intp), bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        promised = np.bincount(index, values, minlength=bins) / counts
        observed = np.bincount(index, outcomes, minlength=bins) / counts
    filled = counts > 0
    error = float(np.abs(promised - observed)[filled] @ counts[filled]) / len(values)
    return Reliability(
        calibration_error=error,
        brier=float(np.mean((values - outcomes) ** 2)),
        promised=promised,
        observed=observed,
        counts=counts,
    )


def reliability_interval(
    probabilities: npt.ArrayLike,
    came_true: npt.ArrayLike,
    images: npt.ArrayLike,
    *,
    bins: int = 10,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Estimate how far calibration error and Brier score would move with other images of the same kind.

    Args:
        probabilities: as for `reliability`.
        came_true: likewise.
        images: ``(N,)`` whole numbers, the image that each prediction is of; images are drawn, with all that is theirs.
        bins: as for `reliability`.
        draws: how many resamples.
        confidence: fraction of them that lies inside an interval.
        seed: equal seeds resample alike.

    Returns:
        ``{"calibration_error": ..., "brier": ...}``. A resample adds its own noise to every bin, so the interval of the
        calibration error lies a little high.

    Raises:
        ValueError: as `reliability`.
    """
    values, outcomes = _checked(probabilities, came_true, bins)
    at_least("draws", draws, 1)
    _, owners = np.unique(np.asarray(images), return_inverse=True)
    order = np.argsort(owners, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(owners))[:-1])
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        rows = np.concatenate([parts[image] for image in rng.integers(0, len(parts), len(parts))])
        one = reliability(values[rows], outcomes[rows], bins=bins)
        drawn.append((one.calibration_error, one.brier))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return {
        name: Interval(float(low[column]), float(high[column]))
        for column, name in enumerate(("calibration_error", "brier"))
    }


def _checked(probabilities: npt.ArrayLike, came_true: npt.ArrayLike, bins: int) -> tuple[Floats, Bools]:
    values = as_floats(probabilities, shape=(None,), name="probabilities")
    outcomes = np.asarray(came_true, dtype=bool)
    at_least("bins", bins, 1)
    if outcomes.shape != values.shape or not len(values):
        raise ValueError(f"came_true: expected one outcome per probability, found {outcomes.shape} and {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():  # NaN is neither
        raise ValueError("probabilities: expected numbers from 0 to 1, found others")
    return values, outcomes
