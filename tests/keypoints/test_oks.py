"""Similarity, suppression and rescoring: what must always hold, and what happens at the edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.oks import oks, oks_nms, oks_nms_batch, pose_scores, soft_oks_nms
from pcrpose.keypoints.skeleton import COCO_17

SIGMAS = COCO_17.sigmas

person = arrays(np.float64, (17, 2), elements=st.floats(-500, 1500, width=32))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """Make up poses of which many are near-copies, with distinct scores."""
    models = draw(st.lists(person, min_size=1, max_size=3))
    choice = draw(st.lists(st.integers(0, len(models) - 1), max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keypoints = np.array([models[index] + rng.normal(0, draw(st.sampled_from([1, 5, 20]))) for index in choice])
    return (
        keypoints.reshape(-1, 17, 2),
        rng.permutation(len(choice)) / 10 + 0.05,
        rng.uniform(500, 50000, len(choice)),
    )


def one_by_one(keypoints: Floats, scores: Floats, areas: Floats, threshold: float) -> list[int]:
    """Suppress the slow and obvious way."""
    waiting = sorted(range(len(scores)), key=lambda index: -scores[index])
    kept = []
    while waiting:
        best = waiting.pop(0)
        kept.append(best)
        waiting = [
            other
            for other in waiting
            if oks(keypoints[[best]], keypoints[[other]], [(areas[best] + areas[other]) / 2], sigmas=SIGMAS)[0, 0]
            <= threshold
        ]
    return kept


def test_a_pose_exactly_at_the_threshold_stays() -> None:
    """Dropped above the threshold and kept at it: for equal poses, for poses too far apart, and for some in between."""
    pose = np.random.default_rng(0).uniform(0, 90, (17, 2))
    cases = [(pose, 1.0), (pose + 1e6, 0.0), (pose + 5, oks([pose], [pose + 5], [900.0], sigmas=SIGMAS).item())]
    for other, similarity in cases:
        pair: dict[str, Any] = {
            "keypoints": [pose, other],
            "scores": [0.5, 0.4],
            "areas": [900.0] * 2,
            "sigmas": SIGMAS,
        }

        assert oks([pose], [other], [900.0], sigmas=SIGMAS).item() == similarity
        assert oks_nms(**pair, threshold=similarity).tolist() == [0, 1]
        assert oks_nms_batch(**pair, image_ids=[7, 7], threshold=similarity).tolist() == [0, 1]
        if similarity > 0:
            assert oks_nms(**pair, threshold=np.nextafter(similarity, 0)).tolist() == [0]


def test_a_keypoint_exactly_at_the_threshold_was_not_found() -> None:
    """It counts above the threshold only."""
    assert pose_scores([1.0], [[0.25, 0.75]], threshold=0.25).tolist() == [0.75]
    assert pose_scores([1.0], [[0.25, 0.75]], threshold=np.nextafter(0.25, 0)).tolist() == [0.5]


def test_a_score_of_float32_one_fifth_is_above_one_fifth() -> None:
    """The comparison does not depend on the type of the scores or on numpy's version."""
    low = np.array([[0.2, 0.8]], dtype=np.float32)

    assert pose_scores([1.0], low)[0] == pytest.approx(0.5)
    assert pose_scores([1.0], [[0.2, 0.8]])[0] == pytest.approx(0.8)


def test_a_pose_without_found_keypoints_scores_zero() -> None:
    """Nothing above the threshold means zero, not NaN."""
    assert pose_scores([0.9, 0.5], [[0.1, 0.2], [0.4, 0.1]]).tolist() == [0.0, 0.2]


@given(person, st.floats(1, 1e6))
@example(np.zeros((17, 2)), 1e-12)
@example(np.full((17, 2), 1500.0), 1e12)
def test_a_pose_is_itself(keypoints: Floats, area: float) -> None:
    """The similarity of a pose to itself is exactly 1."""
    assert oks(keypoints[None], keypoints[None], [area], sigmas=SIGMAS).tolist() == [[1.0]]


@given(st.lists(person, max_size=4), st.lists(person, max_size=4), st.floats(1e-3, 1e6))
@example([], [], 1.0)
@example([np.zeros((17, 2))], [], 1.0)
@example([np.zeros((17, 2))], [np.full((17, 2), 1e200)], 1e-3)
def test_similarities_are_fractions(first: list[Floats], second: list[Floats], area: float) -> None:
    """Every similarity lies in [0, 1], for empty sets too, and swaps with the two sets at equal areas."""
    there = oks(first, second, [area] * len(first), sigmas=SIGMAS)
    back = oks(second, first, [area] * len(second), sigmas=SIGMAS)

    assert there.shape == (len(first), len(second))
    assert ((there >= 0) & (there <= 1)).all()
    np.testing.assert_allclose(there, back.T, rtol=0, atol=1e-12)


@given(person, person, arrays(np.bool_, 17), arrays(np.bool_, 17))
@example(np.zeros((17, 2)), np.ones((17, 2)), np.zeros(17, bool), np.ones(17, bool))
@example(np.zeros((17, 2)), np.ones((17, 2)), np.ones(17, bool), np.zeros(17, bool))
@example(np.zeros((17, 2)), np.ones((17, 2)), np.arange(17) == 0, np.arange(17) < 2)
def test_only_counted_keypoints_matter(
    keypoints: Floats, other: Floats, labelled: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]
) -> None:
    """Keypoints that one of the two masks leaves out can be anywhere; with none left the similarity is 0."""
    counted = labelled & found
    moved = np.where(counted[:, None], other, -9999.0)
    masks = {"labelled": labelled[None], "found": found[None]}

    similarity = oks(keypoints[None], other[None], [900.0], sigmas=SIGMAS, **masks)[0, 0]

    assert similarity == oks(keypoints[None], moved[None], [900.0], sigmas=SIGMAS, **masks)[0, 0]
    if counted.any():
        alone = oks(keypoints[None, counted], other[None, counted], [900.0], sigmas=SIGMAS[counted])[0, 0]
        assert similarity == pytest.approx(alone, abs=1e-12)
    else:
        assert similarity == 0.0


def test_one_mask_broadcasts_over_the_other_set() -> None:
    """Each mask alone gives the matrix that both give with the other mask full."""
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 90, (3, 17, 2)), rng.uniform(0, 90, (2, 17, 2))
    labelled, found = rng.random((3, 17)) < 0.5, rng.random((2, 17)) < 0.5
    areas = [900.0, 8000.0, 90000.0]
    everything = {"labelled": np.ones((3, 17), bool), "found": np.ones((2, 17), bool)}

    for only in ({"labelled": labelled}, {"found": found}):
        expected = oks(first, second, areas, sigmas=SIGMAS, **{**everything, **only})
        np.testing.assert_array_equal(oks(first, second, areas, sigmas=SIGMAS, **only), expected)


def test_similarity_in_pieces_is_the_same() -> None:
    """Sets too large for one piece give the rows that small sets give."""
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 90, (300, 17, 2)), rng.uniform(0, 90, (400, 17, 2))
    areas = rng.uniform(900, 9000, 300)

    whole = oks(first, second, areas, sigmas=SIGMAS)

    np.testing.assert_array_equal(whole[250:], oks(first[250:], second, areas[250:], sigmas=SIGMAS))


@given(crowds(), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
@example((np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0)), 0.9)
@example((np.zeros((2, 17, 2)), np.array([0.4, 0.8]), np.full(2, 900.0)), 1.0)
@example((np.zeros((2, 17, 2)), np.array([0.4, 0.8]), np.full(2, 900.0)), np.nextafter(1.0, 0.0))
def test_suppression_is_the_obvious_one_and_idempotent(crowd: tuple[Floats, Floats, Floats], threshold: float) -> None:
    """The slow loop keeps the same poses; what was kept stays when asked again; the order of the input is nothing."""
    keypoints, scores, areas = crowd

    kept = oks_nms(keypoints, scores, areas, sigmas=SIGMAS, threshold=threshold)

    assert kept.tolist() == one_by_one(keypoints, scores, areas, threshold)
    again = oks_nms(keypoints[kept], scores[kept], areas[kept], sigmas=SIGMAS, threshold=threshold)
    assert again.tolist() == list(range(len(kept)))
    backwards = oks_nms(keypoints[::-1], scores[::-1], areas[::-1], sigmas=SIGMAS, threshold=threshold)
    assert (len(scores) - 1 - backwards).tolist() == kept.tolist()


@given(crowds(), st.data())
def test_images_do_not_meet(crowd: tuple[Floats, Floats, Floats], data: st.DataObject) -> None:
    """Many images at once, named by words, keep what each keeps alone, images in order of appearance."""
    keypoints, scores, areas = crowd
    names = st.lists(st.sampled_from(["b", "a", "c"]), min_size=len(scores), max_size=len(scores))
    images = np.array(data.draw(names), dtype=np.str_)
    expected: list[int] = []
    for image in dict.fromkeys(images.tolist()):
        rows = np.flatnonzero(images == image)
        expected += rows[oks_nms(keypoints[rows], scores[rows], areas[rows], sigmas=SIGMAS)].tolist()

    assert oks_nms_batch(keypoints, scores, areas, images, sigmas=SIGMAS).tolist() == expected


def test_equal_scores_keep_their_order() -> None:
    """Of twins with one score the first stays, and unlike poses come out as they went in."""
    twins = np.zeros((2, 17, 2))
    far = np.arange(3)[:, None, None] * 500.0 + np.zeros((17, 2))

    assert oks_nms(twins, [0.5, 0.5], [900.0] * 2, sigmas=SIGMAS).tolist() == [0]
    assert oks_nms(far, [0.5] * 3, [900.0] * 3, sigmas=SIGMAS).tolist() == [0, 1, 2]
    assert soft_oks_nms(far, [0.5] * 3, [900.0] * 3, sigmas=SIGMAS)[0].tolist() == [0, 1, 2]


def test_the_worse_pose_decides_which_keypoints_are_compared() -> None:
    """A keypoint that only the worse pose has not found cannot keep the two apart."""
    better, worse = np.zeros((17, 2)), np.zeros((17, 2))
    worse[0] = 400.0
    found = np.ones((2, 17), dtype=bool)
    found[1, 0] = False
    arguments: dict[str, Any] = {"sigmas": SIGMAS, "threshold": 0.95}

    assert oks_nms([better, worse], [0.9, 0.5], [900.0] * 2, **arguments).tolist() == [0, 1]
    assert oks_nms([better, worse], [0.9, 0.5], [900.0] * 2, found=found, **arguments).tolist() == [0]
    assert oks_nms([better, worse], [0.9, 0.5], [900.0] * 2, found=found[::-1], **arguments).tolist() == [0, 1]


def test_soft_suppression_lowers_scores() -> None:
    """A twin falls by exp(-1 / threshold) and behind a lonely pose; nobody's scores are changed in place."""
    keypoints = np.zeros((3, 17, 2))
    keypoints[2] += 9000.0
    scores = np.array([0.9, 0.8, 0.5])

    taken, lowered = soft_oks_nms(keypoints, scores, [900.0] * 3, sigmas=SIGMAS, threshold=0.5)

    assert taken.tolist() == [0, 2, 1]
    np.testing.assert_allclose(lowered, [0.9, 0.5, 0.8 * np.exp(-2)], rtol=1e-12)
    assert scores.tolist() == [0.9, 0.8, 0.5]


def test_soft_suppression_has_a_limit_only_on_request() -> None:
    """Thirty poses stay thirty; a limit of 20 or 0 is obeyed."""
    keypoints = np.random.default_rng(0).uniform(0, 900, (30, 17, 2))
    arguments = (keypoints, np.linspace(1, 2, 30), [900.0] * 30)

    assert [len(soft_oks_nms(*arguments, sigmas=SIGMAS, max_poses=most)[0]) for most in (None, 20, 0)] == [30, 20, 0]


def test_nothing_in_nothing_out() -> None:
    """Empty input is a case, as lists and as arrays."""
    assert oks([], [], [], sigmas=SIGMAS).shape == (0, 0)
    assert oks(np.zeros((2, 17, 2)), [], [1.0, 1.0], sigmas=SIGMAS).shape == (2, 0)
    assert oks_nms([], [], [], sigmas=SIGMAS).tolist() == []
    assert oks_nms_batch(np.zeros((0, 17, 2)), [], [], [], sigmas=SIGMAS).tolist() == []
    assert [part.tolist() for part in soft_oks_nms([], [], [], sigmas=SIGMAS)] == [[], []]
    assert pose_scores([], np.zeros((0, 17))).tolist() == []


TWO = np.zeros((2, 17, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": np.zeros((2, 14, 2))}, r"keypoints: expected shape \(any, 17, 2\), found \(2, 14, 2\)"),
        ({"keypoints": np.full((2, 17, 2), np.nan)}, "keypoints: expected finite numbers, found .* in row 0"),
        ({"scores": [0.5]}, r"scores: expected shape \(2\), found \(1,\)"),
        ({"scores": [0.5, np.nan]}, "scores: expected finite numbers, found nan in row 1"),
        ({"areas": [900.0]}, r"areas: expected shape \(2\), found \(1,\)"),
        ({"areas": [900.0, 0.0]}, "areas: expected positive numbers, found 0.0 in row 1"),
        ({"sigmas": np.zeros(17)}, "sigmas: expected positive numbers"),
        ({"sigmas": []}, "sigmas: expected positive numbers"),
        ({"threshold": -0.1}, "threshold: expected"),
        ({"threshold": np.nan}, "threshold: expected"),
        ({"found": np.ones((2, 17))}, r"found: expected bool of shape \(2, 17\), found float64"),
        ({"found": np.ones((1, 17), bool)}, r"found: expected bool of shape \(2, 17\), found bool of shape \(1, 17\)"),
    ],
)
@pytest.mark.parametrize("suppress", [oks_nms, soft_oks_nms])
def test_wrong_input_is_named(suppress: Callable[..., object], changes: dict[str, Any], message: str) -> None:
    """Each argument that does not fit gives one error that says what was expected and what was found."""
    arguments: dict[str, Any] = {"keypoints": TWO, "scores": [0.5, 0.4], "areas": [900.0] * 2, "sigmas": SIGMAS}

    with pytest.raises(ValueError, match=message):
        suppress(**{**arguments, **changes})


def test_wrong_options_are_named() -> None:
    """The arguments that only some functions have are checked too."""
    with pytest.raises(ValueError, match=r"labelled: expected bool of shape \(2, 17\)"):
        oks(TWO, TWO, [1.0, 1.0], sigmas=SIGMAS, labelled=np.ones((2, 14), bool))
    with pytest.raises(ValueError, match=r"image_ids: expected shape \(2,\), found \(1,\)"):
        oks_nms_batch(TWO, [0.5, 0.4], [900.0] * 2, [1], sigmas=SIGMAS)
    with pytest.raises(ValueError, match=r"threshold: expected a number from 0 to 1, found 1.5"):
        oks_nms(TWO, [0.5, 0.4], [900.0] * 2, sigmas=SIGMAS, threshold=1.5)
    with pytest.raises(ValueError, match="max_poses: expected at least 0, found -1"):
        soft_oks_nms(TWO, [0.5, 0.4], [900.0] * 2, sigmas=SIGMAS, max_poses=-1)
    with pytest.raises(ValueError, match=r"keypoint_scores: expected shape \(1, any\), found \(2, 17\)"):
        pose_scores([1.0], np.zeros((2, 17)))
