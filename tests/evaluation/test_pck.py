"""Hit rates against hand-counted cases and the published training accuracy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcrpose.evaluation.pck import heatmap_accuracy, pck
from pcrpose.keypoints.arrays import Floats

Golden = Callable[[str], Any]

points = arrays(np.float64, (4, 3, 2), elements=st.floats(-1e3, 1e3))
masks = arrays(np.bool_, (4, 3))
lengths = arrays(np.float64, 4, elements=st.floats(0.1, 1e3))


def two_persons() -> dict[str, Any]:
    """Two persons of three keypoints, six distances: 0, 1, 6 and 0, 1, 5 pixels; the last is not labelled."""
    truth = np.array([[[10.0, 10], [20, 20], [30, 30]], [[50, 50], [60, 60], [70, 70]]])
    guess = truth.copy()
    guess[0, 1, 0] += 1
    guess[0, 2, 1] -= 6
    guess[1, 1, 1] += 1
    guess[1, 2] += [3, 4]
    labelled = np.array([[True, True, True], [True, True, False]])
    return {"predictions": guess, "ground_truth": truth, "labelled": labelled, "normalizers": np.array([10.0, 2.0])}


def test_rates_by_hand() -> None:
    """Distances in lengths are 0, .1, .6 and 0, .5: the hits at .5 and at .4 can be counted."""
    at_half = pck(**two_persons(), threshold=0.5)
    below = pck(**two_persons(), threshold=0.4)

    assert at_half.per_keypoint.tolist() == [1.0, 1.0, 0.0]
    assert at_half.counted.tolist() == [2, 2, 1]
    np.testing.assert_allclose([at_half.mean, at_half.overall], [2 / 3, 4 / 5])
    assert below.per_keypoint.tolist() == [1.0, 0.5, 0.0]


def test_a_keypoint_nobody_has_is_not_in_the_mean() -> None:
    """It is NaN itself, and the mean is that of the others."""
    case = two_persons()
    case["labelled"][:, 2] = False

    metrics = pck(**case, threshold=0.5)

    assert np.isnan(metrics.per_keypoint).tolist() == [False, False, True]
    assert (metrics.mean, metrics.overall) == (1.0, 1.0)


def test_a_person_without_length_does_not_count() -> None:
    """NaN as a length takes the person out, not the metric down."""
    case = two_persons()
    case["normalizers"][0] = np.nan

    assert pck(**case, threshold=0.5).counted.tolist() == [1, 1, 0]


def test_a_prediction_that_is_no_number_is_missed() -> None:
    """NaN is a miss at any threshold, and gives no warning."""
    case = two_persons()
    case["predictions"][0, 0] = np.nan

    assert pck(**case, threshold=1e9).per_keypoint.tolist() == [0.5, 1.0, 1.0]


def test_nobody_gives_nan() -> None:
    """No persons and no labels give NaN, with the right number of keypoints."""
    nobody = np.zeros((0, 14, 2))
    metrics = pck(nobody, nobody, np.zeros((0, 14), bool), [], threshold=0.5)

    assert metrics.per_keypoint.shape == (14,)
    assert np.isnan([metrics.mean, metrics.overall, *metrics.per_keypoint]).all()


@given(points, points, masks, lengths)
def test_unlabelled_points_never_matter(guess: Floats, truth: Floats, labelled: Any, normalizers: Floats) -> None:  # noqa: ANN401 - bool array
    """Whatever stands at an unlabelled point, on either side, the rates are the same."""
    before = pck(guess, truth, labelled, normalizers, threshold=0.5)

    guess[~labelled] = np.nan
    truth[~labelled] = 7.0

    after = pck(guess, truth, labelled, normalizers, threshold=0.5)
    np.testing.assert_array_equal(before.per_keypoint, after.per_keypoint)
    np.testing.assert_array_equal(before.counted, labelled.sum(axis=0))


@pytest.mark.parametrize("case", ["a", "b", "c"])
@pytest.mark.parametrize("kind", ["pck", "pck2"])
def test_training_accuracy_is_the_published_one(golden: Golden, case: str, kind: str) -> None:
    """The same numbers to the last digit, for the given output and for one made nearly right."""
    loss = golden("loss")
    output, target = (loss[f"in_{name}_{case}"].astype(np.float32) for name in ("output", "target"))
    heatmaps = output if kind == "pck" else target + np.float32(1.5) * abs(output)

    accuracy, count = heatmap_accuracy(heatmaps, target)

    np.testing.assert_array_equal(accuracy, loss[f"out_{kind}_acc_{case}"])
    assert [accuracy[0], count] == loss[f"out_{kind}_avg_cnt_{case}"].tolist()


def spike(x: int, y: int, value: float = 1.0) -> Floats:
    """Make a heatmap of 20 columns and 40 rows with one peak."""
    heatmap = np.zeros((1, 1, 40, 20))
    heatmap[0, 0, y, x] = value
    return heatmap


def test_training_accuracy_has_the_published_faults() -> None:
    """Lengths swapped between the axes, two rows and columns that never count, and (0, 0) for nothing found."""
    target = spike(10, 20)

    # a tenth of the height is 4, of the width 2; published, x is divided by 4 and y by 2
    assert heatmap_accuracy(spike(11, 20), target)[0].tolist() == [1.0, 1.0]
    assert heatmap_accuracy(spike(12, 20), target)[0].tolist() == [0.0, 0.0]
    assert heatmap_accuracy(spike(10, 21), target)[0].tolist() == [0.0, 0.0]
    assert heatmap_accuracy(spike(1, 20), spike(1, 20))[0].tolist() == [0.0, -1.0]
    assert heatmap_accuracy(spike(10, 20, -1.0) - 1, target)[0].tolist() == [0.0, 0.0]
    assert heatmap_accuracy(spike(2, 2, 0.0), spike(2, 2))[1] == 1


def test_training_accuracy_of_no_crops() -> None:
    """An empty batch has no targets."""
    accuracy, count = heatmap_accuracy(np.zeros((0, 3, 4, 5)), np.zeros((0, 3, 4, 5)))

    assert (accuracy.tolist(), count) == ([0.0, -1.0, -1.0, -1.0], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": np.zeros((2, 4, 2))}, r"predictions: expected shape \(2, 3, 2\), found \(2, 4, 2\)"),
        ({"ground_truth": np.zeros((2, 3))}, r"ground_truth: expected shape \(any, any, 2\), found \(2, 3\)"),
        ({"labelled": np.ones((2, 3))}, r"labelled: expected bool of shape \(2, 3\), found float64"),
        (
            {"labelled": np.ones((2, 4), bool)},
            r"labelled: expected bool of shape \(2, 3\), found bool of shape \(2, 4\)",
        ),
        ({"normalizers": [1.0]}, r"normalizers: expected shape \(2\), found \(1,\)"),
        ({"normalizers": [1.0, 0.0]}, "normalizers: expected positive lengths, found 0.0 in row 1"),
        ({"threshold": -0.1}, "threshold: expected at least 0, found -0.1"),
    ],
)
def test_wrong_input_is_named(changes: dict[str, Any], message: str) -> None:
    """Each argument that does not fit gives one error that says what was expected and found."""
    with pytest.raises(ValueError, match=message):
        pck(**{**two_persons(), "threshold": 0.5, **changes})


def test_heatmaps_have_one_shape() -> None:
    """Different shapes are refused, not broadcast."""
    with pytest.raises(ValueError, match=r"targets: expected shape \(1, 2, 3, 4\), found \(1, 1, 3, 4\)"):
        heatmap_accuracy(np.zeros((1, 2, 3, 4)), np.zeros((1, 1, 3, 4)))
