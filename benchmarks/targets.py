"""Keypoints to training targets: ours in a batch of 32 beside the published code, one thread.

    python benchmarks/targets.py --hrnet CLONE --json benchmarks/results/targets.json

The clone is of leoxiaobin/deep-high-resolution-net.pytorch. With alignment "edge" both must draw the same.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from interleaved import arguments, measure, published_module, report, save

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 32


def main() -> None:
    """Check that both draw the same, time them."""
    options = arguments(__doc__, hrnet="leoxiaobin/deep-high-resolution-net.pytorch")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    size = Size(width=192, height=256)
    points = rng.uniform(-10, 200, (BATCH, 17, 2)).astype(np.float32)
    keypoints, weights = torch.from_numpy(points), torch.ones(BATCH, 17)
    center, edge = HeatmapCodec(input_size=size), HeatmapCodec(input_size=size, alignment="edge")
    contestants: dict[str, Callable[[], object]] = {
        "ours (center)": lambda: center.encode(keypoints, weights),
        "ours (edge, as published)": lambda: edge.encode(keypoints, weights),
    }
    facts = {}
    if options.hrnet is not None:
        module = published_module(options.hrnet, "lib/dataset/JointsDataset.py", "published_targets")
        settings = SimpleNamespace(
            num_joints=17,
            target_type="gaussian",
            sigma=2,
            image_size=np.array([192, 256]),
            heatmap_size=np.array([48, 64]),
            use_different_joints_weight=False,
        )
        triples = np.concatenate([points, np.zeros((BATCH, 17, 1), np.float32)], axis=2)

        def published() -> np.ndarray:
            visible = np.ones((17, 3), np.float32)
            return np.stack([module.JointsDataset.generate_target(settings, each, visible)[0] for each in triples])

        contestants["published"] = published
        facts["largest_difference"] = float(np.abs(edge.encode(keypoints, weights)[0].numpy() - published()).max())
    seconds = measure(contestants, rounds=options.rounds)
    table = report("targets, batch 32", seconds, ours="ours (center)", per=BATCH, unit="sample")
    save(options.json, [table | facts], threads=1)


if __name__ == "__main__":
    main()
