"""Refusing what is no image, and opening what is unusually large."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import MAX_PIXELS, ImageError, image_size, open_image
from pcrpose.keypoints.boxes import Size


def saved(image: PIL.Image.Image, path: Path) -> Path:
    """Save and give the path back."""
    image.save(path)
    return path


def encoded(suffix: str) -> bytes:
    """An image too noisy to be small."""
    stream = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(stream, suffix)
    return stream.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises a size and whose pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b""
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        body += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + body


BROKEN = {
    "zero bytes": (b"", "found 0 bytes"),
    "text": (b"not an image at all", "found a file that starts with b'not an image'"),
    "half a jpeg": (encoded("jpeg")[: len(encoded("jpeg")) // 2], "truncated"),
    "a jpeg without its end": (encoded("jpeg")[:-200], "truncated"),
    "a jpeg's first bytes": (encoded("jpeg")[:30], "expected an image"),
    "half a png": (encoded("png")[: len(encoded("png")) // 2], "broken or truncated"),
    "half a webp": (encoded("webp")[: len(encoded("webp")) // 2], "expected a"),
    "half a gif": (encoded("gif")[: len(encoded("gif")) // 2], "broken or truncated"),
    "half a tiff": (encoded("tiff")[: len(encoded("tiff")) // 2], "expected a"),
    "a png without pixels": (png_of(4, 4), "broken or truncated"),
    "an absurd size": (png_of(100_000, 90_000), f"expected 1 to {MAX_PIXELS} pixels, found 100000 x 90000"),
    "no size": (png_of(0, 0), "expected"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused(kind: str, tmp_path: Path) -> None:
    """The error names the file and says what was found; half an image is never returned."""
    content, message = BROKEN[kind]
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ImageError, match=message):
        open_image(content)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    """A missing file is both a FileNotFoundError and an ImageError; a folder is an ImageError."""
    for opener in (open_image, image_size):
        with pytest.raises(FileNotFoundError, match=r"missing\.jpg: no such image file"):
            opener(tmp_path / "missing.jpg")
        with pytest.raises(ImageError, match=r"missing\.jpg"):
            opener(tmp_path / "missing.jpg")
        with pytest.raises(ImageError, match="expected an image file, found a folder"):
            opener(tmp_path)


def test_floating_point_and_wide_images_are_refused(tmp_path: Path) -> None:
    """Pixels that have no 8-bit meaning are an error, not a guess."""
    floats = saved(PIL.Image.fromarray(np.zeros((2, 2), dtype=np.float32)), tmp_path / "float.tiff")
    wide = saved(PIL.Image.fromarray(np.array([[0, 70000]], dtype=np.int32)), tmp_path / "wide.tiff")

    with pytest.raises(ImageError, match="found 32-bit floating point"):
        open_image(floats)
    with pytest.raises(ImageError, match="found values 0 to 70000"):
        open_image(wide)


def test_panorama_opens_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image beyond Pillow's limit for warnings and errors opens silently, and the limit stays the program's own."""
    path = saved(PIL.Image.new("L", (20_000, 30), 9), tmp_path / "panorama.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = open_image(path)

    assert image.shape == (30, 20_000, 3)
    assert image_size(path) == Size(width=20_000, height=30)
    assert PIL.Image.MAX_IMAGE_PIXELS == 1000


def test_image_size_reads_only_the_header(tmp_path: Path) -> None:
    """The size of an image whose pixels are missing is still known; a text file has none."""
    cut, text = tmp_path / "cut.png", tmp_path / "text.png"
    cut.write_bytes(png_of(640, 480))
    text.write_text("no image")

    assert image_size(cut) == Size(width=640, height=480)
    with pytest.raises(ImageError, match=r"text\.png: expected an image"):
        image_size(text)


def test_images_without_pixels_are_refused() -> None:
    """A PIL image of no width is an error like an empty array."""
    with pytest.raises(ImageError, match="expected at least one pixel, found 0 x 5"):
        open_image(PIL.Image.new("RGB", (0, 5)))
