"""Write the tables of ``docs/learn/scores.md`` from what was measured.

    python benchmarks/scores_page.py --page docs/learn/scores.md

Reads calibration.json, coverage.json and left_right.json, which lie beside this file; nothing is measured.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PASSES = {"mirrored": "averaged in", "plain": "no"}
VALIDATION = "subset of COCO val2017 (99 images, 303 persons)"


def main() -> None:
    """Write the tables anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, required=True, metavar="FILE.md")
    options = parser.parse_args()
    options.page.write_text(filled(options.page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """Return a page with its tables written anew, between their marks.

    Raises:
        ValueError: if a table's marks are not on the page exactly once.
    """
    for mark, rows in TABLES.items():
        marked = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->\n)", re.DOTALL)
        page, count = marked.subn("".join(f"| {' | '.join(row)} |\n" for row in rows()), page)
        if count != 1:
            raise ValueError(f"expected the marks of {mark} once, found them {count} times")
    return page


def results() -> Iterator[Sequence[str]]:
    """Write calibration errors and Brier scores."""
    columns = [(which, number) for number in ("calibration_error", "brier") for which in ("peak", "probability")]
    names = {"calibration_error": "calibration error", "brier": "Brier score"}
    yield ["model", "mirrored crop", *(f"{names[number]}, {which}" for which, number in columns)]
    yield ["---"] * 6
    for model, measured in read("calibration")["models"].items():
        for key, mirrored in PASSES.items():
            found = measured["passes"][key]
            cells = [(found[which][number], *found[which][f"{number}_interval"]) for which, number in columns]
            yield [model, mirrored, *(f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in cells)]


def half() -> Iterator[Sequence[str]]:
    """Write how far the probabilities of bfloat16 are from those of float32."""
    yield ["model", "on average", "95th percentile"]
    yield ["---"] * 3
    for model, measured in read("calibration")["models"].items():
        yield [model, *(f"{measured['bfloat16'][number]:.3f}" for number in ("mean", "p95"))]


def ranking() -> Iterator[Sequence[str]]:
    """Write AP by both rankings, and the paired difference."""
    yield ["model", "boxes", "AP, mean keypoint", "AP, expected OKS", "difference"]
    yield ["---"] * 5
    for model, measured in read("calibration")["models"].items():
        for boxes, found in measured["ranking"].items():
            low, high = found["interval"]
            cells = [f"{found[rank]:.3f}" for rank in ("mean_keypoint", "expected_oks")]
            yield [model, boxes, *cells, f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f})"]


def coverage() -> Iterator[Sequence[str]]:
    """Write how many true places the ellipses hold."""
    yield ["model", "mirrored crop", "ellipse of 68 % holds", "ellipse of 95 % holds"]
    yield ["---"] * 4
    for row in read("coverage")["rows"]:
        cells = [percent(row["coverage"]["all"][level], ".0f") for level in ("0.68", "0.95")]
        yield [row["model"], PASSES["mirrored" if row["mirrored"] else "plain"], *cells]


def left_right() -> Iterator[Sequence[str]]:
    """Write how often sides are exchanged, and what finds such persons; a column per model."""
    measured = {row["model"]: row for row in read("left_right")["rows"] if row["persons"] == VALIDATION}
    yield ["", *measured]
    yield ["---"] * (1 + len(measured))
    for name, cell in LEFT_RIGHT.items():
        yield [name, *(cell(row) for row in measured.values())]


def swapped(part: str, least: str) -> Callable[[Mapping[str, Any]], str]:
    """Return what writes a cell: how many persons are better with their sides exchanged, by more than ``least``."""
    return lambda row: percent(row["better_swapped"][part][f"by more than {least}"], ".1f")


def area(which: str, least: str) -> Callable[[Mapping[str, Any]], str]:
    """Return what writes a cell: how well a score finds persons who are better by more than ``least``."""
    return lambda row: interval(row["consistency"]["area_under_roc"][f"by more than {least}"][which], ".2f")


def percent(values: Sequence[float], form: str) -> str:
    """Write a rate and both ends of its interval."""
    rate, low, high = (format(100 * value, form) for value in values)
    return f"{rate} % ({low} to {high})"


def interval(values: Sequence[float], form: str) -> str:
    """Write a number below 1 and both ends of its interval, without their zeros."""
    number, low, high = (format(value, form).removeprefix("0") for value in values)
    return f"{number} ({low} to {high})"


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    """Read what was measured."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


LEFT_RIGHT = {
    "persons whose OKS is higher with the sides exchanged": swapped("all", "0.0"),
    "higher by more than 0.1": swapped("all", "0.1"),
    "legs alone: higher with the sides exchanged": swapped("legs", "0.0"),
    "area under ROC of the consistency, to find persons with a higher OKS": area("consistency", "0.0"),
    "area under ROC of the pose score": area("pose_score", "0.0"),
    "of the consistency, to find those higher by more than 0.1": area("consistency", "0.1"),
    "of the pose score": area("pose_score", "0.1"),
}
TABLES = {"results": results, "half": half, "ranking": ranking, "coverage": coverage, "left_right": left_right}


if __name__ == "__main__":
    main()
