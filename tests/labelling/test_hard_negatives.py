"""Mining: what touches nobody is kept, and every other detection is counted with the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.data.readers.coco import read_detections
from pcrpose.data.readers.negatives import NegativesFile
from pcrpose.data.readers.person_boxes import PersonBoxes
from pcrpose.keypoints.boxes import Size, intersection_areas
from pcrpose.keypoints.detections import Detections
from pcrpose.labelling.hard_negatives import (
    REASONS,
    MiningResult,
    MiningRules,
    Reason,
    mine_negatives,
)

PERSON = [10.0, 10.0, 50.0, 90.0]
FREE = [60.0, 10.0, 90.0, 70.0]


def people(*boxes: list[float], **others: frozenset[int]) -> PersonBoxes:
    """Annotate image 1 with these persons, and images 2 and 3 with none."""
    of_one = np.reshape(np.array(boxes, dtype=np.float64), (-1, 4))
    nobody = np.zeros((0, 4))
    names = {number: f"{number}.jpg" for number in (1, 2, 3)}
    sizes = dict.fromkeys(names, Size(width=300, height=200))
    return PersonBoxes(boxes_xyxy={1: of_one, 2: nobody, 3: nobody}, file_names=names, sizes=sizes, **others)


def detected(*rows: tuple[list[float], float]) -> Detections:
    """Give detections of one image from pairs of box and score."""
    boxes = np.reshape(np.array([box for box, _ in rows], dtype=np.float64), (-1, 4))
    return Detections(boxes, np.array([score for _, score in rows]))


def reasons(result: MiningResult) -> dict[Reason, int]:
    """Give the reasons that occurred."""
    return {reason: count for reason, count in result.dropped.items() if count}


def test_a_detection_where_nobody_is() -> None:
    """It becomes a box as files have it, with its image and score, not yet verified."""
    result = mine_negatives({1: detected((FREE, 0.75))}, people(PERSON))

    (negative,) = result.negatives
    assert (negative.image_id, negative.file_name, negative.score) == (1, "1.jpg", 0.75)
    assert negative.bbox == (60.0, 10.0, 30.0, 60.0)
    assert negative.verified is None
    assert reasons(result) == {}


@pytest.mark.parametrize(
    ("box", "mined"),
    [
        ([50.0, 10.0, 80.0, 90.0], True),  # sides that only meet share no area
        ([49.9, 10.0, 80.0, 90.0], False),
        ([20.0, 20.0, 30.0, 30.0], False),
        ([0.0, 0.0, 200.0, 200.0], False),
        ([10.0, 90.0, 50.0, 99.0], True),
    ],
)
def test_no_intersection_with_any_person(box: list[float], *, mined: bool) -> None:
    """The paper's rule: a detection that shares any area with a person is none."""
    result = mine_negatives({1: detected((box, 0.9))}, people([300.0, 0.0, 301.0, 1.0], PERSON))

    assert bool(result.negatives) is mined
    assert reasons(result) == ({} if mined else {"person": 1})


def test_crowds_and_people_without_keypoints_count_as_persons() -> None:
    """Read from a file, their boxes keep a detection from being mined."""
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20], "iscrowd": 1},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [40, 0, 20, 20], "num_keypoints": 0, "keypoints": [0] * 51},
        {"id": 3, "image_id": 1, "category_id": 17, "bbox": [80, 0, 20, 20]},
    ]
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 200, "height": 100}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}, {"id": 17, "name": "cat"}],
    }
    found = read_detections(
        [{"image_id": 1, "category_id": 1, "bbox": [x, 2, 8, 8], "score": 0.9} for x in (5, 45, 85, 120)]
    )

    result = mine_negatives(found, PersonBoxes.read(content))

    assert [negative.bbox[0] for negative in result.negatives] == [85, 120]
    assert reasons(result) == {"person": 2}


def test_some_intersection_can_be_allowed() -> None:
    """The share is that of the detection's own area, and of one person at a time."""
    half_covered = [40.0, 10.0, 60.0, 90.0]
    found = {1: detected((half_covered, 0.9))}

    assert mine_negatives(found, people(PERSON), MiningRules(max_intersection=0.5)).negatives
    assert not mine_negatives(found, people(PERSON), MiningRules(max_intersection=0.49)).negatives


def test_what_several_persons_cover_is_not_added_up() -> None:
    """Two persons who cover a half each cover a half, not all: the rule is about one person at a time."""
    left, right = [0.0, 0.0, 20.0, 40.0], [20.0, 0.0, 40.0, 40.0]
    found = {1: detected(([0.0, 0.0, 40.0, 40.0], 0.9))}

    assert mine_negatives(found, people(left, right), MiningRules(max_intersection=0.5)).negatives
    assert mine_negatives(found, people(left, right), MiningRules(max_intersection=0.99)).negatives
    assert not mine_negatives(found, people(left, right), MiningRules(max_intersection=0.49)).negatives


def test_scores_and_sides_have_least_values() -> None:
    """A value at the limit is still good enough."""
    found = {2: detected((FREE, 0.5), ([0, 0, 30, 30.0], 0.49), ([100, 0, 119, 90.0], 0.9), ([200, 0, 220, 90.0], 0.6))}

    result = mine_negatives(found, people(), MiningRules(min_score=0.5, min_side=20))

    assert [negative.score for negative in result.negatives] == [0.6, 0.5]
    assert reasons(result) == {"score": 1, "side": 1}


def test_an_inverted_box_is_too_small() -> None:
    """It is counted, not written to a file that nobody could read."""
    result = mine_negatives({2: detected(([30, 0, 10, 40.0], 0.9), ([30, 0, 30, 40.0], 0.9))}, people())

    assert reasons(result) == {"side": 2}


def test_a_box_outside_the_image_is_none() -> None:
    """Nothing could be cropped; one that only leaves the image is kept as the detector has it."""
    found = {2: detected(([301.0, 0, 320, 40], 0.9), ([-30.0, -10, 20, 40], 0.8))}

    result = mine_negatives(found, people())

    assert [negative.bbox for negative in result.negatives] == [(-30.0, -10.0, 50.0, 50.0)]
    assert reasons(result) == {"outside": 1}


def test_the_better_of_two_alike_is_kept() -> None:
    """Intersection over union decides, only within an image, and only against boxes that were kept."""
    chain = [([0, 0, 30.0, 30], 0.7), ([10, 0, 40.0, 30], 0.9), ([20, 0, 50.0, 30], 0.8)]
    found = {2: detected(*chain), 3: detected(chain[0])}

    result = mine_negatives(found, people(), MiningRules(duplicate_iou=0.5))

    assert [(negative.image_id, negative.bbox[0]) for negative in result.negatives] == [(2, 10), (3, 0)]
    assert reasons(result) == {"duplicate": 2}
    assert len(mine_negatives(found, people(), MiningRules(duplicate_iou=0.51)).negatives) == 4


def test_a_duplicate_is_what_comes_twice_at_least() -> None:
    """At one only equal boxes are duplicates."""
    found = {2: detected((FREE, 0.9), (FREE, 0.8), ([60.0, 10.0, 90.0, 71.0], 0.7))}

    assert reasons(mine_negatives(found, people(), MiningRules(duplicate_iou=1.0))) == {"duplicate": 1}


def test_limits_keep_the_best() -> None:
    """Of each image, then of all."""
    apart = [([x, 0.0, x + 20, 20], score) for x, score in ((0, 0.6), (50, 0.9), (100, 0.7))]
    found = {2: detected(*apart), 3: detected(([0.0, 0, 20, 20], 0.8))}

    result = mine_negatives(found, people(), MiningRules(per_image=2, limit=2))

    assert [negative.score for negative in result.negatives] == [0.9, 0.8]
    assert reasons(result) == {"per_image": 1, "limit": 1}
    assert mine_negatives(found, people(), MiningRules(limit=0)).negatives == ()


def test_equal_scores_come_image_by_image() -> None:
    """Then in the detections' order, whatever the order of the images."""
    others = [60.0, 80.0, 90.0, 100.0]
    found = {3: detected((FREE, 0.9)), 2: detected((others, 0.9), (FREE, 0.9))}

    mined = mine_negatives(found, people()).negatives

    assert [(each.image_id, each.bbox[1]) for each in mined] == [(2, 80), (2, 10), (3, 10)]


def test_images_that_lack_persons_are_passed_over() -> None:
    """By default those that say so; on request those, too, that do not say; detections of strange images always."""
    annotated = people(incomplete=frozenset({1}), unstated=frozenset({2}))
    found = {number: detected((FREE, 0.9)) for number in (1, 2, 3, 4)}

    def mined(rules: MiningRules | None = None) -> list[int]:
        result = mine_negatives(found, annotated, rules)
        assert result.dropped["image"] == 1
        assert result.dropped["incomplete"] == 3 - len(result.negatives)
        return [negative.image_id for negative in result.negatives]

    assert mined() == [2, 3]
    assert mined(MiningRules(skip_unstated=True)) == [3]
    assert mined(MiningRules(skip_incomplete=False)) == [1, 2, 3]


BOXES = st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(1, 40), st.integers(1, 40))


@example(persons=[(0, 0, 20, 40)], boxes=[((20, 0, 20, 40), 0.3), ((19, 0, 20, 40), 0.3)], per_image=0, limit=None)
@example(persons=[], boxes=[((0, 0, 20, 40), 0.3), ((0, 0, 10, 40), 0.3)], per_image=1, limit=0)
@given(
    persons=st.lists(BOXES, max_size=3),
    boxes=st.lists(st.tuples(BOXES, st.floats(0, 1)), max_size=12),
    per_image=st.none() | st.integers(0, 3),
    limit=st.none() | st.integers(0, 3),
)
def test_every_detection_is_accounted_for(
    persons: list[tuple[int, ...]],
    boxes: list[tuple[tuple[int, ...], float]],
    per_image: int | None,
    limit: int | None,
) -> None:
    """Kept and dropped add up; the kept are sorted, touch nobody, and are not alike."""

    def corners(box: tuple[int, ...]) -> list[float]:
        return [float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3])]

    annotated = people(*map(corners, persons))
    found = {1: detected(*((corners(box), score) for box, score in boxes)), 2: detected((FREE, 0.6))}

    result = mine_negatives(found, annotated, MiningRules(min_score=0.3, per_image=per_image, limit=limit))

    assert result.num_detections == len(boxes) + 1
    assert set(result.dropped) == set(REASONS)
    scores = [negative.score for negative in result.negatives]
    assert scores == sorted(scores, reverse=True)
    assert min(scores, default=1.0) >= 0.3
    mined = np.array([each.box_xyxy for each in result.negatives if each.image_id == 1]).reshape(-1, 4)
    assert not intersection_areas(mined, annotated.boxes_xyxy[1]).any()
    shared, areas = intersection_areas(mined, mined), (mined[:, 2:] - mined[:, :2]).prod(axis=1)
    alike = shared >= 0.5 * (areas[:, None] + areas - shared)
    assert not alike[~np.eye(len(mined), dtype=bool)].any()
    assert limit is None or len(scores) <= limit


def test_numbers_that_are_none_are_refused() -> None:
    """The message says where."""
    with pytest.raises(ValueError, match="image 2, detection 1: expected finite numbers"):
        mine_negatives({2: detected((FREE, 0.9), ([0, 0, np.nan, 4], 0.9))}, people())
    with pytest.raises(ValueError, match="image 2, detection 0: expected finite numbers"):
        mine_negatives({2: detected((FREE, np.inf))}, people())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_score", 1.5),
        ("max_intersection", -0.1),
        ("duplicate_iou", 0.0),
        ("min_side", 0.0),
        ("min_side", float("nan")),
        ("per_image", -1),
        ("limit", -1),
    ],
)
def test_rules_without_meaning_are_refused(name: str, value: float) -> None:
    """By name."""
    with pytest.raises(ValueError, match=f"{name}: expected .*, found {value}"):
        MiningRules(**{name: value})  # type: ignore[arg-type] # what is tested


def test_the_list_that_was_looked_at(shared_data: Callable[[str], Path]) -> None:
    """Its boxes are what mining gives on the real images, so none touches a person; over 200 are verified."""
    annotated = PersonBoxes.read(shared_data("coco/annotations/person_keypoints_train.json"))
    found = read_detections(shared_data("coco/annotations/person_detections_train.json"))
    rules = MiningRules(min_score=0.05, min_side=21, duplicate_iou=1.0, skip_incomplete=False)
    mined = {(each.image_id, *each.bbox) for each in mine_negatives(found, annotated, rules).negatives}
    rounded = {tuple(round(number, 2) for number in box) for box in mined}

    listed = NegativesFile.read(Path(__file__).parents[2] / "benchmarks/negatives_coco_subset.json").negatives

    assert sum(each.verified is True for each in listed) > 200
    assert {(each.image_id, *(round(number, 2) for number in each.bbox)) for each in listed} <= rounded
    assert all(annotated.file_names[each.image_id] == each.file_name for each in listed)
