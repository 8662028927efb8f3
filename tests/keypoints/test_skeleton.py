"""Which keypoints a person has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.keypoints.skeleton import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    KNOWN_SKELETONS,
    LSP_14,
    MPII_16,
    OCHUMAN_19,
    Skeleton,
)

MIRRORED_PAIR = ("left_end", "right_end")


def stick(**change: Any) -> Skeleton:  # noqa: ANN401 - some are wrong on purpose
    """Make a skeleton of three keypoints, one field changed."""
    fields: dict[str, Any] = {
        "name": "stick",
        "keypoints": ("middle", "left_end", "right_end"),
        "flip_pairs": [MIRRORED_PAIR],
        "bones": [("middle", "left_end"), (0, 2)],
        "sigmas": [0.1, 0.2, 0.2],
    }
    return Skeleton(**(fields | change))


@pytest.mark.parametrize("skeleton", KNOWN_SKELETONS)
def test_left_mirrors_to_right(skeleton: Skeleton) -> None:
    """Every left keypoint trades places with the right one of its name, and nothing else moves."""
    mirrored = [skeleton.keypoints[index] for index in skeleton.flip_indices]
    swap = {"left_": "right_", "right_": "left_"}
    expected = [
        next((swap[side] + name[len(side) :] for side in swap if name.startswith(side)), name)
        for name in skeleton.keypoints
    ]

    assert mirrored == expected
    assert skeleton.flip_indices[skeleton.flip_indices].tolist() == list(range(skeleton.num_keypoints))


@pytest.mark.parametrize("skeleton", KNOWN_SKELETONS)
def test_both_sides_are_annotated_and_joined_alike(skeleton: Skeleton) -> None:
    """Mirroring changes neither the set of bones nor, but for the annotators' own differences, the sigmas."""
    bones = {frozenset(bone) for bone in skeleton.bones}
    order = skeleton.flip_indices

    assert {frozenset(int(order[end]) for end in bone) for bone in skeleton.bones} == bones
    assert len(bones) == len(skeleton.bones)
    np.testing.assert_allclose(skeleton.sigmas[order], skeleton.sigmas, rtol=0.35)


@pytest.mark.parametrize(
    ("skeleton", "count"),
    [(COCO_17, 17), (AIC_14, 14), (LSP_14, 14), (CROWDPOSE_14, 14), (MPII_16, 16), (OCHUMAN_19, 19)],
)
def test_the_bones_join_the_whole_body(skeleton: Skeleton, count: int) -> None:
    """From any keypoint every other can be reached; none is drawn alone."""
    reached = {0}
    for _ in range(count):
        reached |= {end for bone in skeleton.bones if reached & set(bone) for end in bone}

    assert skeleton.num_keypoints == len(skeleton.keypoints) == count
    assert reached == set(range(count))


def test_coco_has_the_published_order_and_sigmas() -> None:
    """The names COCO's files carry, and twice the sigma as its evaluation writes it."""
    assert COCO_17.keypoints[:6] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder")
    assert COCO_17.keypoints[-2:] == ("left_ankle", "right_ankle")
    assert COCO_17.flip_pairs == tuple((index, index + 1) for index in range(1, 17, 2))
    tenths = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
    np.testing.assert_allclose(COCO_17.sigmas, np.array(tenths) / 10)


def test_skeletons_share_keypoints_by_name() -> None:
    """AI Challenger's neck and head top have no place in COCO; Leeds has the same fourteen in another order."""
    here, there = AIC_14.shared_with(COCO_17)
    assert [AIC_14.keypoints[index] for index in here] == [COCO_17.keypoints[index] for index in there]
    assert len(here) == 12
    assert sorted(set(AIC_14.keypoints)) == sorted(set(LSP_14.keypoints))
    assert len(stick().shared_with(COCO_17)[0]) == 0


@pytest.mark.parametrize(("skeleton", "shared"), [(LSP_14, 12), (CROWDPOSE_14, 12), (MPII_16, 12), (OCHUMAN_19, 17)])
def test_every_set_shares_the_limbs_with_coco(skeleton: Skeleton, shared: int) -> None:
    """The keypoints in common are the twelve of the limbs; OCHuman has the face too."""
    here, _ = skeleton.shared_with(COCO_17)

    assert len(here) == shared
    assert {"left_wrist", "right_ankle", "left_hip"} <= {skeleton.keypoints[index] for index in here}


@pytest.mark.parametrize("skeleton", [CROWDPOSE_14, OCHUMAN_19])
def test_common_keypoints_have_cocos_sigmas(skeleton: Skeleton) -> None:
    """CrowdPose and OCHuman are measured with COCO's values."""
    here, there = skeleton.shared_with(COCO_17)

    np.testing.assert_array_equal(skeleton.sigmas[here], COCO_17.sigmas[there])


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=28, max_size=28))
@example(values=[float(number) for number in range(28)])
def test_converting_there_and_back_keeps_what_is_shared(values: list[float]) -> None:
    """Leeds and AI Challenger name the same keypoints, so nothing is lost between them."""
    keypoints = np.array(values).reshape(14, 2)

    np.testing.assert_array_equal(LSP_14.convert(AIC_14.convert(keypoints, LSP_14), AIC_14), keypoints)
    np.testing.assert_array_equal(AIC_14.convert(keypoints, AIC_14), keypoints)


def test_converting_fills_with_zeros() -> None:
    """A keypoint missing here is zero there, in the given type; leading axes stay, empty ones too."""
    keypoints = np.ones((2, 5, 14, 3), dtype=np.float32)

    converted = AIC_14.convert(keypoints, COCO_17)

    assert converted.dtype == np.float32
    assert not converted[..., :5, :].any()
    assert (converted[..., 5:, :] == 1).all()
    assert AIC_14.convert(np.zeros((0, 14, 2)), COCO_17).shape == (0, 17, 2)


@pytest.mark.parametrize("shape", [(14,), (17, 2), (14, 17, 2)])
def test_converting_checks_the_shape(shape: tuple[int, ...]) -> None:
    """The last but one axis must be this skeleton's keypoints."""
    with pytest.raises(ValueError, match=r"expected shape \(\.\.\., 14, D\), found"):
        AIC_14.convert(np.zeros(shape), COCO_17)


def test_names_and_indices_mean_the_same() -> None:
    """A pair may be given either way and is kept as indices."""
    assert stick(flip_pairs=[(1, 2)]) == stick()
    assert stick().bones == ((0, 1), (0, 2))
    assert stick().index("right_end") == stick().index(2) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": ()}, "expected different keypoint names"),
        ({"keypoints": ("left_end", "left_end", "right_end")}, "expected different keypoint names"),
        ({"flip_pairs": [("left_end", "tail")]}, "has no keypoint 'tail'"),
        ({"flip_pairs": [(1, 3)]}, r"index 3 is outside 0\.\.2"),
        ({"flip_pairs": [(-1, 0)]}, r"index -1 is outside 0\.\.2"),
        ({"flip_pairs": [(1, "left_end")]}, "joins a keypoint with itself"),
        ({"flip_pairs": [(0, 1), (1, 2)]}, "a keypoint stands in two flip pairs"),
        ({"bones": [(0, 0)]}, "bone .* joins a keypoint with itself"),
        ({"sigmas": [0.1, 0.1]}, "expected 3 positive sigmas"),
        ({"sigmas": [0.1, 0.1, 0.0]}, "expected 3 positive sigmas"),
        ({"sigmas": [0.1, 0.1, float("nan")]}, "expected 3 positive sigmas"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], message: str) -> None:
    """A skeleton that cannot mean anything names itself in the error."""
    with pytest.raises(ValueError, match=f"skeleton 'stick'.*{message}"):
        stick(**change)


def test_a_skeleton_cannot_be_changed() -> None:
    """Fields are frozen and the sigmas read-only, whatever was passed in."""
    sigmas = np.array([0.1, 0.2, 0.2])
    skeleton = stick(sigmas=sigmas)
    sigmas[:] = 9

    assert skeleton.sigmas[0] == 0.1
    assert not skeleton.sigmas.flags.writeable
    with pytest.raises(AttributeError):
        skeleton.name = "other"  # type: ignore[misc]  # what is tried here is what the type forbids


@pytest.mark.parametrize("skeleton", KNOWN_SKELETONS)
def test_a_skeleton_survives_json(skeleton: Skeleton) -> None:
    """Plain lists hold all of it; equal values are equal keys."""
    copy = Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict())))

    assert copy == skeleton
    assert {copy: "found"}[skeleton] == "found"
    assert copy != stick()
    assert copy != "COCO_17"


@pytest.mark.parametrize("change", [{"color": 1}, {"name": None}])
def test_other_keys_are_refused(change: dict[str, Any]) -> None:
    """A missing or an unknown key is an error, not a guess."""
    values = stick().to_dict() | change
    if change.get("name", "") is None:
        del values["name"]

    with pytest.raises(ValueError, match="skeleton: expected the keys"):
        Skeleton.from_dict(values)


def test_published_map_of_ai_challenger(golden_file: Callable[[str], Path]) -> None:
    """Names, pairs, sigmas, the twelve common keypoints and twenty converted persons are the reference's."""
    reference = json.loads(golden_file("aic_to_coco.json").read_text())
    here, there = AIC_14.shared_with(COCO_17)

    assert list(AIC_14.keypoints) == reference["aic_names"]
    assert list(COCO_17.keypoints) == reference["coco_names"]
    assert [list(pair) for pair in sorted(zip(here.tolist(), there.tolist(), strict=True))] == reference[
        "mapping_aic_to_coco"
    ]
    assert sorted(sorted(pair) for pair in AIC_14.flip_pairs) == sorted(
        sorted(pair) for pair in reference["aic_flip_pairs"]
    )
    assert AIC_14.sigmas.tolist() == reference["aic_oks_sigmas"]
    for case in reference["examples"]:
        person = np.array(case["aic"]).reshape(14, 3)
        expected = np.array(case["coco"]).reshape(17, 3)

        np.testing.assert_array_equal(AIC_14.convert(person[:, :2], COCO_17), expected[:, :2])


def test_names_are_enough() -> None:
    """What is not given is sensible: sides by name, bones and deviations as COCO has them."""
    skeleton = Skeleton("arm", ("neck", "right_wrist", "left_elbow", "left_wrist", "right_elbow", "left_shoulder"))

    assert skeleton.flip_pairs == ((2, 4), (3, 1))
    assert set(skeleton.bones) == {(5, 2), (2, 3), (4, 1)}
    assert skeleton.sigmas.tolist() == [0.079, 0.062, 0.072, 0.062, 0.072, 0.079]
    assert Skeleton("racket", ("handle", "tip")).bones == ()
    assert Skeleton("COCO_17", COCO_17.keypoints) == COCO_17
    assert Skeleton("none", ("left_hand", "right_hand"), flip_pairs=[]).flip_pairs == ()


def test_a_text_is_no_list_of_names() -> None:
    """One name is not taken for a keypoint per letter."""
    with pytest.raises(ValueError, match="several keypoint names, found the text 'nose'"):
        Skeleton("face", "nose")


def test_a_skeleton_in_a_line() -> None:
    """Printed configurations stay readable."""
    assert repr(COCO_17) == "Skeleton('COCO_17', 17 keypoints)"
