"""One optimizer step: mixed precision, the loss and its scaling over parts and processes, finite losses."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from pcrpose.data.dataset import CropDataset
from pcrpose.files.atomic import write_text
from pcrpose.models.deeppose import CoordinateLoss, DeepPoseConfig
from pcrpose.models.loss import PoseLoss
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.engine.batches import Batch, describe_sample
from pcrpose.training.engine.distributed import Processes

_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

BATCH_FILE = "not_finite.json"
Loss: TypeAlias = PoseLoss | CoordinateLoss


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Run the operations that gain by it in half precision; float32 changes nothing."""
    return torch.autocast(device.type, _TYPES[precision], enabled=precision != "float32")


def loss_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Build the scaler that keeps small gradients from vanishing in fp16; elsewhere it does nothing.

    Raises:
        ValueError: for fp16 without CUDA.
    """
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision: fp16 expects a CUDA device, found {device.type}, where it is slow and untried; take bf16"
        )
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def build_loss(model: PoseConfig, config: TrainConfig) -> Loss:
    """Build the loss of a run; raises ValueError where it does not train the model's kind of output."""
    if isinstance(model, DeepPoseConfig):
        if config.loss != CoordinateLoss.kind:
            raise ValueError(f"loss {config.loss!r} does not train coordinates: expected {CoordinateLoss.kind!r}")
        return CoordinateLoss(config=model)
    if (config.loss == "cross_entropy") != (model.heatmaps == "probability"):
        raise ValueError(
            f"loss {config.loss!r} does not train {model.heatmaps!r} heatmaps: "
            "squared_error goes with gaussian, cross_entropy with probability"
        )
    return PoseLoss(
        codec=model.codec(),
        kind=config.loss,
        auxiliary_weight=config.auxiliary_weight,
        background_weight=config.background_weight,
        supervision=model.supervision(),
    )


def loss_shares(loss: Loss, parts: list[Batch], processes: Processes) -> list[Tensor | None]:
    """Compute a factor for the loss of each part of this process; None where the part is the whole.

    Gradients are added over a process's parts and averaged over processes. Squared error is a mean over crops, of
    which all parts have as many; cross-entropy is a mean over keypoint weights, which differ.

    Args:
        loss: what is trained for.
        parts: of one batch, on the device.
        processes: which share that batch.
    """
    if len(parts) * processes.count == 1:
        return [None]
    if isinstance(loss, CoordinateLoss) or loss.kind == "squared_error":
        return [torch.tensor(1 / len(parts), device=batch["crop"].device) for batch in parts]
    weights = torch.stack([_weight(loss, batch) for batch in parts])
    total = processes.sum(weights.sum()).clamp_min(torch.finfo(torch.float32).tiny)
    return list(weights * processes.count / total)


def _weight(loss: PoseLoss, batch: Batch) -> Tensor:
    """Add up the weights by which the loss of a part is divided."""
    _, weights = loss.codec.encode(batch["keypoints_crop"], batch["keypoint_weights"])
    return torch.where(batch["is_background"][:, None], loss.background_weight, weights).sum()


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
    """Keep the results of the last steps on the device until they are read, all at once."""

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
        """Check the steps since the last call, which waits for the device once."""
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


def write_not_finite(path: Path, found: NotFinite, dataset: CropDataset) -> None:
    """Write which samples a step saw."""
    content = {
        "step": found.step,
        found.what: str(found.value),
        "samples": [describe_sample(dataset, index) for index in found.samples],
    }
    write_text(path, json.dumps(content, indent=2))
