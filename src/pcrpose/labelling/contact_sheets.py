"""Contact sheets: pages of small crops, to review mined boxes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from pcrpose.data.images import open_image
from pcrpose.data.readers.negatives import Negative
from pcrpose.files.atomic import write_whole
from pcrpose.files.checks import at_least
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Crops

TILE, MARGIN, CAPTION = 150, 6, 16  # pixels
BOX_COLOR = (255, 60, 40)


def write_contact_sheets(
    folder: str | Path,
    negatives: Sequence[Negative],
    images: str | Path,
    *,
    columns: int = 8,
    rows: int = 6,
    padding: float = 1.6,
) -> list[Path]:
    """Draw boxes with what lies around them, each under its index, score and image id.

    Args:
        folder: created if missing; pages are ``sheet_000.png`` and so on. Pages of an earlier, longer list that
            have no successor are deleted, so that the folder shows one list.
        negatives: the captions count them from 0, in this order.
        images: folder of the images.
        columns: tiles side by side.
        rows: tiles one below the other.
        padding: how much more than the box a tile shows; the box itself is outlined.

    Returns:
        Paths of the pages, each written atomically.

    Raises:
        ImageError: for an image that cannot be opened.
        ValueError: if there are no rows or columns.
    """
    at_least("columns", columns, 1)
    at_least("rows", rows, 1)
    target, size = Path(folder), columns * rows
    target.mkdir(parents=True, exist_ok=True)
    pages = []
    for start in range(0, len(negatives), size):
        page = draw_sheet(negatives[start : start + size], Path(images), first=start, columns=columns, padding=padding)
        pages.append(target / f"sheet_{start // size:03}.png")
        write_whole(pages[-1], partial(page.save, format="PNG"))
    for stale in set(target.glob("sheet_[0-9][0-9][0-9].png")) - set(pages):
        stale.unlink()
    return pages


def draw_sheet(
    negatives: Sequence[Negative], images: Path, *, first: int = 0, columns: int = 8, padding: float = 1.6
) -> PIL.Image.Image:
    """Draw one page; ``first`` is the index of its first box."""
    step = (TILE + MARGIN, TILE + CAPTION + MARGIN)
    rows = -(-len(negatives) // columns)
    page = PIL.Image.new("RGB", (columns * step[0] + MARGIN, rows * step[1] + MARGIN), "white")
    pen, font = PIL.ImageDraw.Draw(page), PIL.ImageFont.load_default(size=12)
    for number, negative in enumerate(negatives):
        x, y = MARGIN + number % columns * step[0], MARGIN + number // columns * step[1]
        caption = f"{first + number}  {negative.score:.2f}  {negative.image_id}"
        pen.text((x, y), caption, fill="black", font=font)
        page.paste(draw_tile(open_image(images / negative.file_name), negative, padding), (x, y + CAPTION))
    return page


def draw_tile(image: Image, negative: Negative, padding: float = 1.6) -> PIL.Image.Image:
    """Crop one box as a square of `TILE` pixels and outline it."""
    box = negative.box_xyxy
    crop = Crops.from_boxes(box[None], Size(width=TILE, height=TILE), padding=padding)
    tile = PIL.Image.fromarray(crop.warp(image)[0])
    corners = np.clip(crop.forward(box.reshape(1, 2, 2)), 0, TILE - 1).reshape(4)
    PIL.ImageDraw.Draw(tile).rectangle(corners.tolist(), outline=BOX_COLOR)
    return tile
