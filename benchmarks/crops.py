"""Crop and normalize, 640x480 to 256x192: ours beside rtmlib and transformers' ViTPose processor, one thread.

    python benchmarks/crops.py --json benchmarks/results/crops.json

1 and 8 persons per image. rtmlib gives float64 pixels, four of the image's mixed in each; ours averages all that a
crop pixel covers. The rivals are timed where they are installed.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from interleaved import arguments, installed, measure, report, save

from pcrpose.keypoints.boxes import Size
from pcrpose.models.pcr import PCRConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PERSONS = (1, 8)


def contest(persons: int, rounds: int) -> "dict[str, Any]":
    """Time all on one noisy image and boxes inside it."""
    rng = np.random.default_rng(persons)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    corners = rng.uniform([0, 0], [380, 200], (persons, 2))
    boxes = np.concatenate([corners, corners + rng.uniform([80, 160], [240, 270], (persons, 2))], axis=1)
    config = PCRConfig(input_size=Size(width=192, height=256))

    def ours() -> object:
        _, pixels = config.crop_spec.cut(image, boxes)
        return config.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.float32)

    contestants: dict[str, Callable[[], object]] = {"ours": ours}
    if installed("rtmlib"):
        from rtmlib.tools.pose_estimation.rtmpose import RTMPose  # type: ignore[import-not-found]  # noqa: PLC0415 - a rival

        tool = RTMPose.__new__(RTMPose)  # its preparation needs no network
        tool.model_input_size, tool.mean = (192, 256), (123.675, 116.28, 103.53)
        tool.std = (58.395, 57.12, 57.375)
        contestants["rtmlib"] = lambda: [tool.preprocess(image, box) for box in boxes.tolist()]
    if installed("transformers"):
        from transformers.models.vitpose.image_processing_pil_vitpose import (  # noqa: PLC0415 - a rival
            VitPoseImageProcessorPil,
        )

        processor = VitPoseImageProcessorPil()
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
        contestants["transformers"] = lambda: processor(image, boxes=[xywh], return_tensors="pt")
    seconds = measure(contestants, rounds=rounds)
    return report(f"crop and normalize, {persons} persons", seconds, ours="ours", per=persons, unit="person")


def main() -> None:
    """Time both numbers of persons."""
    options = arguments(__doc__)
    torch.set_num_threads(1)
    save(options.json, [contest(persons, options.rounds) for persons in PERSONS], threads=1)


if __name__ == "__main__":
    main()
