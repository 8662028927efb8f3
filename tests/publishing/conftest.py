"""What the tests of publishing share: a measurement."""

import pytest

from pcrpose.evaluation.bootstrap import Interval
from pcrpose.publishing.measurement import Measurement


@pytest.fixture
def measurement() -> Measurement:
    """Build one evaluation with annotated boxes."""
    return Measurement(
        data="subset of COCO val2017 (99 images, 303 persons)",
        boxes="annotated",
        flip=True,
        decoding="dark",
        metrics={"ap": 0.12345, "ap50": 0.4, "ap75": 0.05, "ar": 0.2, "ap_medium": -1.0},
        intervals={
            "ap": Interval(0.1, 0.15),
            "ap50": Interval(0.3, 0.5),
            "ap75": Interval(0.0, 0.1),
            "ar": Interval(0.15, 0.25),
            "ap_medium": Interval(-1.0, -1.0),
        },
    )
