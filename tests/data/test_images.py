"""Opening images of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import ImageError, image_size, open_image
from pcrpose.keypoints.boxes import Size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def four_colors() -> PIL.Image.Image:
    """A 2 x 2 image: red, green over blue, white."""
    return PIL.Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], dtype=np.uint8))


def gradient(height: int = 3, width: int = 5) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An image that looks different from each side."""
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(opened: PIL.Image.Image, path: Path, **options: Any) -> Path:  # noqa: ANN401 - Pillow's own
    """Save and give the path back."""
    opened.save(path, **options)
    return path


def grays(*values: int) -> list[tuple[int, int, int]]:
    """RGB triples of equal channels."""
    return [(value,) * 3 for value in values]


def gray(dtype: type[np.generic], *values: int) -> PIL.Image.Image:
    """A 2 x 2 image of one channel."""
    return PIL.Image.fromarray(np.array(values).reshape(2, 2).astype(dtype))


COLORS = [RED, GREEN, BLUE, WHITE]
MODES: dict[str, tuple[PIL.Image.Image, str, list[tuple[int, int, int]]]] = {
    "RGB": (four_colors(), "png", COLORS),
    "RGBA opaque": (four_colors().convert("RGBA"), "png", COLORS),
    "gray": (gray(np.uint8, 0, 50, 100, 255), "png", grays(0, 50, 100, 255)),
    "16-bit gray": (gray(np.uint16, 0, 257, 25700, 65535), "png", grays(0, 1, 100, 255)),
    "16-bit gray tiff": (gray(np.uint16, 0, 128, 129, 65535), "tiff", grays(0, 0, 1, 255)),
    "32-bit gray within 16": (gray(np.int32, 0, 257, 25700, 65535), "tiff", grays(0, 1, 100, 255)),
    "1-bit": (gray(np.bool_, 0, 1, 1, 0), "png", grays(0, 255, 255, 0)),
    "palette": (four_colors().convert("P", palette=PIL.Image.Palette.ADAPTIVE), "png", COLORS),
    "CMYK": (four_colors().convert("CMYK"), "tiff", COLORS),
    "bmp": (four_colors(), "bmp", COLORS),
    "webp": (four_colors(), "webp", COLORS),
}


@pytest.mark.parametrize("kind", MODES)
def test_every_mode_becomes_rgb(kind: str, tmp_path: Path) -> None:
    """Each pixel mode comes out as contiguous uint8 RGB with the right colors, from a path and from bytes."""
    opened, suffix, expected = MODES[kind]
    path = saved(opened, tmp_path / f"image.{suffix}", **({"lossless": True} if suffix == "webp" else {}))

    image = open_image(path)

    assert image.dtype == np.uint8
    assert image.shape == (2, 2, 3)
    assert image.flags.c_contiguous
    assert image.reshape(-1, 3).tolist() == [list(color) for color in expected]
    np.testing.assert_array_equal(open_image(str(path)), image)
    np.testing.assert_array_equal(open_image(path.read_bytes()), image)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_transparency_shows_white(suffix: str, tmp_path: Path) -> None:
    """A half transparent black is mid-gray and a transparent pixel is white."""
    pixels = np.array([[[0, 0, 0, 255], [0, 0, 0, 128], [9, 9, 9, 0]]], dtype=np.uint8)
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = saved(PIL.Image.fromarray(pixels), tmp_path / f"alpha.{suffix}", **options)

    assert open_image(path)[0].tolist() == [[0] * 3, [127] * 3, [255] * 3]
    np.testing.assert_array_equal(open_image(pixels), open_image(path))


@pytest.mark.parametrize("transparency", [0, bytes([0, 255, 255])], ids=["index", "table"])
def test_transparent_palette_shows_white(transparency: int | bytes, tmp_path: Path) -> None:
    """The transparent entry of a palette is white, the others keep their color; no warning is given."""
    opened = PIL.Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    opened.putpalette([*RED, *GREEN, *BLUE])
    path = saved(opened, tmp_path / "palette.png", transparency=transparency)

    assert open_image(path)[0].tolist() == [list(WHITE), list(GREEN), list(BLUE)]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    """A CMYK JPEG has the colors of the RGB one."""
    opened = PIL.Image.new("RGB", (16, 16), (200, 100, 50))
    path = saved(opened.convert("CMYK"), tmp_path / "cmyk.jpg", quality=100)

    np.testing.assert_allclose(open_image(path)[8, 8], (200, 100, 50), atol=3)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animation_gives_its_first_frame(suffix: str, tmp_path: Path) -> None:
    """Of an animated image the first frame is taken."""
    frames = [PIL.Image.new("RGB", (4, 4), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(frames[0], tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:], **options)

    assert open_image(path)[0, 0].tolist() == list(RED)


UPRIGHT: dict[int, Callable[[Any], Any]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_exif_orientation_is_applied_to_files(orientation: int, suffix: str, tmp_path: Path) -> None:
    """Each of the eight orientations comes out upright, and the header alone tells the upright size."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(PIL.Image.fromarray(gradient()), tmp_path / f"turned.{suffix}", exif=exif, **options)
    expected = UPRIGHT[orientation](gradient())

    np.testing.assert_array_equal(open_image(path), expected)
    np.testing.assert_array_equal(open_image(path.read_bytes()), expected)
    assert open_image(path).flags.c_contiguous
    assert image_size(path) == Size(width=expected.shape[1], height=expected.shape[0])


def test_exif_orientation_of_a_jpeg(tmp_path: Path) -> None:
    """A camera's JPEG, stored lying down, stands up."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = saved(PIL.Image.new("RGB", (40, 20)), tmp_path / "phone.jpg", exif=exif)

    assert open_image(path).shape == (40, 20, 3)
    assert image_size(path) == Size(width=20, height=40)


def test_pil_images_are_read_upright(tmp_path: Path) -> None:
    """A PIL image comes out as its file does; drawing turns it likewise."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = saved(PIL.Image.fromarray(gradient()), tmp_path / "turned.png", exif=exif)

    with PIL.Image.open(path) as opened:
        np.testing.assert_array_equal(open_image(opened), open_image(path))
        assert open_image(opened).shape == gradient().swapaxes(0, 1).shape


def test_unreadable_exif_does_not_matter(tmp_path: Path) -> None:
    """Pixels behind a broken EXIF block are still read."""
    path = saved(PIL.Image.fromarray(gradient()), tmp_path / "exif.png", exif=b"Exif\x00\x00rubbish")

    np.testing.assert_array_equal(open_image(path), gradient())


ARRAYS: dict[str, tuple[tuple[int, ...], list[int]]] = {
    "(H, W)": ((2, 3), [7, 7, 7]),
    "(H, W, 1)": ((2, 3, 1), [7, 7, 7]),
    "(H, W, 3)": ((2, 3, 3), [7, 8, 9]),
    "(H, W, 4)": ((2, 3, 4), [7, 8, 9]),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(kind: str) -> None:
    """Gray, RGB and RGBA arrays become RGB; with ``bgr`` only the colors change places."""
    shape, expected = ARRAYS[kind]
    array = np.empty(shape, dtype=np.uint8)
    array[...] = [7] if len(shape) == 2 or shape[2] == 1 else [7, 8, 9, 255][: shape[2]]
    before = array.copy()

    assert open_image(array).shape == (2, 3, 3)
    assert open_image(array)[0, 0].tolist() == expected
    assert open_image(array, color="bgr")[0, 0].tolist() == expected[::-1]
    assert open_image(array, color="bgr").flags.c_contiguous
    np.testing.assert_array_equal(array, before)


def test_array_views_become_contiguous() -> None:
    """A mirrored view is copied into order; a fitting array is handed back itself."""
    array = gradient()

    assert open_image(array) is array
    assert open_image(array[:, ::-1]).flags.c_contiguous
    np.testing.assert_array_equal(open_image(array[:, ::-1]), array[:, ::-1])


def test_color_says_nothing_about_files(tmp_path: Path) -> None:
    """A file knows its own order of colors, whatever is said about arrays."""
    path = saved(PIL.Image.fromarray(gradient()), tmp_path / "image.png")

    np.testing.assert_array_equal(open_image(path, color="bgr"), gradient())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3)), "expected uint8 values 0..255, found float64"),
        (np.zeros((4, 4, 3), dtype=np.float32), "found float32"),
        (np.zeros((4, 4), dtype=np.uint16), "found uint16"),
        (np.zeros((4, 4), dtype=bool), "found bool"),
        (np.zeros((3, 40, 60), dtype=np.uint8), r"found \(3, 40, 60\)"),
        (np.zeros((1, 4, 4, 3), dtype=np.uint8), r"found \(1, 4, 4, 3\)"),
        (np.zeros(4, dtype=np.uint8), r"found \(4,\)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"found \(0, 4, 3\)"),
    ],
)
def test_wrong_arrays_are_refused(array: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    """The error names the type or shape that was found."""
    with pytest.raises(ImageError, match=message):
        open_image(array)


def test_wrong_types_are_refused() -> None:
    """Something that is no image at all is a TypeError, an unknown color order a ValueError."""
    with pytest.raises(TypeError, match="found int"):
        open_image(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 'rgb' or 'bgr', found 'rgba'"):
        open_image(gradient(), color="rgba")  # type: ignore[arg-type]


def test_real_images(shared_data: Callable[[str], Path]) -> None:
    """Photographs open with the size that their annotations give."""
    folder = shared_data("samples/coco")

    assert {open_image(path).shape for path in folder.glob("000000000785.jpg")} == {(425, 640, 3)}
