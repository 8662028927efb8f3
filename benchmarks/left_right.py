"""Left and right: how often a pose is better with its sides swapped, and whether the mirrored pass tells which one.

    python benchmarks/left_right.py --coco COCO --json benchmarks/left_right.json

COCO holds annotations/person_keypoints_{val,train,more}.json and the images in val/, train/ and more/. Annotated boxes;
measured on val and on the persons that were set aside, which no model saw. A pose is swapped where its OKS with all
pairs of keypoints exchanged is higher, by more than a margin. Intervals are a bootstrap over images, 95 %.

Two rules of repair are tried on persons whose consistency is below one half: the mirrored pass is averaged in with its
sides exchanged, so that both passes say the same; or the sides of the averaged pose are exchanged.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from set_aside import read_set_aside
from torch import Tensor

from pcrpose import CocoEvaluator, Poses, list_pretrained, load_model, open_image, paired_difference, read_coco
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.calibration import area_under_roc
from pcrpose.keypoints.arrays import Bools, Floats
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.keypoints.left_right import left_right_consistency
from pcrpose.keypoints.oks import pose_scores
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pose_model import PoseModel

LIMBS: Mapping[str, tuple[str, ...]] = {
    "face": ("eye", "ear"),
    "arms": ("shoulder", "elbow", "wrist"),
    "legs": ("hip", "knee", "ankle"),
}
MARGINS = (0.0, 0.1)  # of OKS
RULES = ("exchange the mirrored pass", "exchange the pose")
AMBIGUOUS = 0.5  # consistency below which a rule applies
FLIP = COCO_17.flip_indices


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What one model says of a set of persons.

    Attributes:
        images: ``(N,)`` the image of each person.
        better: per limb, and ``all``, ``(N,)`` how much the OKS rises with the sides exchanged; NaN where no paired
            keypoint of it is labelled.
        consistency: ``(N,)``.
        scores: ``(N,)`` pose scores.
        evaluators: by rule, and ``none``.
    """

    images: Floats
    better: Mapping[str, Floats]
    consistency: Floats
    scores: Floats
    evaluators: Mapping[str, CocoEvaluator]


def main() -> None:
    """Measure every model on both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--model", action="append", help="by default every model of the zoo")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [
        {"model": name, "persons": where} | summary(find(load_model(name), persons, content))
        for where, persons, content in sets(options.coco)
        for name in options.model or list_pretrained()
    ]
    text = {
        "command": "python benchmarks/left_right.py --coco COCO --json benchmarks/left_right.json",
        "what": "annotated boxes, mirrored crop averaged in; bootstrap over images, 95 %; swapped: OKS with all pairs "
        "exchanged is higher by more than the margin",
        "rows": rows,
    }
    options.json.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))


def sets(coco: Path) -> Iterator[tuple[str, AnnotatedPersons, dict[str, Any]]]:
    """Yield the sets of persons: a name, the persons, and their annotations."""
    file = coco / "annotations" / "person_keypoints_val.json"
    val = read_coco(file, coco / "val")
    images, persons = len(val.image_paths), len(val.samples)
    name = f"subset of COCO val2017 ({images} images, {persons} persons)"
    yield name, val, json.loads(file.read_text(encoding="utf-8"))
    aside, content = read_set_aside(coco)
    yield f"set aside from COCO ({len(aside.image_paths)} images, {len(aside.samples)} persons)", aside, content


@torch.inference_mode()
def find(model: PoseModel[Any], persons: AnnotatedPersons, content: dict[str, Any]) -> Found:
    """Predict every person in both passes, and as each rule would have it."""
    evaluators = {rule: CocoEvaluator(content) for rule in ("none", *RULES)}
    numbers: list[tuple[float, float, float]] = []
    better: list[dict[str, float]] = []
    for image_id, samples in by_image(persons.samples).items():
        image = open_image(samples[0].image)
        read = [read_person(model, image, sample) for sample in samples]
        for rule, evaluator in evaluators.items():
            evaluator.update(image_id, together([poses[rule] for poses, _ in read]))
        for sample, (poses, consistency) in zip(samples, read, strict=True):
            better.append(gains(poses["none"].keypoints[0], sample))
            numbers.append((image_id, consistency, float(poses["none"].pose_scores[0])))
    images, consistency, scores = np.array(numbers).T
    return Found(
        images=images,
        better={limb: np.array([gain[limb] for gain in better]) for limb in ("all", *LIMBS)},
        consistency=consistency,
        scores=scores,
        evaluators=evaluators,
    )


def by_image(samples: Sequence[Sample]) -> dict[int, list[Sample]]:
    """Group persons by their image."""
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image_id, []).append(sample)
    return groups


def read_person(model: PoseModel[Any], image: Any, sample: Sample) -> tuple[dict[str, Poses], float]:  # noqa: ANN401 - pixels
    """Return one person's pose by rule, and the consistency of the two passes."""
    config = model.config
    box = sample.box_xyxy.copy()
    box[2:] = np.maximum(box[2:], box[:2] + 1)
    crops, pixels = config.crop_spec.cut(image, box[None])
    crop = config.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.float32)
    plain, mirrored = model(crop).final.float(), model(crop.flip(3)).final.float()
    shift = config.alignment == "edge"
    consistency = left_right_consistency(plain, mirrored, FLIP, shift=shift).item()

    def pose(heatmaps: Tensor) -> Poses:
        keypoints, scores = config.codec().decode(heatmaps)
        return Poses(
            keypoints=crops.inverse(keypoints.numpy()),
            keypoint_scores=scores.numpy(),
            boxes_xyxy=box[None],
            box_scores=np.ones(1),
            pose_scores=pose_scores(np.ones(1), scores.numpy()),
        )

    merged = merge_mirrored(plain, mirrored, FLIP, shift=shift)
    exchanged = merge_mirrored(plain, mirrored[:, FLIP.copy()], FLIP, shift=shift)
    other = {RULES[0]: exchanged, RULES[1]: merged[:, FLIP.copy()]}
    poses = {rule: pose(heatmaps if consistency < AMBIGUOUS else merged) for rule, heatmaps in other.items()}
    return poses | {"none": pose(merged)}, consistency


def together(poses: Sequence[Poses]) -> Poses:
    """Return the persons of one image as one value."""
    return Poses(
        keypoints=np.concatenate([one.keypoints for one in poses]),
        keypoint_scores=np.concatenate([one.keypoint_scores for one in poses]),
        boxes_xyxy=np.concatenate([one.boxes_xyxy for one in poses]),
        box_scores=np.concatenate([one.box_scores for one in poses]),
        pose_scores=np.concatenate([one.pose_scores for one in poses]),
    )


def gains(keypoints: Floats, sample: Sample) -> dict[str, float]:
    """Return how much a pose's OKS, over each limb's labelled keypoints, rises with the sides exchanged."""
    terms = []
    for points in (keypoints, keypoints[FLIP]):
        squared = ((points - sample.keypoints) ** 2).sum(axis=1)
        terms.append(np.exp(-squared / (2 * (2 * COCO_17.sigmas) ** 2 * max(sample.area, 1e-9))))
    difference = terms[1] - terms[0]
    found = {}
    for limb in ("all", *LIMBS):
        paired = np.array([limb == "all" or name.endswith(LIMBS[limb]) for name in COCO_17.keypoints])
        counted = paired & sample.labelled
        known = (counted & (np.arange(len(FLIP)) != FLIP)).any()
        found[limb] = float(difference[counted].mean()) if known else float("nan")
    return found


def summary(found: Found) -> dict[str, Any]:
    """Return the numbers of one model on one set."""
    known = ~np.isnan(found.better["all"])
    swapped = {margin: found.better["all"][known] > margin for margin in MARGINS}
    images, consistency, scores = found.images[known], found.consistency[known], found.scores[known]
    low = consistency < AMBIGUOUS
    return {
        "better_swapped": {limb: rates(values, found.images) for limb, values in found.better.items()},
        "consistency": {
            "median": round(float(np.median(consistency)), 3),
            "below_one_half": [int(low.sum()), len(low)],
            "area_under_roc": {
                f"by more than {margin}": {
                    "consistency": with_interval(partial(roc, -consistency, is_swapped), images),
                    "pose_score": with_interval(partial(roc, -scores, is_swapped), images),
                }
                for margin, is_swapped in swapped.items()
            },
        },
        "repair": {rule: repaired(found, rule) for rule in RULES},
    }


def rates(better: Floats, images: Floats) -> dict[str, Any]:
    """Return how often the exchanged sides are better, by each margin."""
    known = ~np.isnan(better)
    values, owners = better[known], images[known]
    return {"persons": int(known.sum())} | {
        f"by more than {margin}": with_interval(partial(rate, values > margin), owners) for margin in MARGINS
    }


def rate(is_swapped: Bools, rows: Any) -> float:  # noqa: ANN401 - indices
    """Return the fraction of some persons that is."""
    return float(is_swapped[rows].mean())


def roc(values: Floats, is_swapped: Bools, rows: Any) -> float | None:  # noqa: ANN401 - indices
    """Return the area under ROC of some persons; None where all are alike."""
    chosen = is_swapped[rows]
    return None if chosen.all() or not chosen.any() else area_under_roc(values[rows], chosen)


def with_interval(statistic: Callable[[Any], float | None], images: Floats, draws: int = 1000) -> list[float | None]:
    """Return a statistic of all persons and its interval over images drawn with replacement."""
    _, owners = np.unique(images, return_inverse=True)
    order = np.argsort(owners, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(owners))[:-1])
    rng = np.random.default_rng(0)
    drawn = (np.concatenate([parts[image] for image in rng.integers(0, len(parts), len(parts))]) for _ in range(draws))
    values = [value for value in map(statistic, drawn) if value is not None]
    all_persons = statistic(slice(None))
    if all_persons is None:
        return [None, None, None]
    low, high = np.quantile(values, [0.025, 0.975])
    return [round(float(value), 4) for value in (all_persons, low, high)]


def repaired(found: Found, rule: str) -> dict[str, Any]:
    """Return what a rule of repair brings."""
    evaluator, plain = found.evaluators[rule], found.evaluators["none"]
    difference = paired_difference(evaluator, plain)
    return {
        "ap": round(evaluator.compute().ap, 4),
        "ap_without": round(plain.compute().ap, 4),
        "difference_interval": [round(float(difference.low), 4), round(float(difference.high), 4)],
    }


if __name__ == "__main__":
    main()
