"""Covariances of heatmaps: their moments by hand and by sampling, mirrored, in half precision, without a peak."""

import json
import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.covariance import CovarianceCalibration, log_extents, second_moments
from pcrpose.keypoints.heatmap import HeatmapCodec, mirror_heatmaps

CODEC = HeatmapCodec(input_size=Size(width=96, height=128))
SIGMA = CODEC.sigma / CODEC.stride
CALIBRATION = CovarianceCalibration(weights=(0.0, -0.5, 0.3, 2.0, 0.8), intercepts=(-1.0, 0.5), sigma=SIGMA)


def tilted(angle: float, long: float, short: float) -> tuple[Tensor, Tensor]:
    """Sample a Gaussian of two standard deviations on 64 x 64 cells: ``(1, 1, 64, 64)``, and its covariance."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    covariance = turn @ torch.diag(torch.tensor([long**2, short**2]).double()) @ turn.T
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    away = torch.stack([x, y], dim=-1).double() - 31.5
    values = torch.exp(-((away @ torch.linalg.inv(covariance)) * away).sum(dim=-1) / 2)
    return values[None, None], covariance


@pytest.mark.parametrize(("angle", "long", "short"), [(0.0, 4.0, 2.0), (0.6, 5.0, 2.0), (2.0, 3.0, 3.0)])
def test_moments_of_a_gaussian_are_its_covariance(angle: float, long: float, short: float) -> None:
    """What lies above a hundredth of the peak of a bell keeps all but 1 - 2 (0.01 (1 - log 0.01)) of its spread."""
    heatmaps, covariance = tilted(angle, long, short)

    moments = second_moments(heatmaps, torch.full((1, 1, 2), 31.5))[0, 0]

    radius = -2 * math.log(0.01)  # squared, in standard deviations
    kept = 1 - radius / 2 * 0.01 / (1 - 0.01)  # of the mean square inside it
    assert torch.allclose(moments, kept * covariance + torch.eye(2) / 12, atol=0.03 * long**2)


def test_moments_by_hand() -> None:
    """Three cells about a place beside them: no mean is taken off, and what is faint does not count."""
    heatmaps = torch.zeros(1, 1, 6, 8)
    heatmaps[0, 0, 2, 3], heatmaps[0, 0, 2, 7], heatmaps[0, 0, 5, 3] = 1.0, 0.5, 0.5
    heatmaps[0, 0, 0, 0], heatmaps[0, 0, 1, 1] = 0.009, -3.0

    moments = second_moments(heatmaps, torch.tensor([[[3.5, 2.0]]]))[0, 0]

    xx = (1.0 * 0.25 + 0.5 * 12.25 + 0.5 * 0.25) / 2
    xy, yy = 0.5 * -0.5 * 3 / 2, 0.5 * 9 / 2
    assert moments.flatten().tolist() == pytest.approx([xx + 1 / 12, xy, xy, yy + 1 / 12], abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_map_that_says_nothing_is_uniform(value: float) -> None:
    """No positive or finite value: the place may be anywhere, and the map beside is not touched."""
    heatmaps = torch.stack([torch.full((32, 24), value), tilted(0.0, 3.0, 2.0)[0][0, 0, :32, :24].float()])[None]

    moments = second_moments(heatmaps, torch.full((1, 2, 2), 10.0))

    assert torch.allclose(moments[0, 0], torch.diag(torch.tensor([24.0**2, 32.0**2]) / 12))
    assert torch.equal(moments[:, 1:], second_moments(heatmaps[:, 1:], torch.full((1, 1, 2), 10.0)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_mirrored_heatmap_mirrors_its_covariance(seed: int) -> None:
    """Mirroring the map negates what lies off the diagonal and keeps the rest; left and right change places."""
    heatmaps = torch.rand(2, 2, 32, 24, generator=torch.Generator().manual_seed(seed)).double() ** 8
    mirrored = mirror_heatmaps(heatmaps, np.array([1, 0]))
    same = replace(CALIBRATION, intercepts=(0.2, 0.2))

    covariances, after = (same(maps, CODEC.locate(maps)[0]) for maps in (heatmaps, mirrored))

    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.allclose(after, (covariances * signs)[:, [1, 0]], rtol=1e-9, atol=1e-9)
    assert torch.linalg.eigvalsh(after).min() > 0


def test_the_size_is_what_it_says() -> None:
    """By hand: the moments' proportions, and the root of the determinant from the features."""
    heatmaps = tilted(0.6, 5.0, 2.0)[0].expand(1, 2, 64, 64)
    keypoints = torch.full((1, 2, 2), 31.5)
    near = 9 * SIGMA**2  # squared reach of what is near, cells
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    peak = int(heatmaps[0, 0].argmax())
    squared = (x - peak % 64) ** 2 + (y - peak // 64) ** 2
    values, inside = heatmaps[0, 0], squared <= near
    mass = float(values[inside].sum() / values.sum())
    second = float(values[~inside].max() / values.max())
    spread = math.sqrt(float((values * squared)[inside].sum() / values[inside].sum())) / SIGMA
    moments = second_moments(heatmaps, keypoints)[0, 0]
    extent = 0.5 * math.log(float(torch.linalg.det(moments)))

    found = CALIBRATION(heatmaps, keypoints)[0]

    size = -0.5 * mass + 0.3 * second + 2.0 * math.log(spread) + 0.8 * extent
    for covariance, intercept in zip(found, CALIBRATION.intercepts, strict=True):
        assert 0.5 * math.log(float(torch.linalg.det(covariance))) == pytest.approx(size + intercept, abs=1e-5)
        assert torch.allclose(covariance / covariance[0, 0], moments / moments[0, 0])


@pytest.mark.parametrize("value", [0.0, 0.7, -1.0, math.nan, math.inf])
def test_a_map_without_a_peak_may_be_anywhere(value: float) -> None:
    """Constant, negative, NaN and infinite maps are no error."""
    heatmaps = torch.full((1, 2, 32, 24), value)

    covariances = CALIBRATION(heatmaps, torch.zeros(1, 2, 2))

    assert torch.allclose(covariances, torch.diag(torch.tensor([24.0**2, 32.0**2]) / 12).expand(1, 2, 2, 2))


def test_no_heatmap_makes_a_guess_infinitely_sure() -> None:
    """However a calibration extrapolates: at least a tenth of a cell each way, at most the map."""
    spike = torch.zeros(1, 2, 32, 24)
    spike[:, :, 10, 10] = 1.0
    sharp = replace(CALIBRATION, intercepts=(-90.0, 90.0))

    sizes = log_extents(sharp(spike, torch.full((1, 2, 2), 10.0)))[0]

    assert sizes.tolist() == pytest.approx([math.log(1e-2), math.log(24**2 + 32**2)], abs=1e-4)


def test_half_precision_says_nearly_the_same() -> None:
    """Heatmaps rounded to bfloat16 change a standard deviation by little."""
    heatmaps = tilted(0.6, 5.0, 2.0)[0].float().expand(1, 2, 64, 64)
    keypoints = torch.full((1, 2, 2), 31.5)

    rounded = CALIBRATION(heatmaps.bfloat16(), keypoints)

    assert torch.allclose(rounded, CALIBRATION(heatmaps, keypoints), rtol=0.02, atol=0.02)


def test_json_keeps_it() -> None:
    """What is saved is what is loaded; other keys are refused."""
    saved = json.loads(json.dumps(CALIBRATION.to_dict()))

    assert CovarianceCalibration.from_dict(saved) == CALIBRATION
    with pytest.raises(ValueError, match=r"expected the keys .*found"):
        CovarianceCalibration.from_dict({**saved, "more": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": (0.0,)}, "weights: expected 5, found 1"),
        ({"weights": (0.1, 0.0, 0.0, 0.0, 0.0)}, "two of at most 0"),
        ({"weights": (0.0, 0.0, 0.0, -0.1, 0.0)}, "three of at least 0"),
        ({"sigma": math.inf}, "expected finite numbers"),
    ],
)
def test_values_without_a_meaning_are_refused(change: dict[str, object], message: str) -> None:
    """Lengths, signs and numbers are checked where the value is made."""
    with pytest.raises(ValueError, match=message):
        replace(CALIBRATION, **change)  # type: ignore[arg-type]


def test_heatmaps_of_another_skeleton_are_refused() -> None:
    """As many heatmaps as intercepts."""
    with pytest.raises(ValueError, match="expected 2 keypoints, found 3"):
        CALIBRATION(torch.rand(1, 3, 32, 24), torch.zeros(1, 3, 2))
