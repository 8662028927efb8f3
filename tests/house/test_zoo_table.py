"""The table of pretrained models in README and docs is written by the zoo.

After a change of the zoo: ``python tests/house/test_zoo_table.py``.
"""

import re
from pathlib import Path

import pytest

from pcrpose.models.zoo import ZOO, ZooEntry

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/zoo.md")
MARKED = re.compile(r"(?<=<!-- zoo -->\n).*?(?=<!-- /zoo -->\n)", re.DOTALL)
HEAD = "| name | network | parameters | GMACs | recipe |\n|---|---|---|---|---|\n"


def zoo_table() -> str:
    """Write one row a model, and below what was measured of each."""
    if not ZOO:
        return "No model is released yet.\n"
    return HEAD + "".join(map(row, ZOO.values())) + "".join(f"\n{figures(entry)}" for entry in ZOO.values())


def row(entry: ZooEntry) -> str:
    """Write one model's row."""
    size = f"{entry.parameters / 1e6:.2f} M | {entry.gmacs:.2f}"
    return f"| `{entry.name}` | {entry.architecture} | {size} | `{entry.recipe}` |\n"


def figures(entry: ZooEntry) -> str:
    """List what was measured of a model, each figure with its data and its interval; narrow columns would hide it."""
    lines = [f"- {name}: **{value:.3f}**{interval(entry, name)}\n" for name, value in entry.metrics.items()]
    return f"`{entry.name}`, measured, with 95 % intervals over images:\n\n" + "".join(lines)


def interval(entry: ZooEntry, name: str) -> str:
    """Write how sure a figure is, where that was measured."""
    return " ({:.3f} to {:.3f})".format(*entry.intervals[name]) if name in entry.intervals else ""


@pytest.mark.parametrize("page", PAGES)
def test_table_is_the_zoo_s(page: str) -> None:
    """What a page says of the models is what the zoo declares."""
    found = MARKED.findall((REPOSITORY / page).read_text(encoding="utf-8"))

    assert found == [zoo_table()]


def test_row_shows_measured_figures() -> None:
    """Figures come with the name of what they were measured on, and with their intervals."""
    entry = ZooEntry(
        name="tiny",
        architecture="PCR",
        recipe="C",
        summary="",
        parameters=2_500_000,
        gmacs=0.25,
        metrics={"AP on ours": 0.5, "AR on ours": 0.6},
        intervals={"AP on ours": (0.45, 0.5678)},
    )

    assert row(entry) == "| `tiny` | PCR | 2.50 M | 0.25 | `C` |\n"
    assert figures(entry).endswith(":\n\n- AP on ours: **0.500** (0.450 to 0.568)\n- AR on ours: **0.600**\n")


if __name__ == "__main__":
    for name in PAGES:
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        path.write_text(MARKED.sub(lambda _: zoo_table(), text), encoding="utf-8")
