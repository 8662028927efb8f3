"""Agreement of a crop and its mirrored crop on the sides: by hand, swapped, ambiguous, and where there is nothing."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec, mirror_heatmaps
from pcrpose.keypoints.left_right import left_right_consistency
from pcrpose.keypoints.skeleton import COCO_17

CODEC = HeatmapCodec(input_size=Size(width=96, height=128))
FLIP = COCO_17.flip_indices


def person(seed: int = 0) -> Tensor:
    """Draw a person whose keypoints lie apart: ``(1, 17, 32, 24)``."""
    cells = np.random.default_rng(seed).permutation(24)[:17]
    points = np.stack([8 + 16 * (cells % 6), 15 + 32 * (cells // 6)], axis=1)
    return CODEC.encode(torch.from_numpy(points)[None].float(), torch.ones(1, 17))[0]


def seen_mirrored(heatmaps: Tensor) -> Tensor:
    """Return what a perfect model says of the mirrored crop."""
    return mirror_heatmaps(heatmaps, FLIP)


def test_passes_that_agree_are_near_one() -> None:
    """A perfect model on a person whose limbs lie apart."""
    assert left_right_consistency(person(), seen_mirrored(person()), FLIP).item() > 0.97


def test_a_pass_that_swaps_the_sides_is_near_zero() -> None:
    """The mirrored pass takes left for right, for all keypoints; and for those of one limb pair alone, by hand."""
    swapped = seen_mirrored(person()[:, FLIP])
    wrists = np.arange(17)
    wrists[[9, 10]] = 10, 9
    same = left_right_consistency(person(), seen_mirrored(person()), FLIP).item()

    assert left_right_consistency(person(), swapped, FLIP).item() == pytest.approx(1 - same, abs=1e-6)
    one_pair = left_right_consistency(person(), seen_mirrored(person()[:, wrists]), FLIP).item()
    assert one_pair == pytest.approx(same - (2 * same - 1) / 8, abs=0.02)


def test_by_hand() -> None:
    """Four cells in a row, one pair: masses in common as named, and with the partner."""
    plain = torch.tensor([[[[3.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 2.0]], [[5.0, 0.0, 0.0, 0.0]]]])
    mirrored = torch.tensor([[[[1.0, 0.0, 1.0, 0.0]], [[0.0, 4.0, 0.0, 4.0]], [[0.0, 9.0, 0.0, 0.0]]]])

    # the mirrored pass, turned back: the left keypoint is (.5, 0, .5, 0), the right one (0, .5, 0, .5)
    same, swapped = (0.5 + 0.5) / 2, (0.25 + 0.0) / 2
    found = left_right_consistency(plain, mirrored, np.array([1, 0, 2]))
    assert found.item() == pytest.approx((1 + same - swapped) / 2)


def test_limbs_on_each_other_are_one_half() -> None:
    """A person from the side: left and right in one place."""
    heatmaps = person()
    heatmaps = heatmaps[:, np.minimum(np.arange(17), FLIP)]

    assert left_right_consistency(heatmaps, seen_mirrored(heatmaps), FLIP).item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_maps_that_say_nothing_are_one_half(value: float) -> None:
    """No error, and the person beside is not touched."""
    nothing = torch.full((1, 17, 32, 24), value)
    both = torch.cat([nothing, person()])

    found = left_right_consistency(both, torch.cat([nothing, seen_mirrored(person())]), FLIP)

    assert found[0] == 0.5
    assert found[1] == left_right_consistency(person(), seen_mirrored(person()), FLIP)[0]


def test_both_passes_may_change_places() -> None:
    """The crop mirrored, and its mirrored crop the crop: the same consistency; the height of a map does not matter."""
    first, second = person(1) + 0.2 * person(2), 0.3 * seen_mirrored(person(1) + 0.5 * person(3))

    found = left_right_consistency(first, second, FLIP)

    assert torch.allclose(left_right_consistency(second, first, FLIP), found, atol=1e-6)
    assert torch.allclose(left_right_consistency(7 * first, second, FLIP), found, atol=1e-6)


def test_the_published_shift_is_one_cell() -> None:
    """Maps of the ``"edge"`` alignment agree once the mirrored ones are moved."""
    heatmaps = person()
    late = mirror_heatmaps(heatmaps, FLIP).roll(1, dims=-1)  # what is one cell to the left once mirrored back

    moved, kept = (left_right_consistency(heatmaps, late, FLIP, shift=shift).item() for shift in (True, False))

    assert moved > 0.97 > kept


def test_what_cannot_be_compared_is_refused() -> None:
    """Other shapes, or a skeleton without sides."""
    with pytest.raises(ValueError, match=r"expected heatmaps of one shape, found .*1, 17.* and .*1, 16"):
        left_right_consistency(person(), person()[:, 1:], FLIP)
    with pytest.raises(ValueError, match="flip_indices: expected a pair of keypoints, found none"):
        left_right_consistency(person(), person(), np.arange(17))
