"""A sample checks itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.samples import Sample

GOOD: dict[str, Any] = {
    "image": Path("a.jpg"),
    "image_id": 7,
    "box_xyxy": [1, 2, 30, 40],
    "keypoints": [[1, 2], [3, 4], [0, 0]],
    "visibility": [2, 1, 0],
    "area": 100,
}


def test_values_become_arrays() -> None:
    """Lists become arrays of the documented types; the rest has its defaults."""
    sample = Sample(**GOOD)

    assert sample.box_xyxy.dtype == np.float64
    assert sample.keypoints.shape == (3, 2)
    assert sample.visibility.dtype == np.int64
    assert sample.labelled.tolist() == [True, True, False]
    assert (sample.annotation_id, sample.is_background, sample.box_score) == (None, False, 1.0)


def test_the_callers_arrays_are_not_changed() -> None:
    """A sample made from arrays leaves them as they were."""
    visibility = np.array([2.0, 1.0, 0.0])

    sample = Sample(**(GOOD | {"visibility": visibility}))

    assert visibility.dtype == np.float64
    assert sample.visibility.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_xyxy": [1, 2, 3]}, r"image 7: box_xyxy: expected shape \(4\), found \(3,\)"),
        ({"box_xyxy": [30, 2, 1, 40]}, r"expected box_xyxy x1, y1, x2, y2 of some size, found \[30"),
        ({"box_xyxy": [1, 2, 1, 2]}, "of some size"),
        ({"box_xyxy": [1, 2, np.nan, 4]}, "of some size"),
        ({"keypoints": [[1, 2, 3]]}, r"expected shape \(any, 2\), found \(1, 3\)"),
        ({"keypoints": [[1, np.inf], [3, 4], [0, 0]]}, "expected finite keypoints"),
        ({"visibility": [2, 1]}, "expected 3 visibilities of 0, 1 or 2, found"),
        ({"visibility": [2, 1, 3]}, "visibilities of 0, 1 or 2, found"),
        ({"visibility": [2, 1, 0.5]}, "visibilities of 0, 1 or 2, found"),
        ({"is_background": True}, "expected a background box without labels"),
        ({"area": -1}, "expected area to be finite and not negative, found -1"),
        ({"area": np.nan}, "expected area to be finite"),
        ({"box_score": -0.5}, "expected box_score to be finite and not negative"),
        ({"image": np.zeros((4, 4))}, r"expected an image of uint8 \(H, W, 3\), found float64 \(4, 4\)"),
        ({"image": np.zeros((4, 4, 4), dtype=np.uint8)}, r"found uint8 \(4, 4, 4\)"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, Any], message: str) -> None:
    """The error names the image, what was expected and what was found."""
    with pytest.raises(ValueError, match=message):
        Sample(**(GOOD | change))


def test_an_image_is_a_path_or_pixels() -> None:
    """A text is no path here: readers join folders and names."""
    with pytest.raises(TypeError, match="expected image to be a Path or an array, found str"):
        Sample(**(GOOD | {"image": "a.jpg"}))


def test_edge_cases_that_are_right() -> None:
    """A box of no width but some height, a background box and a skeleton of no keypoints are samples."""
    nothing = {"keypoints": np.zeros((0, 2)), "visibility": [], "image": np.zeros((4, 4, 3), dtype=np.uint8)}

    assert Sample(**(GOOD | {"box_xyxy": [1, 2, 1, 9]})).box_xyxy.tolist() == [1, 2, 1, 9]
    assert Sample(**(GOOD | {"visibility": [0, 0, 0], "is_background": True})).is_background
    assert Sample(**(GOOD | nothing)).labelled.shape == (0,)
