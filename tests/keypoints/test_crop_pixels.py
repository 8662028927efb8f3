"""The pixels of crops."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, whole_image_box, windows
from pcrpose.keypoints.crop import Alignment, Crops

Golden = Callable[[str], Any]
SIZE = Size(width=192, height=256)
SMALL = Size(width=24, height=32)
ALIGNMENTS: tuple[Alignment, ...] = ("center", "edge", "udp")


def noise(height: int, width: int) -> Image:
    """Make an image in which no two places look alike."""
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int = 250, width: int = 240) -> Image:
    """Make an image whose red is x and whose green is y."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return image


def pixel_grid(size: Size) -> Floats:
    """``(1, H, W, 2)``: the position of every pixel of a crop."""
    return np.stack(np.meshgrid(np.arange(size.width), np.arange(size.height)), axis=-1)[None].astype(float)


def mirror_boxes(boxes_xyxy: Floats, width: int) -> Floats:
    """Mirror boxes in an image: x becomes W - 1 - x, left and right change places."""
    left, top, right, bottom = boxes_xyxy.T
    return np.stack([width - 1 - right, top, width - 1 - left, bottom], axis=1)


def test_a_window_of_whole_pixels_is_copied() -> None:
    """Without zoom and rotation the crop holds the image's own pixels, and 0 outside."""
    image = noise(40, 50)
    crop = Crops.from_windows([[3.5, 11.5]], [[24.0, 32.0]], SMALL)  # columns -8..15, rows -4..27

    expected = np.zeros((32, 24, 3), dtype=np.uint8)
    expected[4:, 8:] = image[:28, :16]

    np.testing.assert_array_equal(crop.warp(image)[0], expected)
    np.testing.assert_array_equal(replace(crop, antialias=False).warp(image)[0], expected)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 25.0, -140.0, 180.0])
@pytest.mark.parametrize("width", [13.0, 30.7, 90.2])
def test_pixels_stand_where_the_points_say(alignment: Alignment, mirrored: bool, angle: float, width: float) -> None:  # noqa: FBT001 - pytest passes by keyword
    """On a ramp every crop pixel shows its own image coordinates, within rounding."""
    crop = Crops.from_windows(
        [[120.3, 118.9]], [[width, width]], SMALL, rotations=angle, mirrored=mirrored, alignment=alignment
    )
    expected = crop.inverse(pixel_grid(SMALL))[0]

    shown = crop.warp(ramp())[0, ..., :2]

    assert np.abs(shown - expected).max() <= 0.5 + 0.52  # two 8-bit roundings: after each pass of the resize


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_shrinking_averages_the_image(angle: float) -> None:
    """A fine chequerboard becomes even gray, not a new pattern; the published way keeps the pattern."""
    board = np.zeros((400, 400, 3), dtype=np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    crop = Crops.from_windows([[199.5, 199.5]], [[216.0, 288.0]], SMALL, rotations=angle)  # nine times smaller

    smooth, raw = crop.warp(board)[0].astype(int), replace(crop, antialias=False).warp(board)[0].astype(int)

    assert np.abs(smooth - 127.5).max() < 6
    assert np.abs(raw - 127.5).max() > 100


@pytest.mark.parametrize("angle", [0.0, 20.0])
@pytest.mark.parametrize("width", [20.0, 200.0])
def test_brightness_is_kept_inside_and_fades_at_the_border(angle: float, width: float) -> None:
    """White stays white away from the border and nothing is ever brightened beyond the image."""
    white = np.full((60, 60, 3), 255, dtype=np.uint8)
    crop = Crops.from_windows([[0.0, 30.0]], [[width, width]], SMALL, rotations=angle)
    step = width / SMALL.width
    distance = np.abs(crop.inverse(pixel_grid(SMALL))[0] - 29.5).max(axis=-1) - 30  # beyond the border, if positive

    shown = crop.warp(white)[0, ..., 0]

    assert (shown[distance < -3 * max(step, 1)] == 255).all()
    assert (shown[distance > 3 * max(step, 1)] == 0).all()
    assert (shown == 0).any()


def test_a_nearly_upright_crop_looks_like_the_upright_one() -> None:
    """The resize and the sampling give one image, to a few gray levels even on noise."""
    image = noise(300, 300)
    centers, extents = windows([[80.0, 40.0, 190.0, 260.0]], SMALL.aspect)

    upright = Crops.from_windows(centers, extents, SMALL).warp(image).astype(int)
    turned = Crops.from_windows(centers, extents, SMALL, rotations=1e-7).warp(image).astype(int)

    assert np.abs(upright - turned).mean() < 3
    assert upright.std() > 5


@given(
    height=st.integers(3, 70),
    width=st.integers(3, 70),
    corner=st.tuples(st.floats(-30, 60), st.floats(-30, 60)),
    extent=st.tuples(st.floats(0.3, 200), st.floats(0.3, 200)),
    whole=st.booleans(),
)
@example(height=3, width=3, corner=(0.0, 0.0), extent=(2.0, 2.0), whole=True)
@example(height=3, width=70, corner=(60.0, 60.0), extent=(0.3, 0.3), whole=False)
@example(height=70, width=3, corner=(-30.0, -30.0), extent=(200.0, 200.0), whole=True)
def test_the_crop_of_the_mirrored_image_is_the_mirrored_crop(
    height: int,
    width: int,
    corner: tuple[float, float],
    extent: tuple[float, float],
    whole: bool,  # noqa: FBT001 - Hypothesis passes by keyword
) -> None:
    """Mirroring image and box mirrors the crop bit for bit, and so does asking for a mirrored crop."""
    image = noise(height, width)
    boxes = np.array([[*corner, corner[0] + extent[0], corner[1] + extent[1]]])
    if whole:
        boxes = np.round(boxes) + np.array([0, 0, 1, 1])
    crop = Crops.from_boxes(boxes, SMALL).warp(image)

    mirrored = Crops.from_boxes(mirror_boxes(boxes, width), SMALL).warp(image[:, ::-1])
    centers, extents = windows(boxes, SMALL.aspect)
    asked = Crops.from_windows(centers, extents, SMALL, mirrored=True).warp(image)

    np.testing.assert_array_equal(mirrored, crop[:, :, ::-1])
    np.testing.assert_array_equal(asked, crop[:, :, ::-1])


def test_many_mirrored_crops_are_equal() -> None:
    """No rounding of a window's position shows in five hundred crops."""
    image, random = noise(300, 411), np.random.default_rng(1)
    corners = random.uniform(-40, 300, (500, 2))
    boxes = np.concatenate([corners, corners + random.uniform(5, 150, (500, 2))], axis=1)

    crops = Crops.from_boxes(boxes, SMALL).warp(image)
    mirrored = Crops.from_boxes(mirror_boxes(boxes, 411), SMALL).warp(image[:, ::-1])

    np.testing.assert_array_equal(mirrored, crops[:, :, ::-1])


def test_a_part_of_a_crop_is_the_crop_of_the_part() -> None:
    """The pixels at a crop's border are averaged with what lies beyond it."""
    image = noise(200, 200)
    whole = Crops.from_windows([[100.0, 100.0]], [[120.0, 160.0]], SMALL).warp(image)[0].astype(int)
    part = Crops.from_windows([[100.0, 100.0]], [[60.0, 80.0]], Size(width=12, height=16)).warp(image)[0]

    assert np.abs(whole[8:24, 6:18] - part).max() <= 1


@pytest.mark.parametrize(("angle", "tolerance"), [(0.0, 2), (90.0, 16)])  # shrinking first moves an edge a little
def test_the_border_is_half_as_bright(angle: float, tolerance: int) -> None:
    """A crop pixel whose center lies on the image's edge sees as much black as white, zoomed in or out."""
    white = np.full((200, 200, 3), 255, dtype=np.uint8)
    for step in (0.5, 5.0):
        odd = Size(width=21, height=21)
        shown = Crops.from_windows([[-0.5, 100.0]], [[21 * step] * 2], odd, rotations=angle).warp(white)[0, ..., 0]

        line = shown[10] if angle == 0 else shown[::-1, 10]
        assert abs(int(line[10]) - 127.5) <= tolerance
        assert line[6] == 0
        assert line[14] == 255


def test_rotated_crops_mirror_to_a_gray_level() -> None:
    """Sampling of a rotated crop does not depend on the direction either."""
    image = noise(90, 70)
    plain = Crops.from_windows([[30.0, 40.0]], [[60.0, 80.0]], SMALL, rotations=33.0).warp(image)
    mirrored = Crops.from_windows([[69 - 30.0, 40.0]], [[60.0, 80.0]], SMALL, rotations=-33.0).warp(image[:, ::-1])

    assert np.abs(mirrored[:, :, ::-1].astype(int) - plain).max() <= 1


@pytest.mark.parametrize("angle", [0.0, 40.0])
def test_only_the_touched_part_of_a_panorama_is_read(angle: float) -> None:
    """A small box in an image of 20,000 columns costs what the box costs."""
    panorama = np.broadcast_to(np.uint8(7), (6000, 20000, 3))
    crop = Crops.from_windows([[15000.0, 3000.0]], [[120.0, 160.0]], SIZE, rotations=angle)
    crop.warp(panorama)

    tracemalloc.start()
    shown = crop.warp(panorama)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (shown == 7).all()
    assert peak < 4_000_000


@pytest.mark.parametrize("angle", [0.0, 10.0])
def test_a_window_beside_the_image_is_black(angle: float) -> None:
    """Nothing of the image, nothing in the crop."""
    crop = Crops.from_windows([[-500.0, 20.0], [20.0, 900.0]], [[30.0, 40.0]] * 2, SMALL, rotations=angle)

    assert not crop.warp(np.full((50, 50, 3), 255, dtype=np.uint8)).any()


@pytest.mark.parametrize("extent", [1e-9, 1e-3])
def test_a_tiny_window_shows_one_color(extent: float) -> None:
    """A window far smaller than a pixel is no error."""
    crop = Crops.from_windows([[10.0, 12.0]], [[extent, extent]], SMALL).warp(noise(30, 30))

    assert np.abs(crop - crop[:, :1, :1].astype(int)).max() <= 1


def test_the_image_is_left_alone() -> None:
    """Views, and images that may not be written, are read and not changed."""
    image = noise(60, 50)
    image.flags.writeable = False
    crop = Crops.from_boxes(whole_image_box(Size(width=50, height=60)), SMALL)

    for rotated in (crop, Crops.from_windows([[25, 30]], [[50, 60]], SMALL, rotations=5.0)):
        np.testing.assert_array_equal(rotated.warp(image[::-1]), rotated.warp(image[::-1].copy()))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5, 3)),
        np.zeros((5, 5), dtype=np.uint8),
        np.zeros((5, 5, 4), dtype=np.uint8),
        np.zeros((0, 5, 3), dtype=np.uint8),
        [[1]],
    ],
)
def test_bad_images_are_refused(image: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """Type and shape of the image are checked, even without a box."""
    with pytest.raises(ValueError, match=r"image: expected uint8 \(H, W, 3\)"):
        Crops.from_boxes([], SIZE).warp(image)


def test_an_absurd_window_is_refused() -> None:
    """A box a million times the image's size is a mistake, not a reason to run out of memory."""
    with pytest.raises(ValueError, match="a window needs"):
        Crops.from_boxes([[0, 0, 1e8, 1e8]], SIZE).warp(noise(20, 20))


@pytest.mark.parametrize("angle", [0.0, 90.0])
def test_no_box_has_no_pixels(angle: float) -> None:
    """Empty input is a case: no rows, the right shape."""
    crop = Crops.from_windows([], [], SIZE, rotations=angle)

    assert crop.warp(noise(5, 5)).shape == (0, 256, 192, 3)


def test_a_quarter_turn_turns_the_pixels() -> None:
    """A positive angle turns the image counter-clockwise."""
    image = noise(31, 31)
    crop = Crops.from_windows([[15, 15]], [[31, 31]], Size(width=31, height=31), rotations=90.0)

    np.testing.assert_array_equal(crop.warp(image)[0], np.rot90(image))


def test_edge_alignment_has_the_published_pixels(golden: Golden) -> None:
    """Three rotated crops agree with OpenCV 5 to one gray level, with OpenCV 4 to its coarser sampling."""
    reference = golden("affine")
    windows_given = zip(
        *(reference[f"in_warp_{name}"] for name in ("center", "scale", "rot")), reference["out_warp_trans"], strict=True
    )
    for index, (center, scale, angle, matrix) in enumerate(windows_given):
        exact = Crops(matrices=matrix[None], size=SIZE, antialias=False)
        window = Crops.from_windows([center], [scale * 200.0], SIZE, rotations=float(angle), alignment="edge")
        for crop in (exact, window):
            shown = crop.warp(reference["in_image_bgr"])[0].astype(int)
            from_new = np.abs(shown - reference["out_warp_out_cv5"][index])
            from_old = np.abs(shown - reference["out_warp_out"][index].astype(int))

            assert from_new.max() <= 1
            assert from_new.mean() < 0.001
            assert from_old.max() <= 12
            assert from_old.mean() < 0.5
