"""The doctor: each kind of trouble is found, named and counted; sound data gives no alarm."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.doctor.check_skeleton import side_of
from pcrpose.data.doctor.examine import examine
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.findings import Finding
from pcrpose.data.readers.skeleton import read_skeleton
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.skeleton import COCO_17, LSP_14, Skeleton

Content: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Content], Any]

NAMES = ["handle", "tip", "left_edge", "right_edge"]
RACKET = Skeleton("racket", NAMES, [(2, 3)], [(0, 1)], [0.05] * 4)


def person(number: int, image: int, shift: float = 0.0) -> Content:
    """Annotate a racket of 60 x 40 pixels."""
    points = [(10, 20), (65, 22), (40, 45), (42, 12)]
    keypoints = [value for x, y in points for value in (x + shift, y + shift, 2)]
    box = {"bbox": [5 + shift, 8 + shift, 65, 42], "area": 1500.0, "iscrowd": 0}
    return {"id": number, "image_id": image, "category_id": 3, "keypoints": keypoints, "num_keypoints": 4} | box


def sound() -> Content:
    """Give two images with two rackets each, and nothing wrong with them."""
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 120, "height": 90} for n in (1, 2)],
        "annotations": [person(n, 1 + n // 3, shift=n) for n in (1, 2, 3, 4)],
        "categories": [{"id": 3, "name": "racket", "keypoints": NAMES, "skeleton": [[1, 2], [3, 4]]}, {"id": 1}],
    }


def changed(change: Change) -> Content:
    """Give the sound data with something done to it."""
    content = copy.deepcopy(sound())
    change(content)
    return content


def on_person(index: int = 0, **values: Any) -> Change:  # noqa: ANN401 - JSON values
    """Make the change that sets fields of one person."""
    return lambda content: content["annotations"][index].update(values)


def without(section: str, key: str, index: int = 0) -> Change:
    """Make the change that takes a field away."""
    return lambda content: content[section][index].pop(key)


def on_all(**values: Any) -> Change:  # noqa: ANN401 - as above
    """Make the change that sets fields of every person."""
    return lambda content: [entry.update(values) for entry in content["annotations"]]


def on_image(index: int = 0, **values: Any) -> Change:  # noqa: ANN401 - as above
    """Make the change that sets fields of one image."""
    return lambda content: content["images"][index].update(values)


def named(*names: Any) -> Change:  # noqa: ANN401 - as above
    """Make the change that renames the keypoints."""
    return lambda content: content["categories"][0].update(keypoints=list(names), skeleton=[])


def keypoint(place: int, x: float, y: float, visibility: float = 2) -> Change:
    """Make the change that moves one keypoint of the first person."""

    def change(content: Content) -> None:
        content["annotations"][0]["keypoints"][3 * place : 3 * place + 3] = [x, y, visibility]

    return change


def as_corners(content: Content) -> None:
    """Write the boxes as left, top, right, bottom, in an image that they nearly fill."""
    for entry in content["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x, y, x + width, y + height]
        entry["area"] = 1500.0
    for image in content["images"]:
        image.update(width=75, height=56)


def as_centers(content: Content) -> None:
    """Write the boxes as center, width and height."""
    for entry in content["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x + width / 2, y + height / 2, width, height]


def in_shares(content: Content) -> None:
    """Divide every coordinate by the image's size."""
    for entry in content["annotations"]:
        triples = np.array(entry["keypoints"]).reshape(-1, 3) / [120, 90, 1]
        entry["keypoints"] = triples.ravel().tolist()
        entry["bbox"] = (np.array(entry["bbox"]) / [120, 90, 120, 90]).tolist()
        entry["area"] = 0.1


def never_labelled(content: Content) -> None:
    """Take the tip away from everybody."""
    for entry in content["annotations"]:
        entry["keypoints"][3:6] = [0, 0, 0]


def enlarged(content: Content) -> None:
    """Keep the keypoints of an image three times as large."""
    for entry in content["annotations"]:
        entry["keypoints"] = (np.array(entry["keypoints"]).reshape(-1, 3) * [3, 3, 1]).ravel().tolist()


TROUBLES: list[tuple[str, Change, str, str, int, str]] = [
    ("no section", lambda c: c.pop("annotations"), "error", "sections", 1, "annotations"),
    ("section is no list", lambda c: c.update(images={}), "error", "sections", 1, "images"),
    ("entry is no object", lambda c: c["annotations"].append(7), "error", "sections", 1, "4"),
    ("no images", lambda c: c.update(images=[], annotations=[]), "error", "sections", 2, "images"),
    ("no keypoints", without("categories", "keypoints"), "error", "category", 2, "racket"),
    ("no categories", lambda c: c.update(categories=[]), "error", "category", 1, "none"),
    ("keypoints no list", lambda c: c["categories"][0].update(keypoints="tip"), "error", "names", 1, "tip"),
    ("two categories", lambda c: c["categories"][1].update(keypoints=["a"]), "error", "category", 2, "racket"),
    ("name twice", named("tip", "Tip", "left_edge", "right_edge"), "error", "names", 1, "tip"),
    ("nearly COCO's", named("nose", "tip", "left_shoudler", "right_shoudler"), "warning", "names", 2, "left_shoulder?"),
    ("misspelt side", named("a", "b", "left_edge", "rihgt_edge"), "error", "flip_pairs", 1, "rihgt_edge (right_edge?)"),
    ("misspelt left", named("a", "b", "letf_hip", "right_hip"), "error", "flip_pairs", 1, "letf_hip (left_hip?)"),
    ("misspelt hump", named("a", "b", "LetfKnee", "RightKnee"), "error", "flip_pairs", 1, "LetfKnee (LeftKnee?)"),
    ("misspelt part", named("a", "b", "left_knee", "right_kne"), "error", "flip_pairs", 1, "right_kne (right_knee?)"),
    ("on the left", named("a", "b", "left_elbwo", "right_elbow"), "error", "flip_pairs", 1, "left_elbwo (left_elbow?)"),
    ("nothing near", named("a", "b", "left_edge", "tip"), "error", "flip_pairs", 1, "left_edge"),
    ("misspelt partner", named("a", "b", "left_edge", "right_egde"), "error", "flip_pairs", 2, "right_egde?"),
    (
        "suffixed sides",
        named("a", "b", "edge_left", "edge_right"),
        "error",
        "flip_pairs",
        1,
        "edge_left and edge_right",
    ),
    ("humps", named("a", "b", "LEdge", "REdge"), "error", "flip_pairs", 1, "LEdge and REdge"),
    ("one word", named("a", "b", "leftedge", "rightedge"), "error", "flip_pairs", 1, "leftedge and rightedge"),
    ("bones from 0", lambda c: c["categories"][0].update(skeleton=[[0, 1]]), "error", "bones", 1, "[0, 1]"),
    ("bones beyond", lambda c: c["categories"][0].update(skeleton=[[1, 5], 7]), "error", "bones", 2, "[1, 5]"),
    ("image id twice", on_image(1, id=1), "error", "image_ids", 1, "1"),
    ("no width", without("images", "width"), "error", "image_fields", 1, "1.png: width and height"),
    ("endless", on_image(width=float("inf")), "error", "image_fields", 1, "1.png"),
    ("half a pixel", on_image(height=80.5), "error", "image_fields", 1, "1.png"),
    ("no file name", without("images", "file_name"), "error", "image_fields", 1, "image 1: file_name"),
    ("image twice", on_image(1, file_name="1.png"), "warning", "image_names", 1, "1.png"),
    ("unknown image", on_person(image_id=8), "error", "unknown_images", 1, "annotation 1 of image 8"),
    ("text as id", on_all(image_id="1"), "error", "unknown_images", 4, "of image 1"),
    ("unknown category", on_person(category_id=9), "error", "unknown_categories", 1, "annotation 1"),
    ("no category", without("annotations", "category_id"), "warning", "unknown_categories", 1, "annotation 1"),
    ("annotation id twice", on_person(id=2), "warning", "annotation_ids", 1, "2"),
    ("same person twice", lambda c: c["annotations"].append(person(9, 1, 1)), "warning", "repeated_persons", 2, "9"),
    ("no values", without("annotations", "keypoints"), "error", "keypoint_values", 1, "annotation 1"),
    ("too few values", on_person(keypoints=[1, 2, 2]), "error", "keypoint_values", 1, "annotation 1"),
    ("no number", keypoint(0, float("nan"), 3), "error", "keypoint_values", 1, "annotation 1"),
    ("text", on_person(keypoints=["1"] * 12), "error", "keypoint_values", 1, "annotation 1"),
    ("unlabelled", on_person(keypoints=[0] * 12, num_keypoints=0), "warning", "no_labels", 1, "annotation 1 in 1.png"),
    ("all unlabelled", on_all(keypoints=[0] * 12, num_keypoints=0), "error", "no_labels", 4, "annotation 1 in 1.png"),
    ("visibility 0", on_person(keypoints=[9, 9, 0] * 4, num_keypoints=0), "error", "no_labels", 1, "annotation 1"),
    ("visibility 3", keypoint(0, 12, 22, 3), "error", "visibility", 1, "annotation 1"),
    ("a score", keypoint(0, 12, 22, 0.7), "error", "visibility", 1, "annotation 1"),
    ("wrong count", on_person(num_keypoints=0), "error", "num_keypoints", 1, "annotation 1"),
    ("never labelled", never_labelled, "warning", "never_labelled", 1, "tip"),
    ("corner", keypoint(1, 0, 0), "error", "keypoint_places", 1, "annotation 1"),
    ("outside the image", keypoint(1, 125, 20), "warning", "keypoint_places", 1, "annotation 1"),
    ("far from the box", keypoint(1, 110, 20), "warning", "keypoint_places", 1, "annotation 1"),
    ("another size", enlarged, "error", "keypoint_places", 12, "annotation 1"),
    ("shares", in_shares, "error", "keypoint_places", 16, "annotation 1"),
    ("box in shares", in_shares, "error", "boxes", 4, "annotation 1"),
    ("no box", without("annotations", "bbox"), "error", "boxes", 1, "annotation 1"),
    ("endless box", on_person(bbox=[0, 0, float("inf"), 9]), "error", "boxes", 1, "annotation 1"),
    ("flat box", on_person(bbox=[9, 9, 30, 0]), "error", "boxes", 1, "annotation 1"),
    ("box outside", on_person(bbox=[130, 9, 30, 30]), "error", "boxes", 1, "annotation 1"),
    ("box over the border", on_person(bbox=[6, 9, 130, 80]), "warning", "boxes", 1, "annotation 1"),
    ("corners", as_corners, "error", "boxes", 4, "annotation 1"),
    ("centers", as_centers, "error", "boxes", 4, "annotation 1"),
    ("no area", without("annotations", "area"), "warning", "areas", 1, "annotation 1"),
    ("area 0", on_person(area=0), "error", "areas", 1, "annotation 1"),
    ("large area", on_person(area=9000), "warning", "areas", 1, "annotation 1"),
]


def found(findings: list[Finding]) -> list[tuple[str, str]]:
    """List severity and check of every finding."""
    return [(finding.severity, finding.check) for finding in findings]


@pytest.mark.parametrize(
    ("change", "severity", "check", "count", "example"), [row[1:] for row in TROUBLES], ids=[row[0] for row in TROUBLES]
)
def test_trouble_is_found(change: Change, severity: str, check: str, count: int, example: str) -> None:
    """One thing is wrong: one line says so, how often and where."""
    findings = [finding for finding in examine(changed(change)) if finding.check == check]

    assert [(finding.severity, finding.count) for finding in findings] == [(severity, count)]
    assert any(example in shown for shown in findings[0].examples)
    assert "\n" not in str(findings[0])


@pytest.mark.parametrize("change", [row[1] for row in TROUBLES], ids=[row[0] for row in TROUBLES])
def test_a_file_without_errors_can_be_read(change: Change) -> None:
    """What reading refuses is an error of the doctor's."""
    content = changed(change)
    if all(finding.severity == "warning" for finding in examine(content)):
        assert len(read_coco(content, "").samples) in {3, 4, 5}


def test_sound_data_gives_no_alarm(tmp_path: Path) -> None:
    """Nothing is wrong with rackets, with drawn people on disk, or with a file whose skeleton is the caller's."""
    assert examine(sound()) == []
    assert examine(sound(), skeleton=RACKET) == []
    nameless = changed(lambda content: content["categories"][1].update(name="racket"))
    del nameless["categories"][0]["keypoints"]
    for entry in nameless["annotations"]:
        entry["category_id"] = 1
    assert examine(nameless, skeleton=RACKET) == []

    annotations = write_synthetic_coco(tmp_path, 4, max_persons=2)
    assert examine(annotations, tmp_path / "images", skeleton=COCO_17) == []


def test_only_the_persons_are_looked_at() -> None:
    """Crowds and other categories may have what persons may not."""

    def add(content: Content) -> None:
        crowd = {"id": 8, "image_id": 1, "category_id": 3, "iscrowd": 1, "bbox": [-50, 0, 900, 900]}
        content["annotations"] += [crowd, {"id": 9, "image_id": 1, "category_id": 1}]

    assert examine(changed(add)) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["handle", "tip", "left_edge", "right_egde"], "names that racket lacks"),
        (["handle", "tip", "left_edge"], "keypoints of racket that the file lacks"),
        (["tip", "handle", "left_edge", "right_edge"], "names that stand elsewhere in racket"),
    ],
)
def test_names_have_to_be_the_skeletons(names: list[str], message: str) -> None:
    """A skeleton that is given is held against the file's names."""
    findings = [finding for finding in examine(changed(named(*names)), skeleton=RACKET) if finding.check == "names"]

    assert [finding.severity for finding in findings] == ["error"]
    assert findings[0].message.startswith(message)


@pytest.mark.parametrize(
    ("pairs", "message", "count"),
    [
        ([], "left and right that are no flip pair", 1),
        ([(0, 2)], "flip pairs that join two different parts", 1),
        ([(0, 1), (2, 3)], "", 0),
    ],
)
def test_flip_pairs_of_a_skeleton(pairs: list[tuple[int, int]], message: str, count: int) -> None:
    """Left and right parts belong together; what names say nothing about is the caller's business."""
    skeleton = Skeleton("racket", NAMES, pairs, [], [0.1] * 4)
    findings = [finding for finding in examine(sound(), skeleton=skeleton) if message in finding.message]

    assert len(findings) == count
    assert all((finding.severity, finding.check) == ("error", "flip_pairs") for finding in findings)


def test_bones_do_not_matter_where_nobody_reads_them() -> None:
    """CrowdPose and others carry the bones of a skeleton that is not theirs."""
    bones = changed(lambda content: content["categories"][0].update(skeleton=[[16, 14]]))
    assert found(examine(bones)) == [("error", "bones")]
    assert examine(bones, skeleton=RACKET) == []


@pytest.mark.parametrize("swapped", [False, True])
def test_the_viewers_left_is_told_from_the_persons(swapped: bool) -> None:  # noqa: FBT001 - both kinds of files
    """In faces seen from in front, the left eye is on the right."""
    skeleton = Skeleton("face", ["nose", "left_eye", "right_eye"], [(1, 2)], [], [0.1] * 3)
    content = sound()
    content["categories"] = [{"id": 3, "name": "face", "keypoints": list(skeleton.keypoints)}]
    right, left = (70, 30) if swapped else (30, 70)
    face = [50, 50, 2, left, 30, 2, right, 30, 2]
    content["annotations"] = [
        person(number, 1) | {"keypoints": [value + number / 9 * (value > 2) for value in face]} for number in range(30)
    ]
    assert found(examine(content)) == [("warning", "sides")] * swapped


def test_many_small_persons_are_told() -> None:
    """Some are usual, more than a quarter make training hard."""
    small: Content = {"bbox": [14, 15, 20, 20], "area": 200, "keypoints": [15, 16, 2, 30, 22, 2, 20, 30, 2, 33, 17, 2]}
    assert examine(changed(on_person(**small))) == []

    both = changed(lambda content: [on_person(index, **small)(content) for index in (0, 3)])
    assert found(examine(both)) == [("warning", "small_persons")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the images of the sound data."""
    rng = np.random.default_rng(0)
    (images := tmp_path / "images").mkdir()
    for name in ("1.png", "2.png"):
        PIL.Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(images / name)
    return images


def test_missing_images(folder: Path) -> None:
    """The message says where they are, if they are near."""
    assert examine(sound(), folder) == []
    (folder / "1.png").unlink()
    (missing,) = examine(sound(), folder)
    assert (missing.severity, missing.check, missing.count, missing.examples) == (
        "error",
        "image_files",
        1,
        ("1.png",),
    )
    assert missing.message.startswith("image files that are missing: 1 of 2; give the folder that they are in")

    assert "there is no folder" in examine(sound(), folder / "none")[0].message
    assert f"2.png lies in {folder}" in examine(changed(on_image(0, file_name="2.png")), folder.parent)[0].message
    deeper = changed(on_image(0, file_name="data/train/2.png"))
    assert "leave data/train/ out of file_name" in examine(deeper, folder)[0].message


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "no images"), (b"<html>", "no images"), (None, "cut off or damaged")]
)
def test_broken_images(folder: Path, content: bytes | None, message: str) -> None:
    """Downloads that went wrong are found without decoding every image."""
    path = folder / "1.png"
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    (broken,) = examine(sound(), folder)

    assert (broken.severity, broken.check, broken.examples) == ("error", "image_files", ("1.png",))
    assert message in broken.message


def test_sizes_are_compared_with_the_files(folder: Path) -> None:
    """Swapped sides are told from other sizes; an image that is stored on its side counts as it is shown."""
    for size, message in (((90, 120), "swapped"), ((240, 180), "another size")):
        findings = examine(changed(on_image(0, width=size[0], height=size[1])), folder)
        (sizes,) = (finding for finding in findings if finding.check == "image_sizes")
        assert sizes.examples == (f"1.png says {size[1]}x{size[0]}, is 90x120",)
        assert message in sizes.message
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    with PIL.Image.open(folder / "1.png") as image:
        image.transpose(PIL.Image.Transpose.ROTATE_90).save(folder / "1.png", exif=exif)
    assert examine(sound(), folder) == []


def test_shared_images_by_their_bytes(folder: Path) -> None:
    """With both folders the files decide, under whatever name."""
    other = folder / "val"
    other.mkdir()
    (other / "a.png").write_bytes((folder / "2.png").read_bytes())
    (other / "1.png").write_bytes((folder / "1.png").read_bytes()[::-1])
    content = changed(lambda content: content["images"][1].update(file_name="a.png"))

    (shared,) = examine(sound(), folder, against=content, against_images=other)

    assert (shared.severity, shared.check, shared.examples) == ("error", "shared_images", ("2.png is a.png",))


def test_shared_images_by_their_names() -> None:
    """Without folders the same name and number is an error, the same name alone may be chance."""
    content = changed(on_image(1, id=7))
    found_here = [(finding.severity, finding.examples) for finding in examine(sound(), against=content)]

    assert found_here == [("error", ("1.png",)), ("warning", ("2.png",))]
    assert examine(sound(), against=changed(lambda c: [p.update(file_name=f"v{p['id']}") for p in c["images"]])) == []


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    """No JSON, a results file, and a broken second file are findings; a missing file is not."""
    path = tmp_path / "broken.json"
    path.write_text('{"images": [')
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"image_id": 1}]))

    assert found(examine(path)) == [("error", "json")]
    assert found(examine(results)) == [("error", "sections")]
    assert "is a list of 1" in examine(results)[0].message
    assert found(examine(sound(), against=path)) == [("error", "json")]
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such annotation file"):
        examine(tmp_path / "none.json")


def test_what_reading_alone_refuses_is_told() -> None:
    """Whatever the checks overlook, `read_coco` has the last word."""

    def change(content: Content) -> None:
        del content["categories"][0]["id"]
        for entry in content["annotations"]:
            del entry["category_id"]

    findings = examine(changed(change))
    assert found(findings) == [("error", "reading"), ("warning", "unknown_categories")]
    assert "expected a field 'id'" in findings[0].examples[0]


def test_missing_visibility_is_recognized() -> None:
    """Two numbers a keypoint are a frequent way to write them."""
    content = changed(on_all(keypoints=[10, 20, 65, 22, 40, 45, 42, 12]))
    del content["annotations"][0]["id"]
    (finding,) = examine(content)
    assert (finding.check, finding.count) == ("keypoint_values", 4)
    assert "12 numbers; the visibility is missing" in finding.message
    assert finding.examples[0] == "an annotation of image 1"


def test_everything_wrong_at_once() -> None:
    """The doctor does not stop at the first problem, and tells errors first."""

    def change(content: Content) -> None:
        on_person(0, image_id=8)(content)
        on_person(1, area=0)(content)
        on_person(2, bbox=[6, 9, 130, 80])(content)
        on_image(1, file_name="1.png")(content)
        content["categories"][0]["skeleton"] = [[0, 1]]

    assert found(examine(changed(change))) == [
        ("error", "bones"),
        ("error", "unknown_images"),
        ("error", "areas"),
        ("warning", "image_names"),
        ("warning", "boxes"),
    ]


@pytest.mark.parametrize("value", [None, 0, "x", [1], {"id": []}, [[1, {}]], {"a": 1}, True, -1, 1e300])
@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_whatever_json_holds_is_survived(section: str, value: object) -> None:
    """Any value in any field gives findings or none, never another error."""
    for key in [*sound()[section][0]]:
        content = sound()
        content[section][0][key] = value
        findings = examine(content)
        assert all(isinstance(finding, Finding) for finding in findings)
    content[section] = value
    assert ("error", "sections") in found(examine(content))


def test_summary() -> None:
    """One phrase counts images, persons and keypoints."""
    assert AnnotationFile.read(sound()).summary() == "2 images, 4 persons of 'racket' (4 keypoints)"
    assert AnnotationFile.read({}).summary() == "0 images, 0 persons of 'no category' (0 keypoints)"


def test_a_finding_is_one_line() -> None:
    """Examples are cut short, and a dot shows that there are more."""
    findings = examine(changed(lambda content: [on_image(n, file_name="a\nb" * 40)(content) for n in (0, 1)]))
    assert str(findings[0]).count("\n") == 0
    assert len(findings[0].examples[0]) == 60


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("left_hip", ("left", "hip", True)),
        ("Right Hip", ("right", "hip", True)),
        ("hip_r", ("right", "hip", False)),
        ("medial_left_shoulder", ("left", "medial_shoulder", True)),
        ("leftHip", ("left", "hip", True)),
        ("LHip", ("left", "hip", False)),
        ("lefthip", ("left", "hip", False)),
        ("nose", None),
        ("rim", None),
    ],
)
def test_sides_are_read_from_names(name: str, expected: tuple[str, str, bool] | None) -> None:
    """Whatever way a side is written, it is known again."""
    assert side_of(name) == expected


def test_a_skeleton_in_a_file(tmp_path: Path) -> None:
    """What a skeleton writes is read again; bones and sigmas may be left out; the rest is refused by name."""
    path = tmp_path / "racket.json"
    path.write_text(json.dumps(LSP_14.to_dict()))
    assert read_skeleton(path) == LSP_14
    path.write_text(json.dumps({"name": "racket", "keypoints": NAMES, "flip_pairs": [["left_edge", "right_edge"]]}))
    assert read_skeleton(path) == Skeleton("racket", NAMES, [(2, 3)], [], [0.07] * 4)
    for text in (
        "[",
        "[]",
        '{"keypoints": ["a"]}',
        '{"keypoints": 3}',
        json.dumps(LSP_14.to_dict() | {"bones": [[0, 0]]}),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"racket\.json"):
            read_skeleton(path)
    with pytest.raises(FileNotFoundError, match="no such skeleton file"):
        read_skeleton(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("annotations", "images", "expected"),
    [
        ("coco/annotations/person_keypoints_val.json", "coco/val", [("warning", "no_labels")]),
        ("samples/coco/test_coco.json", "samples/coco", [("warning", "no_labels")]),
        ("samples/ochuman/test_ochuman.json", "samples/ochuman", []),
        ("samples/jhmdb/test_jhmdb_sub1.json", "samples/jhmdb", [("warning", "areas")]),
        ("samples/mhp/test_mhp.json", "samples/mhp", [("warning", "never_labelled")]),
        ("coco/annotations/person_detections_val.json", "coco/val", [("error", "sections")]),
    ],
)
def test_real_data(
    shared_data: Callable[[str], Path], annotations: str, images: str, expected: list[tuple[str, str]]
) -> None:
    """Published files raise no false alarm."""
    assert found(examine(shared_data(annotations), shared_data(images))) == expected
