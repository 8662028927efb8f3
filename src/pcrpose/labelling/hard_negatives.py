"""Hard-negative person mining: detections with a high score where nobody is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from pcrpose.data.readers.negatives import Negative
from pcrpose.data.readers.person_boxes import PersonBoxes
from pcrpose.files.checks import at_least, fraction
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.boxes import croppable, intersection_areas
from pcrpose.keypoints.detections import Detections

Reason: TypeAlias = Literal[
    "image", "incomplete", "score", "side", "outside", "person", "duplicate", "per_image", "limit"
]

REASONS: Mapping[Reason, str] = {
    "image": "in images that are not annotated",
    "incomplete": "in images whose annotations are incomplete",
    "score": "scored too low",
    "side": "too small",
    "outside": "outside the image",
    "person": "touching a person",
    "duplicate": "much like a better-scored one",
    "per_image": "beyond the limit for an image",
    "limit": "beyond the limit in all",
}


@dataclass(frozen=True, kw_only=True)
class MiningRules:
    """Rules of mining hard negatives; the score, the ratio and the weight are ours, the paper names none.

    Attributes:
        min_score: least score of the detector.
        max_intersection: largest fraction of the box's own area that one person's box may cover; 0 is the paper's rule:
            no intersection at all.
        min_side: least width and height, image pixels, 1 or more; small boxes can hardly be looked at.
        duplicate_iou: intersection over union from which on the lower-scored of two boxes is left out; 1 leaves out
            only what comes twice.
        per_image: most boxes of one image; None sets no limit.
        limit: most boxes in all, best scores first.
        skip_incomplete: pass over images whose annotations are said to be incomplete: there, what touches no
            annotated person is often a person all the same.
        skip_unstated: pass over images of which that is not said either way.

    Raises:
        ValueError: naming the rule that has no meaning.
    """

    min_score: float = 0.5
    max_intersection: float = 0.0
    min_side: float = 1.0
    duplicate_iou: float = 0.5
    per_image: int | None = None
    limit: int | None = None
    skip_incomplete: bool = True
    skip_unstated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Write as plain values for JSON."""
        return asdict(self)

    def __post_init__(self) -> None:
        for name in ("min_score", "max_intersection"):
            fraction(name, getattr(self, name))
        fraction("duplicate_iou", self.duplicate_iou, zero=False)
        at_least("min_side", self.min_side, 1)
        for name in ("per_image", "limit"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class MiningResult:
    """The mined boxes, and the reason why each other detection was dropped.

    Attributes:
        negatives: best score first; equal scores by image, then in the detections' order.
        dropped: how many detections each rule left out, the first that applied, in the order of `REASONS`. With the
            negatives they add up to the detections.
    """

    negatives: tuple[Negative, ...]
    dropped: Mapping[Reason, int]

    @property
    def num_detections(self) -> int:
        """The number of detections."""
        return len(self.negatives) + sum(self.dropped.values())


class _Candidate(NamedTuple):
    image_id: int
    order: int
    box_xyxy: Floats
    score: float


def mine_negatives(
    detections: Mapping[int, Detections], people: PersonBoxes, rules: MiningRules | None = None
) -> MiningResult:
    """Choose the detections that intersect no person.

    Args:
        detections: of a person detector, by image id, as `pcrpose.data.readers.coco.read_detections` gives them.
        people: every annotated person of the images; crowds and persons without keypoints count as persons.
        rules: thresholds and limits; None takes `MiningRules` as they are.

    Raises:
        ValueError: if a box or a score is not finite.

    Source:
        Section 2.3, which names neither a threshold nor a number.

    Examples:
        >>> import numpy as np
        >>> content = {
        ...     "images": [{"id": 7, "file_name": "street.jpg", "width": 160, "height": 120}],
        ...     "annotations": [{"image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 90]}],
        ...     "categories": [{"id": 1, "name": "person"}],
        ... }
        >>> people = PersonBoxes.read(content)
        >>> boxes = np.array([[5.0, 5.0, 45.0, 95.0], [60.0, 10.0, 80.0, 70.0]])
        >>> result = mine_negatives({7: Detections(boxes, np.array([0.9, 0.6]))}, people)
        >>> [negative.bbox for negative in result.negatives], result.dropped["person"]
        ([(60.0, 10.0, 20.0, 60.0)], 1)
    """
    rules = rules or MiningRules()
    dropped: Counter[Reason] = Counter(dict.fromkeys(get_args(Reason), 0))
    candidates: list[_Candidate] = []
    for image_id, found in detections.items():
        _check_finite(image_id, found)
        candidates += _of_image(image_id, found, people, rules, dropped)
    candidates.sort(key=lambda each: (-each.score, each.image_id, each.order))
    limit = len(candidates) if rules.limit is None else rules.limit
    dropped["limit"] = len(candidates[limit:])
    negatives = tuple(_negative(each, people.file_names[each.image_id]) for each in candidates[:limit])
    return MiningResult(negatives=negatives, dropped=dict(dropped))


def _of_image(
    image_id: int, found: Detections, people: PersonBoxes, rules: MiningRules, dropped: Counter[Reason]
) -> Iterator[_Candidate]:
    """Yield the candidates of an image, best score first, and count what the rules leave out."""
    boxes, scores = found.boxes_xyxy, found.scores
    reason = _unusable(image_id, people, rules)
    if reason is not None:
        dropped[reason] += len(scores)
        return
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    inside = croppable(boxes, people.sizes[image_id])
    covered = _covered(boxes, people.boxes_xyxy[image_id])
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if scores[index] < rules.min_score:
            dropped["score"] += 1
        elif sides[index] < rules.min_side:
            dropped["side"] += 1
        elif not inside[index]:
            dropped["outside"] += 1
        elif covered[index] > rules.max_intersection:
            dropped["person"] += 1
        elif _alike(boxes[index], boxes[kept], rules.duplicate_iou).any():
            dropped["duplicate"] += 1
        elif rules.per_image is not None and len(kept) >= rules.per_image:
            dropped["per_image"] += 1
        else:
            kept.append(index)
            yield _Candidate(image_id, index, boxes[index], float(scores[index]))


def _unusable(image_id: int, people: PersonBoxes, rules: MiningRules) -> Reason | None:
    if image_id not in people.boxes_xyxy:
        return "image"
    incomplete = rules.skip_incomplete and image_id in people.incomplete
    return "incomplete" if incomplete or (rules.skip_unstated and image_id in people.unstated) else None


def _covered(boxes: Floats, persons: Floats) -> Floats:
    """``(N, 4)`` and ``(M, 4)`` boxes to the ``(N,)`` largest fraction of a box that one person covers."""
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)
    intersection = intersection_areas(boxes, persons).max(axis=1, initial=0.0)
    fractions: Floats = np.divide(intersection, areas, out=np.zeros(len(boxes)), where=areas > 0)
    return fractions


def _alike(box: Floats, kept: Floats, threshold: float) -> Bools:
    """``(4,)`` and ``(K, 4)`` boxes to ``(K,)``: intersection over union at the threshold or above."""
    shared = intersection_areas(box[None], kept)[0]
    areas = np.prod(kept[:, 2:] - kept[:, :2], axis=1)
    alike: Bools = shared >= threshold * (np.prod(box[2:] - box[:2]) + areas - shared)
    return alike


def _negative(candidate: _Candidate, file_name: str) -> Negative:
    left, top, right, bottom = candidate.box_xyxy.tolist()
    bbox = (left, top, right - left, bottom - top)
    return Negative(image_id=candidate.image_id, file_name=file_name, bbox=bbox, score=candidate.score)


def _check_finite(image_id: int, found: Detections) -> None:
    finite = np.isfinite(found.boxes_xyxy).all(axis=1) & np.isfinite(found.scores)
    for index in np.flatnonzero(~finite)[:1]:
        raise ValueError(
            f"image {image_id}, detection {index}: expected finite numbers, "
            f"found {found.boxes_xyxy[index].tolist()} scored {found.scores[index]}"
        )
