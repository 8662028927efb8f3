"""The result object: what it accepts, how it is cut up, and the files it becomes."""

import io
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcrpose.keypoints.poses import Poses, Selection
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, LSP_14, Skeleton

STICK = Skeleton("stick", ("low", "high"), [("low", "high")], [(0, 1)], [0.1, 0.2])
LATER = ("pose_presence", "keypoint_covariances", "left_right_consistency")
OPTIONAL = ("keypoint_probabilities", *LATER)
ARRAYS = ("keypoints", "keypoint_scores", "boxes_xyxy", "box_scores", "pose_scores", *OPTIONAL)


def numbers(count: int, skeleton: Skeleton = COCO_17) -> dict[str, Any]:
    """Make up the arrays of some persons, all different."""
    rng = np.random.default_rng(count)
    joints = skeleton.num_keypoints
    return {
        "keypoints": rng.uniform(-5, 600, (count, joints, 2)),
        "keypoint_scores": rng.random((count, joints)),
        "boxes_xyxy": rng.uniform(0, 600, (count, 4)),
        "box_scores": rng.random(count),
        "pose_scores": rng.random(count),
        "skeleton": skeleton,
        "keypoint_probabilities": rng.random((count, joints)),
        "pose_presence": rng.random(count),
        "keypoint_covariances": rng.random((count, joints, 2, 2)),
        "left_right_consistency": rng.random(count),
    }


def test_arrays_become_read_only_float32_copies() -> None:
    """Whatever comes in, float32 comes out, and neither side can change the other's numbers."""
    given_arrays = numbers(3)
    poses = Poses(**given_arrays)
    before = poses.keypoints.copy()

    given_arrays["keypoints"][:] = 0.0

    for name in ARRAYS:
        assert getattr(poses, name).dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            getattr(poses, name)[:] = 0.0
    np.testing.assert_array_equal(poses.keypoints, before)
    with pytest.raises(FrozenInstanceError):
        poses.keypoints = before  # type: ignore[misc]  # the point of the test


def test_float32_input_is_copied_too() -> None:
    """An array that needs no conversion is not shared with the caller either."""
    keypoints = np.zeros((1, 17, 2), dtype=np.float32)
    poses = Poses(**{**numbers(1), "keypoints": keypoints})

    keypoints[:] = 7.0

    assert keypoints.flags.writeable
    assert not poses.keypoints.any()


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("keypoints", (2, 14, 2), "(any, 17, 2)"),
        ("keypoints", (2, 17, 3), "(any, 17, 2)"),
        ("keypoint_scores", (2, 14), "(2, 17)"),
        ("keypoint_scores", (3, 17), "(2, 17)"),
        ("boxes_xyxy", (2, 5), "(2, 4)"),
        ("box_scores", (2, 1), "(2)"),
        ("pose_scores", (3,), "(2)"),
        ("keypoint_probabilities", (2, 2), "(2, 17)"),
        ("pose_presence", (2, 17), "(2)"),
        ("keypoint_covariances", (2, 17, 2), "(2, 17, 2, 2)"),
        ("left_right_consistency", (1,), "(2)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(name: str, shape: tuple[int, ...], expected: str) -> None:
    """The error names the field, the shape expected and the shape found."""
    with pytest.raises(ValueError, match=f"Poses.{name}: expected shape") as caught:
        Poses(**{**numbers(2), name: np.zeros(shape)})

    assert f"expected shape {expected}, found {shape}" in str(caught.value)


def test_words_are_not_numbers() -> None:
    """What cannot become numbers is refused by name."""
    with pytest.raises(ValueError, match=r"Poses.box_scores: expected numbers of shape \(1\)"):
        Poses(**{**numbers(1), "box_scores": ["high"]})


@pytest.mark.parametrize("skeleton", [COCO_17, AIC_14, STICK])
def test_no_persons_is_a_result(skeleton: Skeleton) -> None:
    """An empty result has arrays of the right shape and goes everywhere a full one goes."""
    empty = Poses.empty(skeleton)
    image = np.full((6, 8, 3), 200, dtype=np.uint8)

    assert len(empty) == 0
    assert empty.keypoints.shape == (0, skeleton.num_keypoints, 2)
    assert empty.keypoint_scores.shape == (0, skeleton.num_keypoints)
    assert empty.boxes_xyxy.shape == (0, 4)
    assert empty.to_coco(1) == []
    assert list(empty) == []
    assert len(empty[[]]) == len(empty[:1]) == len(empty[np.zeros(0, bool)]) == 0
    np.testing.assert_array_equal(np.asarray(empty.draw(image)), image)
    assert Poses.from_dict(json.loads(json.dumps(empty.to_dict()))).keypoints.shape == empty.keypoints.shape


def test_empty_probabilities_are_kept() -> None:
    """A calibrated model's empty result stays calibrated."""
    poses = Poses(**{**numbers(0), "keypoint_probabilities": []})

    assert poses.keypoint_probabilities is not None
    assert poses.keypoint_probabilities.shape == (0, 17)
    assert Poses.empty().keypoint_probabilities is None


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([2, 0], [2, 0]),
        (np.array([3, 3]), [3, 3]),
        (np.array([True, False, False, True]), [0, 3]),
        (np.array([], dtype=np.intp), []),
    ],
)
def test_every_kind_of_index_gives_poses(index: Selection, rows: list[int]) -> None:
    """Every array is cut alike, and the answer is always `Poses`."""
    poses = Poses(**numbers(4))

    chosen = poses[index]

    assert isinstance(chosen, Poses)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(chosen, name), getattr(poses, name)[rows])
    assert chosen.skeleton is poses.skeleton


def test_an_index_outside_is_an_error() -> None:
    """There is no fifth of four persons, and a mask has one value a person."""
    poses = Poses(**numbers(4))

    with pytest.raises(IndexError):
        poses[4]
    with pytest.raises(IndexError):
        poses[np.array([True, False])]


def test_persons_come_one_by_one() -> None:
    """Iterating gives each person as `Poses` of length one; without probabilities there stay none."""
    poses = replace(Poses(**numbers(3)), keypoint_probabilities=None)

    persons = list(poses)

    assert [len(person) for person in persons] == [1, 1, 1]
    np.testing.assert_array_equal(np.concatenate([person.keypoints for person in persons]), poses.keypoints)
    assert persons[0].keypoint_probabilities is None


def test_coco_results_are_plain_and_exact() -> None:
    """One dict a person with the server's four keys, Python numbers that are the float32 ones, not rounded."""
    poses = Poses(**numbers(2))

    results = poses.to_coco(np.int64(42))  # type: ignore[arg-type]  # numpy integers come from annotation files

    assert json.loads(json.dumps(results)) == results
    for result, person in zip(results, poses, strict=True):
        assert list(result) == ["image_id", "category_id", "keypoints", "score"]
        assert (result["image_id"], result["category_id"]) == (42, 1)
        triples = np.array(result["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(triples[:, :2], person.keypoints[0])
        np.testing.assert_array_equal(triples[:, 2], person.keypoint_scores[0])
        assert result["score"] == person.pose_scores[0]


def test_another_category_can_be_named() -> None:
    """A data set of one's own may number its persons differently."""
    assert [result["category_id"] for result in Poses(**numbers(2)).to_coco(1, category_id=5)] == [5, 5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["keypoints", "keypoint_scores", "pose_scores"])
def test_results_refuse_what_is_no_number(name: str, value: float) -> None:
    """A NaN or infinity is refused, naming the field and the person, before it gets into a file."""
    values = numbers(3)
    values[name][1] = value
    poses = Poses(**values)

    with pytest.raises(ValueError, match=f"Poses.{name}: expected finite numbers, found nan or inf in pose 1"):
        poses.to_coco(1)
    with pytest.raises(ValueError, match=f"Poses.{name}: expected finite numbers"):
        poses.to_dict()


def test_results_do_not_need_a_box() -> None:
    """A box that is unknown does not keep the keypoints out of the results, but does keep JSON from lying."""
    poses = replace(Poses(**numbers(1)), boxes_xyxy=np.full((1, 4), np.nan))

    assert len(poses.to_coco(1)) == 1
    with pytest.raises(ValueError, match=r"Poses\.boxes_xyxy: expected finite numbers"):
        poses.to_dict()


@given(st.integers(0, 3), st.sampled_from([COCO_17, LSP_14, STICK]), st.booleans(), st.data())
def test_dict_and_back(count: int, skeleton: Skeleton, calibrated: bool, data: st.DataObject) -> None:  # noqa: FBT001 - Hypothesis passes by position
    """Through JSON text and back, every number and the skeleton are the same."""
    values = numbers(count, skeleton)
    elements = st.floats(-1e6, 1e6, width=32)
    values["keypoints"] = data.draw(arrays(np.float32, values["keypoints"].shape, elements=elements))
    if not calibrated:
        values |= dict.fromkeys(OPTIONAL)
    poses = Poses(**values)

    again = Poses.from_dict(json.loads(json.dumps(poses.to_dict(), allow_nan=False)))

    assert again.skeleton == skeleton
    for name in ARRAYS:
        before, after = getattr(poses, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_array_equal(before, after)


def test_unknown_and_missing_keys_are_named() -> None:
    """A dict of another version is refused, not half understood."""
    values = Poses(**numbers(1)).to_dict()

    with pytest.raises(ValueError, match=r"Poses: expected the keys .*, found .*'joints'"):
        Poses.from_dict({**values, "joints": []})
    del values["box_scores"]
    with pytest.raises(ValueError, match=r"Poses: expected the keys .*'box_scores'"):
        Poses.from_dict(values)


def test_dicts_of_earlier_versions_are_read() -> None:
    """Without the keys that came later, which are None then."""
    values = {name: value for name, value in Poses(**numbers(2)).to_dict().items() if name not in LATER}

    poses = Poses.from_dict(values)

    assert [getattr(poses, name) for name in LATER] == [None] * 3
    assert poses.keypoint_probabilities is not None


def test_draw_hands_its_options_on() -> None:
    """Each option changes the image, and the caller's image stays as it was."""
    image = np.full((600, 600, 3), 90, dtype=np.uint8)
    poses = Poses(**numbers(1))

    plain = poses.draw(image)

    assert isinstance(plain, PIL.Image.Image)
    assert (image == 90).all()
    for changed in (poses.draw(image, threshold=0.99), poses.draw(image, boxes=True), poses.draw(image, line_width=9)):
        assert changed.tobytes() != plain.tobytes()


def test_a_short_description() -> None:
    """What a terminal shows fits a line."""
    scores = [0.63, 0.2, *[0.1] * 9]
    many = Poses(**{**numbers(11), "pose_scores": scores})

    assert repr(Poses.empty()) == "Poses(0 of COCO_17, pose_scores=[])"
    assert repr(many[:2]) == "Poses(2 of COCO_17, pose_scores=[0.63, 0.20])"
    assert repr(many) == f"Poses(11 of COCO_17, pose_scores=[0.63, 0.20, {'0.10, ' * 6}3 more])"


def test_a_keypoint_by_its_name() -> None:
    """A name gives x, y and score of each person's keypoint; one that is not there is answered with those that are."""
    poses = Poses(**numbers(3))

    wrists = poses["left_wrist"]

    assert wrists.tolist() == [
        [*keypoints[9], score[9]]
        for keypoints, score in zip(poses.keypoints.tolist(), poses.keypoint_scores.tolist(), strict=True)
    ]
    assert Poses.empty()["nose"].shape == (0, 3)
    with pytest.raises(ValueError, match=r"no keypoint 'left_hand'; it has \['nose', "):
        poses["left_hand"]


def test_a_notebook_shows_the_skeletons() -> None:
    """A value of a notebook is an image of the boxes' extent, however far from the corner the persons are."""
    poses = Poses(**{**numbers(2), "boxes_xyxy": [[1000, 2000, 1100, 2400], [1050, 2000, 1200, 2300]]})

    content = poses._repr_png_()

    assert content is not None
    with PIL.Image.open(io.BytesIO(content)) as shown:
        assert shown.size == (241, 481)
        assert len(np.unique(np.asarray(shown).reshape(-1, 3), axis=0)) > 2
    assert Poses.empty()._repr_png_() is None
