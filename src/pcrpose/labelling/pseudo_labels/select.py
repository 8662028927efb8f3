"""Selection of pseudo-labels: the keypoints with a high score, written as a COCO file."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pcrpose.data.readers.coco import PERSON
from pcrpose.files import checks
from pcrpose.files.atomic import write_text
from pcrpose.keypoints.arrays import Bools, Floats, as_floats
from pcrpose.keypoints.boxes import xyxy_to_xywh
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.labelling.pseudo_labels.work_file import Record, Work, read_shards

logger = logging.getLogger(__name__)

Content: TypeAlias = dict[str, Any]

THRESHOLD = 0.9
AREA_PER_BOX = 0.53  # of a person's outline to its box, as data sets without outlines are converted to COCO's form
VISIBLE = 2


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Rules for which predicted keypoints become labels.

    Attributes:
        threshold: keypoints scored **above** it are kept.
        by_keypoint: other thresholds for some keypoints, by name.
        fraction: keep this fraction of each keypoint, the best scored, instead of what is above a threshold. The scores
            of one model's ankles and eyes are not alike, nor are those of two models.
        min_keypoints: persons with fewer kept keypoints are left out.
        share: earlier name of ``fraction``, still accepted.

    Raises:
        ValueError: if a threshold is not finite, there is a fraction and a threshold, the fraction is not in ``(0, 1]``
            or passed under both names, or ``min_keypoints`` is less than 1.

    Source:
        Section 2.3: above 0.9, of a model whose heatmaps peak near 1. The fraction is ours.
    """

    threshold: float = THRESHOLD
    by_keypoint: Mapping[str, float] = field(default_factory=dict)
    fraction: float | None = None
    min_keypoints: int = 1
    share: InitVar[float | None] = None

    def __post_init__(self, share: float | None) -> None:
        if share is not None:
            if self.fraction is not None:
                raise ValueError("expected a fraction, found share, its earlier name, too")
            object.__setattr__(self, "fraction", share)
        if not np.isfinite([self.threshold, *self.by_keypoint.values()]).all():
            raise ValueError(f"expected finite thresholds, found {self.threshold} and {dict(self.by_keypoint)}")
        if self.fraction is not None:
            checks.fraction("fraction", self.fraction, zero=False)
        if self.fraction is not None and (self.by_keypoint or self.threshold != THRESHOLD):
            raise ValueError("expected a fraction or thresholds, found both")
        checks.at_least("min_keypoints", self.min_keypoints, 1)

    def thresholds(self, scores: Floats, skeleton: Skeleton) -> Floats:
        """Compute the threshold of each keypoint.

        Args:
            scores: ``(N, J)`` float, of all predictions. Minus infinity stands for keypoints that cannot be kept.
            skeleton: names the J keypoints.

        Returns:
            ``(J,)`` float64. With a fraction, the highest threshold that keeps it: of equal scores at the limit none is
            kept, so it can be less.

        Raises:
            ValueError: if a name in ``by_keypoint`` is none of the skeleton's.
        """
        self.check(skeleton)
        scores = as_floats(scores, shape=(None, skeleton.num_keypoints), name="scores")
        if self.fraction is not None:
            return np.array([_threshold_of_fraction(column, self.fraction) for column in scores.T])
        values = np.full(skeleton.num_keypoints, float(self.threshold))
        for name, threshold in self.by_keypoint.items():
            values[skeleton.index(name)] = threshold
        return values

    def check(self, skeleton: Skeleton) -> None:
        """Raise ValueError if a name in ``by_keypoint`` is none of the skeleton's."""
        for name in self.by_keypoint:
            skeleton.index(name)


def pseudo_labels(work: Sequence[str | Path], selection: Selection, *, date: str | None = None) -> Content:
    """Build annotations in COCO's form from finished work files.

    A kept keypoint has visibility 2: a model does not tell hidden from visible. One that is not kept is written as not
    labelled, ``0, 0, 0``, and so is a keypoint that was found outside its image. An annotation's ``score`` is its
    pose score, its ``source`` is ``"pseudo"``; its ``area`` is 0.53 of its box. Images without a person that is kept
    are not listed: nobody has said that they are empty.

    Args:
        work: all shards of one run, in any order.
        selection: which keypoints are kept.
        date: written as COCO's ``date_created``; left out by default, so that the same work gives the same file.

    Returns:
        Content for `pcrpose.data.readers.coco.read_coco`. Its ``info["pcrpose"]`` records where the labels come from:
        settings of the predictions, thresholds, what was kept and dropped of every keypoint, images left out, leaks.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a shard is missing, not finished or of other settings, or no image at all could be used.
    """
    found = read_shards(work)
    usable = [record for record in found.records if "persons" in record]
    if not usable:
        raise ValueError(f"{work[0]}: expected images to label, found {len(found.records)} of which none can be used")
    values = _all_keypoints(usable, found.header.skeleton)
    thresholds = selection.thresholds(values[..., 2], found.header.skeleton)
    kept = values[..., 2] > thresholds
    written = kept.sum(axis=1) >= selection.min_keypoints
    images, annotations = _listed(usable, values, kept, written)
    info = {"description": "pseudo-labels: predicted keypoints, checked by nobody"}
    provenance = _provenance(found, selection, thresholds, kept & written[:, None], images=len(images))
    logger.info("%d of %d persons, %d of %d keypoints kept", written.sum(), len(kept), kept[written].sum(), kept.size)
    if len(kept) and not written.any():
        logger.warning(
            "nothing is kept: the highest score is %.3f; see Selection(fraction=...), or --keep-fraction",
            values[..., 2].max(),
        )
    return {
        "info": info | ({} if date is None else {"date_created": date}) | {"pcrpose": provenance},
        "images": images,
        "annotations": annotations,
        "categories": [_category(found.header.skeleton)],
    }


def write_pseudo_labels(path: str | Path, content: Content) -> None:
    """Write the content that `pseudo_labels` returns; the file appears whole or not at all.

    Raises:
        ValueError: if the file is there already and was not written by this function.
        OSError: if it cannot be written.
    """
    target = Path(path)
    check_target(target)
    write_text(target, json.dumps(content, allow_nan=False))


def check_target(path: str | Path) -> None:
    """Raise ValueError if there is a file that `write_pseudo_labels` would not replace."""
    if Path(path).exists() and not _is_ours(Path(path)):
        raise ValueError(f"{path}: is there already, and holds no pseudo-labels; choose another name")


def _threshold_of_fraction(scores: Floats, fraction: float) -> float:
    """Return the threshold that the best ``fraction`` of all scores exceeds."""
    usable = np.sort(scores[np.isfinite(scores)])[::-1]
    count = round(fraction * len(scores))
    if count < len(usable):
        return float(usable[count])
    return float(np.nextafter(usable[-1], -np.inf)) if len(usable) else 0.0


def _all_keypoints(records: Sequence[Record], skeleton: Skeleton) -> Floats:
    """Return ``(N, J, 3)``: x, y and score of every person; outside the image the score is minus infinity."""
    parts = [np.zeros((0, skeleton.num_keypoints, 3))]
    for record in records:
        rows = [person["keypoints"] for person in record["persons"]]
        values = np.array(rows, dtype=np.float64).reshape(-1, skeleton.num_keypoints, 3)
        outside = (values[..., :2] < 0) | (values[..., :2] > (record["width"] - 1, record["height"] - 1))
        values[outside.any(axis=2), 2] = -np.inf
        parts.append(values)
    return np.concatenate(parts)


def _listed(
    records: Sequence[Record], values: Floats, kept: Bools, written: Bools
) -> tuple[list[Content], list[Content]]:
    """Return COCO's entries of the images that have a person, and of those persons."""
    images: list[Content] = []
    annotations: list[Content] = []
    start = 0
    for record in records:
        rows = range(start, start + len(record["persons"]))
        start = rows.stop
        if not written[rows.start : rows.stop].any():
            continue
        images.append({"id": record["image_id"]} | {key: record[key] for key in ("file_name", "width", "height")})
        for row, person in zip(rows, record["persons"], strict=True):
            if written[row]:
                annotation = _annotation(record, person, values[row, :, :2], kept[row])
                annotations.append({"id": len(annotations) + 1, **annotation})
    return images, annotations


def _annotation(record: Record, person: Record, points: Floats, kept: Bools) -> Content:
    triples = np.column_stack([points, np.full(len(points), VISIBLE)]) * kept[:, None]
    last = (record["width"] - 1, record["height"] - 1)
    box = np.clip(person["box_xyxy"], 0, (*last, *last))
    x, y, width, height = (xyxy_to_xywh(box[None])[0] + (0, 0, 1, 1)).round(2).tolist()  # COCO counts the last pixel in
    return {
        "image_id": record["image_id"],
        "category_id": PERSON,
        "iscrowd": 0,
        "bbox": [x, y, width, height],
        "area": round(AREA_PER_BOX * width * height, 2),
        "keypoints": list(_plain(triples.ravel())),
        "num_keypoints": int(kept.sum()),
        "score": person["score"],
        "source": "pseudo",
    }


def _plain(values: Floats) -> Iterator[float]:
    """Write whole numbers without a decimal point, as COCO does."""
    return (int(value) if value.is_integer() else value for value in values.tolist())


def _category(skeleton: Skeleton) -> Content:
    bones = [[first + 1, second + 1] for first, second in skeleton.bones]
    return {"id": PERSON, "name": "person", "keypoints": list(skeleton.keypoints), "skeleton": bones}


def _provenance(found: Work, selection: Selection, thresholds: Floats, kept: Bools, *, images: int) -> Content:
    """Return the record of where labels come from; ``kept`` is ``(N, J)`` bool, false for persons left out."""
    names = found.header.skeleton.keypoints
    counts = kept.sum(axis=0).tolist()
    return {
        "predictions": dict(found.header.settings),
        "selection": {
            "thresholds": dict(zip(names, thresholds.tolist(), strict=True)),
            "fraction": selection.fraction,
            "min_keypoints": selection.min_keypoints,
        },
        "images": {
            "seen": len(found.records),
            "listed": images,
            "left_out": _pick(found.records, "left_out"),
            "leaks": _pick(found.records, "leak"),
        },
        "persons": {"found": len(kept), "kept": int(kept.any(axis=1).sum())},
        "keypoints": {
            name: {"kept": count, "dropped": len(kept) - count} for name, count in zip(names, counts, strict=True)
        },
    }


def _pick(records: Sequence[Record], key: str) -> list[Content]:
    return [{"file_name": record["file_name"], key: record[key]} for record in records if key in record]


def _is_ours(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("info"), dict) and "pcrpose" in content["info"]
