"""Heatmaps to keypoints: ours beside the published code, 32 persons of 17 x 64 x 48 cells, one thread.

    python benchmarks/decode.py --hrnet CLONE --darkpose CLONE --json benchmarks/decode.json

The clones are of leoxiaobin/deep-high-resolution-net.pytorch and ilovepose/DarkPose; without them only ours is timed.
"""

import argparse
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from interleaved import measure, report, save

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcrpose.keypoints.decoding import Decoding

PERSONS = 32


def published(clone: Path, name: str) -> ModuleType:
    """Import ``lib/core/inference.py`` of a clone under a name of its own."""
    for stale in [module for module in sys.modules if module.split(".")[0] in {"utils", "core"}]:
        del sys.modules[stale]
    sys.path.insert(0, str(clone / "lib"))
    try:
        spec = importlib.util.spec_from_file_location(name, clone / "lib/core/inference.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(clone / "lib/core/inference.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def main() -> None:
    """Make noisy Gaussians, time every decoder, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hrnet", type=Path)
    parser.add_argument("--darkpose", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    edge = HeatmapCodec(input_size=Size(width=192, height=256), alignment="edge")
    rng = np.random.default_rng(0)
    keypoints = torch.from_numpy(rng.uniform(20, 170, (PERSONS, 17, 2)).astype(np.float32))
    heatmaps, _ = replace(edge, alignment="center").encode(keypoints, torch.ones(PERSONS, 17))
    heatmaps += 0.02 * torch.from_numpy(rng.random(heatmaps.shape, dtype=np.float32))
    maps = heatmaps.numpy()
    center, scale = np.full((PERSONS, 2), 100.0, np.float32), np.full((PERSONS, 2), 1.0, np.float32)

    tables = []
    rows: list[tuple[str, Decoding, Path | None]] = [
        ("argmax and quarter offset", "quarter", arguments.hrnet),
        ("DARK", "dark", arguments.darkpose),
    ]
    for title, decoding, clone in rows:
        codec = replace(edge, decoding=decoding)
        ours = replace(codec, alignment="center")
        contestants: dict[str, Callable[[], object]] = {
            "ours (center)": lambda codec=ours: codec.decode(heatmaps),  # type: ignore[misc]
            "ours (edge, same result as published)": lambda codec=codec: codec.decode(heatmaps),  # type: ignore[misc]
        }
        if clone is not None:
            module = published(clone, f"published_{decoding}")
            settings = SimpleNamespace(TEST=SimpleNamespace(POST_PROCESS=True, BLUR_KERNEL=11))
            contestants["published"] = lambda module=module, settings=settings: module.get_final_preds(  # type: ignore[misc]
                settings, maps.copy(), center, scale
            )
        seconds = measure(contestants, rounds=arguments.rounds)
        tables.append(report(title, seconds, ours="ours (center)", per=PERSONS, unit="person"))
    save(arguments.json, tables)


if __name__ == "__main__":
    main()
