"""COCO's keypoint evaluation: poses in, the ten published metrics out; and the results file that its server takes.

This file rejects what COCO's rules would trip over or silently miscount, and lays the rest out as arrays. Two engines
compute the metrics of these: `pcrpose.evaluation.matching`, and pycocotools, which it agrees with to the last bit.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from pcrpose.evaluation.matching import Curves, Matches, Persons, PoseResults, curves, match
from pcrpose.files.atomic import write_text
from pcrpose.files.checks import one_of
from pcrpose.files.json import field as json_field
from pcrpose.files.json import read_json
from pcrpose.keypoints.arrays import Floats, as_floats
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

Engine: TypeAlias = Literal["vectorized", "pycocotools"]

_VISIBLE = 2  # COCO's visibility of a keypoint that is labelled and not hidden


@dataclass(frozen=True, kw_only=True)
class CocoMetrics:
    """The ten metrics in the order of ``COCOeval.stats``, each in ``[0, 1]``, or -1 where nobody is in its range.

    ``ap`` and ``ar`` are average precision and recall, the mean over the OKS thresholds .50, .55, ... .95; ``50`` and
    ``75`` stand for one threshold, ``medium`` and ``large`` for persons up to and above 96^2 square pixels.

    Attributes:
        num_images: images that count, those without a pose too.
        num_persons: annotated persons that count: with a labelled keypoint, not a crowd.
        num_poses: poses of these images; the 20 best per image count.
        precision: ``(10, 101, 1, 3, 1)`` float64 in ``[0, 1]`` or -1: OKS threshold, recall, category, range, limit.
        recall: ``(10, 1, 3, 1)`` float64, the same without the recall axis.
        scores: ``(10, 101, 1, 3, 1)`` float64, the pose score at which each recall is reached.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float
    num_images: int
    num_persons: int
    num_poses: int
    precision: Floats = field(repr=False, compare=False)
    recall: Floats = field(repr=False, compare=False)
    scores: Floats = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, float]:
        """Return the metrics and the counts by name, for JSON and logs."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray)}


class CocoEvaluator:
    """Collect the poses of many images and measure them against annotations in COCO's form.

    Poses are taken as they are: no rescoring, no suppression. As COCO does it, every image of the annotations
    counts, one without poses as persons missed; ``image_ids`` narrows that.

    An annotation needs ``image_id``, ``category_id``, ``keypoints``, ``area`` and, without a labelled keypoint,
    ``bbox``. A missing ``iscrowd`` is 0, a missing ``num_keypoints`` is counted. Ids of annotations are not read:
    pycocotools takes a person whose id is 0 for one never found.

    Args:
        annotations: path of a JSON file, or its content; not changed.
        skeleton: of the annotations and the poses; `COCO_17` if neither this nor ``sigmas`` is given.
        sigmas: ``(J,)`` float, positive; by default the skeleton's.
        category_id: the category to evaluate; by default the only one, or 1 (COCO's person) among several.
        image_ids: the images that count; by default all.
        area_per_box: fraction of its box to take for an annotation without ``area``; CrowdPose, which has none, takes
            0.53. By default a missing area is an error.
        engine: what computes the metrics: ``"vectorized"`` is ours, ``"pycocotools"`` the reference, many times slower.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if something is missing, unknown, or has another number of keypoints; the message says where.

    Examples:
        >>> person = {"image_id": 7, "category_id": 1, "keypoints": [9, 9, 2, 9, 60, 2], "area": 5000.0}
        >>> content = {"images": [{"id": 7}], "categories": [{"id": 1}], "annotations": [person]}
        >>> evaluator = CocoEvaluator(content, sigmas=[0.1, 0.1])
        >>> evaluator.compute().ap, evaluator.compute().ap_medium
        (0.0, 0.0)
    """

    def __init__(
        self,
        annotations: str | Path | Mapping[str, Any],
        *,
        skeleton: Skeleton | None = None,
        sigmas: npt.ArrayLike | None = None,
        category_id: int | None = None,
        image_ids: Iterable[int] | None = None,
        area_per_box: float | None = None,
        engine: Engine = "vectorized",
    ) -> None:
        one_of("engine", engine, get_args(Engine))
        self.engine = engine
        self.skeleton = COCO_17 if skeleton is None and sigmas is None else skeleton
        self.sigmas = _sigmas(sigmas, self.skeleton)
        self._results: dict[int, tuple[Floats, Floats]] = {}  # (n, J, 3) x, y, score; (n,) pose scores
        name, content = "annotations", annotations
        if not isinstance(content, Mapping):
            name, content = str(content), read_json(content)
        _require(content, ("images", "annotations", "categories"), name)
        self._known = frozenset(_ids(content["images"], f"{name}: image"))
        self.image_ids = self._known if image_ids is None else frozenset(image_ids)
        for image_id in sorted(self.image_ids - self._known)[:1]:
            raise ValueError(f"{name}: image {image_id!r} of image_ids is not among its {len(self._known)}")
        self.category_id = _category(_ids(content["categories"], f"{name}: category"), category_id, name)
        persons = []
        for index, annotation in enumerate(content["annotations"]):
            where = f"{name}: annotation {index}"
            _require(annotation, ("image_id", "category_id"), where)
            if annotation["category_id"] == self.category_id:
                persons.append(_person(annotation, len(self.sigmas), area_per_box, where))
        self._indices = {image_id: index for index, image_id in enumerate(sorted(self.image_ids))}
        counted = [person for person in persons if person["image_id"] in self.image_ids]
        self._visible = np.array([person["keypoints"][2::3] == _VISIBLE for person in counted], dtype=np.bool_)
        self._persons = self._laid_out(counted)

    def update(self, image_id: int, poses: Poses) -> None:
        """Add the poses of one image; no pose is a result too.

        Raises:
            ValueError: if the image does not count or was added before (see `reset`), if the poses have another
                skeleton, or if a number in them is not finite.
        """
        if image_id not in self.image_ids:
            raise ValueError(f"image {image_id!r} is not among the {len(self.image_ids)} images to evaluate")
        if image_id in self._results:
            raise ValueError(f"image {image_id!r}: expected its poses once, found them a second time; see reset()")
        if self.skeleton is not None and poses.skeleton.keypoints != self.skeleton.keypoints:
            raise ValueError(f"expected poses of {self.skeleton.name}, found poses of {poses.skeleton.name}")
        if poses.skeleton.num_keypoints != len(self.sigmas):
            raise ValueError(f"expected poses of {len(self.sigmas)} keypoints, found {poses.skeleton.num_keypoints}")
        triples = np.concatenate([poses.keypoints, poses.keypoint_scores[..., None]], axis=-1, dtype=np.float64)
        if not (np.isfinite(triples).all() and np.isfinite(poses.pose_scores).all()):
            poses.to_coco(image_id)  # raises, and says which
        self._results[image_id] = triples, np.array(poses.pose_scores, dtype=np.float64)

    def reset(self) -> None:
        """Remove all poses; the annotations stay."""
        self._results.clear()

    @property
    def results(self) -> list[dict[str, Any]]:
        """All poses so far, in the format of the results file."""
        return [
            {"image_id": int(image_id), "category_id": self.category_id, "keypoints": numbers, "score": score}
            for image_id, (triples, scores) in self._results.items()
            for numbers, score in zip(
                triples.reshape(len(triples), 3 * len(self.sigmas)).tolist(), scores.tolist(), strict=True
            )
        ]

    def compute(self) -> CocoMetrics:
        """Compute the metrics of the poses added so far; more may follow."""
        return self._measure(self._collected())

    def evaluate_file(self, path: str | Path) -> CocoMetrics:
        """Compute the metrics of a results file, its scores as they are; poses added with `update` do not count.

        The area of a pose, which decides in which size range an unmatched one is a mistake, is that of the box around
        its keypoints, even where the file gives a box.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a JSON list of results, names an unknown image or another category, or if
                a pose has another number of keypoints or a number that is not finite.
        """
        content = read_json(path)
        if not isinstance(content, list):
            raise ValueError(f"{path}: expected a list of results, found {content!r:.60}")  # noqa: TRY004 - of the file
        return self._measure(self._read(content, str(path)))

    def save_results(self, path: str | Path) -> None:
        """Write the poses added so far as the COCO server takes them; the file appears whole or not at all."""
        write_text(Path(path), json.dumps(self.results, allow_nan=False, separators=(",", ":")))

    def _matches(self) -> Matches:
        """Match the poses added so far with the persons, image by image in the order of their ids."""
        return match(self._persons, self._collected(), len(self._indices), sigmas=self.sigmas)

    def _measure(self, poses: PoseResults) -> CocoMetrics:
        metrics, found = self._evaluate(poses)
        num_persons = int(np.count_nonzero(~self._persons.ignored))
        counts = (len(self.image_ids), num_persons, len(poses))
        arrays = (found.precision.transpose(1, 2, 0), found.recall.T, found.scores.transpose(1, 2, 0))
        values: tuple[Any, ...] = (*map(float, metrics), *counts, *(array[..., None, :, None] for array in arrays))
        names = (field.name for field in fields(CocoMetrics))
        return CocoMetrics(**dict(zip(names, values, strict=True)))

    def _evaluate(self, poses: PoseResults) -> tuple[Floats, Curves]:
        if self.engine == "pycocotools":
            from pcrpose.evaluation.pycocotools_engine import accumulated, evaluate  # noqa: PLC0415 - slow to import

            return accumulated(evaluate(self._persons, poses, len(self._indices), sigmas=self.sigmas))
        found = curves(match(self._persons, poses, len(self._indices), sigmas=self.sigmas))
        return found.metrics(), found

    def _collected(self) -> PoseResults:
        """Lay out the poses that were added."""
        triples, scores = zip(*self._results.values(), strict=True) if self._results else ([], [])
        images = np.repeat([self._indices[image_id] for image_id in self._results], list(map(len, scores)))
        points = [each[..., :2] for each in triples]
        return PoseResults(
            images=images.astype(np.intp),
            keypoints=np.concatenate([np.zeros((0, len(self.sigmas), 2)), *points]),
            scores=np.concatenate([np.zeros(0), *scores]),
        )

    def _read(self, results: Sequence[Mapping[str, Any]], name: str) -> PoseResults:
        """Validate the results of a file and lay out those of the images that count."""
        joints = len(self.sigmas)
        try:
            numbers = np.array([result["keypoints"] for result in results], dtype=np.float64).reshape(-1, joints, 3)
            scores = np.array([result["score"] for result in results], dtype=np.float64)
            known = all(
                result["image_id"] in self._known and result["category_id"] == self.category_id for result in results
            )
            valid = known and len(numbers) == len(results) and np.isfinite(numbers).all() and np.isfinite(scores).all()
        except (KeyError, TypeError, ValueError):
            valid = False
        if not valid:  # one by one, to say which
            rows = [self._checked(result, f"{name}: result {index}") for index, result in enumerate(results)]
            numbers = np.array([row for row, _ in rows]).reshape(-1, joints, 3)
            scores = np.array([score for _, score in rows])
        images = np.array([self._indices.get(result["image_id"], -1) for result in results], dtype=np.intp)
        counted = np.flatnonzero(images >= 0)
        return PoseResults(images=images[counted], keypoints=numbers[counted, :, :2], scores=scores[counted])

    def _checked(self, result: Mapping[str, Any], where: str) -> tuple[Floats, float]:
        """Validate a result and return its numbers and its score."""
        _require(result, ("image_id", "category_id", "keypoints", "score"), where)
        if result["image_id"] not in self._known:
            raise ValueError(f"{where}: image {result['image_id']!r} is not in the annotations")
        if result["category_id"] != self.category_id:
            raise ValueError(f"{where}: expected category {self.category_id}, found {result['category_id']!r}")
        joints = len(self.sigmas)
        numbers = _finite(result["keypoints"], 3 * joints, f"{where}: x, y, score of {joints} keypoints")
        return numbers, float(_finite([result["score"]], 1, f"{where}: score")[0])

    def _laid_out(self, persons: list[dict[str, Any]]) -> Persons:
        joints = len(self.sigmas)
        triples = np.array([person["keypoints"] for person in persons], dtype=np.float64).reshape(-1, joints, 3)
        crowds = np.array([bool(person["iscrowd"]) for person in persons], dtype=np.bool_)
        without = np.array([person["num_keypoints"] == 0 for person in persons], dtype=np.bool_)
        return Persons(
            images=np.array([self._indices[person["image_id"]] for person in persons], dtype=np.intp),
            keypoints=np.ascontiguousarray(triples[..., :2]),
            labelled=triples[..., 2] > 0,
            boxes_xywh=np.array([person["bbox"] for person in persons], dtype=np.float64).reshape(-1, 4),
            areas=np.array([person["area"] for person in persons], dtype=np.float64),
            crowds=crowds,
            ignored=crowds | without,
        )


def _require(values: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    for key in keys:
        json_field(values, key, where)


def _ids(rows: Iterable[Mapping[str, int]], where: str) -> list[int]:
    ids = []
    for index, row in enumerate(rows):
        _require(row, ("id",), f"{where} {index}")
        ids.append(row["id"])
    return ids


def _finite(values: npt.ArrayLike, count: int, where: str) -> Floats:
    numbers = as_floats(values, shape=(count,), name=where)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{where}: expected finite numbers, found nan or inf")
    return numbers


def _sigmas(sigmas: npt.ArrayLike | None, skeleton: Skeleton | None) -> Floats:
    if sigmas is None:
        return (skeleton or COCO_17).sigmas
    values = as_floats(sigmas, shape=(skeleton.num_keypoints if skeleton else None,), name="sigmas")
    if not (len(values) and np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"sigmas: expected positive numbers, found {values.tolist()}")
    return values


def _category(known: list[int], wanted: int | None, name: str) -> int:
    if wanted is None:
        wanted = known[0] if len(known) == 1 else 1
    if wanted not in known:
        raise ValueError(f"{name}: expected category {wanted}, found {known}; name another with category_id=")
    return wanted


def _person(annotation: Mapping[str, Any], joints: int, area_per_box: float | None, where: str) -> dict[str, Any]:
    """Validate an annotation and return what is evaluated of it."""
    _require(annotation, ("keypoints",), where)
    numbers = _finite(annotation["keypoints"], 3 * joints, f"{where}: x, y, visibility of {joints} keypoints")
    labelled = int(np.count_nonzero(numbers[2::3] > 0))
    from_box = area_per_box is not None and "area" not in annotation
    _require(annotation, (["bbox"] if from_box or not labelled else []) + ([] if from_box else ["area"]), where)
    box = _finite(annotation.get("bbox", np.zeros(4)), 4, f"{where}: bbox")
    area = (area_per_box or 0.0) * box[2] * box[3] if from_box else annotation["area"]
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "keypoints": numbers,
        "num_keypoints": annotation.get("num_keypoints", labelled),
        "iscrowd": annotation.get("iscrowd", 0),
        "bbox": box,
        "area": float(_finite([area], 1, f"{where}: area")[0]),
    }
