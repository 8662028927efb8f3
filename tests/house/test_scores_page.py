"""The tables of the page on scores are written from what was measured."""

import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/learn/scores.md"


@pytest.fixture(scope="module")
def script() -> Mapping[str, Any]:
    """Load the script without running it."""
    return runpy.run_path(str(REPOSITORY / "benchmarks/scores_page.py"))


def test_tables_are_what_was_measured(script: Mapping[str, Any]) -> None:
    """After a new measurement: ``python benchmarks/scores_page.py --page docs/learn/scores.md``."""
    text = PAGE.read_text(encoding="utf-8")

    assert text == script["filled"](text)


def test_cells_are_the_numbers_of_the_files(script: Mapping[str, Any]) -> None:
    """One row of each table, by hand, and marks that are missing are an error."""
    rows = {name: [list(row) for row in table()] for name, table in script["TABLES"].items()}

    assert rows["results"][3][:3] == ["pcr-nano", "no", "0.173 (0.155 to 0.190)"]
    assert rows["half"][2] == ["pcr-nano", "0.010", "0.043"]
    assert rows["ranking"][2] == ["pcr-nano", "annotated", "0.537", "0.538", "+0.001 (-0.006 to +0.007)"]
    assert rows["coverage"][2] == ["pcr-small", "averaged in", "72 % (70 to 74)", "92 % (91 to 94)"]
    assert rows["left_right"][5][1:] == [".90 (.83 to .96)", ".88 (.81 to .93)"]
    assert {len(table) for table in rows["left_right"]} == {3}
    with pytest.raises(ValueError, match="expected the marks of results once, found them 0 times"):
        script["filled"]("a page without tables")


def test_sentences_hold() -> None:
    """Right keypoints lie in the larger ellipse in 97 of 100 cases; no other ranking and no repair is better."""
    rows, models, sides = (
        json.loads((REPOSITORY / f"benchmarks/{name}.json").read_text(encoding="utf-8"))[part]
        for name, part in (("coverage", "rows"), ("calibration", "models"), ("left_right", "rows"))
    )

    assert {round(row["coverage"]["within the OKS falloff"]["0.95"][0], 2) for row in rows} == {0.97}
    rankings = [found["interval"] for measured in models.values() for found in measured["ranking"].values()]
    assert all(low <= 0 for low, _ in rankings)
    assert sum(high < 0 for _, high in rankings) == 1
    assert all(tried["difference_interval"][0] <= 0 for row in sides for tried in row["repair"].values())
