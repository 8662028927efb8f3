"""OKS error types: which mistakes the keypoints of matched poses make, and how much AP each kind costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.matching import PoseResults
from pcrpose.evaluation.pairs import PersonTable, pairs_by_oks
from pcrpose.keypoints.arrays import Floats, Indices, as_floats
from pcrpose.keypoints.oks import keypoint_similarities

ERROR_TYPES = ("good", "jitter", "inversion", "swap", "miss")
ALL_ERRORS = "all four"

MATCHED = 0.1  # OKS from which a pose is matched with a person
NEAR, GOOD = 0.5, 0.85  # keypoint similarities: near a place, and as near as annotators are to each other
NOT_LABELLED = -1

_TYPE = {name: number for number, name in enumerate(ERROR_TYPES)}


@dataclass(frozen=True, eq=False, kw_only=True)
class ErrorAnalysis:
    """What kinds of mistakes the matched poses make.

    Attributes:
        counts: ``(J, 5)`` intp: labelled keypoints of matched persons, by keypoint and by ``ERROR_TYPES``.
        num_matched: poses that are matched with a person, of whom at least one keypoint is labelled.
        num_poses: all of them.
        ap: as it is; -1 without persons.
        ap_corrected: by error type, and for ``ALL_ERRORS``: AP after only these errors are corrected.
    """

    counts: Indices = field(repr=False)
    num_matched: int
    num_poses: int
    ap: float
    ap_corrected: Mapping[str, float]


def analyze_errors(evaluator: CocoEvaluator) -> ErrorAnalysis:
    """Classify every labelled keypoint of the matched poses, and measure AP after each kind of error is corrected.

    A pose is matched with a person from an OKS of 0.1, as COCO matches; what is matched with nobody has no error type.
    A corrected keypoint is moved to its own place, but for what is left of an error: a miss to the distance at which
    the keypoint similarity is 0.5, a jitter to that of 0.85; an inversion or swap keeps the similarity to the place
    that it was confused with. Scores stay.

    Args:
        evaluator: with the poses of every image; not changed. Without a skeleton nothing can be inverted.

    Source:
        Ronchi and Perona, *Benchmarking and error diagnosis in multi-instance pose estimation*, ICCV 2017, section
        3.1, and their program coco-analyze. Ours: a similarity of exactly 0.85 is good; persons of every size count,
        not from 32^2 pixels; and the distances of corrections are those of COCO's similarity, which are twice as long
        as the program's (it leaves out the factor 2 of sigma there).
    """
    persons, poses = PersonTable.of(evaluator), evaluator._collected()  # noqa: SLF001 - of the same room
    pairs = pairs_by_oks(evaluator, threshold=MATCHED)
    corrected = {name: poses.keypoints.copy() for name in (*ERROR_TYPES[1:], ALL_ERRORS)}
    counts = np.zeros((len(evaluator.sigmas), len(ERROR_TYPES)), dtype=np.intp)
    for pose, person in zip(pairs.poses.tolist(), pairs.persons.tolist(), strict=True):
        types, remaining = _types_of(evaluator, persons, poses.keypoints[pose], person)
        labelled = types != NOT_LABELLED
        np.add.at(counts, (np.flatnonzero(labelled), types[labelled]), 1)
        places = _corrected_places(persons, person, remaining, evaluator.sigmas)
        for name, keypoints in corrected.items():
            wrong = types > _TYPE["good"] if name == ALL_ERRORS else types == _TYPE[name]
            keypoints[pose, wrong] = places[wrong]
    return ErrorAnalysis(
        counts=counts,
        num_matched=len(pairs),
        num_poses=len(poses),
        ap=_ap(evaluator, poses),
        ap_corrected={name: _ap(evaluator, replace(poses, keypoints=moved)) for name, moved in corrected.items()},
    )


def classify_keypoints(
    keypoints: npt.ArrayLike,
    persons: npt.ArrayLike,
    labelled: npt.ArrayLike,
    areas: npt.ArrayLike,
    *,
    sigmas: npt.ArrayLike,
    flip_indices: npt.ArrayLike,
) -> tuple[Indices, Floats]:
    """Tell what kind of error each keypoint of a pose is, by the place in the image that it is most similar to.

    The places are those of the keypoint and of its mirror partner, of every person. The similarity is the keypoint's
    term of OKS, ``exp(-distance^2 / (2 * area * (2 * sigma)^2))``, with the area of the person whose place it is.

    - good: most similar to its own place, at least 0.85;
    - jitter: most similar to its own place, from 0.5;
    - inversion: to its partner's place of the same person, from 0.5;
    - swap: to either place of another person, from 0.5;
    - miss: to no place as much as 0.5.

    Args:
        keypoints: ``(J, 2)`` float, the pose, x then y, image pixels.
        persons: ``(P, J, 2)`` float, the annotated persons of the image, **first** the one that the pose is matched
            with.
        labelled: ``(P, J)`` bool.
        areas: ``(P,)`` float, of the persons, image pixels squared.
        sigmas: ``(J,)`` float, per-keypoint sigmas of the skeleton.
        flip_indices: ``(J,)`` whole numbers, the mirror partner of each keypoint; itself where it has none.

    Returns:
        ``(J,)`` intp, indices of ``ERROR_TYPES``, `NOT_LABELLED` where the first person's keypoint is not labelled; and
        ``(J,)`` float64, the keypoint similarity that is left after the error is corrected.

    Raises:
        ValueError: if a shape differs, or there is no person.

    Source:
        As `analyze_errors`. The paper's text asks that an inverted keypoint be less than 0.5 similar to its own place;
        the program, and this function, ask which place it is most similar to.

    Examples:
        >>> person, neighbor = [[10, 10], [30, 10]], [[90, 10], [110, 10]]
        >>> def types(*pose):
        ...     persons, labelled = [person, neighbor], [[True, True]] * 2
        ...     found, _ = classify_keypoints(
        ...         pose, persons, labelled, [1600] * 2, sigmas=[0.1] * 2, flip_indices=[1, 0]
        ...     )
        ...     return [ERROR_TYPES[number] for number in found]
        >>> types([10, 12], [30, 16]), types([30, 10], [90, 12]), types([60, 60], [30, 10])
        (['good', 'jitter'], ['inversion', 'swap'], ['miss', 'good'])
    """
    pose = as_floats(keypoints, shape=(None, 2), name="keypoints")
    joints = len(pose)
    places = as_floats(persons, shape=(None, joints, 2), name="persons")
    scales = as_floats(areas, shape=(len(places),), name="areas")
    widths = as_floats(sigmas, shape=(joints,), name="sigmas")
    counts = np.asarray(labelled, dtype=np.bool_)
    if not len(places) or counts.shape != places.shape[:2]:
        raise ValueError(f"labelled: expected shape ({max(1, len(places))}, {joints}), found {counts.shape}")
    partner = np.asarray(flip_indices, dtype=np.intp)
    own, mirrored = (
        np.where(counts[:, order], keypoint_similarities(pose, places[:, order], scales, sigmas=widths), 0.0)
        for order in (np.arange(joints), partner)
    )
    of_others = np.concatenate([own[1:], mirrored[1:], np.zeros((1, joints))]).max(axis=0)
    best = np.max([own[0], mirrored[0], of_others], axis=0)
    types = np.select(
        [best < NEAR, (own[0] >= best) & (best >= GOOD), own[0] >= best, mirrored[0] >= best],
        [_TYPE["miss"], _TYPE["good"], _TYPE["jitter"], _TYPE["inversion"]],
        _TYPE["swap"],
    ).astype(np.intp)
    remaining = np.select([types == _TYPE["miss"], types == _TYPE["jitter"]], [NEAR, GOOD], best)
    return np.where(counts[0], types, NOT_LABELLED), remaining


def _types_of(evaluator: CocoEvaluator, persons: PersonTable, pose: Floats, person: int) -> tuple[Indices, Floats]:
    """Classify the keypoints of a pose that is matched with a person."""
    others = np.flatnonzero(persons.image_ids == persons.image_ids[person])
    here = np.concatenate([[person], others[others != person]])
    skeleton, joints = evaluator.skeleton, len(evaluator.sigmas)
    return classify_keypoints(
        pose,
        persons.keypoints[here],
        persons.labelled[here],
        persons.areas[here],
        sigmas=evaluator.sigmas,
        flip_indices=np.arange(joints) if skeleton is None else skeleton.flip_indices,
    )


def _corrected_places(persons: PersonTable, person: int, remaining: Floats, sigmas: Floats) -> Floats:
    """Return ``(J, 2)``: beside each annotated keypoint, as far as leaves the keypoint similarity ``remaining``."""
    with np.errstate(divide="ignore"):
        exponents = -np.log(remaining)
    distances = 2 * sigmas * np.sqrt(2 * persons.areas[person] * exponents)
    places: Floats = persons.keypoints[person] + np.column_stack([distances, np.zeros_like(distances)])
    return places


def _ap(evaluator: CocoEvaluator, poses: PoseResults) -> float:
    return evaluator._measure(poses).ap  # noqa: SLF001 - of the same room
