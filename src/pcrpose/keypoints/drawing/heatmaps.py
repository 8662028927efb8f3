"""Drawing of heatmaps over their image."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL.Image

from pcrpose.files.checks import fraction
from pcrpose.keypoints.arrays import Floats, as_floats
from pcrpose.keypoints.drawing.strokes import Color, Source, open_canvas

if TYPE_CHECKING:
    from pcrpose.keypoints.crop import Alignment, Crops

# From low to high, equally far apart for the eye; lightness rises all the way, so the order shows without color too.
RAMP: tuple[Color, ...] = (
    (37, 33, 68),
    (116, 57, 99),
    (183, 68, 106),
    (226, 94, 95),
    (238, 147, 103),
    (253, 194, 104),
    (252, 238, 106),
)

_WEAK = 0.2  # where no value is higher, nothing was found, and nothing shall look as if it were
_SHEER = 0.25  # fraction of the highest value below which the overlay lets more of the image through


def draw_heatmaps(
    image: Source,
    heatmaps: npt.ArrayLike,
    crop: "Crops",
    *,
    opacity: float = 0.6,
    keypoint: int | None = None,
    alignment: "Alignment" = "center",
) -> PIL.Image.Image:
    """Draw the heatmaps of one crop on a copy of its image, from dark violet over red to bright yellow.

    Shown is the highest of the J values at each pixel. The highest value of all J maps is brightest, or 0.2 where
    none reaches that; values near zero and below leave the image as it is. The result can be drawn on again: with
    the next person's heatmaps, or with poses.

    Args:
        image: path, encoded bytes, PIL image, turned upright by its EXIF orientation, or ``(H, W, 3)`` uint8, RGB. Not
            changed.
        heatmaps: ``(J, h, w)`` float of one person, Gaussian or probability; what is not finite counts as 0.
        crop: the one crop of that image which the heatmaps cover; they and it come from `PosePredictor.heatmaps`.
        opacity: of all but the low values, 0 to 1.
        keypoint: index of the only map to show, as bright as among the others; None shows all.
        alignment: where the cells lie in the crop, as the model's configuration says; see `HeatmapCodec`.

    Returns:
        A new RGB image, upright, of the same size.

    Raises:
        ValueError: if a shape does not fit, ``crop`` is not one crop or ``opacity`` not between 0 and 1.
        IndexError: if there is no such keypoint.
        FileNotFoundError: for a path that does not exist.
        TypeError: if ``image`` is none of these.
    """
    maps = as_floats(heatmaps, shape=(None, None, None), name="heatmaps")
    if not maps.size:
        raise ValueError(f"heatmaps: expected shape (J, h, w), not empty, found {maps.shape}")
    if len(crop) != 1:
        raise ValueError(f"crop: expected one crop, found {len(crop)}")
    fraction("opacity", opacity)
    if keypoint is not None and not -len(maps) <= keypoint < len(maps):
        raise IndexError(f"keypoint: expected an index of {len(maps)} heatmaps, found {keypoint!r}")
    maps = np.nan_to_num(maps, posinf=0, neginf=0)
    shown = (maps.max(axis=0) if keypoint is None else maps[keypoint]) / max(float(maps.max()), _WEAK)
    canvas = PIL.Image.fromarray(open_canvas(image))
    to_cells = _to_cells(crop, shown.shape, alignment)
    region = _touched(crop, canvas.size)
    if region[0] < region[2] and region[1] < region[3]:
        _lay(canvas, shown, to_cells, region, opacity)
    return canvas


def _to_cells(crop: "Crops", shape: tuple[int, ...], alignment: "Alignment") -> Floats:
    """``(2, 3)``: from image pixels to cells, x then y."""
    pixels, cells = np.array([crop.size.width, crop.size.height]), np.array(shape[::-1])
    strides = (pixels - 1) / np.maximum(cells - 1, 1) if alignment == "udp" else pixels / cells
    to_cells: Floats = crop.matrices[0] / strides[:, None]
    if alignment == "center":
        to_cells[:, 2] += (0.5 / strides) - 0.5
    return to_cells


def _touched(crop: "Crops", canvas: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return first column and row, and one past the last, of the rectangle of the image that the crop touches."""
    right, bottom = crop.size.width - 0.5, crop.size.height - 0.5
    corners = crop.inverse([[[-0.5, -0.5], [right, -0.5], [-0.5, bottom], [right, bottom]]])[0]
    low = np.clip(np.floor(corners.min(axis=0)), 0, canvas).astype(int).tolist()
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, canvas).astype(int).tolist()
    return low[0], low[1], high[0], high[1]


def _lay(
    canvas: PIL.Image.Image, shown: Floats, to_cells: Floats, region: tuple[int, int, int, int], opacity: float
) -> None:
    """Resample the values, at most 1, to the pixels of ``region`` and paste their colors."""
    left, top, right, bottom = region
    # Pillow counts from pixels' corners, in the image as in the cells.
    offset = to_cells[:, :2] @ np.array([left - 0.5, top - 0.5]) + to_cells[:, 2] + 0.5
    matrix = np.concatenate([to_cells[:, :2], offset[:, None]], axis=1).flatten().tolist()
    values = PIL.Image.fromarray(np.clip(shown * 255, 0, 255).astype(np.float32)).transform(
        (right - left, bottom - top), PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR
    )
    levels = values.convert("L")
    steps = np.arange(256) / 255
    anchors = np.linspace(0, 1, len(RAMP))
    colors = [
        levels.point(np.rint(np.interp(steps, anchors, channel)).astype(int).tolist()) for channel in np.array(RAMP).T
    ]
    strengths = np.rint(255 * opacity * np.minimum(steps / _SHEER, 1)).astype(int).tolist()
    canvas.paste(PIL.Image.merge("RGB", colors), (left, top), levels.point(strengths))
