"""OKS-NMS of many images: ours beside the published code, 5,000 images of 20 candidates.

    python benchmarks/oks_nms.py --rounds 5 --hrnet CLONE --json benchmarks/results/oks_nms.json

The clone is of leoxiaobin/deep-high-resolution-net.pytorch; without it only ours is timed.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from interleaved import arguments, measure, report, save

from pcrpose.keypoints.oks import oks_nms, oks_nms_batch
from pcrpose.keypoints.skeleton import COCO_17

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, CANDIDATES = 5000, 20


def published(clone: Path) -> ModuleType:
    """Import ``lib/nms/nms.py``; its compiled box suppression, which is not used here, is left out."""
    package = ModuleType("nms")
    for name in ("cpu_nms", "gpu_nms"):
        stub = ModuleType(f"nms.{name}")
        setattr(stub, name, None)
        sys.modules[stub.__name__] = stub
    package.__path__ = [str(clone / "lib/nms")]
    sys.modules["nms"] = package
    spec = importlib.util.spec_from_file_location("nms.nms", clone / "lib/nms/nms.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(clone / "lib/nms/nms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Scatter candidates round a few true poses an image, check that all keep the same, time them."""
    options = arguments(__doc__, hrnet="leoxiaobin/deep-high-resolution-net.pytorch")

    rng = np.random.default_rng(0)
    true = rng.uniform(0, 400, (IMAGES, 6, 1, 2)) + rng.uniform(0, 150, (IMAGES, 6, 17, 2))
    owner = rng.integers(0, 6, (IMAGES, CANDIDATES))
    keypoints = np.take_along_axis(true, owner[..., None, None], axis=1) + rng.normal(0, 3, (IMAGES, CANDIDATES, 17, 2))
    scores, areas = rng.random((IMAGES, CANDIDATES)), np.full((IMAGES, CANDIDATES), 150.0**2)
    flat = keypoints.reshape(-1, 17, 2)
    images = np.repeat(np.arange(IMAGES), CANDIDATES)

    def batch() -> list[int]:
        kept = oks_nms_batch(flat, scores.ravel(), areas.ravel(), images, sigmas=COCO_17.sigmas)
        return [int(index) for index in kept]

    def one_by_one() -> list[int]:
        kept = [oks_nms(k, s, a, sigmas=COCO_17.sigmas) for k, s, a in zip(keypoints, scores, areas, strict=True)]
        return [int(i) + image * CANDIDATES for image, indices in enumerate(kept) for i in indices]

    contestants: dict[str, Callable[[], list[int]]] = {
        "ours, all images": batch,
        "ours, image by image": one_by_one,
    }
    if options.hrnet is not None:
        module = published(options.hrnet)
        with_scores = np.concatenate([keypoints, np.ones((IMAGES, CANDIDATES, 17, 1))], axis=-1)

        def official() -> list[int]:
            kept: list[int] = []
            for image in range(IMAGES):
                persons = [
                    {"keypoints": k, "score": s, "area": a}
                    for k, s, a in zip(with_scores[image], scores[image], areas[image], strict=True)
                ]
                kept += [int(i) + image * CANDIDATES for i in module.oks_nms(persons, 0.9)]
            return kept

        contestants["published"] = official
    if len({tuple(run()) for run in contestants.values()}) != 1:
        raise SystemExit("the contestants keep different poses")
    seconds = measure(contestants, rounds=options.rounds)
    save(options.json, [report("OKS-NMS", seconds, ours="ours, all images", per=IMAGES, unit="image")])


if __name__ == "__main__":
    main()
