"""Colors of drawn poses, distinct in every kind of color vision."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pcrpose.files.checks import one_of
from pcrpose.keypoints.drawing.strokes import Color
from pcrpose.keypoints.skeleton import Skeleton

Palette: TypeAlias = Literal["sides", "persons"] | Sequence[Color]

LEFT: Color = (86, 180, 233)  # sky blue and
RIGHT: Color = (230, 159, 0)  # orange of Okabe and Ito's palette, made for color-blind readers
MIDDLE: tuple[Color, ...] = ((255, 255, 255), (255, 75, 105), (165, 45, 255))  # white, rose, violet: far from both
DARK: Color = (20, 20, 20)
PERSONS: tuple[Color, ...] = (  # the rest of Okabe and Ito's, the dark ones left out
    *(LEFT, RIGHT),
    *((240, 228, 66), (0, 158, 115), (204, 121, 167), (213, 94, 0)),
)


def own_color(palette: Palette, person: int) -> Color:
    """Return the color that tells a person from others."""
    if isinstance(palette, str):
        colors: Sequence[Color] = MIDDLE if palette == "sides" else PERSONS
    else:
        colors = palette
    return colors[person % len(colors)]


def keypoint_colors(palette: Palette, skeleton: Skeleton, own: Color) -> list[Color]:
    """Color each keypoint: by its side, where the palette asks for sides, or as the person.

    A flip pair is left then right unless the names say otherwise.
    """
    colors = [own] * skeleton.num_keypoints
    if palette != "sides":
        return colors
    for pair in skeleton.flip_pairs:
        left, right = pair[::-1] if "right" in skeleton.keypoints[pair[0]].lower() else pair
        colors[left], colors[right] = LEFT, RIGHT
    return colors


def check_palette(palette: Palette) -> None:
    """Raise ValueError unless a palette is a known name, or colors of three values from 0 to 255."""
    if isinstance(palette, str):
        one_of("palette", palette, ("sides", "persons"))
    elif not palette or not all(len(color) == 3 and all(0 <= value <= 255 for value in color) for color in palette):  # noqa: PLR2004 - RGB
        raise ValueError(f"palette: expected RGB colors of 0 to 255, found {palette!r:.80}")
