"""How much each part of a batch counts, so that the parts' losses add up to the loss of the whole."""

import torch
from torch import Tensor

from pcrpose.models.loss import PoseLoss
from pcrpose.training.batches import Batch
from pcrpose.training.processes import Processes


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
    return torch.where(batch["is_background"][:, None], 1.0, weights).sum()
