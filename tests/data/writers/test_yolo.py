"""Written YOLO labels: against ones written by hand, and read again."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcrpose.data.readers.yolo import read_yolo
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.writers.yolo import write_yolo
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import KNOWN_SKELETONS, Skeleton

RACKET = Skeleton("racket", ("tip", "left_edge", "right_edge"), [(1, 2)], [], [0.07] * 3)
SIZE = Size(width=80, height=50)


def sample(images: Path, **changes: object) -> Sample:
    """Make a person of three keypoints in an 80 by 50 image."""
    values = {
        "image": images / "a.png",
        "image_id": 1,
        "box_xyxy": np.array([0.0, 10.0, 39.0, 49.0]),
        "keypoints": np.array([[19.5, 24.5], [0.0, 49.0], [5.0, 5.0]]),
        "visibility": np.array([2, 1, 0]),
        "area": 1.0,
    }
    return Sample(**(values | changes))  # type: ignore[arg-type]


def persons(
    images: Path, *samples: Sample, skeleton: Skeleton = RACKET, names: Mapping[int, str] | None = None
) -> AnnotatedPersons:
    """List persons of the images that `photos` has made."""
    paths = {number: images / name for number, name in (names or {1: "a.png", 2: "b.png"}).items()}
    return AnnotatedPersons(
        skeleton=skeleton, samples=samples, image_sizes=dict.fromkeys(paths, SIZE), image_paths=paths
    )


def photos(folder: Path) -> Path:
    """Make two images of one bit per pixel."""
    folder.mkdir()
    for name in ("a.png", "b.png"):
        PIL.Image.new("1", (SIZE.width, SIZE.height)).save(folder / name)
    return folder


def test_labels_by_hand(tmp_path: Path) -> None:
    """The first pixel's center is half a pixel from the border; a box covers its last pixel."""
    images = tmp_path / "images"
    write_yolo(tmp_path, persons(images, sample(images)), images)

    assert (tmp_path / "labels/b.txt").read_text() == ""
    # box: x from 0/80 to 40/80, y from 10/50 to 50/50; keypoints: 20/80 25/50, 0.5/80 49.5/50
    expected = "0 0.25 0.6 0.5 0.8 0.25 0.5 2 0.00625 0.99 1 0 0 0\n"
    assert (tmp_path / "labels/a.txt").read_text() == expected
    assert (tmp_path / "data.yaml").read_text().splitlines()[1:] == [
        "train: images",
        "val: images",
        "kpt_shape: [3, 3]",
        "flip_idx: [0, 2, 1]",
        "names:",
        '  0: "racket"',
        "kpt_names:",
        "  0:",
        '    - "tip"',
        '    - "left_edge"',
        '    - "right_edge"',
    ]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_what_is_read_again(data: st.DataObject) -> None:
    """Coordinates to a millionth of a pixel of this small image, visibilities exactly; areas become the boxes'."""
    x, y = st.floats(-0.5, SIZE.width - 0.5), st.floats(-0.5, SIZE.height - 0.5)
    points = data.draw(st.lists(st.tuples(x, y, st.integers(0, 2)), min_size=3, max_size=3))
    points[0] = (*points[0][:2], 1)
    left, top = data.draw(st.floats(0, SIZE.width - 9)), data.draw(st.floats(0, SIZE.height - 9))
    width, height = data.draw(st.floats(0.01, 8)), data.draw(st.floats(0.01, 8))
    with tempfile.TemporaryDirectory() as folder:
        images = photos(Path(folder, "images"))
        written = sample(
            images,
            box_xyxy=np.array([left, top, left + width, top + height]),
            keypoints=np.array([point[:2] for point in points]),
            visibility=np.array([point[2] for point in points]),
        )
        write_yolo(folder, persons(images, written), images)
        found = read_yolo(Path(folder, "data.yaml"), images)

    (read,) = found.samples
    np.testing.assert_allclose(read.keypoints, written.keypoints * written.labelled[:, None], rtol=0, atol=1e-6)
    np.testing.assert_allclose(read.box_xyxy, written.box_xyxy, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(read.visibility, written.visibility)
    assert (found.skeleton, read.image, found.image_sizes) == (RACKET, written.image, {1: SIZE, 2: SIZE})


@pytest.mark.parametrize("skeleton", KNOWN_SKELETONS, ids=lambda skeleton: skeleton.name)
def test_known_skeletons_come_back(skeleton: Skeleton, tmp_path: Path) -> None:
    """By the keypoints' names: bones and sigmas too."""
    images = photos(tmp_path / "images")
    write_yolo(tmp_path, persons(images, skeleton=skeleton), images)

    assert read_yolo(tmp_path / "data.yaml", images).skeleton is skeleton


def test_what_is_outside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Boxes are clipped; a keypoint outside is not labelled, a person outside is left out; both are counted."""
    images = tmp_path / "images"
    leaning = sample(
        images,
        box_xyxy=np.array([-20.0, 10.0, 99.0, 49.0]),
        keypoints=np.array([[79.5, 49.5], [79.6, 20.0], [-0.6, 20.0]]),
        visibility=np.array([2, 1, 0]),
    )
    gone = sample(images, box_xyxy=np.array([90.0, 10.0, 99.0, 49.0]))
    with caplog.at_level(logging.WARNING):
        write_yolo(tmp_path, persons(images, leaning, gone), images)

    assert (tmp_path / "labels/a.txt").read_text() == "0 0.5 0.6 1 0.8 1 1 2 0 0 0 0 0 0\n"
    assert caplog.messages == [
        "outside the images: 1 keypoints, written as not labelled, and 1 persons, left out",
    ]


def test_what_is_refused(tmp_path: Path) -> None:
    """Two images with one name but for the suffix; a hard negative; an image elsewhere."""
    images = tmp_path / "images"
    with pytest.raises(ValueError, match=r"a\.txt: expected labels of one image, found two .*: a\.png and a\.jpg"):
        write_yolo(tmp_path, persons(images, names={1: "a.png", 2: "a.jpg"}), images)
    nobody = sample(images, visibility=np.zeros(3, dtype=int), is_background=True)
    with pytest.raises(ValueError, match="expected a person, found a hard negative"):
        write_yolo(tmp_path, persons(images, nobody), images)
    with pytest.raises(ValueError, match="expected an image in the folder"):
        write_yolo(tmp_path, persons(images), tmp_path / "elsewhere")

    assert not (tmp_path / "data.yaml").exists()
