"""Where the time of a training step of pcr-small goes on a CPU: frozen parts, precision, memory that is kept.

    python benchmarks/training_speed.py --json benchmarks/training_speed.json

Forward and backward pass of random crops, the median of the rounds, on all cores; each row in a process of its own,
with and without an allocator that keeps freed memory (see examples/train_zoo.py). Data, optimizer and averages are not
in it. The depthwise row is the gradient of one convolution with a stride of 2, which runs in float32 in the library.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}
BATCH, ROUNDS = 32, 5
# name: first block of the encoder that is trained (17: none, its last convolution neither), precision
ROWS: dict[str, tuple[int, str]] = {
    "encoder frozen, bf16": (17, "bf16"),
    "blocks 6 and up trained, depthwise filters frozen, bf16": (6, "bf16"),
    "blocks 3 and up trained, depthwise filters frozen, bf16": (3, "bf16"),
    "all trained but depthwise filters, bf16": (0, "bf16"),
    "blocks 3 and up trained, depthwise filters frozen, float32": (3, "float32"),
    "depthwise gradient, stride 2, float32": (-1, "float32"),
    "depthwise gradient, stride 2, bf16": (-1, "bf16"),
}


def main() -> None:
    """Run every row in a process of its own, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=list(ROWS), help="measure this one, here")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.row is not None:
        print(measure(*ROWS[options.row]))
        return
    rows: list[dict[str, Any]] = []
    for name in ROWS:
        plain, kept = (crops_per_second(name, extra) for extra in ({}, KEEP_MEMORY))
        rows.append(
            {"what": name, "crops_per_second": plain, "with_memory_kept": kept, "ratio": round(kept / plain, 2)}
        )
        print(rows[-1], flush=True)
    if options.json is not None:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        content = {"command": "python benchmarks/training_speed.py --json training_speed.json", "machine": machine}
        options.json.write_text(json.dumps(content | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


def crops_per_second(row: str, environment: dict[str, str]) -> float:
    """Measure a row in a fresh process."""
    command = [sys.executable, __file__, "--row", row]
    done = subprocess.run(  # noqa: S603 - this script
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    return round(float(done.stdout), 1)


def measure(first: int, precision: str) -> float:
    """Crops per second of forward and backward pass."""
    import torch  # noqa: PLC0415 - the parent process needs none

    torch.manual_seed(0)
    step = depthwise_step(precision) if first < 0 else network_step(first, precision)
    step()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds)


def network_step(first: int, precision: str) -> Callable[[], None]:
    """Return a step of pcr-small."""
    import torch  # noqa: PLC0415
    from train_zoo import SMALL  # noqa: PLC0415 - examples/ is put on the path below

    from pcrpose import PCR  # noqa: PLC0415

    model = PCR(SMALL).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    for name, parameter in model.encoder.named_parameters():
        part, index, *_ = name.split(".")
        number = int(index) if part == "blocks" else {"stem": -1, "last": 17}[part]
        parameter.requires_grad_(first <= number and first < 17 and "depthwise" not in name)  # noqa: PLR2004 - see ROWS
    crops = torch.randn(BATCH, 3, 256, 192).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = model(crops)
        loss = sum(heatmaps.float().square().mean() for heatmaps in (output.final, *output.auxiliary))
        loss.backward()

    return step


def depthwise_step(precision: str) -> Callable[[], None]:
    """Return the gradient of block 6's depthwise convolution."""
    import torch  # noqa: PLC0415

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    features = torch.randn(BATCH, 336, 33, 25, dtype=dtype).contiguous(memory_format=torch.channels_last)
    features.requires_grad_()
    kernel = torch.randn(336, 1, 3, 3, dtype=dtype)

    def step() -> None:
        torch.nn.functional.conv2d(features, kernel, None, 2, 0, 1, 336).float().sum().backward()  # type: ignore[no-untyped-call]

    return step


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    main()
