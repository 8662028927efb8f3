"""Measurements of a model, metrics with intervals, and the JSON file that keeps them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from pcrpose.evaluation.bootstrap import METRICS, Interval
from pcrpose.files.json import read_json

SHOWN: Mapping[str, str] = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AR": "ar"}  # column: name in CocoMetrics


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The metrics of one evaluation of a model.

    Attributes:
        data: what was measured on and how much of it: ``"subset of COCO val2017 (99 images, 303 persons)"``. Images
            never trained on: the card says so.
        boxes: whose boxes: ``"annotated"``, or the detector's name.
        flip: whether the heatmaps of the mirrored crop were averaged in.
        decoding: how peaks became coordinates, see `HeatmapCodec`.
        metrics: by their names in `CocoMetrics`; those of `SHOWN` at least.
        intervals: of the same metrics, by `bootstrap_interval`.
        confidence: of the intervals.

    Raises:
        ValueError: if a metric that is shown, or its interval, is missing or unknown.
    """

    data: str
    boxes: str
    flip: bool
    decoding: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for kind, values in (("metrics", self.metrics), ("intervals", self.intervals)):
            missing, unknown = set(SHOWN.values()) - set(values), set(values) - set(METRICS)
            if missing or unknown:
                raise ValueError(
                    f"{kind}: expected {[*SHOWN.values()]} and more of {[*METRICS]}, found {sorted(values)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; raises ValueError for a missing or unknown key."""
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            raise ValueError(f"measurement: expected the keys {sorted(expected)}, found {sorted(values)}")
        intervals = {name: Interval(*ends) for name, ends in values["intervals"].items()}
        return cls(**{**values, "intervals": intervals})


def read_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """Read the list ``measurements`` of a JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON or holds no such list.
    """
    try:
        return tuple(Measurement.from_dict(values) for values in read_json(path)["measurements"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected JSON with a list of measurements, found {error!r}") from error
