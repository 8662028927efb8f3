"""Persons drawn for the report: the part of the image that shows one, with its pose and with its annotation."""

import base64
import io
from dataclasses import replace

import numpy as np
import PIL.Image

from pcrpose.evaluation.report.measure import ShownPerson
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import grow_boxes
from pcrpose.keypoints.poses import Poses

LONGER_SIDE = 300  # pixels of a drawing
_MARGIN = 1.25  # of the box that is shown
_QUALITY = 82


def draw_person(image: Image, person: ShownPerson) -> tuple[str, str]:
    """Draw a person twice, as found and as annotated.

    Args:
        image: ``(H, W, 3)`` uint8, RGB, the whole image.
        person: in that image's pixels.

    Returns:
        Two JPEG files as data URIs, of the same part of the image.
    """
    region = _region(image, person)
    return _drawing(image, region, person.pose), _drawing(image, region, person.annotated)


def _region(image: Image, person: ShownPerson) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in whole pixels: both boxes and some margin, at least one pixel of the image."""
    boxes = np.concatenate([person.annotated.boxes_xyxy, person.pose.boxes_xyxy])
    around = grow_boxes([[*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)]], _MARGIN)[0]
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(around[:2]), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(around[2:]) + 1, (left + 1, top + 1), (width, height)).astype(int).tolist()
    return left, top, right, bottom


def _drawing(image: Image, region: tuple[int, int, int, int], poses: Poses) -> str:
    """Resample a region to the drawing's size first: lines are then as fine on small persons as on large ones."""
    left, top, right, bottom = region
    scale = LONGER_SIDE / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    part = PIL.Image.fromarray(image[top:bottom, left:right]).resize(size, PIL.Image.Resampling.BICUBIC)
    moved = replace(
        poses,
        keypoints=_resampled(poses.keypoints, (left, top), scale),
        boxes_xyxy=_resampled(poses.boxes_xyxy.reshape(-1, 2, 2), (left, top), scale).reshape(-1, 4),
    )
    written = io.BytesIO()
    moved.draw(part).save(written, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode("ascii")


def _resampled(points: Floats, corner: tuple[int, int], scale: float) -> Floats:
    moved: Floats = (points - np.array(corner) + 0.5) * scale - 0.5  # an integer is a pixel's center
    return moved
