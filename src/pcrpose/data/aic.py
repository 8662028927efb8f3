"""AI Challenger's annotations in COCO's form."""

import numpy as np
import numpy.typing as npt

from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import AIC_14, COCO_17

_COCO_VISIBILITY = np.array([np.nan, 2, 1, 0])  # at AI Challenger's 1 visible, 2 hidden, 3 not labelled


def aic_to_coco(keypoints: npt.ArrayLike) -> Floats:
    """Convert keypoints from AI Challenger's files to COCO's.

    The twelve keypoints of the limbs keep their anatomical side; head top and neck have no place in COCO, and its
    five points of the face come out as not labelled.

    Args:
        keypoints: ``(..., 42)`` x, y and visibility of each of the 14 keypoints, image pixels; visibility 1 visible,
            2 hidden, 3 not labelled, as in the published files.

    Returns:
        ``(..., 51)`` float64, x, y and visibility of each of COCO's 17; all three 0 where nothing is labelled.

    Raises:
        ValueError: for another shape or visibility; 0 means that somebody has converted the values before.
    """
    values = np.asarray(keypoints, dtype=np.float64)
    if values.shape[-1:] != (3 * AIC_14.num_keypoints,):
        raise ValueError(f"keypoints: expected shape (..., {3 * AIC_14.num_keypoints}), found {values.shape}")
    triples = values.reshape(*values.shape[:-1], AIC_14.num_keypoints, 3)
    if not np.isin(triples[..., 2], (1, 2, 3)).all():
        found = np.unique(triples[..., 2]).tolist()
        raise ValueError(f"keypoints: expected AI Challenger's visibilities 1, 2 and 3, found {found}")
    visibility = _COCO_VISIBILITY[triples[..., 2].astype(int)]
    points = np.where(visibility[..., None] > 0, triples[..., :2], 0.0)
    converted = AIC_14.convert(np.concatenate([points, visibility[..., None]], axis=-1), COCO_17)
    return converted.reshape(*values.shape[:-1], 3 * COCO_17.num_keypoints)
