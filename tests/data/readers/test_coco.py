"""COCO's files: reading persons and detections, and saying what is wrong with a file."""

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.readers.coco import DEFAULT_SIGMA, read_coco, read_detections, skeleton_of
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.keypoints.boxes import Size, windows
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, CROWDPOSE_14, LSP_14, MPII_16, Skeleton

ASPECT = 192 / 256
STICK = Skeleton("stick", ["tip", "left_end", "right_end"], [(1, 2)], [(0, 1)], [0.1] * 3)

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 5, "file_name": "five.jpg", "width": 100, "height": 80},
        {"id": 3, "file_name": "sub/three.png", "width": 50, "height": 60},
    ],
    "annotations": [
        {"id": 11, "image_id": 3, "category_id": 1, "iscrowd": 0, "area": 200.5}
        | {"bbox": [10, 20, 15, 30], "keypoints": [12, 22, 2, 13, 23, 1, 0, 0, 0]},
        {"id": 12, "image_id": 5, "category_id": 1, "iscrowd": 0, "area": 100}
        | {"bbox": [90, 70, 30, 30], "keypoints": [0, 0, 0, 0, 0, 0, 95, 75, 2]},
    ],
    "categories": [
        {"id": 1, "name": "stick", "keypoints": ["tip", "left_end", "right_end"], "skeleton": [[1, 2], [1, 3]]},
        {"id": 2, "name": "dog"},
    ],
}


def changed(**annotation: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """The content with some fields of its first annotation replaced."""
    content = copy.deepcopy(CONTENT)
    content["annotations"][0] |= annotation
    return content


def without(part: str, field: str) -> dict[str, Any]:
    """The content without one field of the first record of a part."""
    content = copy.deepcopy(CONTENT)
    del content[part][0][field]
    return content


def reference(golden_file: Callable[[str], Path]) -> AnnotatedPersons:
    """The reference's synthetic annotations."""
    with gzip.open(golden_file("coco_gt.json.gz"), "rt") as stream:
        return read_coco(json.load(stream), "images")


def test_reading() -> None:
    """Samples come image by image, boxes clipped, paths joined, the skeleton built from the category."""
    data = read_coco(CONTENT, "folder")
    first, second = data.samples

    assert len(data) == 2
    assert [sample.image_id for sample in data.samples] == [5, 3]
    assert [sample.annotation_id for sample in data.samples] == [12, 11]
    assert [sample.image for sample in data.samples] == [Path("folder/five.jpg"), Path("folder/sub/three.png")]
    assert first.box_xyxy.tolist() == [90, 70, 99, 79]
    assert second.box_xyxy.tolist() == [10, 20, 24, 49]
    assert second.keypoints.tolist() == [[12, 22], [13, 23], [0, 0]]
    assert second.visibility.tolist() == [2, 1, 0]
    assert second.area == 200.5
    assert dict(data.image_sizes) == {5: Size(width=100, height=80), 3: Size(width=50, height=60)}
    assert data.image_paths[3] == Path("folder/sub/three.png")
    assert data.skeleton.keypoints == STICK.keypoints
    assert data.skeleton.flip_pairs == ((1, 2),)
    assert data.skeleton.bones == ((0, 1), (0, 2))
    assert data.skeleton.sigmas.tolist() == [DEFAULT_SIGMA] * 3


def test_a_file_reads_like_its_content(tmp_path: Path) -> None:
    """Path, text and content give the same samples."""
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(CONTENT))

    for source in (path, str(path)):
        assert [sample.annotation_id for sample in read_coco(source, tmp_path).samples] == [12, 11]


def test_empty_file() -> None:
    """No images and no persons are a data set of length zero."""
    data = read_coco({"images": [], "annotations": [], "categories": CONTENT["categories"]}, "folder")

    assert len(data) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"iscrowd": 1},
        {"area": 0},
        {"area": -3},
        {"keypoints": [0] * 9},
        {"category_id": 2},
        {"bbox": [50, 20, 10, 10]},
        {"bbox": [-20, 20, 20, 10]},
        {"bbox": [10, 60, 10, 10]},
        {"bbox": [10, 20, 0, 0]},
        {"bbox": [10, 20, 1, 1]},
    ],
    ids=str,
)
def test_unusable_persons_are_left_out(change: dict[str, Any]) -> None:
    """Crowds, persons without area or keypoints, other categories and boxes without pixels give no sample."""
    assert [sample.annotation_id for sample in read_coco(changed(**change), "folder").samples] == [12]


def test_missing_area_is_the_boxs() -> None:
    """Files converted from other data sets may have no areas."""
    assert read_coco(without("annotations", "area"), "folder").samples[1].area == 15 * 30


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (COCO_17.keypoints, COCO_17),
        (LSP_14.keypoints, LSP_14),
        ([name.replace("_", " ").title() for name in AIC_14.keypoints], AIC_14),
        ([name.replace("_", "-").capitalize() for name in LSP_14.keypoints], LSP_14),
        ([*CROWDPOSE_14.keypoints[:12], "head", "neck"], CROWDPOSE_14),
        ([*CROWDPOSE_14.keypoints[:12], "top_head", "neck"], CROWDPOSE_14),
    ],
)
def test_known_skeletons_are_recognized(names: list[str], expected: Skeleton) -> None:
    """A category with the names of a known skeleton is that skeleton, however it spells them."""
    assert skeleton_of({"name": "person", "keypoints": names}) is expected


def test_a_given_skeleton_is_used() -> None:
    """The caller's skeleton replaces the file's, also where the file names no keypoints."""
    unnamed = copy.deepcopy(CONTENT)
    unnamed["categories"][0]["keypoints"] = []

    assert read_coco(CONTENT, "folder", skeleton=STICK).skeleton is STICK
    assert len(read_coco(unnamed, "folder", skeleton=STICK)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a COCO annotation object, found a list"),
        ({}, r"expected a field 'images', found \[\]"),
        ({"images": 3}, "expected 'images' to be a list of objects"),
        (without("images", "id"), "annotations: image: expected a field 'id', found"),
        (without("images", "width"), "image 5: expected a field 'width'"),
        (without("images", "file_name"), "image 5: expected a field 'file_name'"),
        (CONTENT | {"images": [CONTENT["images"][0] | {"file_name": 7}]}, "'file_name' to be a text, found 7"),
        (CONTENT | {"images": [CONTENT["images"][0] | {"width": 0}]}, "image 5: expected a positive whole width"),
        (CONTENT | {"images": [CONTENT["images"][0] | {"height": 9.5}]}, "whole width and height, found 100, 9.5"),
        (without("annotations", "image_id"), "annotation 11: expected a field 'image_id'"),
        (without("annotations", "keypoints"), "annotation 11: expected a field 'keypoints'"),
        (without("annotations", "bbox"), "annotation 11: expected a field 'bbox'"),
        (changed(image_id=99), "annotation 11: image_id 99 is not among the 2 images"),
        (changed(keypoints=[1, 2, 2]), r"annotation 11: expected 9 numbers in 'keypoints', found \[1, 2, 2\]"),
        (changed(bbox=[1, 2, 3]), "annotation 11: expected 4 numbers in 'bbox'"),
        (changed(bbox=[1, 2, 3, None]), "annotation 11: expected 4 numbers in 'bbox'"),
        (changed(area="big"), "annotation 11: expected 'area' to be a number, found 'big'"),
        (changed(keypoints=[1, 2, 0.5] * 3), "annotation 11: sample of image 3: expected 3 visibilities"),
        (changed(keypoints=[1, 2, 7] * 3), "annotation 11: sample of image 3: expected 3 visibilities"),
        (CONTENT | {"categories": []}, r"expected one category with 'keypoints', found \[\]"),
        (CONTENT | {"categories": CONTENT["categories"][:1] * 2}, r"found \['stick', 'stick'\]"),
    ],
)
def test_wrong_files_are_refused(content: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    """The error says where in the file and what was found."""
    with pytest.raises(ValueError, match=message):
        read_coco(content, "folder")


def test_a_skeleton_that_is_not_the_files_is_refused() -> None:
    """Names that differ from the given skeleton's are shown beside them."""
    with pytest.raises(ValueError, match=r"expected the keypoints of COCO_17 \['nose'.* found \['tip'"):
        read_coco(CONTENT, "folder", skeleton=COCO_17)


@pytest.mark.parametrize("read", [lambda path: read_coco(path, "."), read_detections])
def test_files_that_are_not_there_or_not_json(read: Callable[[Path], object], tmp_path: Path) -> None:
    """A missing file is a FileNotFoundError, anything but JSON a ValueError; both name the file."""
    text, binary = tmp_path / "text.json", tmp_path / "binary.json"
    text.write_text("{never closed")
    binary.write_bytes(b"\xff\xd8\xff\xe0")

    with pytest.raises(FileNotFoundError, match=r"missing\.json: no such annotation file"):
        read(tmp_path / "missing.json")
    for path in (text, binary):
        with pytest.raises(ValueError, match=rf"{path.name}: expected JSON, found"):
            read(path)


def test_reference_persons(golden: Callable[[str], Any], golden_file: Callable[[str], Path]) -> None:
    """Order, windows, keypoints and visibility of the published reader."""
    records, data = golden("dataset_records"), reference(golden_file)
    centers, extents = windows([sample.box_xyxy for sample in data.samples], ASPECT)

    assert [sample.image_id for sample in data.samples] == records["out_gt192_image_id"].tolist()
    np.testing.assert_allclose(centers, records["out_gt192_center"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(extents / 200, records["out_gt192_scale"], rtol=0, atol=1e-6)
    _, larger = windows([sample.box_xyxy for sample in data.samples], 288 / 384)
    np.testing.assert_allclose(larger / 200, records["out_gt288_scale"], rtol=0, atol=1e-6)
    keypoints = np.stack([sample.keypoints for sample in data.samples])
    labelled = np.stack([sample.labelled for sample in data.samples])
    np.testing.assert_array_equal(keypoints, records["out_gt192_joints"])
    np.testing.assert_array_equal(labelled, records["out_gt192_vis"])


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_reference_detections(
    threshold: float, golden: Callable[[str], Any], golden_file: Callable[[str], Path]
) -> None:
    """The boxes, windows and scores that the published reader keeps at both thresholds."""
    records = golden("dataset_records")
    with gzip.open(golden_file("coco_det_boxes.json.gz"), "rt") as stream:
        found = read_detections(json.load(stream), score_threshold=threshold)
    tag = f"out_det192_thr{threshold}"
    together = [image_id for image_id, boxes in found.items() for _ in boxes.scores]
    order = np.argsort(together, kind="stable")
    expected_order = np.argsort(records[f"{tag}_image_id"], kind="stable")
    centers, extents = windows(np.concatenate([boxes.boxes_xyxy for boxes in found.values()]), ASPECT)
    scores = np.concatenate([boxes.scores for boxes in found.values()])

    assert sorted(together) == sorted(records[f"{tag}_image_id"].tolist())
    np.testing.assert_array_equal(scores[order], records[f"{tag}_score"][expected_order])
    np.testing.assert_allclose(centers[order], records[f"{tag}_center"][expected_order], rtol=0, atol=1e-4)
    np.testing.assert_allclose(extents[order] / 200, records[f"{tag}_scale"][expected_order], rtol=0, atol=1e-6)


def test_detections(tmp_path: Path) -> None:
    """Boxes are grouped by image as they come; the threshold itself is kept, other categories are not."""
    entries = [
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 4, "category_id": 1, "bbox": [-5, 0, 10, 10], "score": 0.9},
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.49},
        {"image_id": 9, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 0.9},
        {"image_id": 9, "category_id": 1, "bbox": [2, 2, 2, 2], "score": 0.6},
    ]
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(entries))

    found = read_detections(path, score_threshold=0.5)

    assert list(found) == [9, 4]
    assert found[9].boxes_xyxy.tolist() == [[1, 2, 4, 6], [2, 2, 4, 4]]
    assert found[9].scores.tolist() == [0.5, 0.6]
    assert found[4].boxes_xyxy.tolist() == [[-5, 0, 5, 10]]
    assert read_detections([]) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected a list of detections, found a dict"),
        ([{"image_id": 1}], "detection 0: expected a field 'score'"),
        ([3], "detection 0: expected a field 'image_id', found 3"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2], "score": 1}], "detection 0: expected 4 numbers in 'bbox'"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": "1"}], "expected 'score' to be a number"),
    ],
)
def test_wrong_detections_are_refused(content: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    """The error names the entry and what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        read_detections(content)


def test_real_annotations(shared_data: Callable[[str], Path]) -> None:
    """The real files have the documented number of persons, and their skeletons are recognized."""
    coco = read_coco(shared_data("coco/annotations/person_keypoints_val.json"), shared_data("coco/val"))
    aic = read_coco(shared_data("samples/aic/test_aic.json"), shared_data("samples/aic"))

    assert (len(coco), len(coco.image_sizes), coco.skeleton) == (303, 99, COCO_17)
    assert aic.skeleton is AIC_14
    assert all(path.exists() for path in coco.image_paths.values())


def test_crowdpose(shared_data: Callable[[str], Path]) -> None:
    """CrowdPose's file is COCO's but for names and bones, which are not its keypoints'; it has no areas."""
    path = shared_data("samples/crowdpose/test_crowdpose.json")
    data = read_coco(path, path.parent)
    given = read_coco(path, path.parent, skeleton=CROWDPOSE_14)
    person = data.samples[0]

    assert data.skeleton is given.skeleton is CROWDPOSE_14
    assert [sample.image_id for sample in data.samples] == [106848, 106848, 103319, 103319]
    assert person.keypoints[CROWDPOSE_14.index("head_top")].tolist() == [256, 27]
    assert person.keypoints[CROWDPOSE_14.index("right_shoulder")].tolist() == [208, 108]
    assert person.area == pytest.approx(273.15 * 352.42)
    assert all(Path(str(sample.image)).is_file() for sample in data.samples)


@pytest.mark.parametrize(
    ("name", "expected", "count"), [("mhp", MPII_16, 4), ("ochuman", COCO_17, 5), ("aic", AIC_14, 9)]
)
def test_conversions_of_other_sets(
    name: str, expected: Skeleton, count: int, shared_data: Callable[[str], Path]
) -> None:
    """What others have converted to COCO's form is read with the skeleton of its names."""
    path = shared_data(f"samples/{name}/test_{name}.json")
    data = read_coco(path, path.parent)

    assert data.skeleton is expected
    assert len(data) == count
