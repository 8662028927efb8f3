"""What a report shows, measured: metrics, groups, error types, reliability, PCK, and who came out best and worst."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pcrpose.evaluation.bootstrap import Interval, bootstrap_interval
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.evaluation.error_types import ErrorAnalysis, analyze_errors
from pcrpose.evaluation.pairs import Pairs, PersonTable, pairs_by_box
from pcrpose.evaluation.pck import PckMetrics, pck
from pcrpose.evaluation.reliability import Reliability, reliability, reliability_interval
from pcrpose.evaluation.slices import (
    SMALLEST,
    Slice,
    groups_by_overlap,
    groups_by_visible,
    measure_slices,
    slices_by_size,
)
from pcrpose.keypoints.arrays import Bools, Floats, Indices
from pcrpose.keypoints.oks import keypoint_similarities
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

PCK_STEPS = np.arange(41) / 200  # 0 to a fifth of the longer side of the person's box
RIGHT = 0.5  # keypoint similarity above which a keypoint is right
SHOWN_PERSONS = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreReliability:
    """How well one kind of score tells right keypoints from wrong ones.

    Attributes:
        pooled: of all keypoints; None where nothing is labelled.
        intervals: of its two numbers, over images.
        per_keypoint: in the skeleton's order; None for a keypoint that nobody has labelled.
    """

    pooled: Reliability | None
    intervals: Mapping[str, Interval]
    per_keypoint: tuple[Reliability | None, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownPerson:
    """A person to draw.

    Attributes:
        image_id: of the image.
        pose: one pose.
        annotated: the annotation as a pose; keypoints without a label are NaN.
        oks: of the two.
        num_labelled: keypoints that count.
    """

    image_id: int
    pose: Poses
    annotated: Poses
    oks: float
    num_labelled: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """Everything that a report shows.

    Attributes:
        skeleton: of the poses.
        metrics: COCO's.
        intervals: of the ten metrics.
        draws: resamples the intervals are of.
        sizes: everybody, medium, large.
        visible: by how many keypoints are visible.
        overlap: by how much a neighbor overlaps.
        num_small: persons who count and are smaller than COCO's medium.
        num_paired: persons who count and have a pose, by boxes.
        errors: by type.
        scores: reliability of the keypoint scores.
        probabilities: of the keypoint probabilities; None where the poses have none.
        pck: at each of `PCK_STEPS`.
        best: persons with the highest OKS.
        worst: persons with the lowest OKS, the lowest first.
    """

    skeleton: Skeleton
    metrics: CocoMetrics
    intervals: Mapping[str, Interval]
    draws: int
    sizes: tuple[Slice, ...]
    visible: tuple[Slice, ...]
    overlap: tuple[Slice, ...]
    num_small: int
    num_paired: int
    errors: ErrorAnalysis
    scores: ScoreReliability
    probabilities: ScoreReliability | None
    pck: tuple[PckMetrics, ...]
    best: tuple[ShownPerson, ...]
    worst: tuple[ShownPerson, ...]


def measure(evaluator: CocoEvaluator, poses: Mapping[int, Poses], *, draws: int) -> Measured:
    """Measure all that a report shows.

    Args:
        evaluator: with the poses of every image; not changed.
        poses: the same poses, by image id.
        draws: resamples for the intervals.

    Raises:
        ValueError: if the evaluator holds other poses.
    """
    together = _Together.of(evaluator, poses)
    persons = PersonTable.of(evaluator)
    pairs = pairs_by_box(persons, together.image_ids, together.boxes_xyxy)
    paired = _Paired.of(together, persons, pairs, evaluator.sigmas)
    metrics, intervals = evaluator.compute(), bootstrap_interval(evaluator, draws=draws)
    visible, overlap = (
        tuple(measure_slices(evaluator, pairs, groups, draws=draws))
        for groups in (groups_by_visible(persons), groups_by_overlap(persons))
    )
    best, worst = _extremes(paired, poses, together, persons)
    return Measured(
        skeleton=together.skeleton,
        metrics=metrics,
        intervals=intervals,
        draws=draws,
        sizes=tuple(slices_by_size(persons, metrics, intervals)),
        visible=visible,
        overlap=overlap,
        num_small=int((persons.counted & (persons.areas < SMALLEST)).sum()),
        num_paired=len(paired.persons),
        errors=analyze_errors(evaluator),
        scores=_reliability(paired, np.clip(together.scores, 0.0, 1.0), persons, draws),
        probabilities=None
        if together.probabilities is None
        else _reliability(paired, together.probabilities, persons, draws),
        pck=_pck_curve(paired, together, persons),
        best=best,
        worst=worst,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Together:
    """The poses of all images, in the evaluator's order."""

    skeleton: Skeleton
    image_ids: Indices
    places: Indices  # of each pose among its image's
    keypoints: Floats
    scores: Floats
    probabilities: Floats | None
    boxes_xyxy: Floats

    @classmethod
    def of(cls, evaluator: CocoEvaluator, poses: Mapping[int, Poses]) -> "_Together":
        held = evaluator._results  # noqa: SLF001 - of the same room
        for image_id in sorted(set(held) ^ set(poses))[:1]:
            raise ValueError(
                f"poses: expected those of the evaluator's {len(held)} images, found a change at {image_id}"
            )
        for image_id, (_, scores) in held.items():
            if len(scores) != len(poses[image_id]):
                found = len(poses[image_id])
                raise ValueError(
                    f"poses: expected {len(scores)} in image {image_id}, as in the evaluator, found {found}"
                )
        ordered = [poses[image_id] for image_id in held]
        skeleton = ordered[0].skeleton if ordered else evaluator.skeleton or COCO_17
        joints = len(evaluator.sigmas)
        probabilities = [one.keypoint_probabilities for one in ordered if len(one)]
        known = [values for values in probabilities if values is not None]
        return cls(
            skeleton=skeleton,
            image_ids=np.repeat(np.array(list(held), dtype=np.intp), [len(one) for one in ordered]),
            places=np.concatenate([np.zeros(0, dtype=np.intp), *(np.arange(len(one)) for one in ordered)]),
            keypoints=np.concatenate([np.zeros((0, joints, 2)), *(one.keypoints for one in ordered)]),
            scores=np.concatenate([np.zeros((0, joints)), *(one.keypoint_scores for one in ordered)]),
            probabilities=np.concatenate(known) if known and len(known) == len(probabilities) else None,
            boxes_xyxy=np.concatenate([np.zeros((0, 4)), *(one.boxes_xyxy for one in ordered)]),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Paired:
    """Persons who count and have a pose.

    Attributes:
        poses: ``(M,)`` numbers of the poses.
        persons: ``(M,)`` numbers of the persons.
        labelled: ``(M, J)`` bool.
        similarities: ``(M, J)`` float64, keypoint similarity.
    """

    poses: Indices
    persons: Indices
    labelled: Bools
    similarities: Floats

    @classmethod
    def of(cls, together: _Together, persons: PersonTable, pairs: Pairs, sigmas: Floats) -> "_Paired":
        counted = persons.counted[pairs.persons]
        of_poses, of_persons = pairs.poses[counted], pairs.persons[counted]
        return cls(
            poses=of_poses,
            persons=of_persons,
            labelled=persons.labelled[of_persons],
            similarities=keypoint_similarities(
                together.keypoints[of_poses], persons.keypoints[of_persons], persons.areas[of_persons], sigmas=sigmas
            ),
        )

    @property
    def oks(self) -> Floats:
        """``(M,)`` float64: the mean similarity of the labelled keypoints."""
        values: Floats = (self.similarities * self.labelled).sum(axis=1) / np.maximum(self.labelled.sum(axis=1), 1)
        return values


def _reliability(paired: _Paired, values: Floats, persons: PersonTable, draws: int) -> ScoreReliability:
    """Compare ``(D, J)`` scores of all poses in ``[0, 1]`` with which labelled keypoints are right."""
    found, right = values[paired.poses], paired.similarities > RIGHT
    images = np.repeat(persons.image_ids[paired.persons, None], found.shape[1], axis=1)
    mask = paired.labelled
    per_keypoint = [
        reliability(found[of_joint, joint], right[of_joint, joint]) if of_joint.any() else None
        for joint, of_joint in enumerate(mask.T)
    ]
    if not mask.any():
        return ScoreReliability(pooled=None, intervals={}, per_keypoint=tuple(per_keypoint))
    return ScoreReliability(
        pooled=reliability(found[mask], right[mask]),
        intervals=reliability_interval(found[mask], right[mask], images[mask], draws=draws),
        per_keypoint=tuple(per_keypoint),
    )


def _pck_curve(paired: _Paired, together: _Together, persons: PersonTable) -> tuple[PckMetrics, ...]:
    """Compute PCK at each step; who counts and has no pose is missed everywhere."""
    guesses = np.full(persons.keypoints.shape, np.nan)
    guesses[paired.persons] = together.keypoints[paired.poses]
    longer = (persons.boxes_xyxy[:, 2:] - persons.boxes_xyxy[:, :2]).max(axis=1, initial=0.0)
    labelled = persons.labelled & persons.counted[:, None]
    lengths = np.where(longer > 0, longer, np.nan)
    return tuple(pck(guesses, persons.keypoints, labelled, lengths, threshold=step) for step in PCK_STEPS.tolist())


def _extremes(
    paired: _Paired, poses: Mapping[int, Poses], together: _Together, persons: PersonTable
) -> tuple[tuple[ShownPerson, ...], tuple[ShownPerson, ...]]:
    """Choose the persons with the highest and the lowest OKS; nobody is both.

    One labelled keypoint is easily right, so persons with half of theirs labelled come first among the best.
    """
    order = np.argsort(paired.oks, kind="stable")
    number = min(SHOWN_PERSONS, (len(order) + 1) // 2)
    rich = paired.labelled[order].mean(axis=1) >= 0.5  # noqa: PLR2004 - half
    worst = order[:number]
    best_last = np.concatenate([order[~rich], order[rich]])
    best = [index for index in best_last[::-1].tolist() if index not in set(worst.tolist())][:number]

    def shown(index: int) -> ShownPerson:
        pose, person = paired.poses[index], paired.persons[index]
        image_id, labelled = int(together.image_ids[pose]), paired.labelled[index]
        annotated = Poses(
            keypoints=np.where(labelled[:, None], persons.keypoints[person], np.nan)[None],
            keypoint_scores=labelled[None].astype(np.float64),
            boxes_xyxy=persons.boxes_xyxy[person][None],
            box_scores=np.ones(1),
            pose_scores=np.ones(1),
            skeleton=together.skeleton,
        )
        return ShownPerson(
            image_id=image_id,
            pose=poses[image_id][int(together.places[pose])],
            annotated=annotated,
            oks=float(paired.oks[index]),
            num_labelled=int(labelled.sum()),
        )

    return tuple(map(shown, best)), tuple(map(shown, worst.tolist()))
