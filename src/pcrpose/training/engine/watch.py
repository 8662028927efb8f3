"""Losses that are not finite: found without waiting for the device at every step, and told with their samples."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.files.atomic import write_text

BATCH_FILE = "not_finite.json"


class NotFinite(NamedTuple):
    """The first step whose loss or gradient was not finite.

    Attributes:
        step: counted from 1, as the log does.
        what: ``"loss"`` or ``"gradient"``.
        value: what was found.
        samples: indices of the samples of that step which this process saw.
    """

    step: int
    what: str
    value: float
    samples: tuple[int, ...]


class LossWatch:
    """Keep what the last steps gave on the device until it is looked at, all at once."""

    def __init__(self) -> None:
        self._recent: list[tuple[int, str, tuple[int, ...], Tensor]] = []

    def add(self, step: int, samples: tuple[int, ...], *, loss: Tensor, gradient: Tensor | None = None) -> None:
        """Remember a step.

        Args:
            step: counted from 1.
            samples: indices in the data set.
            loss: scalar.
            gradient: scalar, the gradient's norm, where it was computed.
        """
        self._recent.append((step, "loss", samples, loss.detach()))
        if gradient is not None:
            self._recent.append((step, "gradient", samples, gradient.detach()))

    def check(self) -> NotFinite | None:
        """Look at the steps since the last look, which waits for the device once."""
        recent, self._recent = self._recent, []
        values = torch.stack([value.float() for *_, value in recent]).tolist() if recent else []
        for (step, what, samples, _), value in zip(recent, values, strict=True):
            if not math.isfinite(value):
                return NotFinite(step, what, value, samples)
        return None


def first_not_finite(found: Iterable[NotFinite | None]) -> NotFinite | None:
    """Join what the processes found: the earliest step, with all its samples."""
    broken = [one for one in found if one is not None]
    if not broken:
        return None
    first = min(broken, key=lambda one: one.step)
    return first._replace(samples=tuple(index for one in broken if one.step == first.step for index in one.samples))


def write_not_finite(path: Path, found: NotFinite, dataset: KeypointDataset | MixedDataset) -> None:
    """Write which samples a step saw."""
    content = {
        "step": found.step,
        found.what: str(found.value),
        "samples": [describe_sample(dataset, index) for index in found.samples],
    }
    write_text(path, json.dumps(content, indent=2))


def describe_sample(dataset: KeypointDataset | MixedDataset, index: int) -> dict[str, Any]:
    """Name a sample by its index, image and annotation, for people and for JSON."""
    part, within = dataset, index
    if isinstance(part, MixedDataset):
        place, within = part.locate(index)
        part = part.datasets[place]
    sample = part.samples[within]
    return {
        "index": index,
        "image": str(sample.image) if isinstance(sample.image, Path) else None,
        "image_id": sample.image_id,
        "annotation_id": sample.annotation_id,
    }
