"""The way of points into a crop and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.keypoints.boxes import Size, windows
from pcrpose.keypoints.crop import Alignment, Crops, CropSpec, mirror_keypoints
from pcrpose.keypoints.skeleton import COCO_17

Golden = Callable[[str], Any]
SIZE = Size(width=192, height=256)
ALIGNMENTS: tuple[Alignment, ...] = ("center", "edge", "udp")


@given(
    center=st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    width=st.floats(1.0, 1e4),
    angle=st.floats(-360, 360),
    mirrored=st.booleans(),
    alignment=st.sampled_from(ALIGNMENTS),
    point=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
@example(center=(1e4, -1e4), width=1.0, angle=360.0, mirrored=True, alignment="edge", point=(500.0, -500.0))
@example(center=(0.0, 0.0), width=1e4, angle=-90.0, mirrored=True, alignment="center", point=(-0.5, -0.5))
def test_forward_and_inverse_undo_each_other(
    center: tuple[float, float],
    width: float,
    angle: float,
    mirrored: bool,  # noqa: FBT001 - Hypothesis passes by keyword
    alignment: Alignment,
    point: tuple[float, float],
) -> None:
    """A point of the crop goes to the image and back, for any window."""
    crop = Crops.from_windows([center], [[width, width]], SIZE, rotations=angle, mirrored=mirrored, alignment=alignment)
    points = np.array([[point, (0.0, 0.0)]])

    there_and_back = crop.forward(crop.inverse(points))

    np.testing.assert_allclose(there_and_back, points, atol=1e-6)


def test_points_of_any_rank_are_moved_alike() -> None:
    """One point a crop, J points a crop and a grid of points give the same numbers."""
    crop = Crops.from_boxes([[0, 0, 30, 40], [5, 5, 90, 80]], SIZE)
    grid = np.random.default_rng(0).normal(size=(2, 3, 4, 2))

    moved = crop.forward(grid)

    assert moved.shape == (2, 3, 4, 2)
    np.testing.assert_array_equal(moved[:, 1, 2], crop.forward(grid[:, 1, 2]))
    np.testing.assert_array_equal(moved[:, 1], crop.forward(grid[:, 1]))


@pytest.mark.parametrize(
    ("alignment", "middle", "left_edge"),
    [("center", [95.5, 127.5], -0.5), ("edge", [96.0, 128.0], 0.0), ("udp", [95.5, 127.5], 0.0)],
)
def test_the_window_fills_the_crop(alignment: Alignment, middle: list[float], left_edge: float) -> None:
    """The window's center goes to the crop's, its left edge to the edge of the first pixel, or to its center."""
    crop = Crops.from_windows([[50.0, 60.0]], [[96.0, 128.0]], SIZE, alignment=alignment)

    assert crop.forward([[50.0, 60.0]]).tolist() == [middle]
    assert crop.forward([[2.0, 60.0]])[0, 0] == pytest.approx(left_edge, abs=1e-12)


def test_only_the_published_alignment_does_without_antialiasing() -> None:
    """Center alignment averages when it shrinks, the published ones do not."""
    found = [Crops.from_boxes([[0, 0, 9, 9]], SIZE, alignment=each).antialias for each in ALIGNMENTS]

    assert found == [True, False, False]


def test_udp_measures_between_the_centers_of_pixels() -> None:
    """On each axis the window's two edges are the centers of the first and the last pixel; an axis has its own zoom."""
    crop = Crops.from_windows([[50.0, 60.0]], [[96.0, 128.0]], SIZE, alignment="udp")

    corners = crop.forward([[[2.0, -4.0], [98.0, 124.0]]])[0]

    np.testing.assert_allclose(corners, [[0.0, 0.0], [191.0, 255.0]], atol=1e-9)
    np.testing.assert_allclose(np.diag(crop.matrices[0, :, :2]), [191 / 96, 255 / 128])


def test_turned_udp_windows_keep_the_zoom_of_the_crop_s_axes() -> None:
    """A quarter turn sends the window's height to the crop's width, a pixel less than the crop has."""
    crop = Crops.from_windows([[0.0, 0.0]], [[96.0, 128.0]], SIZE, rotations=90.0, alignment="udp")

    np.testing.assert_allclose(crop.matrices[0, :, :2], [[0, 191 / 96], [-255 / 128, 0]], atol=1e-12)


def test_other_distortions_are_refused() -> None:
    """What one pixel of each axis is worth may differ between the axes, and nothing more."""
    with pytest.raises(ValueError, match="expected a finite similarity"):
        Crops(matrices=np.array([[[1.005, 0.0, 0.0], [0.0, 1.0, 0.0]]]), size=SIZE)


@pytest.mark.parametrize(("alignment", "last"), [("center", 191), ("edge", 192), ("udp", 191)])
def test_mirroring_reflects_the_finished_crop(alignment: Alignment, last: int) -> None:
    """A mirrored crop has x' = W-1-x, in the published alignment W-x, whatever the rotation."""
    window = {"centers": [[50.0, 60.0]] * 2, "extents": [[90.0, 120.0]] * 2, "size": SIZE, "rotations": 30.0}
    crop = Crops.from_windows(**window, mirrored=np.array([False, True]), alignment=alignment)  # type: ignore[arg-type]  # a dict of many types
    plain, mirrored = crop.forward([[[10.0, 20.0]], [[10.0, 20.0]]])[:, 0]

    np.testing.assert_allclose(mirrored, [last - plain[0], plain[1]], atol=1e-9)


def test_positive_rotation_turns_the_image_counter_clockwise() -> None:
    """What lies right of the center moves up."""
    crop = Crops.from_windows([[15, 15]], [[31, 31]], Size(width=31, height=31), rotations=90.0)

    np.testing.assert_allclose(crop.forward([[20.0, 15.0]]), [[15.0, 10.0]], atol=1e-9)


def test_boxes_become_padded_windows() -> None:
    """A crop of boxes is the crop of the windows that the boxes grow to."""
    boxes = [[10.0, 20.0, 60.0, 200.0], [0.0, 0.0, 300.0, 30.0]]
    centers, extents = windows(boxes, SIZE.aspect, 1.5)

    crop = Crops.from_boxes(boxes, SIZE, padding=1.5)

    np.testing.assert_array_equal(crop.matrices, Crops.from_windows(centers, extents, SIZE).matrices)


@pytest.mark.parametrize("alignment", ["center", "edge"])
def test_cutting_takes_the_crops_of_the_specification(alignment: Alignment) -> None:
    """Points and pixels are those of `CropSpec.crops`: one padding and one alignment for both."""
    spec = CropSpec(input_size=Size(width=24, height=32), padding=1.5, alignment=alignment)
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    boxes = [[5.0, 6.0, 40.0, 45.0], [-3.0, 0.0, 20.0, 20.0]]
    expected = spec.crops(boxes)

    crops, pixels = spec.cut(image, boxes)

    assert crops.antialias == expected.antialias
    assert np.array_equal(crops.matrices, expected.matrices)
    assert np.array_equal(pixels, expected.warp(image))


def test_no_box_gives_no_crop() -> None:
    """Empty input is a case: no rows, the right shapes."""
    crop = Crops.from_boxes([], SIZE)

    assert len(crop) == 0
    assert crop.forward(np.zeros((0, 17, 2))).shape == (0, 17, 2)
    assert crop.inverse([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alignment": "middle"}, "alignment: expected one of"),
        ({"extents": [[0.0, 5.0]]}, "window 0: expected a positive width"),
        ({"extents": [[float("nan"), 5.0]]}, "window 0: expected a positive width"),
        ({"extents": [[5.0, 5.0]] * 2}, r"extents: expected shape \(1, 2\), found \(2, 2\)"),
        ({"centers": [[float("inf"), 5.0]]}, "crop 0: expected a finite similarity"),
        ({"centers": [5.0, 5.0]}, "centers: expected shape"),
        ({"rotations": [1.0, 2.0]}, r"rotations: expected one value or shape \(1,\), found \(2,\)"),
        ({"rotations": float("nan")}, "crop 0: expected a finite similarity"),
        ({"mirrored": np.array([True, False])}, "mirrored: expected one value"),
    ],
)
def test_bad_windows_are_refused(change: dict[str, Any], message: str) -> None:
    """Every wrong argument has one clear error."""
    arguments: dict[str, Any] = {"centers": [[5.0, 5.0]], "extents": [[9.0, 9.0]], "size": SIZE}

    with pytest.raises(ValueError, match=message):
        Crops.from_windows(**(arguments | change))


@pytest.mark.parametrize("padding", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_padding_is_refused(padding: float) -> None:
    """Padding multiplies, so it must be a positive number."""
    with pytest.raises(ValueError, match="padding: expected a positive number"):
        Crops.from_boxes([[0, 0, 9, 9]], SIZE, padding=padding)


def test_bad_boxes_are_refused() -> None:
    """The check of boxes is asked before anything is computed."""
    with pytest.raises(ValueError, match="box 1: expected x1 < x2"):
        Crops.from_boxes([[0, 0, 9, 9], [9, 9, 0, 0]], SIZE)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
        [[1e200, 0.0, 0.0], [0.0, 1e200, 0.0]],
    ],
)
def test_only_similarities_are_crops(matrix: list[list[float]]) -> None:
    """Stretching, shearing, collapsing and overflowing matrices are refused."""
    with pytest.raises(ValueError, match="crop 0: expected a finite similarity"):
        Crops(matrices=np.array([matrix]), size=SIZE)


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.zeros((1, 3)), np.zeros(2)])
def test_bad_points_are_refused(points: npt.NDArray[np.float64]) -> None:
    """There must be one group of 2-D points a crop."""
    with pytest.raises(ValueError, match=r"points_image: expected shape \(1, \.\.\., 2\)"):
        Crops.from_boxes([[0, 0, 9, 9]], SIZE).forward(points)


def test_matrices_cannot_be_changed() -> None:
    """A crop is a value: its matrices are its own copy, read-only."""
    given_matrices = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    crop = Crops(matrices=given_matrices, size=SIZE)
    given_matrices[:] = 7

    assert crop.matrices[0, 0, 0] == 1
    assert not crop.matrices.flags.writeable


def test_mirrored_keypoints_change_sides() -> None:
    """Left takes the right one's mirrored place; the caller's array stays."""
    keypoints = np.zeros((2, 17, 2))
    keypoints[0, 5] = [10.0, 3.0]

    mirrored = mirror_keypoints(keypoints, 100, COCO_17.flip_indices)

    assert mirrored[0, 6].tolist() == [89.0, 3.0]
    assert keypoints[0, 6].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(mirror_keypoints(mirrored, 100, COCO_17.flip_indices), keypoints)


def published_crop(center: Any, scale: Any, size: Any, rotation: Any = 0.0) -> Crops:  # noqa: ANN401 - reference arrays
    """Crop one window given as the published code does, in units of 200 pixels."""
    extents = np.atleast_2d(scale).astype(np.float64) * 200
    return Crops.from_windows(np.atleast_2d(center), extents, size, rotations=rotation, alignment="edge")


def test_edge_alignment_has_the_published_matrices(golden: Golden) -> None:
    """Fifty windows map points as the reference's transforms do, both ways."""
    reference = golden("affine")
    for index in range(50):
        width, height = reference["in_output_size"][index].tolist()
        center, scale, angle = (reference[f"in_{name}"][index] for name in ("center", "scale", "rot"))
        crop = published_crop(center, scale, Size(width=width, height=height), float(angle))
        zoom = max(1.0, float(np.abs(crop.matrices[:, :, :2]).max()))
        points = reference["in_points"][index][None]
        homogeneous = np.concatenate([points[0], np.ones((5, 1))], axis=1)

        moved = crop.forward(points)[0]

        np.testing.assert_allclose(moved / zoom, homogeneous @ reference["out_trans"][index].T / zoom, atol=5e-3)
        np.testing.assert_allclose(moved / zoom, reference["out_points_out"][index] / zoom, atol=5e-3)
        corners = np.array([[0.0, 0.0], [width, 0.0], [width / 2, height / 2], [0.0, height]])
        back = np.concatenate([corners, np.ones((4, 1))], axis=1) @ reference["out_trans_inv"][index].T
        np.testing.assert_allclose(crop.inverse(corners[None])[0], back, atol=1e-4)


def test_mirrored_keypoints_are_the_published_ones(golden: Golden) -> None:
    """Ten persons mirror as in the reference, which also zeroes what is not labelled."""
    reference = golden("flip")
    joints, labelled = reference["in_joints"], reference["in_joints_vis"]
    order = COCO_17.flip_indices
    for index, width in enumerate(reference["in_width"].tolist()):
        mirrored = mirror_keypoints(joints[index, :, :2], width, order) * labelled[index][order, :2]

        np.testing.assert_allclose(mirrored, reference["out_joints_out"][index, :, :2], atol=1e-9)
        np.testing.assert_array_equal(labelled[index][order], reference["out_joints_vis_out"][index])
