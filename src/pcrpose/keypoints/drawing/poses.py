"""Drawing of poses: anti-aliased limbs in colors that are safe for every kind of color vision."""

# ruff: noqa: TC001, TC003 - types stand with the other imports

from __future__ import annotations  # help() then shows the names of types, not what they stand for

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import PIL.Image

from pcrpose.files.checks import one_of, positive
from pcrpose.keypoints.arrays import Bools, Floats, Image
from pcrpose.keypoints.drawing.ellipses import Ellipse, blend_ellipse
from pcrpose.keypoints.drawing.palette import DARK, Palette, check_palette, keypoint_colors, own_color
from pcrpose.keypoints.drawing.strokes import Color, Source, Stroke, blend, open_canvas
from pcrpose.keypoints.drawing.texts import pose_texts, write_labels, write_texts
from pcrpose.keypoints.ellipses import ellipse_radius

if TYPE_CHECKING:
    from pcrpose.keypoints.poses import Poses

Labels: TypeAlias = Literal["names", "indices"]

_SHARE = 0.028  # line width over the person's size
_THINNEST = 2.0  # pixels of line width, and
_TEXT = 10.0  # pixels of letter height, both on a screen
_SCREEN = 750  # pixels of an image's shorter side above which it is looked at shrunk
_RING = 3.0  # pixels of line width from which keypoints have a ring; on smaller persons it would bury the limbs
_OUTLINE = 0.5  # opacity of the dark edge that keeps limbs visible on a bright ground
_FAINT = 2.4  # pixels of radius, on a screen, of the smallest keypoint that scores too low for bones
_ELLIPSE = 0.95  # probability that an ellipse holds its keypoint, unless another one is asked for
_FACE = ("nose", "eye", "ear")


def draw_poses(
    image: Source,
    poses: Poses,
    *,
    threshold: float = 0.2,
    boxes: bool = False,
    scores: bool = False,
    labels: Labels | None = None,
    face: bool = True,
    palette: Palette = "sides",
    ellipses: bool | float = False,
    left_right: bool = False,
    line_width: float | None = None,
    color: Literal["rgb", "bgr"] = "rgb",
) -> PIL.Image.Image:
    """Draw poses on a copy of an image.

    The left side of a person is sky blue, the right side orange. What joins them, the rings of the keypoints and the
    box have one of three colors, so that persons who overlap can be told apart. The best-scored person is drawn last.
    Lines follow the person's size; lines, dots and letters never become too small for the size of the image.

    Args:
        image: what `PosePredictor.predict` takes: path, encoded bytes, PIL image or ``(H, W, 3)`` uint8 array. Turned
            upright by its EXIF orientation, as predictors read it. Gray is drawn on in color. Not changed.
        poses: persons in that image's pixels; keypoints outside are cut off, keypoints that are not finite left out.
        threshold: keypoints scoring at most this are drawn as hollow rings, where they are, and carry no bones.
        boxes: draw each person's box too.
        scores: write each person's pose score above its box, or inside it where the image ends.
        labels: write each keypoint's name or index beside it, above the threshold.
        face: draw nose, eyes and ears too.
        palette: ``"sides"``, ``"persons"`` for a color per person, or RGB colors that persons take in turn.
        ellipses: draw where each keypoint above the threshold may be: the ellipse that holds it with this probability,
            .95 for True.
        left_right: write how consistent each person's left and right are, behind the score if that is written too.
        line_width: of the bones, pixels; by default a fraction of the person's size.
        color: order of an array's channels, ``"bgr"`` for images from OpenCV.

    Returns:
        A new RGB image, upright, of the same size.

    Raises:
        ValueError: if the image cannot be read, an array is not a uint8 image, ``line_width`` is not positive,
            ``ellipses`` is no probability, an option is unknown, or the poses have no covariances or consistency to
            show.
        FileNotFoundError: for a path that does not exist.
        TypeError: if ``image`` is none of these.
    """
    if line_width is not None:
        positive("line_width", line_width, of="pixels")
    one_of("labels", labels, (None, *get_args(Labels)))
    check_palette(palette)
    shapes = _shapes(poses, ellipses)
    texts = pose_texts(poses, scores=scores, left_right=left_right)
    canvas = open_canvas(image, color=color)
    hidden = [not face and any(part in name.lower() for part in _FACE) for name in poses.skeleton.keypoints]
    solid: Bools = np.greater(poses.keypoint_scores, threshold)
    widths = [
        line_width or _line_width(points[found], box, canvas)
        for points, found, box in zip(poses.keypoints, solid, poses.boxes_xyxy, strict=True)
    ]
    zoom = _zoom(canvas)
    for person in np.argsort(poses.pose_scores, kind="stable"):
        own = own_color(palette, int(person))
        colors = keypoint_colors(palette, poses.skeleton, own)
        keypoints = np.where(np.array(hidden)[:, None], np.nan, poses.keypoints[person])
        if boxes:
            for stroke in _box_strokes(poses.boxes_xyxy[person], widths[person] / 4, own):
                blend(canvas, stroke)
        if shapes is not None:
            _draw_ellipses(canvas, keypoints, shapes[person], solid[person], colors, width=zoom)
        figure = Figure(keypoints=keypoints, solid=solid[person], bones=poses.skeleton.bones, colors=colors, own=own)
        for stroke in figure.strokes(widths[person] / 2, least=_FAINT * zoom):
            blend(canvas, stroke)
    drawn = PIL.Image.fromarray(canvas)
    if labels is not None:
        _write_labels(drawn, poses, solid & ~np.array(hidden), labels, [max(_TEXT * zoom, 2 * w) for w in widths])
    if texts:
        write_texts(drawn, poses, texts, [max(_TEXT * zoom, 2.5 * width) for width in widths])
    return drawn


def _write_labels(image: PIL.Image.Image, poses: Poses, shown: Bools, labels: Labels, sizes: list[float]) -> None:
    """Write the names or indices of all persons' keypoints."""
    joints = range(poses.skeleton.num_keypoints)
    written = [poses.skeleton.keypoints[joint] if labels == "names" else str(joint) for joint in joints]
    usable = shown & np.isfinite(poses.keypoints).all(axis=2)
    for keypoints, own, size in zip(poses.keypoints, usable, sizes, strict=True):
        write_labels(image, keypoints, own, written, size)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """One person to draw.

    Attributes:
        keypoints: ``(J, 2)`` float, x then y, canvas pixels; those that are not finite are left out.
        solid: ``(J,)`` which of them score high enough for bones.
        bones: pairs of indices.
        colors: of the J keypoints.
        own: the person's color.
    """

    keypoints: Floats
    solid: Bools
    bones: tuple[tuple[int, int], ...]
    colors: list[Color]
    own: Color

    def strokes(self, radius: float, *, least: float) -> Iterator[Stroke]:
        """List the strokes from the bottom up: bones' outlines, bones, low-scored keypoints, keypoints.

        Args:
            radius: half the width of the bones, pixels.
            least: radius of low-scored keypoints, if those of the others are smaller.
        """
        points, colors = self.keypoints, self.colors
        usable: Bools = np.logical_and.reduce(np.isfinite(points), axis=1)
        drawn = usable & self.solid
        bones = [(a, b) for a, b in self.bones if drawn[a] and drawn[b]]
        edge = max(0.75, radius / 4)
        for a, b in bones:
            yield Stroke(start=points[a], end=points[b], radius=radius + edge, color=DARK, opacity=_OUTLINE)
        for a, b in bones:
            sides = {colors[a], colors[b]} - {self.own}
            color = sides.pop() if len(sides) == 1 else self.own
            yield Stroke(start=points[a], end=points[b], radius=radius, color=color)
        for index in np.flatnonzero(usable & ~self.solid):
            yield from _ring(points[index], max(radius * 1.6, least), colors[index])
        size = radius * 1.4
        ring = size + (radius / 2.5 if 2 * radius >= _RING else 0.0)
        for index in np.flatnonzero(drawn):
            yield from _discs(points[index], (ring + edge, ring, size), (DARK, self.own, colors[index]))


def _ring(center: Floats, radius: float, color: Color) -> Iterator[Stroke]:
    """Draw a hollow disc in full color between dark edges, which shows on every ground and hides little of it."""
    width = radius / 2.5
    for outer, inner, tone, opacity in (
        (radius + width / 2, radius - 1.5 * width, DARK, _OUTLINE),
        (radius, radius - width, color, 1.0),
    ):
        yield Stroke(start=center, end=center, radius=outer, hole=max(inner, 0.0), color=tone, opacity=opacity)


def _discs(center: Floats, radii: tuple[float, ...], colors: tuple[Color, ...]) -> Iterator[Stroke]:
    """Lay discs on each other, the outline's first."""
    for radius, color in zip(radii, colors, strict=True):
        strength = _OUTLINE if color == DARK else 1.0
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


def _shapes(poses: Poses, ellipses: bool | float) -> Floats | None:  # noqa: FBT001 - as in draw_poses
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


def _draw_ellipses(
    canvas: Image, keypoints: Floats, shapes: Floats, solid: Bools, colors: list[Color], *, width: float
) -> None:
    """Draw the ellipses of one person's keypoints, in their colors."""
    usable = solid & np.isfinite(keypoints).all(axis=1) & np.isfinite(shapes).all(axis=(1, 2))
    for index in np.flatnonzero(usable):
        blend_ellipse(canvas, Ellipse(center=keypoints[index], shape=shapes[index], width=width, color=colors[index]))
