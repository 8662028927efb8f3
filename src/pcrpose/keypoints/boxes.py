"""Boxes and sizes: conversions, validation, and the windows that are cropped.

Boxes live in the keypoints' frame: an integer is a pixel's center, so a whole image is ``(0, 0, W-1, H-1)``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcrpose.keypoints.arrays import Bools, Floats, Image, as_floats


@dataclass(frozen=True, kw_only=True)
class Size:
    """Width and height in whole pixels or cells; printed as in the paper, height first.

    Examples:
        >>> print(Size(width=192, height=256))
        256x192
        >>> Size.parse("256x192").width
        192
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if not (isinstance(self.width, int) and isinstance(self.height, int) and min(self.width, self.height) > 0):
            raise ValueError(f"expected a positive whole width and height, found {self.width!r}, {self.height!r}")

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @classmethod
    def of(cls, image: Image) -> "Size":
        """Return the size of an image, ``(H, W, ...)`` pixels."""
        return cls(width=image.shape[1], height=image.shape[0])

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Read ``HEIGHTxWIDTH``; raises ValueError for anything else."""
        height, cross, width = text.partition("x")
        if not (cross and height.isdecimal() and width.isdecimal()):
            raise ValueError(f"expected HEIGHTxWIDTH such as 256x192, found {text!r}")
        return cls(width=int(width), height=int(height))

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


def xywh_to_xyxy(boxes_xywh: npt.ArrayLike) -> Floats:
    """``(N, 4)`` left, top, width, height to ``(N, 4)`` left, top, right, bottom."""
    boxes = as_floats(boxes_xywh, shape=(None, 4), name="boxes_xywh")
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes_xyxy: npt.ArrayLike) -> Floats:
    """``(N, 4)`` left, top, right, bottom to ``(N, 4)`` left, top, width, height."""
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def whole_image_box(size: Size) -> Floats:
    """``(1, 4)`` float64: the box of the whole image."""
    return np.array([[0.0, 0.0, size.width - 1.0, size.height - 1.0]])


def clip_boxes(boxes_xywh: npt.ArrayLike, size: Size) -> Floats:
    """Convert annotated COCO boxes to boxes of the keypoints' frame, inside the image.

    The last pixel of a box that starts at ``x`` and is ``w`` wide is ``x + w - 1``; a box that covers the image
    becomes `whole_image_box`. A box without any pixel inside comes out with no width or height.

    Args:
        boxes_xywh: ``(N, 4)`` float, COCO's left, top, width, height.
        size: of the image.

    Returns:
        ``(N, 4)`` float64, left, top, right, bottom.

    Source:
        The cleaning of ground-truth boxes in the published HRNet and Simple Baselines data code.
    """
    boxes = as_floats(boxes_xywh, shape=(None, 4), name="boxes_xywh")
    start = np.maximum(boxes[:, :2], 0.0)
    last = np.array([size.width - 1.0, size.height - 1.0])
    end = np.minimum(start + np.maximum(boxes[:, 2:] - 1.0, 0.0), last)
    return np.concatenate([start, np.maximum(end, start)], axis=1)


def check_boxes(boxes_xyxy: npt.ArrayLike, size: Size | None = None) -> Floats:
    """Validate that boxes can be cropped.

    Args:
        boxes_xyxy: ``(N, 4)`` float, left, top, right, bottom, image pixels; may be empty and may overlap the border.
        size: of the image; given, every box must touch it.

    Returns:
        ``(N, 4)`` float64 copy.

    Raises:
        ValueError: naming the first box that is not finite, has no width or height, is inverted,
            or lies outside the image; by its index, where there are several.
    """
    if np.shape(boxes_xyxy) == (4,):
        raise ValueError("boxes_xyxy: expected shape (any, 4), a row per box: [[x1, y1, x2, y2]], found (4,)")
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy").copy()
    name = "box" if len(boxes) == 1 else "box {}"
    for index in np.flatnonzero(~np.isfinite(boxes).all(axis=1))[:1]:
        raise ValueError(f"{name.format(index)}: expected finite x1, y1, x2, y2, found {boxes[index].tolist()}")
    for index in np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(axis=1))[:1]:
        expected = f"{name.format(index)}: expected x1 < x2 and y1 < y2, not widths"
        raise ValueError(f"{expected}, found {boxes[index].tolist()}")
    if size is not None:
        last = (size.width - 1.0, size.height - 1.0)
        outside = (boxes[:, 2:] < 0).any(axis=1) | (boxes[:, :2] > last).any(axis=1)
        for index in np.flatnonzero(outside)[:1]:
            found = f"{name.format(index)}: {boxes[index].tolist()}"
            raise ValueError(f"{found} lies outside the {size} (height x width) image")
    return boxes


def croppable(boxes_xyxy: npt.ArrayLike, size: Size) -> Bools:
    """Return ``(N,)`` bool: which of ``(N, 4)`` boxes `check_boxes` would accept."""
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    extended = boxes[:, 2:] > boxes[:, :2]
    inside = (boxes[:, 2:] >= 0) & (boxes[:, :2] <= (size.width - 1.0, size.height - 1.0))
    usable: Bools = np.all(np.concatenate([np.isfinite(boxes), extended, inside], axis=1), axis=1)
    return usable


def outside_fractions(boxes_xyxy: npt.ArrayLike, size: Size) -> Floats:
    """Return ``(N,)`` float64: how much of the area of each of ``(N, 4)`` boxes lies outside an image, 0 to 1."""
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    fractions: Floats = 1 - intersection_areas(boxes, whole_image_box(size))[:, 0] / areas
    return fractions


def intersection_areas(boxes_a: npt.ArrayLike, boxes_b: npt.ArrayLike) -> Floats:
    """Return the ``(A, B)`` areas that ``(A, 4)`` and ``(B, 4)`` boxes_xyxy share, in square pixels."""
    a = as_floats(boxes_a, shape=(None, 4), name="boxes_a")[:, None]
    b = as_floats(boxes_b, shape=(None, 4), name="boxes_b")[None]
    extent = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared: Floats = np.prod(np.maximum(extent, 0.0), axis=-1)
    return shared


def grow_boxes(boxes_xyxy: npt.ArrayLike, factor: float) -> Floats:
    """Grow ``(N, 4)`` boxes, left, top, right, bottom, about their centers; float64."""
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    outwards = (boxes[:, 2:] - boxes[:, :2]) * (factor - 1) / 2
    return np.concatenate([boxes[:, :2] - outwards, boxes[:, 2:] + outwards], axis=1)


def windows(boxes_xyxy: npt.ArrayLike, aspect: float, padding: float = 1.25) -> tuple[Floats, Floats]:
    """Grow boxes to one aspect ratio and pad them: the windows that are cropped.

    The shorter side is extended around the box's center, then both sides are multiplied by ``padding``.

    Args:
        boxes_xyxy: ``(N, 4)`` float, image pixels.
        aspect: width over height of the crop.
        padding: factor, 1.25 in every published top-down recipe.

    Returns:
        Centers ``(N, 2)`` and extents ``(N, 2)`` (width, height), float64, image pixels.
    """
    boxes = as_floats(boxes_xyxy, shape=(None, 4), name="boxes_xyxy")
    extents = boxes[:, 2:] - boxes[:, :2]
    centers = boxes[:, :2] + extents / 2
    width = np.maximum(extents[:, 0], extents[:, 1] * aspect)
    return centers, np.stack([width, width / aspect], axis=1) * padding
