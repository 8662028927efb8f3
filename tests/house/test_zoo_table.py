"""The table of pretrained models in README and docs is written by the zoo.

After a change of the zoo: ``python tests/house/test_zoo_table.py``.
"""

import re
from pathlib import Path

import pytest

from pcrpose.models.zoo import PUBLISHED, ZOO, Metric, PublishedEntry, ZooEntry, conditions

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/zoo.md")
MARKED = re.compile(r"(?<=<!-- zoo -->\n).*?(?=<!-- /zoo -->\n)", re.DOTALL)
MARKED_PUBLISHED = re.compile(r"(?<=<!-- published -->\n).*?(?=<!-- /published -->\n)", re.DOTALL)
DATA = "subset of COCO val2017 (99 images, 303 persons)"
HEAD = "| name | network | input | parameters | GMACs | recipe | weights |\n|---|---|---|---|---|---|---|\n"


def zoo_table() -> str:
    """Write one row per model, and below what was measured of each."""
    if not ZOO:
        return "No model is released yet.\n"
    return HEAD + "".join(map(row, ZOO.values())) + "".join(f"\n{results(entry)}" for entry in ZOO.values())


def row(entry: ZooEntry) -> str:
    """Write one model's row."""
    size = f"{entry.input_size} | {entry.parameters / 1e6:.2f} M | {entry.gmacs:.2f}"
    return f"| `{entry.name}` | {entry.architecture} | {size} | `{entry.recipe}` | {entry.license} |\n"


def results(entry: ZooEntry) -> str:
    """Write what was measured of a model: one row per data set and boxes, one column per metric."""
    columns = list(dict.fromkeys(name for metrics in entry.metrics.values() for name in metrics))
    lines = [["data", "boxes", *columns], ["---"] * (2 + len(columns))]
    for key, metrics in entry.metrics.items():
        lines.append([*conditions(key), *(cell(metrics[name]) if name in metrics else "" for name in columns)])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"`{entry.name}`, measured with the mirrored crop averaged in; 95 % intervals over images:\n\n{table}"


def cell(metric: Metric) -> str:
    """Write a metric and both ends of its interval."""
    return f"**{metric.value:.3f}** ({metric.low:.3f} to {metric.high:.3f})"


def published_table() -> str:
    """Write one row per model that others published, with the source of what they say."""
    head = "| repository | network | input | parameters | GMACs | AP | AR | boxes | weights | revision |\n"
    sources = sorted({(entry.conditions.data, entry.source) for entry in PUBLISHED.values()})
    notes = "".join(f"\nAP and AR: {data}, published by {source}; not measured here.\n" for data, source in sources)
    return f"{head}|{'---|' * 10}\n" + "".join(map(published_row, PUBLISHED.values())) + notes


def published_row(entry: PublishedEntry) -> str:
    """Write one row."""
    size = f"{entry.input_size} | {entry.parameters / 1e6:.2f} M | {entry.gmacs:.2f}"
    metrics = " | ".join(f"{entry.metrics[name]:.3f}" if name in entry.metrics else "" for name in ("AP", "AR"))
    revision = f"`{entry.revision[:7]}`" if entry.revision else "not pinned"
    cells = [
        f"`{entry.repository}`",
        entry.architecture,
        size,
        metrics,
        entry.conditions.boxes,
        entry.license,
        revision,
    ]
    return f"| {' | '.join(cells)} |\n"


def test_the_table_of_published_models_is_the_zoo_s() -> None:
    """What the page says of other people's models is what the entries say."""
    text = (REPOSITORY / "docs/zoo.md").read_text(encoding="utf-8")

    assert MARKED_PUBLISHED.findall(text) == [published_table()]


@pytest.mark.parametrize("page", PAGES)
def test_table_is_the_zoo_s(page: str) -> None:
    """What a page says of the models is what the zoo declares."""
    found = MARKED.findall((REPOSITORY / page).read_text(encoding="utf-8"))

    assert found == [zoo_table()]


def test_row_shows_measured_metrics() -> None:
    """Metrics come with what they were measured on and their intervals; one that was not measured has an empty cell."""
    entry = ZooEntry(
        name="tiny",
        architecture="PCR",
        recipe="C",
        summary="",
        input_size="64x32",
        parameters=2_500_000,
        gmacs=0.25,
        license="apache-2.0",
        metrics={
            "coco-subset-99/annotated": {"AP": Metric(0.5, 0.45, 0.5678), "AR": Metric(0.6, 0.5, 0.7)},
            "coco-subset-99/yolox-nano": {"AP": Metric(0.4, 0.3, 0.5)},
        },
    )

    assert row(entry) == "| `tiny` | PCR | 64x32 | 2.50 M | 0.25 | `C` | apache-2.0 |\n"
    assert results(entry).splitlines()[2:] == [
        "| data | boxes | AP | AR |",
        "| --- | --- | --- | --- |",
        f"| {DATA} | annotated | **0.500** (0.450 to 0.568) | **0.600** (0.500 to 0.700) |",
        f"| {DATA} | YOLOX-nano, score 0.05 and above | **0.400** (0.300 to 0.500) |  |",
    ]


if __name__ == "__main__":
    for name in PAGES:
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        text = MARKED_PUBLISHED.sub(lambda _: published_table(), text)
        path.write_text(MARKED.sub(lambda _: zoo_table(), text), encoding="utf-8")
