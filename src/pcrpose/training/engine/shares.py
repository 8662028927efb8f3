"""The loss of a run, and how much each part of a batch counts, so that the parts' losses add up to the whole's."""

import torch
from torch import Tensor

from pcrpose.models.loss import PoseLoss
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.batches import Batch
from pcrpose.training.engine.processes import Processes


def build_loss(model: PoseConfig, config: TrainConfig) -> PoseLoss:
    """Make the loss of a run; raises ValueError where it does not train the model's kind of heatmaps."""
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
    )


def loss_shares(loss: PoseLoss, parts: list[Batch], processes: Processes) -> list[Tensor | None]:
    """Give a factor for the loss of each part of this process; None where the part is the whole.

    Gradients are added over a process's parts and averaged over processes. Squared error is a mean over crops, of
    which all parts have as many; cross-entropy is a mean over keypoint weights, which differ.

    Args:
        loss: what is trained for.
        parts: of one batch, on the device.
        processes: which share that batch.
    """
    if len(parts) * processes.count == 1:
        return [None]
    if loss.kind == "squared_error":
        return [torch.tensor(1 / len(parts), device=batch["crop"].device) for batch in parts]
    weights = torch.stack([_weight(loss, batch) for batch in parts])
    total = processes.sum(weights.sum()).clamp_min(torch.finfo(torch.float32).tiny)
    return list(weights * processes.count / total)


def _weight(loss: PoseLoss, batch: Batch) -> Tensor:
    """Add up the weights by which the loss of a part is divided."""
    _, weights = loss.codec.encode(batch["keypoints_crop"], batch["keypoint_weights"])
    return torch.where(batch["is_background"][:, None], loss.background_weight, weights).sum()
