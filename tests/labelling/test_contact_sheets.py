"""Contact sheets: every box has its place, its outline and what lies around it."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import ImageError
from pcrpose.data.readers.negatives import Negative
from pcrpose.labelling.contact_sheets import (
    BOX_COLOR,
    CAPTION,
    MARGIN,
    TILE,
    draw_sheet,
    draw_tile,
    write_contact_sheets,
)

COLORS = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write images of one color each, black but for the middle."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, color in enumerate(COLORS):
        pixels = np.zeros((100, 200, 3), dtype=np.uint8)
        pixels[20:80, 50:150] = color
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def boxes(count: int) -> list[Negative]:
    """Give boxes round the colored middle of one image after the other."""
    return [
        Negative(image_id=number % 3, file_name=f"{number % 3}.png", bbox=(50, 20, 100, 60), score=0.5)
        for number in range(count)
    ]


def center_of(page: PIL.Image.Image, column: int, row: int) -> tuple[int, ...]:
    """Give the color in the middle of a tile."""
    x = MARGIN + column * (TILE + MARGIN) + TILE // 2
    y = MARGIN + row * (TILE + CAPTION + MARGIN) + CAPTION + TILE // 2
    return tuple(np.asarray(page)[y, x].tolist())


def test_boxes_are_in_reading_order(images: Path) -> None:
    """Row by row, each with its own image."""
    page = draw_sheet(boxes(5), images, columns=2)

    assert [center_of(page, number % 2, number // 2) for number in range(5)] == [
        COLORS[number % 3] for number in range(5)
    ]
    assert center_of(page, 1, 2) == (255, 255, 255)


def test_captions_differ_by_index(images: Path) -> None:
    """The index goes on from page to page, so the same box has another caption there."""
    first, later = (np.asarray(draw_sheet(boxes(1), images, first=index)) for index in (0, 48))
    tiles = slice(MARGIN + CAPTION, None)

    np.testing.assert_array_equal(first[tiles], later[tiles])
    assert (first != later).any()


def test_a_tile_shows_the_box_and_what_is_around(images: Path) -> None:
    """The outline stands where the box is, and padding shows the black around it."""
    image = np.asarray(PIL.Image.open(images / "1.png"))

    tile = np.asarray(draw_tile(image, boxes(1)[0], padding=1.5))

    outlined = (tile == BOX_COLOR).all(axis=2)
    rows, columns = np.flatnonzero(outlined.any(axis=1)), np.flatnonzero(outlined.any(axis=0))
    assert columns[0] == pytest.approx(TILE / 2 - TILE / 3, abs=1.5)
    assert columns[-1] == pytest.approx(TILE / 2 + TILE / 3, abs=1.5)
    assert rows[-1] - rows[0] == pytest.approx(0.6 * 2 * TILE / 3, abs=2)
    assert tile[TILE // 2, TILE // 2].tolist() == [0, 200, 0]
    assert tile[TILE // 2, 5].tolist() == [0, 0, 0]


def test_a_box_that_leaves_the_image_is_drawn(images: Path) -> None:
    """Detectors give such boxes."""
    image = np.asarray(PIL.Image.open(images / "0.png"))
    outside = Negative(image_id=0, file_name="0.png", bbox=(-30, -20, 90, 160), score=0.5)

    assert draw_tile(image, outside).size == (TILE, TILE)


def test_pages_are_written_whole(images: Path, tmp_path: Path) -> None:
    """As many as are needed; those of a longer list before are taken away, other files are not."""
    folder = tmp_path / "deep/sheets"
    assert len(write_contact_sheets(folder, boxes(5), images, columns=2, rows=1)) == 3
    (folder / "notes.png").write_text("mine")

    pages = write_contact_sheets(folder, boxes(3), images, columns=2, rows=1)

    assert pages == [folder / "sheet_000.png", folder / "sheet_001.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["notes.png", "sheet_000.png", "sheet_001.png"]
    with PIL.Image.open(pages[1]) as page:
        assert center_of(page, 0, 0) == COLORS[2]


def test_no_boxes_make_no_pages(images: Path, tmp_path: Path) -> None:
    """The folder is there and empty."""
    assert write_contact_sheets(tmp_path / "sheets", [], images) == []


def test_a_missing_image_is_named(images: Path, tmp_path: Path) -> None:
    """A folder of other images is the usual mistake."""
    lost = Negative(image_id=9, file_name="9.png", bbox=(0, 0, 9, 9), score=0.5)

    with pytest.raises(ImageError, match=r"9\.png"):
        write_contact_sheets(tmp_path / "sheets", [*boxes(1), lost], images)
    assert list((tmp_path / "sheets").iterdir()) == []


def test_a_sheet_without_rows_is_refused(images: Path, tmp_path: Path) -> None:
    """It could show nothing."""
    with pytest.raises(ValueError, match="rows: expected at least 1, found 0"):
        write_contact_sheets(tmp_path, boxes(1), images, rows=0)
