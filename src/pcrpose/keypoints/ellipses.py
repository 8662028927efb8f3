"""Ellipses of covariances: how they move with their points, and what they hold."""

import math

import numpy as np
import numpy.typing as npt

from pcrpose.files.checks import fraction
from pcrpose.keypoints.arrays import Bools, Floats


def transform_covariances(covariances: npt.ArrayLike, matrices: npt.ArrayLike) -> Floats:
    """Return the covariances of points that are mapped: ``A S A^T``.

    Args:
        covariances: ``(N, ..., 2, 2)`` float, of points x then y.
        matrices: ``(N, 2, 2)`` float, the linear parts of the maps.

    Returns:
        ``(N, ..., 2, 2)`` float64.
    """
    before, linear = np.asarray(covariances, dtype=np.float64), np.asarray(matrices, dtype=np.float64)
    linear = linear.reshape(len(linear), *[1] * (before.ndim - 3), 2, 2)
    after: Floats = linear @ before @ np.swapaxes(linear, -1, -2)
    return after


def ellipse_radius(probability: float) -> float:
    """Return the radius, in standard deviations, of the ellipse that holds a point with a probability.

    Args:
        probability: in ``(0, 1)``; .95, for example.

    Raises:
        ValueError: if it is not.

    Source:
        The chi-squared distribution with two degrees of freedom, whose quantile is ``-2 log(1 - p)``.

    Examples:
        >>> [round(ellipse_radius(probability), 2) for probability in (0.68, 0.95)]
        [1.51, 2.45]
    """
    fraction("probability", probability, zero=False, one=False)
    return math.sqrt(-2 * math.log1p(-probability))


def inside_ellipses(errors: npt.ArrayLike, covariances: npt.ArrayLike, probability: float) -> Bools:
    """Return which points lie in the ellipses that should hold them with a probability.

    Args:
        errors: ``(..., 2)`` float, from the ellipses' centers to the points.
        covariances: ``(..., 2, 2)`` float, positive definite, of the same frame.
        probability: in ``(0, 1)``.

    Returns:
        ``(...)`` bool; false for what is not finite.

    Raises:
        ValueError: if the probability is none.

    Examples:
        >>> inside_ellipses([[2.0, 0.0], [0.0, 2.0]], [[[4.0, 0.0], [0.0, 1.0]]] * 2, 0.68).tolist()
        [True, False]
    """
    away, spread = np.asarray(errors, dtype=np.float64), np.asarray(covariances, dtype=np.float64)
    x, y = away[..., 0], away[..., 1]
    xx, xy, yy = spread[..., 0, 0], spread[..., 0, 1], spread[..., 1, 1]
    squared = yy * x * x - 2 * xy * x * y + xx * y * y  # times the determinant
    inside: Bools = squared <= ellipse_radius(probability) ** 2 * (xx * yy - xy * xy)
    return inside
