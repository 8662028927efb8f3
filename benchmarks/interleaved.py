"""Time several functions round-robin in one process, so that a busy moment of the machine hits all of them alike."""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def measure(contestants: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Give the seconds of every round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> tuple[float, float, float]:
    """Give the median of the paired ratios, and the quartiles as the spread."""
    ratios = [s / f for s, f in zip(slow, fast, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def report(title: str, seconds: Mapping[str, list[float]], *, ours: str, per: int, unit: str) -> dict[str, Any]:
    """Print a Markdown table and give its numbers.

    Args:
        title: what was measured.
        seconds: as `measure` gives them.
        ours: which contestant the others are divided by.
        per: how many units one call handled.
        unit: what they are.
    """
    print(f"\n### {title}\n\n| | microseconds a {unit} | times ours (quartiles) |\n|---|---|---|")
    rows = {}
    for name, values in seconds.items():
        middle, low, high = ratio(values, seconds[ours])
        micro = statistics.median(values) / per * 1e6
        print(f"| {name} | {micro:.1f} | {middle:.1f} ({low:.1f}-{high:.1f}) |")
        rows[name] = {"microseconds": micro, "ratio": middle, "quartiles": [low, high], "seconds": values}
    return {"title": title, "unit": unit, "rows": rows}


def save(path: Path | None, tables: list[dict[str, Any]]) -> None:
    """Write the raw numbers with the command and the machine."""
    if path is None:
        return
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    command = " ".join(["python", *(Path(word).name for word in sys.argv)])  # where things lay is nobody's business
    text = json.dumps({"command": command, "machine": machine, "tables": tables}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
