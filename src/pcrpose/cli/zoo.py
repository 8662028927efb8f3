"""``pcrpose zoo``: the pretrained models, and the card of each."""

import argparse
import difflib
import sys
from collections.abc import Mapping

from pcrpose.models.zoo import PUBLISHED, ZOO, Metric, PublishedEntry, ZooEntry, conditions, pretrained_folder

EPILOG = """\
examples:
  pcrpose zoo
  pcrpose zoo pcr-nano

exit codes: 0 all is well; 2 there is no such model
"""
CARD_FILE = "README.md"
_ROW = "{:<14} {:<20} {:<8} {:>10} {:>6}  {}\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("name", nargs="?", metavar="NAME", help="a model, to read all about it")


def run(options: argparse.Namespace) -> int:
    """Print the table of models, or a card."""
    sys.stdout.write(_table() if options.name is None else _card(options.name))
    return 0


def _table() -> str:
    rows = [_ROW.format("name", "network", "input", "parameters", "GMACs", "recipe")]
    for entry in ZOO.values():
        size = f"{entry.parameters / 1e6:.2f} M"
        rows.append(
            _ROW.format(entry.name, entry.architecture, entry.input_size, size, f"{entry.gmacs:.2f}", entry.recipe)
        )
        rows.append(_details(entry))
    rows += ["\npublished by others, downloaded by this name; nothing of them was measured here:\n"]
    rows += [f"{entry.repository}: {entry.summary}\n    {published_line(entry)}\n" for entry in PUBLISHED.values()]
    return "".join(rows)


def published_line(entry: PublishedEntry) -> str:
    """Return what others published of a model, as one line that says whose numbers they are."""
    values = ", ".join(f"{name} {value:.3f}" for name, value in entry.metrics.items())
    where = f"{entry.conditions.data}, boxes: {entry.conditions.boxes}"
    return f"{values}: {where}; published by {entry.source}, not measured here"


def _facts(entry: PublishedEntry) -> str:
    revision = entry.revision or "not pinned: the newest"
    facts = {
        "network": f"{entry.architecture}, {entry.parameters / 1e6:.2f} M parameters, {entry.gmacs:.2f} GMACs",
        "input": entry.input_size,
        "published": published_line(entry),
        "trained on": entry.data,
        "weights": entry.license,
        "revision": revision,
    }
    return f"{entry.repository}: {entry.summary}\n" + "".join(
        f"    {name:<11} {fact}\n" for name, fact in facts.items()
    )


def _details(entry: ZooEntry) -> str:
    lines = [entry.summary, *(_measured(key, metrics) for key, metrics in entry.metrics.items())]
    return "".join(f"    {line}\n" for line in lines)


def _measured(key: str, metrics: Mapping[str, Metric]) -> str:
    where = conditions(key)
    values = ", ".join(f"{name} {metric.value:.3f}" for name, metric in metrics.items())
    return f"{values}: {where.data}, boxes: {where.boxes}"


def _card(name: str) -> str:
    """Return a model's card without its head, which is for machines; of one that others published, its facts."""
    if name in PUBLISHED:
        return _facts(PUBLISHED[name])
    if name not in ZOO:
        close = difflib.get_close_matches(name.lower(), ZOO, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"expected one of {', '.join(ZOO)}, found {name!r}{hint}")
    text = (pretrained_folder(name) / CARD_FILE).read_text(encoding="utf-8")
    head, fence, body = text.removeprefix("---\n").partition("\n---\n")
    return body.lstrip("\n") if fence and text.startswith("---\n") and head else text
