"""Measurements keep their metrics and intervals together, on the way through JSON too."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pcrpose.evaluation.bootstrap import Interval
from pcrpose.publishing.measurement import Measurement, read_measurements


def test_json_and_back(measurement: Measurement, tmp_path: Path) -> None:
    """What is read is what was written; what else the file says does not matter."""
    other = dataclasses.replace(measurement, flip=False, boxes="detected", confidence=0.9)
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"model": "tiny", "measurements": [measurement.to_dict(), other.to_dict()]}))

    assert read_measurements(path) == (measurement, other)
    assert isinstance(read_measurements(path)[0].intervals["ap"], Interval)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"ap": 0.1, "ap50": 0.2, "ap75": 0.3}}, r"metrics: expected \['ap', 'ap50', 'ap75', 'ar'\]"),
        ({"intervals": {}}, r"intervals: expected .* found \[\]"),
        ({"metrics": {"ap": 0.1, "ap50": 0.2, "ap75": 0.3, "ar": 0.1, "pck": 1.0}}, "metrics: expected .*'pck'"),
    ],
)
def test_every_shown_metric_needs_its_interval(changes: dict[str, Any], message: str, measurement: Measurement) -> None:
    """A metric or an interval that the card shows must be there, and none that COCO does not know."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(measurement, **changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"measurements": 3}',
        '{"measurements": [{"data": "a set"}]}',
        '{"measurements": ["ap"]}',
    ],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"other\.json: expected JSON with a list of measurements, found"):
        read_measurements(path)


def test_intervals_of_one_end_are_refused(measurement: Measurement, tmp_path: Path) -> None:
    """An interval has two ends."""
    values = {**measurement.to_dict(), "intervals": {"ap": [0.1]}}
    path = tmp_path / "short.json"
    path.write_text(json.dumps({"measurements": [values]}))

    with pytest.raises(ValueError, match=r"short\.json: expected JSON with a list of measurements"):
        read_measurements(path)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    """The usual error."""
    with pytest.raises(FileNotFoundError):
        read_measurements(tmp_path / "no.json")
