"""Drawing of poses: anti-aliased limbs in colors that are safe for every kind of color vision."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pcrpose.files.checks import positive
from pcrpose.keypoints.arrays import Bools, Floats, Image
from pcrpose.keypoints.drawing.ellipses import Ellipse, blend_ellipse
from pcrpose.keypoints.drawing.strokes import Color, Stroke, blend, open_canvas
from pcrpose.keypoints.ellipses import ellipse_radius

if TYPE_CHECKING:
    from pcrpose.keypoints.poses import Poses
    from pcrpose.keypoints.skeleton import Skeleton

LEFT: Color = (86, 180, 233)  # sky blue and
RIGHT: Color = (230, 159, 0)  # orange of Okabe and Ito's palette, made for color-blind readers
MIDDLE: tuple[Color, ...] = ((255, 255, 255), (255, 75, 105), (165, 45, 255))  # white, rose, violet: far from both
DARK: Color = (20, 20, 20)

_SHARE = 0.028  # line width over the person's size
_THINNEST = 1.5  # pixels of line width, and
_TEXT = 10.0  # pixels of letter height, both on a screen
_SCREEN = 750  # pixels of an image's shorter side above which it is looked at shrunk
_RING = 3.0  # pixels of line width from which keypoints have a ring; on smaller persons it would bury the limbs
_OUTLINE = 0.5  # opacity of the dark edge that keeps limbs visible on a bright ground
_FAINT = 0.5  # opacity of keypoints that score too low for bones
_ELLIPSE = 0.95  # probability that an ellipse holds its keypoint, unless another one is asked for

Plate: TypeAlias = tuple[int, int, int, int]  # first column and row, last column and row


def draw_poses(
    image: Image | PIL.Image.Image,
    poses: "Poses",
    *,
    threshold: float = 0.2,
    boxes: bool = False,
    scores: bool = False,
    ellipses: bool | float = False,
    left_right: bool = False,
    line_width: float | None = None,
) -> PIL.Image.Image:
    """Draw poses on a copy of an image.

    The left side of a person is sky blue, the right side orange. What joins them, the rings of the keypoints and the
    box have one of three colors, so that persons who overlap can be told apart. The best-scored person is drawn last.

    Args:
        image: ``(H, W, 3)`` uint8, RGB, or a PIL image, which is turned upright by its EXIF orientation, as
            predictors read it. Gray is drawn on in color, opacity is dropped. Not changed.
        poses: persons in that image's pixels; keypoints outside are cut off, keypoints that are not finite left out.
        threshold: keypoints scoring at most this are drawn faint, where they are, and carry no bones.
        boxes: draw each person's box too.
        scores: write each person's pose score above its box, or inside it where the image ends.
        ellipses: draw where each keypoint above the threshold may be: the ellipse that holds it with this probability,
            .95 for True.
        left_right: write how consistent each person's left and right are, behind the score if that is written too.
        line_width: of the bones, pixels; by default a fraction of the person's size.

    Returns:
        A new RGB image, upright, of the same size.

    Raises:
        ValueError: if an array is not a uint8 image, ``line_width`` is not positive, ``ellipses`` is no probability, or
            the poses have no covariances or consistency to show.
        TypeError: if ``image`` is neither, a path for example.
    """
    if line_width is not None:
        positive("line_width", line_width, of="pixels")
    shapes = _shapes(poses, ellipses)
    texts = _texts(poses, scores=scores, left_right=left_right)
    canvas = open_canvas(image)
    solid: Bools = np.greater(poses.keypoint_scores, threshold)
    widths = [
        line_width or _line_width(points[found], box, canvas)
        for points, found, box in zip(poses.keypoints, solid, poses.boxes_xyxy, strict=True)
    ]
    for person in np.argsort(poses.pose_scores, kind="stable"):
        own = MIDDLE[person % len(MIDDLE)]
        if boxes:
            for stroke in _box_strokes(poses.boxes_xyxy[person], widths[person] / 4, own):
                blend(canvas, stroke)
        if shapes is not None:
            _draw_ellipses(canvas, poses, int(person), shapes[person], solid[person])
        for stroke in _strokes(poses.keypoints[person], solid[person], poses.skeleton, widths[person] / 2, own):
            blend(canvas, stroke)
    drawn = PIL.Image.fromarray(canvas)
    if texts:
        _write_texts(drawn, poses, texts, [max(_TEXT * _zoom(canvas), 2.5 * width) for width in widths])
    return drawn


def _zoom(canvas: Image) -> float:
    """Return how much larger than a screen shows the image is: what is smallest on it grows with it."""
    return float(max(1.0, min(canvas.shape[:2]) / _SCREEN))


def _line_width(keypoints: Floats, box_xyxy: Floats, canvas: Image) -> float:
    """Return a fraction of the person's size: of the keypoints found, or of a part of the box where few are."""
    height, width = canvas.shape[:2]
    sizes = [0.0]
    for places, weight in ((keypoints, 1.0), (box_xyxy.reshape(2, 2), 0.6)):
        usable = places[np.isfinite(places).all(axis=1)]
        if len(usable):
            extents = np.ptp(np.clip(usable, 0, (width, height)), axis=0)
            sizes.append(weight * float(extents.mean()))
    size = min(max(sizes), 1.5 * height, 1.5 * width)  # a panorama's length is nobody's size
    return max(_THINNEST * _zoom(canvas), float(_SHARE * size))


def _side_colors(skeleton: "Skeleton", own: Color) -> list[Color]:
    """Color each keypoint by its side; a flip pair is left then right unless the names say otherwise."""
    colors = [own] * skeleton.num_keypoints
    for pair in skeleton.flip_pairs:
        left, right = pair[::-1] if "right" in skeleton.keypoints[pair[0]].lower() else pair
        colors[left], colors[right] = LEFT, RIGHT
    return colors


def _strokes(keypoints: Floats, solid: Bools, skeleton: "Skeleton", radius: float, own: Color) -> Iterator[Stroke]:
    """List one person's strokes from the bottom up: bones' outlines, bones, faint keypoints, keypoints."""
    usable: Bools = np.logical_and.reduce(np.isfinite(keypoints), axis=1)
    colors = _side_colors(skeleton, own)
    bones = [(a, b) for a, b in skeleton.bones if usable[a] and usable[b] and solid[a] and solid[b]]
    edge = max(0.75, radius / 4)
    for a, b in bones:
        yield Stroke(start=keypoints[a], end=keypoints[b], radius=radius + edge, color=DARK, opacity=_OUTLINE)
    for a, b in bones:
        sides = {colors[a], colors[b]} - {own}
        color = sides.pop() if len(sides) == 1 else own
        yield Stroke(start=keypoints[a], end=keypoints[b], radius=radius, color=color)
    for index in np.flatnonzero(usable & ~solid):
        yield from _discs(keypoints[index], (radius * 1.2 + edge, radius * 1.2), (DARK, colors[index]), _FAINT)
    size = radius * 1.4
    ring = size + (radius / 2.5 if 2 * radius >= _RING else 0.0)
    for index in np.flatnonzero(usable & solid):
        yield from _discs(keypoints[index], (ring + edge, ring, size), (DARK, own, colors[index]))


def _discs(
    center: Floats, radii: tuple[float, ...], colors: tuple[Color, ...], opacity: float = 1.0
) -> Iterator[Stroke]:
    """Lay discs on each other, the outline's first."""
    for radius, color in zip(radii, colors, strict=True):
        strength = opacity * (_OUTLINE if color == DARK else 1.0)
        yield Stroke(start=center, end=center, radius=radius, color=color, opacity=strength)


def _box_strokes(box_xyxy: Floats, radius: float, own: Color) -> Iterator[Stroke]:
    if not np.isfinite(box_xyxy).all():
        return
    corners = box_xyxy[[[0, 1], [2, 1], [2, 3], [0, 3]]]
    for grow, color, opacity in ((0.75, DARK, _OUTLINE), (0.0, own, 1.0)):
        for index in range(4):
            yield Stroke(
                start=corners[index - 1],
                end=corners[index],
                radius=max(0.5, radius) + grow,
                color=color,
                opacity=opacity,
            )


def _shapes(poses: "Poses", ellipses: bool | float) -> Floats | None:  # noqa: FBT001 - as in draw_poses
    """Return the ``(N, J, 2, 2)`` shapes of the ellipses that are asked for; None for none."""
    if ellipses is False:
        return None
    radius = ellipse_radius(_ELLIPSE if ellipses is True else ellipses)
    if poses.keypoint_covariances is None:
        raise ValueError(
            "ellipses: expected poses with keypoint_covariances, of a model with a calibration, found None"
        )
    shapes: Floats = radius**2 * poses.keypoint_covariances
    return shapes


def _draw_ellipses(canvas: Image, poses: "Poses", person: int, shapes: Floats, solid: Bools) -> None:
    """Draw the ellipses of one person's keypoints, in the colors of their sides."""
    keypoints, own = poses.keypoints[person], MIDDLE[person % len(MIDDLE)]
    colors = _side_colors(poses.skeleton, own)
    usable = solid & np.isfinite(keypoints).all(axis=1) & np.isfinite(shapes).all(axis=(1, 2))
    for index in np.flatnonzero(usable):
        ellipse = Ellipse(center=keypoints[index], shape=shapes[index], width=_zoom(canvas), color=colors[index])
        blend_ellipse(canvas, ellipse)


def _texts(poses: "Poses", *, scores: bool, left_right: bool) -> list[str]:
    """Return what is to be written at each person; nothing where nothing is asked for."""
    columns = [[f"{score:.2f}" for score in poses.pose_scores]] if scores else []
    if left_right:
        if poses.left_right_consistency is None:
            raise ValueError("left_right: expected poses with left_right_consistency, predicted with flip, found None")
        columns.append([f"L/R={consistency:.2f}" for consistency in poses.left_right_consistency])
    return ["  ".join(row) for row in zip(*columns, strict=True)]


def _write_texts(image: PIL.Image.Image, poses: "Poses", texts: list[str], sizes: list[float]) -> None:
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
