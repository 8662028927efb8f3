"""Example crops of a training: above as they are labelled, below as the model sees them now."""

from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from torch import Tensor

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.drawing.poses import draw_poses
from pcrpose.keypoints.drawing.strokes import Color, Stroke, blend
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.pose_model import PoseModel

SHOWN = 8
HEIGHT = 256  # pixels, about: smaller crops are enlarged before they are drawn on
GAP = 4  # pixels between crops
CAPTIONS = ("labelled", "found")

_GROUND: Color = (40, 40, 40)
_MISS: Color = (255, 75, 105)
_NOBODY = "nobody"
_LETTERS = 14.0


@torch.no_grad()
def draw_examples(model: PoseModel[Any], batch: dict[str, Tensor], logits: Tensor) -> Image:
    """Draw the first crops of a batch.

    Below, a thin rose line leads from every labelled keypoint to where the model puts it: long lines are mistakes. A
    background crop is marked as holding nobody; what is drawn in it below is wrong.

    Args:
        model: whose output it is; its mode does not matter.
        batch: as `KeypointDataset` gives it, stacked.
        logits: ``(B, J, H/4, W/4)`` float, the final head's output in training; of `DeepPose` its coordinates.

    Returns:
        Two rows of ``n`` crops, 8 at most, ``(2 * (f * H + 4), n * (f * W + 4), 3)`` uint8, RGB; small crops are
        enlarged by a whole factor ``f``.
    """
    crops, labelled, weights, nobody = (
        batch[name][:SHOWN].cpu().numpy() for name in ("crop", "keypoints_crop", "keypoint_weights", "is_background")
    )
    labelled = np.where((weights > 0)[..., None] & ~nobody[:, None, None], labelled, np.nan)
    found, scores = (tensor.cpu().numpy() for tensor in model.decode(logits[:SHOWN]))
    factor = max(1, round(HEIGHT / crops.shape[2]))
    columns = []
    for place, crop in enumerate(crops):
        above = below = _enlarged(crop, factor)
        there, here = ((points[place] + 0.5) * factor - 0.5 for points in (labelled, found))
        above = _pose(above, there, weights[place], model.config.skeleton)
        below = _misses(_pose(below, here, scores[place], model.config.skeleton), there, here)
        if nobody[place]:
            above = _written(above, _NOBODY)
        elif not place:
            above, below = (_written(cell, caption) for cell, caption in zip((above, below), CAPTIONS, strict=True))
        columns.append(np.concatenate([_framed(above), _framed(below)]))
    return np.concatenate(columns, axis=1)


def _enlarged(crop: Image, factor: int) -> Image:
    """``(3, H, W)`` to ``(factor * H, factor * W, 3)``."""
    image = PIL.Image.fromarray(np.ascontiguousarray(crop.transpose(1, 2, 0)))
    return np.asarray(image.resize((factor * image.width, factor * image.height), PIL.Image.Resampling.BICUBIC))


def _pose(cell: Image, keypoints: Floats, scores: Floats, skeleton: Skeleton) -> Image:
    height, width = cell.shape[:2]
    pose = Poses(
        keypoints=keypoints[None],
        keypoint_scores=scores[None],
        boxes_xyxy=np.array([[0.0, 0.0, width - 1, height - 1]]),
        box_scores=np.ones(1),
        pose_scores=np.ones(1),
        skeleton=skeleton,
    )
    return np.array(draw_poses(cell, pose))


def _misses(cell: Image, labelled: Floats, found: Floats) -> Image:
    """Draw into a cell how far the keypoints are from where they should be; NaN is not labelled."""
    known = np.isfinite(labelled).all(axis=1)
    for start, end in zip(labelled[known], found[known], strict=True):
        blend(cell, Stroke(start=start, end=end, radius=0.75, color=_MISS))
    return cell


def _written(cell: Image, text: str) -> Image:
    """Write a caption into the upper left corner."""
    image, font = PIL.Image.fromarray(cell), PIL.ImageFont.load_default(_LETTERS)
    pen = PIL.ImageDraw.Draw(image)
    pen.rectangle((0, 0, font.getlength(text) + 8, 1.4 * _LETTERS), fill=_GROUND)
    pen.text((4, 0.7 * _LETTERS), text, fill="white", font=font, anchor="lm")
    return np.asarray(image)


def _framed(cell: Image) -> Image:
    """Set a cell on a dark ground that parts it from its neighbors."""
    height, width = cell.shape[:2]
    ground = np.full((height + GAP, width + GAP, 3), _GROUND, dtype=np.uint8)
    ground[GAP // 2 : GAP // 2 + height, GAP // 2 : GAP // 2 + width] = cell
    return ground
