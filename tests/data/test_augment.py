"""Random training windows: the published draws reproduced, the options kept, the colors changed mildly."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.data.augment import Augmentation, CropWindow, half_body, upper_body
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.boxes import Size, windows, xywh_to_xyxy
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, LSP_14, Skeleton

INPUT = Size(width=192, height=256)
WIDTH = 320  # of the reference's image
UPPER = upper_body(COCO_17)
PERSON = np.random.default_rng(3).uniform(20, 180, (17, 2))
EVERYTHING = np.ones(17, dtype=bool)
WINDOW = CropWindow(np.array([100.0, 90.0]), np.array([150.0, 200.0]))
STILL = Augmentation(scale=0, rotation=0, rotation_probability=0, mirror_probability=0, half_body_probability=0)


class Replay:
    """Hands recorded draws out again, and fails when another kind of draw is asked for."""

    def __init__(self, names: list[str], values: list[float]) -> None:
        self.draws: Iterator[tuple[str, float]] = iter(list(zip(names, values, strict=True)))

    def random(self) -> float:
        """Give the next uniform draw."""
        name, value = next(self.draws)
        assert name in {"np.random.rand", "random.random", "random"}
        return value

    def standard_normal(self) -> float:
        """Give the next normal draw."""
        name, value = next(self.draws)
        assert name in {"np.random.randn", "normal"}
        return value


def draw(augmentation: Augmentation, seed: int = 0, labelled: Bools = EVERYTHING) -> CropWindow:
    """Draw a window of the person above."""
    return augmentation.draw(WINDOW, PERSON, labelled, is_upper=UPPER, rng=np.random.default_rng(seed))


def reference_case(records: Any, case: int) -> tuple[CropWindow, Replay, list[float]]:  # noqa: ANN401 - arrays
    """The window drawn for a recorded case, from the recorded box and draws."""
    start, stop = records["out_draw_offsets"][case : case + 2]
    names = records["out_draw_names"][start:stop].tolist()
    replay = Replay(names, records["out_draw_values"][start:stop].tolist())
    centers, extents = windows(xywh_to_xyxy(records["out_boxes_xywh"][case : case + 1]), INPUT.aspect)
    window = CropWindow(centers[0], extents[0])
    if names:
        labelled = records["in_vis"][case, :, 0] > 0
        window = Augmentation().draw(window, records["in_joints"][case, :, :2], labelled, is_upper=UPPER, rng=replay)
    return window, replay, names


@pytest.mark.parametrize("case", range(10))
def test_reference_windows_and_keypoints(case: int, golden: Callable[[str], Any]) -> None:
    """The recorded draws give the recorded center, scale, angle and keypoints, and no draw is left over."""
    records = golden("augment")
    window, replay, _ = reference_case(records, case)
    center = np.where([window.mirrored, False], WIDTH - 1 - window.center, window.center)
    rotation = -window.rotation if window.mirrored else window.rotation

    assert next(replay.draws, None) is None
    np.testing.assert_allclose(center, records["out_center"][case], rtol=0, atol=1e-4)
    np.testing.assert_allclose(window.extent / 200, records["out_scale"][case], rtol=0, atol=1e-6)
    np.testing.assert_allclose(rotation, records["out_rotation"][case], rtol=0, atol=1e-9)

    keypoints = window.crop(INPUT, "edge").forward(records["in_joints"][case, :, :2][None])[0]
    labelled = records["in_vis"][case, :, 0] > 0
    if window.mirrored:
        keypoints, labelled = keypoints[COCO_17.flip_indices], labelled[COCO_17.flip_indices]
    np.testing.assert_array_equal(labelled, records["out_joints_vis"][case, :, 0] > 0)
    np.testing.assert_allclose(keypoints[labelled], records["out_joints"][case, labelled, :2], rtol=0, atol=2e-3)


@pytest.mark.parametrize("place", range(6))
def test_reference_crops(place: int, golden: Callable[[str], Any]) -> None:
    """The pixels of the recorded windows are those of the recorded crops."""
    records = golden("augment")
    window, _, _ = reference_case(records, int(records["out_crop_case"][place]))
    crop = window.crop(INPUT, "edge").warp(records["in_image_bgr"])[0].astype(int)
    error = np.abs(crop - records["out_crop_cv5"][place])

    assert error.max() <= 1
    assert error.mean() < 0.01
    assert np.abs(crop - records["out_crop"][place]).mean() < 0.5


@pytest.mark.parametrize("half", ["upper", "lower"])
def test_reference_half_bodies(half: str, golden: Callable[[str], Any]) -> None:
    """Forty persons' halves, both ways round, the missing ones included."""
    records = golden("augment")
    visible = records["in_half_vis"][:, :, 0] > 0
    expected = zip(records[f"out_half_center_{half}"], records[f"out_half_scale_{half}"], strict=True)
    for keypoints, labelled, (center, scale) in zip(records["in_half_joints"], visible, expected, strict=True):
        window = half_body(keypoints[:, :2], labelled, is_upper=UPPER, aspect=INPUT.aspect, upper_first=half == "upper")

        assert (window is None) == np.isnan(center[0])
        if window is not None:
            np.testing.assert_allclose(window.center, center, rtol=0, atol=1e-4)
            np.testing.assert_allclose(window.extent / 200, scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("labelled", "upper_first", "expected"),
    [
        (range(17), True, range(11)),
        (range(17), False, range(11, 17)),
        ([0, 1, 11, 12, 13], True, [11, 12, 13]),
        ([0, 1, 2, 11, 12], False, [0, 1, 2]),
        ([0, 1, 11, 12], True, [0, 1]),
        ([0, 1, 11, 12], False, [0, 1]),
        ([0, 11, 12], True, None),
        ([], False, None),
    ],
)
def test_which_half_is_taken(labelled: list[int], upper_first: bool, expected: list[int] | None) -> None:  # noqa: FBT001 - a table
    """A half needs three labels; the other stands in; with too few everywhere it is the upper, or nothing."""
    known = np.isin(np.arange(17), list(labelled))
    window = half_body(PERSON, known, is_upper=UPPER, aspect=0.75, upper_first=upper_first)

    if expected is None:
        assert window is None
    else:
        assert window is not None
        np.testing.assert_allclose(window.center, PERSON[list(expected)].mean(axis=0))
        assert window.extent[0] == pytest.approx(0.75 * window.extent[1])
        assert (window.extent >= 1.5 * np.ptp(PERSON[list(expected)], axis=0) - 1e-9).all()


def test_keypoints_on_one_spot_have_no_half() -> None:
    """A window without extent cannot be cropped, so nothing happens."""
    assert half_body(np.ones((17, 2)), EVERYTHING, is_upper=UPPER, aspect=0.75) is None


@pytest.mark.parametrize(
    ("skeleton", "lower"),
    [
        (COCO_17, range(11, 17)),
        (AIC_14, range(6, 12)),
        (LSP_14, range(6)),
        (Skeleton("feet", ["left_big_toe", "pelvis", "chip", "ankle_bone"], [], [], [1] * 4), [0, 1, 3]),
    ],
)
def test_upper_body_of_other_skeletons(skeleton: Skeleton, lower: range) -> None:
    """Names decide which half a keypoint belongs to."""
    assert np.flatnonzero(~upper_body(skeleton)).tolist() == list(lower)


def test_switched_off_nothing_changes() -> None:
    """With every strength and probability at zero the window stays as it is."""
    window = draw(STILL)

    np.testing.assert_array_equal(window.center, WINDOW.center)
    np.testing.assert_array_equal(window.extent, WINDOW.extent)
    assert (window.rotation, window.mirrored) == (0.0, False)


@example(seed=0, scale=0.0, rotation=0.0)
@example(seed=1, scale=0.9, rotation=90.0)
@given(seed=st.integers(0, 2**32), scale=st.floats(0, 0.9), rotation=st.floats(0, 90))
def test_draws_stay_within_their_limits(seed: int, scale: float, rotation: float) -> None:
    """Scale and angle never leave the clipped range, and the aspect ratio stays."""
    window = draw(Augmentation(scale=scale, rotation=rotation, half_body_probability=0), seed)
    factors = window.extent / WINDOW.extent

    assert factors[0] == pytest.approx(factors[1])
    assert 1 - scale - 1e-9 <= factors[0] <= 1 + scale + 1e-9
    assert abs(window.rotation) <= 2 * rotation


def test_shares_are_those_of_the_configuration() -> None:
    """Over many draws a half are mirrored, 60 % rotated, 30 % cropped to a half, and of those 69 % to the upper."""
    drawn = [draw(Augmentation(scale=0), seed) for seed in range(3000)]
    centers: Floats = np.stack([window.center for window in drawn])
    upper = np.isclose(centers, PERSON[UPPER].mean(axis=0)).all(axis=1)
    lower = np.isclose(centers, PERSON[~UPPER].mean(axis=0)).all(axis=1)

    assert np.mean([window.mirrored for window in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([window.rotation != 0 for window in drawn]) == pytest.approx(0.6, abs=0.04)
    assert np.mean(upper | lower) == pytest.approx(0.3, abs=0.04)
    assert upper.sum() / (upper | lower).sum() == pytest.approx(0.6915, abs=0.05)


def test_half_bodies_need_more_than_eight_labels() -> None:
    """With eight labels the two draws of the half body are not even made."""
    replay = Replay(["normal", "random", "random"], [0.0, 0.9, 0.9])
    labelled = np.arange(17) < 8

    window = Augmentation().draw(WINDOW, PERSON, labelled, is_upper=UPPER, rng=replay)

    assert next(replay.draws, None) is None
    assert window.center is WINDOW.center
    assert window.extent.tolist() == WINDOW.extent.tolist()
    assert (window.rotation, window.mirrored) == (0.0, False)


def test_recolor() -> None:
    """Off, it hands the crop back; on, it changes the colors, keeps black, and leaves its argument alone."""
    crop = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    crop[0] = 0
    before = crop.copy()

    changed = Augmentation(color_jitter=0.3).recolor(crop, np.random.default_rng(1))

    assert Augmentation().recolor(crop, np.random.default_rng(1)) is crop
    assert changed.dtype == np.uint8
    assert changed.shape == crop.shape
    assert (changed != crop).any()
    assert not changed[0].any()
    np.testing.assert_array_equal(crop, before)
    middle = Replay(["random"] * 5, [0.5] * 5)
    np.testing.assert_array_equal(Augmentation(color_jitter=0.9).recolor(crop, middle), crop)


def erased(keypoints: Floats, seed: int = 0, **options: Any) -> Bools:  # noqa: ANN401 - of an augmentation
    """Which pixels of a gray crop of 60 x 80 pixels were changed."""
    crop = np.full((80, 60, 3), 128, dtype=np.uint8)
    augmentation = Augmentation(**{"erase_probability": 1.0, **options})
    changed: Bools = (augmentation.erase(crop, keypoints, np.random.default_rng(seed)) != crop).any(axis=2)
    assert (crop == 128).all()
    return changed


@given(seed=st.integers(0, 2**32))
@example(seed=0)
def test_an_erased_rectangle_covers_a_keypoint(seed: int) -> None:
    """It lies over one that is in the crop, is as large as asked, and neither long nor thin."""
    changed = erased(np.array([[30.0, 40.0], [-5.0, 10.0]]), seed, erase_area=(0.02, 0.1))
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1

    assert rows.min() - 1 <= 40 <= rows.max() + 1
    assert columns.min() - 1 <= 30 <= columns.max() + 1
    assert 0.5 * 0.02 * 4800 <= width * height <= 1.3 * 0.1 * 4800
    assert 0.4 <= width / height <= 2.5


def test_erased_areas_and_kinds() -> None:
    """Their area is spread evenly between the two fractions; about half are noise, half of one color."""
    crop = np.full((80, 60, 3), 128, dtype=np.uint8)
    augmentation = Augmentation(erase_probability=1.0, erase_area=(0.05, 0.15))
    middle = np.array([[30.0, 40.0]])
    crops = [augmentation.erase(crop, middle, np.random.default_rng(seed)) for seed in range(400)]
    changed = [crop[(crop != 128).any(axis=2)] for crop in crops]

    assert np.mean([len(pixels) / 4800 for pixels in changed]) == pytest.approx(0.1, abs=0.01)
    assert np.mean([len(np.unique(pixels, axis=0)) == 1 for pixels in changed]) == pytest.approx(0.5, abs=0.08)


def test_where_no_keypoint_is_seen_anything_is_erased() -> None:
    """In crops of nobody, and where all labelled keypoints are outside, it may lie anywhere in the crop."""
    for keypoints in (np.zeros((0, 2)), np.array([[-1.0, 3.0], [60.0, 3.0], [3.0, 79.5]])):
        together = np.sum([erased(keypoints, seed) for seed in range(200)], axis=0)
        assert together.min() > 0


def test_erasing_is_as_frequent_as_asked() -> None:
    """A quarter of the crops; switched off, the very crop comes back and nothing is drawn."""
    crop, rng = np.zeros((8, 6, 3), dtype=np.uint8), np.random.default_rng(0)
    state = rng.bit_generator.state
    changed = [erased(np.array([[30.0, 40.0]]), seed, erase_probability=0.25).any() for seed in range(1000)]

    assert Augmentation().erase(crop, np.zeros((0, 2)), rng) is crop
    assert rng.bit_generator.state == state
    assert np.mean(changed) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"erase_probability": 1.1}, "erase_probability: expected a number from 0 to 1"),
        ({"erase_area": (0.0, 0.1)}, r"erase_area: expected two fractions above 0, .*, found \(0.0, 0.1\)"),
        ({"erase_area": (0.2, 0.1)}, "erase_area"),
        ({"erase_area": (0.2, 1.1)}, "erase_area"),
        ({"mirror_probability": 1.5}, "mirror_probability: expected a number from 0 to 1, found 1.5"),
        ({"rotation_probability": -0.1}, "rotation_probability"),
        ({"half_body_probability": float("nan")}, "half_body_probability"),
        ({"scale": 1.0}, "scale: expected a number from 0 up and below 1, found 1.0"),
        ({"color_jitter": -1}, "color_jitter"),
        ({"rotation": -5}, "rotation: expected at least 0, found -5"),
        ({"half_body_padding": 0.5}, "half_body_padding: expected at least 1, found 0.5"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """A value outside its range is named."""
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)
