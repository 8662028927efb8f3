"""Time several functions round-robin in one process, so that a busy moment of the machine hits all of them alike."""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

QUIET = 0.7  # load average of the last minute above which something else runs
LOAD_BEFORE = os.getloadavg()[0]
PACKAGES = (
    *("numpy", "torch", "pycocotools", "faster-coco-eval", "hotcoco", "xtcocotools", "rtmlib", "onnxruntime"),
    *("openvino", "transformers", "opencv-python-headless", "pillow"),
)


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


def save(path: Path | None, tables: list[dict[str, Any]], **facts: Any) -> None:  # noqa: ANN401 - JSON values
    """Write the raw numbers with the command, the machine, the versions and the load before the first round."""
    if path is None:
        return
    command = " ".join(["python", *(Path(word).name for word in sys.argv)])  # where things lay is nobody's business
    content = {"command": command, "machine": machine(), "versions": versions(), **facts, "tables": tables}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe where it ran, and how busy that was when the script began; another process shows in the last."""
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    return {**found, "processor": names[0] if names else "unknown", "cores": os.cpu_count(), "load_before": LOAD_BEFORE}


def versions() -> dict[str, str]:
    """List what was compared, as far as it is installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def require_quiet() -> None:
    """Stop if something else is running; a busy machine's ratios are worth nothing."""
    if LOAD_BEFORE > QUIET:
        raise SystemExit(f"expected a load average below {QUIET}, found {LOAD_BEFORE:.2f}; use --busy to go on")


def published_module(clone: Path, file: str, name: str) -> ModuleType:
    """Import a file of a published checkout under a name of its own, with the folder ``lib`` on the path."""
    for stale in [module for module in sys.modules if module.split(".")[0] in {"utils", "core", "nms"}]:
        del sys.modules[stale]
    sys.path.insert(0, str(clone / "lib"))
    try:
        spec = importlib.util.spec_from_file_location(name, clone / file)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(clone / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def installed(name: str) -> bool:
    """Return whether a rival is installed; says so where it is not."""
    if importlib.util.find_spec(name) is None:
        print(f"{name} is not installed: it is left out")
        return False
    return True


def arguments(description: str | None, **clones: str) -> argparse.Namespace:
    """Parse what every script takes: ``--json``, ``--rounds``, ``--busy`` and a path for each checkout named."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, repository in clones.items():
        parser.add_argument(f"--{name}", type=Path, help=f"checkout of {repository}; without it the rival is left out")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--busy", action="store_true", help="run though something else does, and say so in the file")
    options = parser.parse_args()
    for name, repository in clones.items():
        if getattr(options, name) is None:
            print(f"--{name} is not given: {repository} is left out")
    if not options.busy:
        require_quiet()
    return options


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
