"""Left and right: whether a crop and its mirrored crop agree on which side is which."""

import math

import torch
from torch import Tensor

from pcrpose.keypoints.arrays import Indices
from pcrpose.keypoints.heatmap import mirror_heatmaps


def left_right_consistency(
    heatmaps: Tensor, mirrored_heatmaps: Tensor, flip_indices: Indices, *, shift: bool = False
) -> Tensor:
    """Compute how much better two passes agree as they are than with the sides of one of them swapped.

    Two heatmaps agree by the mass that both have in the same cells, each scaled to a mass of 1. The mean agreement of
    paired keypoints with their namesakes in the mirrored pass, less that with their partners there, is brought from
    -1..1 to 0..1.

    Args:
        heatmaps: ``(B, J, h, w)`` float, of the crops; what is negative counts as zero.
        mirrored_heatmaps: ``(B, J, h, w)`` float, of the mirrored crops, as the model gives them.
        flip_indices: ``(J,)`` intp, as `Skeleton.flip_indices`, with one pair at least.
        shift: see `mirror_heatmaps`.

    Returns:
        ``(B,)`` of at least float32. 1: both passes see every keypoint in one place, away from its partner. 0: the
        passes take each other's sides. About one half: they agree as well swapped, for example because the person is
        seen from the side and the pairs lie on each other, or because a pass sees nothing.

    Raises:
        ValueError: if the shapes differ or there is no pair.

    Examples:
        >>> import numpy as np
        >>> eye = torch.eye(2)[None, :, None]  # left keypoint in the left cell, right one in the right cell
        >>> left_right_consistency(eye, eye, np.array([1, 0])).tolist()  # in the mirrored crop, too, left is left
        [1.0]
        >>> left_right_consistency(eye, eye.flip(1), np.array([1, 0])).tolist()
        [0.0]
    """
    if heatmaps.shape != mirrored_heatmaps.shape:
        first, second = tuple(heatmaps.shape), tuple(mirrored_heatmaps.shape)
        raise ValueError(f"expected heatmaps of one shape, found {first} and {second}")
    order = flip_indices.tolist()
    paired = [index for index, partner in enumerate(order) if index != partner]
    if not paired:
        raise ValueError("flip_indices: expected a pair of keypoints, found none")
    plain, is_plain = _masses(heatmaps[:, paired])
    other, is_other = _masses(mirror_heatmaps(mirrored_heatmaps, flip_indices, shift=shift)[:, paired])
    partners = [paired.index(order[index]) for index in paired]
    same = torch.minimum(plain, other).sum(dim=(-2, -1))
    swapped = torch.minimum(plain, other[:, partners]).sum(dim=(-2, -1))
    same = torch.where(is_plain & is_other, same, 0)
    swapped = torch.where(is_plain & is_other[:, partners], swapped, 0)
    return (1 + (same - swapped).mean(dim=1)) / 2


def _masses(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Scale the positive part of each heatmap to a sum of 1, and return for which that was possible."""
    values = (heatmaps if heatmaps.dtype == torch.float64 else heatmaps.float()).clamp(min=0)
    total = values.sum(dim=(-2, -1), keepdim=True)
    usable = (total > 0) & (total < math.inf)
    return values / torch.where(usable, total, 1), usable[..., 0, 0]
