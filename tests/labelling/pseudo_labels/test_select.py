"""Selection: what is sure enough is kept and counted, the rest is not labelled, and COCO's reader reads the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcrpose.data.doctor.examine import examine
from pcrpose.data.readers.coco import read_coco
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.labelling.pseudo_labels.select import Selection, pseudo_labels, write_pseudo_labels
from pcrpose.labelling.pseudo_labels.work_file import Shard, WorkFile, WorkHeader

Record: TypeAlias = dict[str, Any]
Write: TypeAlias = Callable[[list[Record]], list[Path]]

STICK = Skeleton("stick", ("tip", "left_end", "right_end"), [(1, 2)], [(0, 1), (0, 2)], [0.1] * 3)


def person(*scores: float, at: float = 10.0, score: float = 0.5) -> Record:
    """Make a person of three keypoints."""
    keypoints = [value for place, peak in enumerate(scores) for value in (at + place, 20.25, peak)]
    return {"box_xyxy": [5.0, 8.0, 44.0, 47.5], "box_score": 0.75, "score": score, "keypoints": keypoints}


def photo(index: int, *persons: Record, **other: object) -> Record:
    """Make the record of an image."""
    record = {"index": index, "file_name": f"{index}.jpg", "image_id": 100 + index}
    return record | other if other else record | {"width": 60, "height": 50, "persons": list(persons)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes records as finished work."""

    def run(records: list[Record]) -> list[Path]:
        header = WorkHeader(settings={"model": "tiny"}, skeleton=STICK, images=len(records), shard=Shard())
        file = WorkFile(tmp_path / "labels.work", header)
        for chunk in file.chunks:
            file.append([records[index] for index in chunk])
        return [file.path]

    return run


def test_kept_and_dropped(write: Write) -> None:
    """Above the threshold a keypoint is visible, at it or below it is not labelled."""
    content = pseudo_labels(write([photo(0, person(0.95, 0.9, 0.1, score=0.625))]), Selection())

    assert content["annotations"] == [
        {
            "id": 1,
            "image_id": 100,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [5.0, 8.0, 40.0, 40.5],
            "area": 858.6,
            "keypoints": [10, 20.25, 2, 0, 0, 0, 0, 0, 0],
            "num_keypoints": 1,
            "score": 0.625,
            "source": "pseudo",
        }
    ]
    assert content["images"] == [{"id": 100, "file_name": "0.jpg", "width": 60, "height": 50}]
    assert content["categories"] == [
        {"id": 1, "name": "person", "keypoints": list(STICK.keypoints), "skeleton": [[1, 2], [1, 3]]}
    ]


def test_thresholds_by_keypoint(write: Write) -> None:
    """A name can have its own threshold; the others have the common one."""
    work = write([photo(0, person(0.6, 0.6, 0.6))])

    content = pseudo_labels(work, Selection(threshold=0.5, by_keypoint={"left_end": 0.7}))

    assert content["annotations"][0]["keypoints"][2::3] == [2, 0, 2]
    assert content["info"]["pcrpose"]["selection"]["thresholds"] == {"tip": 0.5, "left_end": 0.7, "right_end": 0.5}


def test_fraction_is_of_each_keypoint(write: Write) -> None:
    """The best half of each keypoint is kept, however low its scores are."""
    persons = [person(0.1 * n, 1.0 - 0.01 * n, 0.001 * n) for n in range(8)]
    content = pseudo_labels(write([photo(0, *persons[:3]), photo(1, *persons[3:])]), Selection(fraction=0.5))

    assert content["info"]["pcrpose"]["keypoints"] == {name: {"kept": 4, "dropped": 4} for name in STICK.keypoints}
    kept = [annotation["keypoints"][2::3] for annotation in content["annotations"]]
    assert kept == [[0, 2, 0]] * 4 + [[2, 0, 2]] * 4


@given(
    scores=arrays(np.float64, st.tuples(st.integers(0, 30), st.just(3)), elements=st.integers(-3, 12).map(float)),
    fraction=st.floats(0.01, 1.0),
)
def test_fraction_is_never_exceeded(scores: Floats, fraction: float) -> None:
    """At most the fraction is above the threshold, and exactly the fraction where no scores are equal."""
    thresholds = Selection(fraction=fraction).thresholds(scores, STICK)

    wanted = round(fraction * len(scores))
    for column, threshold in zip(scores.T, thresholds, strict=True):
        kept = int((column > threshold).sum())
        assert kept <= wanted
        if len(set(column.tolist())) == len(column):
            assert kept == wanted


def test_fraction_counts_what_cannot_be_kept(write: Write) -> None:
    """Keypoints outside the image are never labelled; a fraction of 1 takes all others."""
    work = write([photo(0, person(0.9, 0.8, 0.7, at=58.0), person(0.1, 0.2, 0.3))])

    content = pseudo_labels(work, Selection(fraction=1.0))

    assert [annotation["keypoints"][2::3] for annotation in content["annotations"]] == [[2, 2, 0], [2, 2, 2]]
    assert content["info"]["pcrpose"]["keypoints"]["right_end"] == {"kept": 1, "dropped": 1}


def test_a_fraction_is_of_everything_that_was_found() -> None:
    """Two of four are half of them, though two of the four cannot be kept."""
    scores = np.full((4, 3), -np.inf)
    scores[:2] = [[0.5], [0.75]]

    kept = scores > Selection(fraction=0.5).thresholds(scores, STICK)

    assert kept.sum(axis=0).tolist() == [2, 2, 2]


def test_earlier_name_of_the_fraction() -> None:
    """``share`` still means the fraction, and the value has one name."""
    assert Selection(fraction=0.25) == Selection(share=0.25)
    assert Selection(share=0.25).fraction == 0.25


def test_files_with_the_earlier_name_are_replaced(tmp_path: Path) -> None:
    """A file whose provenance says ``share`` is one of ours, and may be written anew."""
    before = {"info": {"pcrpose": {"selection": {"share": 0.5}}}}
    (tmp_path / "labels.json").write_text(json.dumps(before))

    write_pseudo_labels(tmp_path / "labels.json", {"info": {"pcrpose": {"selection": {"fraction": 0.5}}}})

    assert json.loads((tmp_path / "labels.json").read_text())["info"]["pcrpose"]["selection"] == {"fraction": 0.5}


@pytest.mark.parametrize(("x", "kept"), [(57.0, [2, 2, 2]), (57.25, [2, 2, 0]), (58.0, [2, 2, 0])])
def test_an_image_ends_at_the_center_of_its_last_pixel(write: Write, x: float, kept: list[int]) -> None:
    """Of 60 columns the last is 59: a keypoint at 59.25 lies outside."""
    content = pseudo_labels(write([photo(0, person(1.0, 1.0, 1.0, at=x))]), Selection())

    assert content["annotations"][0]["keypoints"][2::3] == kept


def test_nothing_usable_of_a_keypoint() -> None:
    """A keypoint that is outside every image has a threshold all the same, and keeps nothing."""
    scores = np.array([[-np.inf, 0.5, 0.5], [-np.inf, 0.25, 0.5]])

    assert Selection(fraction=0.5).thresholds(scores, STICK).tolist() == [0.0, 0.25, 0.5]


def test_persons_with_too_few_keypoints(write: Write) -> None:
    """They are neither written nor counted as kept, and an image of nobody else is not listed."""
    work = write([photo(0, person(1.0, 0.1, 0.1)), photo(1, person(1.0, 0.1, 0.1), person(1.0, 1.0, 0.1))])

    content = pseudo_labels(work, Selection(min_keypoints=2))

    made = content["info"]["pcrpose"]
    assert [image["id"] for image in content["images"]] == [101]
    assert [(entry["id"], entry["image_id"]) for entry in content["annotations"]] == [(1, 101)]
    assert made["persons"] == {"found": 3, "kept": 1}
    assert made["keypoints"]["tip"] == {"kept": 1, "dropped": 2}
    assert (made["images"]["seen"], made["images"]["listed"]) == (2, 1)


def test_provenance_lists_what_is_missing(write: Write) -> None:
    """Leaks and unreadable images are told with their reasons, beside the settings of the predictions."""
    leak = {"file_name": "val.jpg", "distance": 3}
    work = write([photo(0, leak=leak), photo(1, left_out="1.jpg: broken"), photo(2, person(1.0, 1.0, 1.0))])

    made = pseudo_labels(work, Selection())["info"]["pcrpose"]

    assert made["predictions"] == {"model": "tiny"}
    assert made["images"] == {
        "seen": 3,
        "listed": 1,
        "left_out": [{"file_name": "1.jpg", "left_out": "1.jpg: broken"}],
        "leaks": [{"file_name": "0.jpg", "leak": leak}],
    }


def test_no_usable_image(write: Write) -> None:
    """A file without any image helps nobody; one whose images show nobody is only empty."""
    with pytest.raises(ValueError, match="expected images to label, found 1 of which none can be used"):
        pseudo_labels(write([photo(0, left_out="broken")]), Selection())


def test_thresholds_above_everything(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """Labels without a label are written, with a warning that says how high a threshold could be."""
    content = pseudo_labels(write([photo(0, person(0.5, 0.625, 0.1))]), Selection())

    assert content["annotations"] == []
    assert caplog.messages == [
        "nothing is kept: the highest score is 0.625; see Selection(fraction=...), or --keep-fraction"
    ]


def test_images_without_persons(write: Write) -> None:
    """Nobody found is no error."""
    content = pseudo_labels(write([photo(0)]), Selection(fraction=0.5))

    assert (content["images"], content["annotations"]) == ([], [])
    assert content["info"]["pcrpose"]["keypoints"]["tip"] == {"kept": 0, "dropped": 0}


def test_file_is_an_ordinary_one(write: Write, tmp_path: Path) -> None:
    """The reader takes names, boxes, visibility and area from it, and the doctor finds no error."""
    records = [
        photo(0, person(1.0, 1.0, 0.1)),
        photo(1, person(0.1, 1.0, 1.0) | {"box_xyxy": [-3.0, -4.0, 80, 90]}),
    ]
    write_pseudo_labels(tmp_path / "deep/labels.json", pseudo_labels(write(records), Selection(), date="2020-01-02"))

    dataset = read_coco(tmp_path / "deep/labels.json", tmp_path)

    assert dataset.skeleton.keypoints == STICK.keypoints
    assert [sample.visibility.tolist() for sample in dataset.samples] == [[2, 2, 0], [0, 2, 2]]
    assert dataset.samples[0].box_xyxy.tolist() == [5.0, 8.0, 44.0, 47.5]
    assert dataset.samples[1].box_xyxy.tolist() == [0.0, 0.0, 59.0, 49.0]
    assert dataset.samples[1].keypoints.tolist() == [[0, 0], [11, 20.25], [12, 20.25]]
    assert dataset.samples[0].area == 858.6
    assert json.loads((tmp_path / "deep/labels.json").read_text())["info"]["date_created"] == "2020-01-02"
    assert [finding for finding in examine(tmp_path / "deep/labels.json") if finding.severity == "error"] == []


def test_same_work_gives_the_same_bytes(write: Write, tmp_path: Path) -> None:
    """No time and no path of this machine is written; an older file of this kind is replaced."""
    work = write([photo(0, person(1.0, 1.0, 1.0))])
    target = tmp_path / "labels.json"
    write_pseudo_labels(target, pseudo_labels(work, Selection()))
    before = target.read_bytes()

    write_pseudo_labels(target, pseudo_labels(work, Selection()))

    assert target.read_bytes() == before
    assert str(tmp_path).encode() not in before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.json", "labels.work"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"info": {}}', '{"info": 3}', "notes"])
def test_other_files_are_not_replaced(tmp_path: Path, text: str) -> None:
    """Hand-made annotations under the same name stay."""
    (tmp_path / "labels.json").write_text(text)

    with pytest.raises(ValueError, match=r"labels\.json: is there already, and holds no pseudo-labels"):
        write_pseudo_labels(tmp_path / "labels.json", {})
    assert (tmp_path / "labels.json").read_text() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": float("nan")}, "expected finite thresholds"),
        ({"by_keypoint": {"tip": float("inf")}}, "expected finite thresholds"),
        ({"fraction": 0.0}, "fraction: expected a number above 0 and at most 1, found 0.0"),
        ({"fraction": 1.5}, "fraction: expected a number above 0 and at most 1, found 1.5"),
        ({"fraction": 0.5, "threshold": 0.7}, "expected a fraction or thresholds, found both"),
        ({"fraction": 0.5, "by_keypoint": {"tip": 0.7}}, "expected a fraction or thresholds, found both"),
        ({"fraction": 0.5, "share": 0.5}, "expected a fraction, found share, its earlier name, too"),
        ({"min_keypoints": 0}, "min_keypoints: expected at least 1, found 0"),
    ],
)
def test_impossible_selections(values: dict[str, Any], message: str) -> None:
    """They are refused before anything is predicted."""
    with pytest.raises(ValueError, match=message):
        Selection(**values)


def test_unknown_keypoints_are_refused() -> None:
    """A misspelt name would be a threshold that nobody applies."""
    with pytest.raises(ValueError, match="has no keypoint 'nosse'"):
        Selection(by_keypoint={"nosse": 0.5}).check(COCO_17)
    with pytest.raises(ValueError, match="has no keypoint 'nosse'"):
        Selection(by_keypoint={"nosse": 0.5}).thresholds(np.zeros((1, 17)), COCO_17)
