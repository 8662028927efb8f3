"""AI Challenger's annotations in COCO's form."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pcrpose.data.aic import aic_to_coco
from pcrpose.keypoints.skeleton import AIC_14, COCO_17


def test_reference_conversions(golden_file: Callable[[str], Path]) -> None:
    """The reference's twenty conversions, one by one and all at once."""
    examples = json.loads(golden_file("aic_to_coco.json").read_text())["examples"]

    for example in examples:
        assert aic_to_coco(example["aic"]).tolist() == example["coco"]
    together = aic_to_coco([example["aic"] for example in examples])
    assert together.tolist() == [example["coco"] for example in examples]


def test_sides_stay_anatomical() -> None:
    """A right wrist stays a right wrist; what COCO lacks is dropped, what AI Challenger lacks is not labelled."""
    values = np.tile([0.0, 0.0, 3.0], (14, 1))
    values[AIC_14.index("right_wrist")] = (10, 20, 1)
    values[AIC_14.index("head_top")] = (30, 40, 1)

    converted = aic_to_coco(values.ravel()).reshape(17, 3)

    assert converted[COCO_17.index("right_wrist")].tolist() == [10, 20, 2]
    assert np.count_nonzero(converted.any(axis=1)) == 1


def test_values_of_unlabelled_keypoints_are_cleared() -> None:
    """Coordinates beside visibility 3 mean nothing and become zero."""
    assert not aic_to_coco([5.0, 6.0, 3.0] * 14).any()


def test_empty_input() -> None:
    """No persons in, no persons out."""
    assert aic_to_coco(np.zeros((0, 42))).shape == (0, 51)


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([1.0] * 51, r"expected shape \(..., 42\), found \(51,\)"),
        ([1.0, 2.0, 0.0] * 14, r"expected AI Challenger's visibilities 1, 2 and 3, found \[0.0\]"),
    ],
)
def test_wrong_values_are_refused(keypoints: list[float], message: str) -> None:
    """Another shape, and visibilities that were converted before, are errors."""
    with pytest.raises(ValueError, match=message):
        aic_to_coco(keypoints)
