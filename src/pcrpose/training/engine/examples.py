"""Example crops of a training: above as they are labelled, below as the model sees them now."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses
from pcrpose.models.pose_model import PoseModel

SHOWN = 8


@torch.no_grad()
def draw_examples(model: PoseModel[Any], batch: dict[str, Tensor], logits: Tensor) -> Image:
    """Draw the first crops of a batch.

    Args:
        model: whose output it is; its mode does not matter.
        batch: as `KeypointDataset` gives it, stacked.
        logits: ``(B, J, H/4, W/4)`` float, the final head's output in training.

    Returns:
        ``(2 * H, n * W, 3)`` uint8, RGB, of ``n`` crops, 8 at most.
    """
    crops, labelled, weights = (batch[name][:SHOWN].cpu() for name in ("crop", "keypoints_crop", "keypoint_weights"))
    weights = weights * ~batch["is_background"][:SHOWN, None].cpu()
    heatmaps = model.finish(logits[:SHOWN].float())
    found, scores = (tensor.cpu() for tensor in model.config.codec().decode(heatmaps))
    rows = [
        [_draw(model, *person) for person in zip(crops, *values, strict=True)]
        for values in ((labelled, weights), (found, scores))
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _draw(model: PoseModel[Any], crop: Tensor, keypoints: Tensor, scores: Tensor) -> Image:
    pixels = np.ascontiguousarray(crop.permute(1, 2, 0).numpy())
    height, width = pixels.shape[:2]
    pose = Poses(
        keypoints=keypoints[None].float().numpy(),
        keypoint_scores=scores[None].float().numpy(),
        boxes_xyxy=np.array([[0.0, 0.0, width - 1, height - 1]]),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
        skeleton=model.config.skeleton,
    )
    return np.asarray(pose.draw(pixels))
