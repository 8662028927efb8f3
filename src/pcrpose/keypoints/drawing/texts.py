"""Texts on drawn poses: scores on plates above the persons, names beside the keypoints."""

# ruff: noqa: TC001, TC003 - types stand with the other imports

from __future__ import annotations  # Poses draws itself, so it is not here yet

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.drawing.palette import DARK, MIDDLE

if TYPE_CHECKING:
    from pcrpose.keypoints.poses import Poses

Plate: TypeAlias = tuple[int, int, int, int]  # first column and row, last column and row


def pose_texts(poses: Poses, *, scores: bool, left_right: bool) -> list[str]:
    """Return what is to be written at each person; nothing where nothing is asked for."""
    columns = [[f"{score:.2f}" for score in poses.pose_scores]] if scores else []
    if left_right:
        if poses.left_right_consistency is None:
            raise ValueError("left_right: expected poses with left_right_consistency, predicted with flip, found None")
        columns.append([f"L/R={consistency:.2f}" for consistency in poses.left_right_consistency])
    return ["  ".join(row) for row in zip(*columns, strict=True)]


def write_texts(image: PIL.Image.Image, poses: Poses, texts: list[str], sizes: list[float]) -> None:
    """Write each person's text on a dark plate over its box, in letters of ``sizes``, the best where it belongs."""
    pen = PIL.ImageDraw.Draw(image)
    taken: list[Plate] = []
    for person in np.argsort(-poses.pose_scores, kind="stable"):
        box, size = poses.boxes_xyxy[person], sizes[person]
        if not np.isfinite(box).all():
            continue
        text, font = texts[person], PIL.ImageFont.load_default(size)
        plate = _plate(box, (font.getlength(text) + size / 2, 1.4 * size), image.size, taken)
        taken.append(plate)
        left, top, right, bottom = plate
        pen.rectangle(plate, fill=DARK)
        pen.rectangle((left, bottom - int(size / 8), right, bottom), fill=MIDDLE[person % len(MIDDLE)])
        pen.text(((left + right) / 2, (top + bottom) / 2), text, fill=MIDDLE[0], font=font, anchor="mm")


def _plate(box_xyxy: Floats, size: tuple[float, float], image: tuple[int, int], taken: list[Plate]) -> Plate:
    """Place a plate above the middle of a box's upper side, in the image, and below what would lie under it."""
    width, height = (math.ceil(side) for side in size)
    left = int(np.clip((box_xyxy[0] + box_xyxy[2] - width) / 2, 0, max(0, image[0] - width)))
    top = int(np.clip(box_xyxy[1] - height, 0, max(0, image[1] - height)))
    for other in sorted(taken, key=lambda plate: plate[1]):
        if left <= other[2] and left + width > other[0] and top <= other[3] and top + height > other[1]:
            top = other[3] + 1
    return left, top, left + width - 1, top + height - 1


def write_labels(image: PIL.Image.Image, keypoints: Floats, shown: Bools, labels: Sequence[str], size: float) -> None:
    """Write a label at the right of each of one person's keypoints that is shown, in light letters on a dark edge.

    Args:
        image: to write on.
        keypoints: ``(J, 2)`` float, x then y, pixels of the image.
        shown: ``(J,)`` which of them have a label.
        labels: J texts.
        size: of the letters, pixels.
    """
    pen, font = PIL.ImageDraw.Draw(image), PIL.ImageFont.load_default(size)
    for index in np.flatnonzero(shown).tolist():
        x, y = keypoints[index].tolist()
        edge = max(1, round(size / 8))
        pen.text((x + size / 2, y), labels[index], MIDDLE[0], font, anchor="lm", stroke_width=edge, stroke_fill=DARK)
