"""Seconds that a detector and a network take by the number of threads, on a quiet machine and on a busy one.

    python benchmarks/threads.py --detector yolox_nano.onnx --json benchmarks/threads.json
    python benchmarks/threads.py --detector yolox_nano.onnx --busy 2

Every measurement is a process of its own, since thread pools are made once; the settings take turns, so that all see
the same load. ``--busy`` keeps as many other processes computing meanwhile. "default" is what torch and onnxruntime
choose.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

IMAGES, PERSONS = 6, 4
BUSY = "while True: sum(range(10_000))"


def main() -> None:
    """Measure in processes, print a table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", help="a YOLOX model; without it the network alone is timed")
    parser.add_argument("--model", default="pcr-small")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="other processes that compute meanwhile")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        sys.stdout.write(json.dumps(measure(options, None if options.child == "default" else int(options.child))))
        return
    settings = ["default", *(str(count) for count in options.threads)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
    with busy(options.busy):
        for _ in range(options.rounds):
            for name in settings:
                found[name].append(in_a_process(name))
    rows = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
    record = {"machine": machine(), "busy": options.busy, "rounds": options.rounds, "median": rows}
    sys.stdout.write(table(rows) + "\n" + json.dumps(record["machine"]) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def in_a_process(name: str) -> dict[str, float]:
    """Measure one setting in a fresh process, without the environment's own numbers of threads."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    command = [sys.executable, *sys.argv, "--child", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 - ourselves
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def measure(options: argparse.Namespace, threads: int | None) -> dict[str, float]:
    """Time the parts on drawn images; the first image of each warms up and is not counted."""
    import numpy as np  # noqa: PLC0415 - the parent needs none of these
    import torch  # noqa: PLC0415

    from pcrpose import PosePredictor, Runtime, YoloxDetector, load_model  # noqa: PLC0415

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES + 1, 480, 640, 3), dtype=np.uint8)
    boxes = [[40.0 + 140 * index, 40.0, 160.0 + 140 * index, 440.0] for index in range(PERSONS)]
    predictor = PosePredictor(load_model(options.model), runtime=Runtime(threads=threads))
    seconds = {"network": timed(lambda image: predictor.predict(image, boxes), images)}
    if options.detector is not None:
        detector = YoloxDetector(options.detector, num_threads=threads)
        seconds["detector"] = timed(detector, images)
        seconds["both"] = timed(lambda image: (detector(image), predictor.predict(image, boxes)), images)
    return seconds | {"torch threads": float(torch.get_num_threads() if threads is None else threads)}


def timed(run: Any, images: Any) -> float:  # noqa: ANN401 - a function of an image, and an array of them
    """Return the seconds per image."""
    run(images[0])
    start = time.perf_counter()
    for image in images[1:]:
        run(image)
    return (time.perf_counter() - start) / (len(images) - 1)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Let processes compute until the end."""
    with ExitStack() as stack:
        for _ in range(count):
            other = subprocess.Popen([sys.executable, "-c", BUSY])  # noqa: S603 - ourselves
            stack.callback(other.wait)
            stack.callback(other.kill)
        yield


def machine() -> dict[str, Any]:
    """Return what the defaults depend on: cores, those this process may use, and a container's limit."""
    limit = Path("/sys/fs/cgroup/cpu.max")
    return {
        "cores": os.cpu_count(),
        "allowed": len(os.sched_getaffinity(0)),
        "cgroup cpu.max": limit.read_text(encoding="utf-8").strip() if limit.exists() else None,
        "load": round(os.getloadavg()[0], 2),
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Write milliseconds per image, one line per setting."""
    keys = [key for key in next(iter(rows.values())) if key != "torch threads"]
    lines = [f"{'threads':<10}" + "".join(f"{key:>12}" for key in keys)]
    for name, row in rows.items():
        shown = f"{name} ({row['torch threads']:.0f})" if name == "default" else name
        lines.append(f"{shown:<10}" + "".join(f"{1000 * row[key]:>9.0f} ms" for key in keys))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
