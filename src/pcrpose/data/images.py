"""Image decoding; nothing else in the library opens images.

Files, encoded bytes and PIL images come out upright, as their EXIF orientation says; arrays are taken as they are.
"""

import io
import struct
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, TypeAlias

import numpy as np
import PIL.Image
from PIL.Image import Transpose

from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size

if TYPE_CHECKING:
    from pcrpose.keypoints.crop import Crops  # it loads torch, which opening an image does not need

Color: TypeAlias = Literal["rgb", "bgr"]
ImageSource: TypeAlias = "str | Path | bytes | PIL.Image.Image | Image"

MAX_PIXELS = 2**28  # 800 MB of RGB: room for a panorama of 20,000 x 13,000, none for a decompression bomb

REDUCTIONS = (1, 2, 4, 8)  # what the decoder of JPEG files can do on its way

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_MIRRORED_X, _MIRRORED_Y = (2, 3, 6, 7), (3, 4, 7, 8)  # the stored image's end comes to lie at the left, at the top
_DEEP_GRAY = ("I", "I;16", "I;16B", "I;16L", "I;16N")

# What Pillow's many readers raise for a broken file.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError),
    *(struct.error, zlib.error),
)
_header_lock = threading.Lock()


class ImageError(ValueError):
    """An image that cannot be used; the message names it and says what was found."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """An image file that does not exist."""


class DecodedImage(NamedTuple):
    """A decoded image, upright, perhaps at a part of its size.

    A pixel of it covers ``reduction`` x ``reduction`` pixels of the whole image. Where these do not divide its size,
    the last ones reach beyond its end, and the first ones beyond its beginning if it was stored upside down.

    Attributes:
        pixels: PIL image of mode RGB.
        reduction: 1, 2, 4 or 8.
        beyond: ``(left, top)``, how many pixels of the whole image's size lie outside it there; below ``reduction``.
    """

    pixels: PIL.Image.Image
    reduction: int = 1
    beyond: tuple[int, int] = (0, 0)

    def warp(self, crop: "Crops") -> Image:
        """Warp crops, given in the whole image's pixels, from the decoded image; see `Crops.warp`."""
        return (crop if self.reduction == 1 else self._here(crop)).warp(self.pixels)

    def _here(self, crop: "Crops") -> "Crops":
        # An integer is a pixel's center: whole = reduction * (here + 0.5) - 0.5 - beyond.
        middle = self.reduction / 2 - 0.5 - np.array(self.beyond)
        linear, offset = crop.matrices[:, :, :2], crop.matrices[:, :, 2]
        matrices = np.concatenate([linear * self.reduction, (linear @ middle + offset)[:, :, None]], axis=2)
        return replace(crop, matrices=matrices)


def open_image(source: ImageSource, *, color: Color = "rgb") -> Image:
    """Open an image as RGB pixels.

    Transparent images are laid on white, 16-bit gray is scaled to 8 bits, of an animation the first frame is
    taken. EXIF orientation is applied, to PIL images too; `Poses.draw` does the same.

    Args:
        source: path, encoded bytes, PIL image, or uint8 array ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or
            ``(H, W, 4)`` with the opacity last. Never changed.
        color: order of an array's channels, ``"bgr"`` as OpenCV reads them. Files, bytes and PIL images
            know their own order, so it does not apply to them.

    Returns:
        ``(H, W, 3)`` uint8, RGB, C-contiguous; the array itself where it is one already.

    Raises:
        FileNotFoundError: if there is no such file.
        ImageError: if the image is empty, broken, cut off, a folder, no image at all, larger than
            `MAX_PIXELS`, or an array of another type or shape. A missing file is an `ImageError` too.
        TypeError: if ``source`` is none of these types.
    """
    if color not in {"rgb", "bgr"}:
        raise ValueError(f"color: expected 'rgb' or 'bgr', found {color!r}")
    if isinstance(source, np.ndarray):
        return _from_array(source, color)
    return np.array(decode_image(source).pixels)


def decode_image(source: str | Path | bytes | PIL.Image.Image, *, reduction: int = 1) -> DecodedImage:
    """Open an image as `open_image` does, without copying its pixels into an array.

    Args:
        source: path, encoded bytes or PIL image; never changed.
        reduction: 1, 2, 4 or 8: decode a JPEG file at this part of its width and height, which takes a fraction
            of the time. Others, and those with a side shorter than this, come whole.

    Raises:
        FileNotFoundError: if there is no such file.
        ImageError: see `open_image`.
        TypeError: if ``source`` is none of these types.
        ValueError: if ``reduction`` is another number.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: expected one of {REDUCTIONS}, found {reduction!r}")
    if isinstance(source, PIL.Image.Image):
        return _decode(source, "PIL image")
    name, encoded = _read(source)
    with _open_header(io.BytesIO(encoded), name) as image:
        return _decode(image, name, reduction)


def image_size(path: str | Path) -> Size:
    """Read the size of an image file, upright, from its header alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ImageError: if it is no image.
    """
    with _existing(path).open("rb") as stream, _open_header(stream, str(path)) as image:
        width, height = image.size
        # Pillow reports TIFF sizes upright already.
        if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:
            width, height = height, width
    return Size(width=width, height=height)


def _existing(path: str | Path) -> Path:
    file = Path(path)
    if file.is_dir():
        raise ImageError(f"{path}: expected an image file, found a folder")
    if not file.exists():
        raise ImageNotFoundError(f"{path}: no such image file")
    return file


def _read(source: str | Path | bytes) -> tuple[str, bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, encoded = "encoded image", bytes(source)
    elif isinstance(source, (str, Path)):
        name, encoded = str(source), _existing(source).read_bytes()
    else:
        raise TypeError(f"expected a path, bytes, a PIL image or a uint8 array, found {type(source).__name__}")
    if not encoded:
        raise ImageError(f"{name}: expected an image, found 0 bytes")
    return name, encoded


def _open_header(stream: BinaryIO, name: str) -> PIL.Image.Image:
    """Open with Pillow, with the library's own limit of pixels instead of Pillow's global one."""
    with _header_lock:
        pillow_limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            image = PIL.Image.open(stream)
        except _BROKEN as error:
            stream.seek(0)
            start = stream.read(12)
            raise ImageError(f"{name}: expected an image, found a file that starts with {start!r}") from error
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = pillow_limit
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        image.close()
        raise ImageError(f"{name}: expected 1 to {MAX_PIXELS} pixels, found {width} x {height} (width x height)")
    return image


def _decode(image: PIL.Image.Image, name: str, reduction: int = 1) -> DecodedImage:
    width, height = image.size
    try:
        reduction = _drafted(image, reduction)
        image.load()
        # Only now: some formats keep their EXIF behind the pixels.
        orientation = _orientation(image)
        turn = _TURNS.get(orientation)
        pixels = _to_rgb(image if turn is None else image.transpose(turn), name)
    except ImageError:
        raise
    except _BROKEN as error:
        raise ImageError(f"{name}: expected a whole image, found a broken or truncated one ({error})") from error
    if 0 in pixels.size:
        raise ImageError(f"{name}: expected at least one pixel, found {image.width} x {image.height}")
    if reduction == 1:
        return DecodedImage(pixels)
    if orientation in _SIDEWAYS:
        width, height = height, width
    left = reduction * pixels.width - width if orientation in _MIRRORED_X else 0
    top = reduction * pixels.height - height if orientation in _MIRRORED_Y else 0
    return DecodedImage(pixels, reduction, (left, top))


def _drafted(image: PIL.Image.Image, reduction: int) -> int:
    """Set up decoding at a part of the size; return the reduction that the format really does."""
    if reduction == 1 or min(image.size) < reduction:
        return 1
    # Formats that cannot do it answer None.
    drafted = image.draft(None, (image.width // reduction, image.height // reduction))
    return 1 if drafted is None else reduction


def _orientation(image: PIL.Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:  # unreadable EXIF is no reason to refuse the pixels
        return 1


def _to_rgb(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    if image.mode in _DEEP_GRAY:
        image = PIL.Image.fromarray(_eight_bits(np.asarray(image), name))
    if image.mode == "F":
        raise ImageError(f"{name}: expected 8 or 16 bits per channel, found 32-bit floating point")
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.integer]], name: str) -> Image:
    wide = values.astype(np.int64)
    if wide.size and (wide.min() < 0 or wide.max() > np.iinfo(np.uint16).max):
        raise ImageError(f"{name}: expected 8 or 16 bits per channel, found values {wide.min()} to {wide.max()}")
    return ((wide + 128) // 257).astype(np.uint8)


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)


def _from_array(array: Image, color: Color) -> Image:
    if array.dtype != np.uint8:
        raise ImageError(f"array: expected uint8 values 0..255, found {array.dtype} of shape {array.shape}")
    if array.ndim not in {2, 3} or array.size == 0 or (array.ndim == 3 and array.shape[2] not in {1, 3, 4}):  # noqa: PLR2004 - axes and channels
        raise ImageError(f"array: expected shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {array.shape}")
    if array.ndim == 2 or array.shape[2] == 1:  # noqa: PLR2004 - axes
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if color == "bgr":
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    if array.shape[2] == 4:  # noqa: PLR2004 - opacity is the fourth channel
        array = np.asarray(_on_white(PIL.Image.fromarray(np.ascontiguousarray(array))))[:, :, :3]
    return np.ascontiguousarray(array)
