"""What a heatmap's shape says, and what a calibration makes of it."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.probability import KeypointCalibration, heatmap_features

CODEC = HeatmapCodec(input_size=Size(width=96, height=128))
SIGMA = CODEC.sigma / CODEC.stride
CALIBRATION = KeypointCalibration(
    weights=(1.0, 2.0, -1.0, -0.5), slopes=(1.0, 2.0), intercepts=(0.5, -0.5), counts=(300, 400), sigma=SIGMA
)


def bells(*points: tuple[float, float, float]) -> Tensor:
    """Add Gaussians of a height at crop pixels x, y: ``(1, 1, 32, 24)``."""
    maps = [CODEC.encode(torch.tensor([[[x, y]]]), torch.ones(1, 1))[0] * height for x, y, height in points]
    return torch.stack(maps).sum(dim=0)


def test_features_of_a_target_are_those_of_a_gaussian() -> None:
    """All mass is near, nothing else peaks, and the root mean square distance is that of the cut-off bell."""
    features = heatmap_features(bells((49.5, 61.5, 0.5)), SIGMA)[0, 0]  # the middle of a cell

    cut = math.exp(-9 / 2)  # of the mass, what lies beyond three sigma
    expected = [math.log(0.5), 1 - cut, cut, math.log(math.sqrt(2 - 9 * cut / (1 - cut)))]
    assert features.tolist() == pytest.approx(expected, abs=0.02)


def test_a_second_peak_takes_mass_and_is_seen() -> None:
    """Two bells of heights 1 and 0.6, far apart."""
    features = heatmap_features(bells((29.5, 29.5, 1.0), (69.5, 101.5, 0.6)), SIGMA)[0, 0]

    assert features[1].item() == pytest.approx(1 / 1.6, abs=0.02)
    assert features[2].item() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.7, -1.0, math.nan, math.inf])
def test_a_map_without_a_peak_has_probability_zero(value: float) -> None:
    """Constant, negative, NaN and infinite maps are no error and say nothing; the map beside is not touched."""
    heatmaps = torch.cat([torch.full((1, 1, 32, 24), value), bells((49.5, 61.5, 0.8))], dim=1)

    probabilities = CALIBRATION(heatmaps)

    assert probabilities[0, 0] == 0
    assert probabilities[0, 1] == CALIBRATION(bells((49.5, 61.5, 0.8)).expand(1, 2, 32, 24))[0, 1] > 0.5


def test_the_logit_is_what_it_says() -> None:
    """The probability by hand, from the features."""
    heatmaps = bells((40.0, 50.0, 0.7), (80.0, 110.0, 0.2)).expand(1, 2, 32, 24)
    features = heatmap_features(heatmaps, SIGMA)[0, 0]
    ranking = sum(weight * value for weight, value in zip(CALIBRATION.weights, features.tolist(), strict=True))

    expected = [1 / (1 + math.exp(-(slope * ranking + shift))) for slope, shift in ((1.0, 0.5), (2.0, -0.5))]
    assert CALIBRATION(heatmaps)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_bend_is_what_it_says() -> None:
    """Beta calibration by hand, of the probability without a bend; a map without a peak stays at zero."""
    heatmaps = bells((40.0, 50.0, 0.7), (80.0, 110.0, 0.2)).expand(1, 2, 32, 24)
    low, high, shift = 0.3, 1.5, -1.1

    for before, after in zip(
        CALIBRATION(heatmaps)[0].tolist(),
        replace(CALIBRATION, bend=(low, high, shift))(heatmaps)[0].tolist(),
        strict=True,
    ):
        logit = low * math.log(before) - high * math.log(1 - before) + shift
        assert after == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
    assert not replace(CALIBRATION, bend=(low, high, shift))(torch.zeros(1, 2, 32, 24)).any()


def test_features_are_those_of_the_mirrored_map() -> None:
    """A mirrored heatmap has the same shape."""
    heatmaps = bells((40.0, 50.0, 0.7), (80.0, 110.0, 0.2))

    assert torch.allclose(heatmap_features(heatmaps, SIGMA), heatmap_features(heatmaps.flip(3), SIGMA), atol=1e-6)


def test_half_precision_says_nearly_the_same() -> None:
    """Heatmaps rounded to bfloat16 change a probability by less than the rounding."""
    heatmaps = bells((40.0, 50.0, 0.7), (80.0, 110.0, 0.2)).expand(1, 2, 32, 24)

    assert torch.allclose(CALIBRATION(heatmaps.bfloat16()), CALIBRATION(heatmaps), atol=5e-3)


def test_json_keeps_it() -> None:
    """What is saved is what is loaded; other keys are refused."""
    saved = json.loads(json.dumps(CALIBRATION.to_dict()))

    assert KeypointCalibration.from_dict(saved) == CALIBRATION
    with pytest.raises(ValueError, match=r"expected the keys .*found"):
        KeypointCalibration.from_dict({**saved, "more": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": (1.0,)}, "weights: expected 4, found 1"),
        ({"slopes": (1.0, 0.0)}, "slopes: expected positive ones, found 0.0"),
        ({"bend": (0.0, 1.0, 0.0)}, "bend: expected positive ones, found 0.0"),
        ({"bend": (1.0,)}, r"bend: expected low, high and shift, found \(1.0,\)"),
        ({"counts": (1,)}, r"expected a slope, an intercept and a count per keypoint, found \(2, 2, 1\)"),
        ({"intercepts": (0.0, math.nan)}, "expected finite numbers"),
    ],
)
def test_values_without_a_meaning_are_refused(change: dict[str, object], message: str) -> None:
    """Lengths, signs and numbers are checked where the value is made."""
    with pytest.raises(ValueError, match=message):
        replace(CALIBRATION, **change)  # type: ignore[arg-type]


def test_heatmaps_of_another_skeleton_are_refused() -> None:
    """As many heatmaps as slopes."""
    with pytest.raises(ValueError, match="expected 2 keypoints, found 1"):
        CALIBRATION(bells((40.0, 50.0, 0.7)))
