"""Ellipses: exact under every crop and flip, and holding what chance lets them hold."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import chi2

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, Crops
from pcrpose.keypoints.ellipses import ellipse_radius, inside_ellipses, transform_covariances
from pcrpose.keypoints.heatmap import HeatmapCodec

SIZE = Size(width=96, height=128)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rotation=st.floats(-180, 180),
    width=st.floats(5, 900),
    mirrored=st.booleans(),
    alignment=st.sampled_from(["center", "edge", "udp"]),
)
def test_covariances_move_as_their_points_do(
    seed: int,
    rotation: float,
    width: float,
    mirrored: bool,  # noqa: FBT001 - a case
    alignment: Alignment,
) -> None:
    """The covariance of points taken from cells into the image is the covariance of the cells, mapped."""
    cells = np.random.default_rng(seed).normal(12, 4, (1, 7, 2))
    codec = HeatmapCodec(input_size=SIZE, alignment=alignment)
    crop = Crops.from_windows(
        [[50, 80]], [[width, width]], SIZE, rotations=rotation, mirrored=mirrored, alignment=alignment
    )

    before = torch.from_numpy(np.cov(cells[0].T))[None]
    mapped = crop.inverse_covariances(codec.covariances_to_crop(before).numpy())

    expected = np.cov(crop.inverse(codec.to_crop(torch.from_numpy(cells)).numpy())[0].T)
    np.testing.assert_allclose(mapped[0], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_a_mirrored_crop_negates_what_is_off_the_diagonal() -> None:
    """In the image, by hand: a crop of twice the image's pixels."""
    plain, mirrored = (
        Crops.from_windows([[20, 20]], [[48, 64]], SIZE, mirrored=flag).inverse_covariances([[[4.0, 1.0], [1.0, 8.0]]])
        for flag in (False, True)
    )

    assert plain[0].tolist() == [[1.0, 0.25], [0.25, 2.0]]
    assert mirrored[0].tolist() == [[1.0, -0.25], [-0.25, 2.0]]


def test_any_number_of_axes_between() -> None:
    """Persons, keypoints; none of either."""
    turn = np.array([[[0.0, -2.0], [2.0, 0.0]]] * 3)

    moved = transform_covariances(np.tile(np.diag([1.0, 3.0]), (3, 5, 1, 1)), turn)

    assert moved.tolist() == np.tile(np.diag([12.0, 4.0]), (3, 5, 1, 1)).tolist()
    assert transform_covariances(np.zeros((0, 5, 2, 2)), np.zeros((0, 2, 2))).shape == (0, 5, 2, 2)


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.68, 0.95, 0.999])
def test_the_radius_is_the_quantile_of_chi_squared(probability: float) -> None:
    """Against scipy's distribution."""
    expected = math.sqrt(float(chi2.ppf(probability, 2)))
    assert ellipse_radius(probability) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.5, math.nan])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    """Neither nothing nor everything."""
    with pytest.raises(ValueError, match="probability: expected a number above 0 and below 1"):
        ellipse_radius(probability)


def test_samples_lie_inside_as_often_as_promised() -> None:
    """100 000 draws of a slanted Gaussian."""
    covariance = np.array([[5.0, 2.0], [2.0, 1.0]])
    draws = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 100_000)

    for probability in (0.3, 0.68, 0.95):
        assert inside_ellipses(draws, covariance, probability).mean() == pytest.approx(probability, abs=0.005)


def test_what_is_not_finite_is_not_inside() -> None:
    """A keypoint or a covariance that could not be computed holds nothing."""
    errors = [[0.0, 0.0], [math.nan, 0.0], [0.0, 0.0]]
    covariances = np.stack([np.eye(2), np.eye(2), np.full((2, 2), math.nan)])

    assert inside_ellipses(errors, covariances, 0.95).tolist() == [True, False, False]
