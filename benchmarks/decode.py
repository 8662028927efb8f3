"""Heatmaps to keypoints, and mirrored maps merged: ours beside the published code, 1, 32 and 256 persons, one thread.

    python benchmarks/decode.py --hrnet CLONE --darkpose CLONE --json benchmarks/results/decode.json

The clones are of leoxiaobin/deep-high-resolution-net.pytorch and ilovepose/DarkPose. Maps are 17 x 64 x 48 cells.
Before timing, our positions (alignment "edge") are compared with the published ones.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from interleaved import arguments, measure, published_module, report, save

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec, merge_mirrored
from pcrpose.keypoints.skeleton import COCO_17

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from torch import Tensor

    from pcrpose.keypoints.decoding import Decoding

PERSONS = (1, 32, 256)
EDGE = HeatmapCodec(input_size=Size(width=192, height=256), alignment="edge")
SETTINGS = SimpleNamespace(TEST=SimpleNamespace(POST_PROCESS=True, BLUR_KERNEL=11))


def noisy_gaussians(persons: int) -> "Tensor":
    """Make heatmaps with one peak each and a little noise."""
    rng = np.random.default_rng(persons)
    keypoints = torch.from_numpy(rng.uniform(20, 170, (persons, 17, 2)).astype(np.float32))
    heatmaps, _ = replace(EDGE, alignment="center").encode(keypoints, torch.ones(persons, 17))
    return heatmaps + 0.02 * torch.from_numpy(rng.random(heatmaps.shape, dtype=np.float32))


def decoding(
    title: str, refinement: "Decoding", persons: int, module: "ModuleType | None", rounds: int
) -> "dict[str, Any]":
    """Time a decoder; the published one also maps to the image, with a window of one pixel a cell."""
    heatmaps = noisy_gaussians(persons)
    maps = heatmaps.numpy()
    # DarkPose sends a window's center to the middle of the outermost cells' centers, HRNet half a cell further.
    middle = [23.5, 31.5] if refinement == "dark" else [24.0, 32.0]
    center = np.tile(np.array([middle], np.float32), (persons, 1))
    scale = np.tile(np.array([[48 / 200, 64 / 200]], np.float32), (persons, 1))
    edge = replace(EDGE, decoding=refinement)
    ours = replace(edge, alignment="center")
    contestants: dict[str, Callable[[], object]] = {
        "ours (center)": lambda: ours.decode(heatmaps),
        "ours (edge, as published)": lambda: edge.decode(heatmaps),
        "reading the maps once": lambda: maps.reshape(persons * 17, -1).max(axis=1),
    }
    facts = {}
    if module is not None:
        contestants["published"] = lambda: module.get_final_preds(SETTINGS, maps.copy(), center, scale)
        expected, _ = module.get_final_preds(SETTINGS, maps.copy(), center, scale)
        found = edge.locate(heatmaps)[0].numpy()
        facts["largest_difference_cells"] = float(np.abs(found - expected).max())
    seconds = measure(contestants, rounds=rounds)
    return report(f"{title}, {persons} persons", seconds, ours="ours (center)", per=persons, unit="person") | facts


def merging(persons: int, module: "ModuleType | None", rounds: int) -> "dict[str, Any]":
    """Time the mean of heatmaps and mirrored heatmaps, moved by a cell as the published code does."""
    heatmaps, mirrored = noisy_gaussians(persons), noisy_gaussians(persons).flip(-1)
    order = COCO_17.flip_indices

    def ours() -> "Tensor":
        return merge_mirrored(heatmaps, mirrored, order, shift=True)

    contestants: dict[str, Callable[[], object]] = {"ours": ours}
    if module is not None:

        def published() -> "Tensor":
            flipped = torch.from_numpy(module.flip_back(mirrored.numpy().copy(), COCO_17.flip_pairs).copy())
            flipped[:, :, :, 1:] = flipped.clone()[:, :, :, 0:-1]
            return (heatmaps + flipped) * 0.5

        if not torch.equal(ours(), published()):
            raise SystemExit("the contestants merge to different heatmaps")
        contestants["published"] = published
    seconds = measure(contestants, rounds=rounds)
    return report(f"flip merge, {persons} persons", seconds, ours="ours", per=persons, unit="person")


def main() -> None:
    """Time every decoder at every size, print the tables."""
    options = arguments(__doc__, hrnet="leoxiaobin/deep-high-resolution-net.pytorch", darkpose="ilovepose/DarkPose")
    torch.set_num_threads(1)
    file = "lib/core/inference.py"
    hrnet, darkpose = options.hrnet, options.darkpose
    quarter = published_module(hrnet, file, "published_quarter") if hrnet else None
    transforms = published_module(hrnet, "lib/utils/transforms.py", "published_transforms") if hrnet else None
    dark = published_module(darkpose, file, "published_dark") if darkpose else None
    tables = []
    for persons in PERSONS:
        rounds = options.rounds if persons < PERSONS[-1] else max(5, options.rounds // 3)
        tables.append(decoding("argmax and quarter offset", "quarter", persons, quarter, rounds))
        tables.append(decoding("DARK", "dark", persons, dark, rounds))
        tables.append(merging(persons, transforms, rounds))
    save(options.json, tables, threads=1)


if __name__ == "__main__":
    main()
