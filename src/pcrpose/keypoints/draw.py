"""Draw poses on a picture: smooth limbs in colours that everybody can tell apart.

Every stroke is a thick line with round ends, blended by how much of each pixel it covers. So edges are smooth without a
second, larger picture, and a panorama costs what the strokes on it cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps

from pcrpose.keypoints.arrays import Bools, Floats, Image

if TYPE_CHECKING:
    from pcrpose.keypoints.poses import Poses
    from pcrpose.keypoints.skeleton import Skeleton

Colour: TypeAlias = tuple[int, int, int]

# Okabe and Ito's palette, made for colour-blind readers.
LEFT: Colour = (86, 180, 233)  # sky blue
RIGHT: Colour = (230, 159, 0)  # orange
MIDDLE: tuple[Colour, ...] = ((0, 158, 115), (204, 121, 167), (255, 255, 255))  # green, purple, white
OUTLINE: Colour = (20, 20, 20)
POINT_EDGE: Colour = (255, 255, 255)

_BAND = 64  # rows blended at once: a long slanted stroke never needs its whole bounding box
_FAINT = 0.35  # opacity of keypoints that score too low for bones


def draw_poses(
    image: Image | PIL.Image.Image,
    poses: "Poses",
    *,
    threshold: float = 0.2,
    boxes: bool = False,
    line_width: float | None = None,
) -> PIL.Image.Image:
    """Draw poses on a copy of a picture.

    The left side of a person is sky blue, the right side orange; the middle, which joins them, has one of three
    colours, so that persons who overlap can be told apart. The best-scored person is drawn last.

    Args:
        image: ``(H, W, 3)`` uint8, RGB, or a PIL picture, which is turned upright by its EXIF orientation, as
            predictors read it. Grey is drawn on in colour, opacity is dropped. Not changed.
        poses: persons in that picture's pixels; keypoints outside are cut off, keypoints that are not finite left out.
        threshold: keypoints scoring at most this are drawn faint, where they are, and carry no bones.
        boxes: draw each person's box too.
        line_width: of the bones, pixels; by default a share of the person's extent.

    Returns:
        A new RGB picture, upright, of the same size.

    Raises:
        ValueError: if an array is not a uint8 picture or ``line_width`` is not positive.
        TypeError: if ``image`` is neither, a path for example.
    """
    if line_width is not None and not line_width > 0:
        raise ValueError(f"line_width: expected a positive number of pixels, found {line_width!r}")
    canvas = _canvas(image)
    for person in np.argsort(poses.pose_scores, kind="stable"):
        middle = MIDDLE[person % len(MIDDLE)]
        solid = np.array(poses.keypoint_scores[person] > threshold, ndmin=1)
        width = line_width or _line_width(poses.keypoints[person][solid], poses.boxes_xyxy[person], canvas)
        if boxes:
            for stroke in _box_strokes(poses.boxes_xyxy[person], width / 4, middle):
                _blend(canvas, stroke)
        for stroke in _strokes(poses.keypoints[person], solid, poses.skeleton, width / 2, middle):
            _blend(canvas, stroke)
    return PIL.Image.fromarray(canvas)


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """A line with round ends; from a place to itself it is a disc."""

    start: Floats
    end: Floats
    radius: float
    colour: Colour
    opacity: float = 1.0


def _canvas(image: Image | PIL.Image.Image) -> Image:
    if isinstance(image, PIL.Image.Image):  # upright, as predictors read it
        image = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"image: expected an array or a PIL picture, found {type(image).__name__}; "
            "pcrpose.data.images.open_image opens files"
        )
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or array.shape[2:] not in {(), (1,), (3,), (4,)}:
        raise ValueError(f"image: expected uint8 of shape (H, W, 3), found {array.dtype} of shape {array.shape}")
    if array.shape[2:] in {(), (1,)}:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return array[..., :3].copy()


def _line_width(keypoints: Floats, box_xyxy: Floats, canvas: Image) -> float:
    """Take a share of the person's extent: of the keypoints found, or of the box where there is at most one."""
    places = keypoints[np.isfinite(keypoints.sum(axis=1))]
    if len(places) < 2:  # noqa: PLR2004 - one place has no extent
        places = np.nan_to_num(box_xyxy.reshape(2, 2))
    height, width = canvas.shape[:2]
    extent = float(np.ptp(np.clip(places, 0, (width, height)), axis=0).max())
    return max(1.5, 0.02 * float(min(extent, 2 * height, 2 * width)))  # a panorama's length is nobody's size


def _side_colours(skeleton: "Skeleton", middle: Colour) -> list[Colour]:
    """Colour each keypoint by its side; a flip pair is left then right unless the names say otherwise."""
    colours = [middle] * skeleton.num_keypoints
    for pair in skeleton.flip_pairs:
        left, right = pair[::-1] if "right" in skeleton.keypoints[pair[0]].lower() else pair
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def _strokes(keypoints: Floats, solid: Bools, skeleton: "Skeleton", radius: float, middle: Colour) -> Iterator[_Stroke]:
    """List one person's strokes from the bottom up: bones' outlines, bones, keypoints."""
    usable = np.isfinite(keypoints.sum(axis=1))
    colours = _side_colours(skeleton, middle)
    bones = [(a, b) for a, b in skeleton.bones if usable[a] and usable[b] and solid[a] and solid[b]]
    for a, b in bones:
        yield _Stroke(
            start=keypoints[a], end=keypoints[b], radius=radius + max(0.75, radius / 4), colour=OUTLINE, opacity=0.5
        )
    for a, b in bones:
        sides = {colours[a], colours[b]} - {middle}
        yield _Stroke(
            start=keypoints[a], end=keypoints[b], radius=radius, colour=sides.pop() if len(sides) == 1 else middle
        )
    for index in np.flatnonzero(usable):
        opacity, size = (1.0, 1.5) if solid[index] else (_FAINT, 1.2)
        for grow, colour in ((max(0.75, radius / 3), POINT_EDGE), (0.0, colours[index])):
            yield _Stroke(
                start=keypoints[index],
                end=keypoints[index],
                radius=radius * size + grow,
                colour=colour,
                opacity=opacity,
            )


def _box_strokes(box_xyxy: Floats, radius: float, colour: Colour) -> Iterator[_Stroke]:
    if not np.isfinite(box_xyxy).all():
        return
    corners = box_xyxy[[[0, 1], [2, 1], [2, 3], [0, 3]]]
    for index in range(4):
        yield _Stroke(start=corners[index - 1], end=corners[index], radius=max(0.5, radius), colour=colour)


def _blend(canvas: Image, stroke: _Stroke) -> None:
    """Blend one stroke into the picture, band by band; parts outside are never computed."""
    reach = stroke.radius + 1.0
    ends = np.stack([stroke.start, stroke.end]).astype(np.float64)
    first, last = _span(ends[:, 1], reach, canvas.shape[0])
    for top in range(first, last, _BAND):
        bottom = min(top + _BAND, last)
        left, right = _span(_between(ends, top - reach, bottom + reach), reach, canvas.shape[1])
        if left < right:
            cover = _coverage(ends, stroke.radius, slice(top, bottom), slice(left, right)) * stroke.opacity
            part = canvas[top:bottom, left:right]
            part[:] = np.rint(part + (np.array(stroke.colour) - part) * cover[..., None])


def _span(positions: Floats, reach: float, limit: int) -> tuple[int, int]:
    """First and one past the last pixel within ``reach`` of positions along an axis of ``limit`` pixels."""
    low, high = np.clip([positions.min() - reach, positions.max() + reach + 1], 0, limit)
    return int(np.floor(low)), int(np.ceil(high))


def _between(ends: Floats, top: float, bottom: float) -> Floats:
    """Positions in x of the ends of the part of a line that lies between two rows."""
    (_, start_y), (_, end_y) = ends
    rise = end_y - start_y
    shares = np.array([0.0, 1.0]) if rise == 0 else np.clip((np.array([top, bottom]) - start_y) / rise, 0.0, 1.0)
    positions: Floats = ends[0, 0] + shares * (ends[1, 0] - ends[0, 0])
    return positions


def _coverage(ends: Floats, radius: float, rows: slice, columns: slice) -> Floats:
    """How much of each pixel of a region the stroke covers, 0 to 1, by the distance of its centre."""
    y, x = np.ogrid[rows, columns]
    from_start_x, from_start_y = x - ends[0, 0], y - ends[0, 1]
    along = ends[1] - ends[0]
    length = float(along @ along)
    share = (from_start_x * along[0] + from_start_y * along[1]) / length if length else np.zeros((1, 1))
    share = np.clip(share, 0.0, 1.0)
    distance = np.hypot(from_start_x - share * along[0], from_start_y - share * along[1])
    cover: Floats = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    return cover
