"""Persons as arrays: whatever stands in the file, what is of no use becomes NaN."""

import math
from typing import Any

import numpy as np
import pytest

from pcrpose.data.doctor.people import People
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.json_file import finite_numbers


def people(width: float = 100, **fields: Any) -> People:  # noqa: ANN401 - JSON values
    """One person in one image, with some fields replaced."""
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 5, "keypoints": [9, 9, 2]}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": width, "height": 80}],
        "annotations": [annotation | fields],
        "categories": [{"id": 1, "name": "stick", "keypoints": ["tip"]}],
    }
    return People.of(AnnotationFile.read(content))


def test_usable_values_are_kept() -> None:
    """Numbers come through as they are."""
    found = people()

    assert found.keypoints.tolist() == [[[9, 9, 2]]]
    assert (found.boxes_xywh.tolist(), found.areas.tolist()) == ([[1, 2, 30, 40]], [5])
    assert found.sizes.tolist() == [[100, 80]]


@pytest.mark.parametrize("value", [10**400, math.inf, math.nan, True, "3", None])
def test_what_is_no_number_leaves_a_gap(value: object) -> None:
    """Also an integer that no float can hold."""
    found = people(bbox=[1, 2, value, 40], area=value, keypoints=[9, value, 2])

    assert finite_numbers([1, value], 2) is None
    assert all(np.isnan(array).all() for array in (found.boxes_xywh, found.areas, found.keypoints))


def test_a_image_too_large_to_be_one_leaves_a_gap() -> None:
    """A width that no float can hold is no width."""
    assert np.isnan(people(width=10**400).sizes).all()
