"""A model's calibration as a value: its way through JSON, and what it refuses."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.presence import PersonScore
from pcrpose.keypoints.probability import KeypointCalibration

MAPS = KeypointCalibration(
    weights=(1.0, 2.0, -1.0, -0.5), slopes=(1.0, 2.0), intercepts=(0.5, -0.5), counts=(300, 400), sigma=2.0
)
MIRRORED = PassCalibration(probabilities=MAPS, presence=PersonScore(slope=3.0, intercept=-1.0))
CALIBRATION = Calibration(
    keypoints=("low", "high"),
    input_size=Size(width=192, height=256),
    plain=PassCalibration(probabilities=replace(MAPS, sigma=1.0)),
    mirrored=MIRRORED,
)


def test_json_and_back() -> None:
    """Through text, every part of both passes is the same; a part that was not fitted is not written."""
    saved = json.loads(json.dumps(CALIBRATION.to_dict()))

    assert Calibration.from_dict(saved) == CALIBRATION
    assert hash(Calibration.from_dict(saved)) == hash(CALIBRATION)
    assert list(saved["plain"]) == ["probabilities"]
    assert saved["input_size"] == "256x192"


def test_each_pass_has_its_own_maps() -> None:
    """Predictions with the mirrored crop take other maps than those without."""
    assert CALIBRATION.of_pass(flip=True) == MIRRORED
    assert CALIBRATION.of_pass(flip=False) == CALIBRATION.plain != MIRRORED


@pytest.mark.parametrize(
    ("keypoints", "size", "message"),
    [
        (["high", "low"], Size(width=192, height=256), r"for the keypoints \['high', 'low'\], found \['low', 'high'\]"),
        (["low", "high"], Size(width=256, height=192), "for the input size 192x256, found 256x192"),
    ],
)
def test_another_models_calibration_is_refused(keypoints: list[str], size: Size, message: str) -> None:
    """Names in another order are other keypoints, and a size on its side is another size."""
    CALIBRATION.check_fits(["low", "high"], Size(width=192, height=256))

    with pytest.raises(ValueError, match=f"calibration: expected one fitted {message}"):
        CALIBRATION.check_fits(keypoints, size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, r"calibration: expected the keys .*found .*'more'"),
        ({"decoding": "best"}, r"decoding: expected one of \['argmax', .*found 'best'"),
        ({"input_size": 256}, "calibration: expected 'input_size' to be a text, found 256"),
        ({"keypoints": ["low"]}, "calibration: expected maps of 1 keypoints, found 2"),
        ({"plain": {"odds": {}}}, r"calibration: expected the parts \[.*'probabilities'\], found \['odds'\]"),
        ({"plain": {"presence": {"slope": 1.0}}}, r"presence: expected the keys .*found \['slope'\]"),
        (
            {"plain": {"presence": {"slope": float("nan"), "intercept": 0.0, "statistic": "mean"}}},
            "presence: expected 'slope' to be finite",
        ),
    ],
)
def test_damaged_files_are_refused(change: dict[str, Any], message: str) -> None:
    """Unknown keys and parts, and values without a meaning, are named."""
    with pytest.raises(ValueError, match=message):
        Calibration.from_dict(CALIBRATION.to_dict() | change)


@pytest.mark.parametrize(
    "damage",
    [
        {"keypoints": 3},
        {"decoding": ["dark"]},
        {"input_size": 7},
        {"plain": "none"},
        {"plain": {"others": {}}},
        {"plain": {"presence": []}},
        {"plain": {"presence": {"slope": "1", "intercept": 0, "statistic": "mean"}}},
        {"mirrored": {"probabilities": {"weights": "much"}}},
        {"mirrored": {"covariances": {"weights": [1], "intercepts": [None], "sigma": 2}}},
    ],
)
def test_damaged_content_is_refused(damage: dict[str, Any]) -> None:
    """Whatever stands in the file where another thing belongs: a ValueError, and nothing else."""
    saved = Calibration(keypoints=("nose",), input_size=Size(width=192, height=256)).to_dict()
    assert Calibration.from_dict(saved).to_dict() == saved
    with pytest.raises(ValueError, match="expected"):
        Calibration.from_dict({**saved, **damage})
