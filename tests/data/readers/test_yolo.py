"""YOLO's pose format as ultralytics documents it: data files in their many spellings, labels, mistakes."""

from pathlib import Path

import PIL.Image
import pytest

from pcrpose.data.readers.read_annotations import read_annotations
from pcrpose.data.readers.yolo import read_yolo
from pcrpose.data.readers.yolo_data import YoloData
from pcrpose.keypoints.skeleton import COCO_17, LSP_14, Skeleton

# The layout of ultralytics' own coco8-pose.yaml, whose last field is a program in other files.
COCO = """\
# COCO8-pose
path: coco8-pose # dataset root dir
train: images/train
val: images/val

# Keypoints
kpt_shape: [17, 3] # number of keypoints, number of dims
flip_idx: [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]

# Classes
names:
  0: person

download: |
  from pathlib import Path
  names: not this
"""
BOXES = """\
names: [ball, 'person']
kpt_shape:
- 2
- 2
flip_idx: [1, 0]
"""


def write(folder: Path, data: str, *lines: str, split: str = "") -> Path:
    """Make an image of 80 by 50, its labels and the data file."""
    image, labels = folder / "images" / split / "a.png", folder / "labels" / split / "a.txt"
    image.parent.mkdir(parents=True)
    labels.parent.mkdir(parents=True)
    PIL.Image.new("1", (80, 50)).save(image)
    labels.write_text("\n".join(lines) + "\n\n")
    (folder / "data.yaml").write_text(data)
    return folder / "data.yaml"


def test_coco_by_hand(tmp_path: Path) -> None:
    """Seventeen keypoints that are paired as COCO's are COCO's; a split has its own folder of labels."""
    line = " ".join(["0 0.25 0.6 0.5 0.8", "0.25 0.5 2", "0.00625 0.99 1", *["0 0 0"] * 15])
    found = read_annotations(write(tmp_path, COCO, line, split="train"), tmp_path / "images/train")

    (person,) = found.samples
    assert found.skeleton is COCO_17
    assert person.keypoints[:3].tolist() == [[19.5, 24.5], [0, 49], [0, 0]]
    assert person.visibility.tolist() == [2, 1, *[0] * 15]
    assert person.box_xyxy.tolist() == pytest.approx([0, 10, 39, 49])
    assert person.area == pytest.approx(39 * 39)


def test_splits_outside(tmp_path: Path) -> None:
    """Images of ``valid/images`` have their labels in ``valid/labels``; those of elsewhere, beside the data file."""
    data = write(tmp_path, BOXES, "1 0.5 0.5 1 1 0.5 0.5 0.5 0.5")
    split = tmp_path / "valid"
    split.mkdir()
    for name in ("images", "labels"):
        (tmp_path / name).rename(split / name)
    assert len(read_yolo(data, split / "images")) == 1
    (tmp_path / "set").mkdir()
    (split / "labels").rename(tmp_path / "set/labels")

    assert len(read_yolo(data.rename(tmp_path / "set/data.yaml"), split / "images")) == 1


def test_without_visibility(tmp_path: Path) -> None:
    """Two numbers per keypoint: all are visible but what is at zero or negative; other classes are left out."""
    data = write(tmp_path, BOXES, "0 0.5 0.5 1 1 0.5 0.5 0.5 0.5", "1 0.5 0.5 1 1 0.5 0.5 0 0", "1 .5 .5 1 1 -1 0 1 1")
    first, second = read_yolo(data, tmp_path / "images").samples

    assert (first.visibility.tolist(), second.visibility.tolist()) == ([2, 0], [0, 2])
    assert first.keypoints.tolist() == [[39.5, 24.5], [0, 0]]
    assert second.keypoints.tolist() == [[0, 0], [79.5, 49.5]]
    assert second.box_xyxy.tolist() == [0, 0, 79, 49]


def test_names_and_pairs(tmp_path: Path) -> None:
    """Names come from the file; where it has none, they are numbers; a skeleton of one's own is taken."""
    data = write(tmp_path, BOXES, "1 0.5 0.5 1 1 0.5 0.5 0.5 0.5")
    plain = read_yolo(data, tmp_path / "images").skeleton
    mine = Skeleton("mine", ("up", "down"))
    named = BOXES + 'kpt_names:\n  0: [x, y]\n  1:\n    - Left Ear\n    - "right-ear" # spelt otherwise\n'
    (tmp_path / "named.yaml").write_text(named)

    assert (plain.keypoints, plain.flip_pairs, plain.bones) == (("keypoint_0", "keypoint_1"), ((0, 1),), ())
    assert read_yolo(data, tmp_path / "images", skeleton=mine).skeleton is mine
    assert read_yolo(tmp_path / "named.yaml", tmp_path / "images").skeleton.keypoints == ("left_ear", "right_ear")
    with pytest.raises(ValueError, match=r"expected the keypoints of mine \['up', 'down'\], found \['left_ear'"):
        read_yolo(tmp_path / "named.yaml", tmp_path / "images", skeleton=mine)
    with pytest.raises(ValueError, match=r"expected the 14 keypoints of LSP_14, found 2"):
        read_yolo(data, tmp_path / "images", skeleton=LSP_14)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("names: {0: person, 3: 'a dog'}", {0: "person", 3: "a dog"}),
        ("names: ['person', \"it's #1\"] # two", {0: "person", 1: "it's #1"}),
        ("names:\n- person\n- dog", {0: "person", 1: "dog"}),
        ("'names' : [\n  person,\n  dog,\n]", {0: "person", 1: "dog"}),
        ("names:\n    0: person\n    1: dog:cat\n", {0: "person", 1: "dog:cat"}),
    ],
)
def test_spellings_of_yaml(text: str, classes: dict[int, str], tmp_path: Path) -> None:
    """Lists and mappings, on lines or in brackets, with quotes and comments."""
    (tmp_path / "data.yml").write_text(f"kpt_shape: [4, 2]\n{text}\n", encoding="utf-8-sig")
    found = YoloData.read(tmp_path / "data.yml")

    assert found.classes == classes
    assert (found.num_keypoints, found.dimensions, found.flip_indices) == (4, 2, None)
    assert found.person_class("") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [person]", r"data\.yaml: expected 'kpt_shape' such as \[17, 3\], found None"),
        ("kpt_shape: [2, 4]\nnames: [a]", r"expected 'kpt_shape' .*found \[2, 4\]"),
        ("kpt_shape: [2, 3]", "expected 'names' to be a list or numbered, found None"),
        ("kpt_shape: [2, 3]\nnames: [a, b]", r"expected one class in 'names', or one called 'person', found \{0: 'a'"),
        ("kpt_shape: [2, 3]\nnames: [a]\nflip_idx: [1, 1]", r"expected 'flip_idx' to exchange pairs of 2 keypoints"),
        ("kpt_shape: [3, 3]\nnames: [a]\nflip_idx: [1, 2, 0]", r"expected 'flip_idx' to exchange pairs of 3"),
        ("kpt_shape: [2, 3]\nnames: [a]\nkpt_names: {0: x}", "expected 2 names in 'kpt_names', found 'x'"),
    ],
)
def test_data_files_with_mistakes(text: str, message: str, tmp_path: Path) -> None:
    """One line says which field is meant."""
    with pytest.raises(ValueError, match=message):
        read_yolo(write(tmp_path, text), tmp_path / "images")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 1 1", "expected 11 finite numbers, found 5: '0 0.5"),
        ("0 0.5 0.5 1 nan .5 .5 2 .5 .5 2", "expected 11 finite numbers"),
        ("0 0.5 0.5 1 1 x .5 2 .5 .5 2", "expected numbers, found '0 0.5"),
        ("0 40 25 80 50 .5 .5 2 .5 .5 2", "expected fractions of the image, from 0 to 1, found 80"),
        ("0 .5 .5 1 1 .5 .5 0.93 .5 .5 2", r"expected visibilities of 0, 1 or 2, found \[0.93, 2.0\]"),
    ],
)
def test_labels_with_mistakes(line: str, message: str, tmp_path: Path) -> None:
    """One line says in which file and line, and what was expected."""
    data = write(tmp_path, "kpt_shape: [2, 3]\nnames: [person]", "0 .5 .5 1 1 .5 .5 2 .5 .5 2", line)

    with pytest.raises(ValueError, match=rf"labels/a\.txt: line 2: {message}"):
        read_yolo(data, tmp_path / "images")


def test_files_that_are_missing(tmp_path: Path) -> None:
    """The data file, all labels, the images."""
    data = write(tmp_path, COCO)

    for name, error in (("none.yaml", FileNotFoundError), ("images", IsADirectoryError)):
        with pytest.raises(error, match="annotation file"):
            read_annotations(tmp_path / name, tmp_path / "images", file_format="yolo")
    assert len(read_yolo(data, tmp_path / "images")) == 0
    (tmp_path / "labels/a.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels: expected labels of the 1 images in .*images, found none"):
        read_yolo(data, tmp_path / "images")
    with pytest.raises(FileNotFoundError, match="labels: expected a folder of images, found none in it"):
        read_yolo(data, tmp_path / "labels")
