"""Drawn people: repeatable, exact, and readable as a COCO data set."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import SyntheticPoses, _Canvas, _labels_of, _sample, write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17

SMALL = Size(width=96, height=128)
MANY = SyntheticPoses(count=40, size=SMALL, max_persons=3)


def test_a_image_is_a_function_of_seed_and_index() -> None:
    """Drawn again, alone or among others, an image is the same; other seeds and indices give others."""
    first, again = MANY.image(7), SyntheticPoses(count=8, size=SMALL, max_persons=3).image(7)
    other = SyntheticPoses(count=40, size=SMALL, max_persons=3, seed=1).image(7)

    assert len(first) == len(again)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.keypoints, two.keypoints)
    assert (np.asarray(first[0].image) != other[0].image).any()
    assert (np.asarray(first[0].image) != MANY.image(8)[0].image).any()


def test_samples_are_as_documented() -> None:
    """Images have their size, persons their box inside it, labels lie inside, and there are one to three persons."""
    samples = MANY.samples()
    persons = [len(MANY.image(index)) for index in range(MANY.count)]

    assert {sample.image_id for sample in samples} == set(range(40))
    assert set(persons) == {1, 2, 3}
    assert len(samples) == sum(persons)
    for sample in samples:
        assert np.asarray(sample.image).shape == (128, 96, 3)
        assert (sample.box_xyxy >= 0).all()
        assert (sample.box_xyxy <= (95, 127, 95, 127)).all()
        inside = sample.keypoints[sample.labelled]
        assert ((inside >= 0) & (inside <= (95, 127))).all()
        assert not sample.keypoints[~sample.labelled].any()
        assert 0 < sample.area <= np.prod(sample.box_xyxy[2:] - sample.box_xyxy[:2] + 1)


def test_every_visibility_occurs() -> None:
    """Some keypoints are visible, some hidden and some not labelled; visible ones lie in their person's box."""
    samples = MANY.samples()
    visibility = np.stack([sample.visibility for sample in samples])

    assert (visibility == 2).mean() > 0.6
    assert (visibility == 1).mean() > 0.01
    assert (visibility == 0).mean() > 0.01
    for sample in samples:
        seen = sample.keypoints[sample.visibility == 2]
        assert ((seen >= sample.box_xyxy[:2] - 0.5) & (seen <= sample.box_xyxy[2:] + 0.5)).all()


@pytest.mark.parametrize(("side", "warm"), [("left", False), ("right", True)])
def test_sides_have_their_colors(side: str, warm: bool) -> None:  # noqa: FBT001 - a table
    """At a visible wrist, elbow, knee or ankle the image is blue-green on the left and red on the right."""
    joints = [COCO_17.index(f"{side}_{joint}") for joint in ("elbow", "wrist", "knee", "ankle")]
    colors = [
        np.asarray(sample.image)[tuple(np.round(sample.keypoints[joint]).astype(int)[::-1])].astype(int)
        for sample in MANY.samples()
        for joint in joints
        if sample.visibility[joint] == 2
    ]

    assert len(colors) > 100
    assert np.mean([(red > blue) == warm for red, _, blue in colors]) > 0.97


@pytest.mark.parametrize("center", [(30.0, 40.0), (30.5, 40.25), (30.3, 40.9)])
def test_drawing_is_exact(center: tuple[float, float]) -> None:
    """The center of mass of a drawn disc and of a drawn limb is where it was asked for, to a fifth of a pixel."""
    middle, reach = np.array(center), np.array([6.0, -3.0])
    for shape in ("disc", "limb"):
        canvas = _Canvas(np.zeros((80, 60, 3), dtype=np.uint8))
        if shape == "disc":
            canvas.disc(middle, 5.0, (255, 255, 255), 1)
        else:
            canvas.limb([middle - reach, middle + reach], 3.0, (255, 255, 255), 1)
        image, seen = canvas.finished()
        mass = image[..., 0].astype(float)
        rows, columns = np.indices(mass.shape)
        found = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()

        np.testing.assert_allclose(found, middle, atol=0.2)
        assert seen[round(center[1]), round(center[0])] == 1


def test_mirror_symmetry_of_sides() -> None:
    """Of people who face the viewer, left is on the image's right; of those seen from behind it is the other way."""
    samples = SyntheticPoses(count=60).samples()
    left, right = COCO_17.index("left_shoulder"), COCO_17.index("right_shoulder")
    facing = [sample.visibility[COCO_17.index("nose")] > 0 for sample in samples]
    turned = [sample.keypoints[left, 0] > sample.keypoints[right, 0] for sample in samples]

    assert np.mean(np.equal(facing, turned)) > 0.95
    assert 0 < np.mean(facing) < 1


def test_a_written_data_set_reads_back(tmp_path: Path) -> None:
    """Boxes, keypoints, visibility and pixels survive the way through the files."""
    path = write_synthetic_coco(tmp_path / "data", count=6, seed=4, size=SMALL, max_persons=2)
    data = read_coco(path, path.parent / "images")
    drawn = SyntheticPoses(count=6, seed=4, size=SMALL, max_persons=2).samples()

    assert path == tmp_path / "data" / "annotations.json"
    assert data.skeleton is COCO_17
    assert set(data.image_sizes.values()) == {SMALL}
    assert [sample.annotation_id for sample in data.samples] == list(range(1, len(drawn) + 1))
    for read, made in zip(data.samples, drawn, strict=True):
        assert (read.image_id, read.area) == (made.image_id, made.area)
        np.testing.assert_array_equal(read.box_xyxy, made.box_xyxy)
        np.testing.assert_array_equal(read.keypoints, made.keypoints)
        np.testing.assert_array_equal(read.visibility, made.visibility)
        assert isinstance(read.image, Path)
        with PIL.Image.open(read.image) as image:
            np.testing.assert_array_equal(np.asarray(image), made.image)


def test_an_empty_data_set(tmp_path: Path) -> None:
    """No images are a valid file."""
    path = write_synthetic_coco(tmp_path, count=0)

    assert json.loads(path.read_text())["images"] == []
    assert len(read_coco(path, tmp_path / "images")) == 0
    assert SyntheticPoses(count=0).samples() == []


def test_wrong_values_are_refused() -> None:
    """Counts and indices outside their range are errors."""
    with pytest.raises(ValueError, match="expected 0 or more images of 1 to 8 persons, found -1 of 1"):
        SyntheticPoses(count=-1)
    with pytest.raises(ValueError, match="found 3 of 0"):
        SyntheticPoses(count=3, max_persons=0)
    with pytest.raises(IndexError, match=r"expected an index in 0\.\.2, found 3"):
        SyntheticPoses(count=3).image(3)


def test_nobody_is_annotated_who_cannot_be_seen() -> None:
    """A person of whom no pixel is left has no sample."""
    points = {name: np.array([5.0, 5.0]) for name in COCO_17.keypoints}
    image = np.zeros((10, 10, 3), dtype=np.uint8)

    assert _sample(0, points, _labels_of(0), image, image[..., 0]) is None
