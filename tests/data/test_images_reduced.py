"""JPEG files decoded at a part of their size: every pixel stays where it was."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.Image import Transpose

from pcrpose.data.images import REDUCTIONS, decode_image, open_image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Crops

WIDTH, HEIGHT, SLOPE = 75, 61, 3  # neither side is a multiple of two
LEVELS = 1.5  # of gray: half a pixel of the whole image
# How an image is stored that each orientation turns upright.
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def ramps() -> PIL.Image.Image:
    """An image that tells its own coordinates: x in red, y in green."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:, :, 0], pixels[:, :, 1] = SLOPE * np.arange(WIDTH), SLOPE * np.arange(HEIGHT)[:, None]
    return PIL.Image.fromarray(pixels)


def encoded(orientation: int = 1, kind: str = "jpeg") -> bytes:
    """The ramps, stored so that the orientation turns them upright."""
    turn, exif, stream = STORED[orientation], PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored = ramps() if turn is None else ramps().transpose(turn)
    options = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}
    stored.save(stream, kind, exif=exif, **options)
    return stream.getvalue()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("orientation", STORED)
def test_pixels_stay_where_they_were(orientation: int, reduction: int) -> None:
    """However the file is turned: a pixel's center is the center of those that it covers."""
    image = decode_image(encoded(orientation), reduction=reduction)

    assert image.reduction == reduction
    assert image.pixels.size == (-(-WIDTH // reduction), -(-HEIGHT // reduction))
    seen = np.asarray(image.pixels).astype(float)
    for axis, length in enumerate((WIDTH, HEIGHT)):
        beyond, channel = image.beyond[axis], seen[:, :, axis].T if axis == 0 else seen[:, :, axis]
        assert 0 <= beyond < reduction
        middles = reduction * (np.arange(len(channel)) + 0.5) - 0.5 - beyond
        whole = (middles - reduction / 2 + 0.5 >= 0) & (middles + reduction / 2 - 0.5 <= length - 1)
        assert whole.sum() >= length // reduction - 1
        np.testing.assert_allclose(channel[whole].mean(axis=1), SLOPE * middles[whole], atol=LEVELS)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("orientation", STORED)
def test_a_crop_is_that_of_the_whole_image(orientation: int, reduction: int) -> None:
    """Crops are given in the whole image's pixels, rotated and mirrored ones too."""
    source = encoded(orientation)
    crop = Crops.from_windows(
        [[37.0, 30.0], [36.0, 31.0]],
        [[32.0, 40.0], [24.0, 30.0]],
        Size(width=4, height=5),
        rotations=[0.0, 40.0],
        mirrored=np.array([True, False]),
    )

    found = decode_image(source, reduction=reduction).warp(crop).astype(int)

    assert np.abs(found - crop.warp(open_image(source)))[..., :2].max() <= 2


def test_what_cannot_be_reduced_comes_whole(tmp_path: Path) -> None:
    """Another format, and a side shorter than the reduction."""
    (tmp_path / "ramps.png").write_bytes(encoded(6, "png"))
    ramps().crop((0, 0, 75, 3)).save(tmp_path / "low.jpg")
    for name in ("ramps.png", "low.jpg"):
        image = decode_image(tmp_path / name, reduction=4)
        assert (image.reduction, image.beyond) == (1, (0, 0))
        np.testing.assert_array_equal(np.asarray(image.pixels), open_image(tmp_path / name))


def test_gray_jpegs_are_reduced() -> None:
    """The pixel mode does not matter."""
    stream = io.BytesIO()
    PIL.Image.new("L", (40, 40), 90).save(stream, "jpeg")
    image = decode_image(stream.getvalue(), reduction=8)
    np.testing.assert_array_equal(np.asarray(image.pixels), np.full((5, 5, 3), 90))


def test_a_pil_image_is_never_reduced() -> None:
    """It is somebody else's, and may not have been decoded yet."""
    source = PIL.Image.open(io.BytesIO(encoded(6)))
    assert decode_image(source, reduction=8).reduction == 1
    assert source.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("reduction", [0, 3, 16])
def test_other_reductions_are_refused(reduction: int) -> None:
    """A decoder has only these."""
    with pytest.raises(ValueError, match=rf"expected one of \(1, 2, 4, 8\), found {reduction}"):
        decode_image(encoded(), reduction=reduction)
