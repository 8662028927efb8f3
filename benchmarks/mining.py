"""What hard negatives do: false poses where nobody is, a person score, and training with and without.

    python benchmarks/mining.py --coco FOLDER --json benchmarks/mining.json

FOLDER holds annotations/person_keypoints_{train,val}.json and the images in train/ and val/. The negatives are the
verified ones of negatives_coco_subset.json, split by image into halves. On the seen half a person score is fitted,
and the model is trained further twice, on the same persons: alone, and with one negative to eight persons. Figures of
negatives are of the other half, those of persons of val, with intervals from images resampled with replacement. One
thread; the two trainings take most of the time, --persons 0 leaves them out.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
import torch
from contact_sheets import written_whole

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.images import open_image
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.negatives import NegativesFile, read_negatives
from pcrpose.data.sampler import PERSONS_PER_NEGATIVE, background_quota
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.bootstrap import Interval, bootstrap_interval, paired_difference
from pcrpose.evaluation.calibration import area_under_roc, fit_person_score
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.inference.validate import validate
from pcrpose.keypoints.arrays import Bools, Floats, Indices
from pcrpose.keypoints.oks import pose_scores
from pcrpose.keypoints.presence import Statistic
from pcrpose.models.load import load_model
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.trainer import Trainer

NEGATIVES = Path(__file__).with_name("negatives_coco_subset.json")
FALSE_POSE = 0.3  # a pose score, or a keypoint's, above it is taken for one that was found
SHORT_SIDE, LEAST_SIDE = 256, 21  # of most images and of every box among the negatives; persons are made alike
BATCH = 36  # 32 persons and 4 negatives, on average
STATISTICS: tuple[Statistic, ...] = ("mean", "max")
PAIRS = (("with negatives", "without negatives"), ("with negatives", "as it is"))

Figure: TypeAlias = Callable[[Indices], float]  # of some of the boxes, by their places


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """What a model says of boxes: its keypoint scores, and in which image each box lies.

    Attributes:
        image_ids: ``(N,)``.
        box_scores: ``(N,)``, the detector's.
        keypoint_scores: ``(N, J)``.
    """

    image_ids: Indices
    box_scores: Floats
    keypoint_scores: Floats

    @classmethod
    def predict(cls, model: PoseModel[Any], samples: Sequence[Sample]) -> "Boxes":
        """Run the predictor on every box, each in its own image."""
        predictor = PosePredictor(model, runtime=Runtime(batch_size=32))
        poses = predictor.predict_batch(
            [sample.image for sample in samples], [sample.box_xyxy[None] for sample in samples]
        )
        return cls(
            image_ids=np.array([sample.image_id for sample in samples]),
            box_scores=np.array([sample.box_score for sample in samples]),
            keypoint_scores=np.concatenate([each.keypoint_scores for each in poses]).astype(np.float64),
        )

    @property
    def pose_scores(self) -> Floats:
        """``(N,)``, as of boxes that somebody has drawn."""
        return pose_scores(np.ones(len(self.box_scores)), self.keypoint_scores)

    def measures(self) -> dict[str, Floats]:
        """Give what is counted for each box, ``(N,)``; the mean over the boxes is the figure."""
        detected = pose_scores(self.box_scores, self.keypoint_scores)
        return {
            "false_poses": (self.pose_scores > FALSE_POSE).astype(np.float64),
            "false_poses_with_box_score": (detected > FALSE_POSE).astype(np.float64),
            "false_keypoints": (self.keypoint_scores > FALSE_POSE).sum(axis=1).astype(np.float64),
        }


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """Images resampled with replacement."""

    draws: int
    seed: int

    def interval(self, image_ids: Indices, figure: Figure) -> Interval:
        """Give the 95 % interval of a figure of the boxes of the resampled images."""
        images, places = np.unique(image_ids, return_inverse=True)
        members = [np.flatnonzero(places == number) for number in range(len(images))]
        rng = np.random.default_rng(self.seed)
        values = []
        for _ in range(self.draws):
            drawn = rng.integers(0, len(images), len(images))
            values.append(figure(np.concatenate([members[number] for number in drawn])))
        low, high = np.nanquantile(values, [0.025, 0.975])
        return Interval(float(low), float(high))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code is 2 after a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pcr-small", help="zoo name, Hub repository or folder (%(default)s)")
    parser.add_argument("--coco", type=Path, metavar="FOLDER", help="annotated images in COCO's form")
    parser.add_argument("--negatives", type=Path, default=NEGATIVES, metavar="FILE", help="verified negatives")
    parser.add_argument("--persons", type=int, default=512, help="trained on, an epoch; 0: none (%(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of the further training (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="at its beginning (%(default)s)")
    parser.add_argument("--draws", type=int, default=1000, help="resamples of the bootstrap (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the training and the resamples (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args(arguments)
    if options.coco is None:
        print("nothing measured: this needs annotated images, --coco FOLDER")
        return 0
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    try:
        measured = run(options)
    except (OSError, ValueError) as error:
        print(f"mining: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if options.json is not None:
        with written_whole(options.json) as file:
            file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {options.json}")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do what the options ask for."""
    model = load_model(options.model)
    skeleton = model.config.skeleton
    negatives = read_negatives(options.negatives, options.coco / "train", skeleton=skeleton, verified_only=True)
    seen, unseen = halves(negatives, options.seed)
    resamples = Resamples(draws=options.draws, seed=options.seed)
    counts = {
        name: {"negatives": len(half), "images": len({sample.image_id for sample in half})}
        for name, half in (("seen", seen), ("unseen", unseen))
    }
    print(f"{len(negatives)} verified negatives; halves by image: {counts}")
    persons = val_persons(options.coco)
    models = {"as it is": model}
    name = Path(options.model).resolve().name  # where things lie is nobody's business
    measured: dict[str, Any] = {
        "model": name,
        "negatives": {
            "file": options.negatives.name,
            **counts,
            "by_score": NegativesFile.read(options.negatives).source.get("by_score"),
        },
        "resamples": {"of": "images", "draws": options.draws, "confidence": 0.95, "seed": options.seed},
        "person_score": person_scores(model, (seen, unseen), persons, resamples),
    }
    if options.persons:
        trained, measured["training"] = trained_both_ways(model, seen, {s.image_id for s in unseen}, options)
        models |= trained
        measured["average_precision"] = average_precisions(models, options)
    answers = {way: Boxes.predict(each, [*unseen, *persons]) for way, each in models.items()}
    measured["unseen_half"] = compare(answers, len(unseen), resamples)
    return measured


def halves(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split by image: boxes of one image stay together."""
    images = np.unique([sample.image_id for sample in samples])
    first = set(np.random.default_rng(seed).permutation(images)[: len(images) // 2].tolist())
    return [s for s in samples if s.image_id in first], [s for s in samples if s.image_id not in first]


def compare(answers: Mapping[str, Boxes], num_negatives: int, resamples: Resamples) -> dict[str, Any]:
    """Count false poses on the negatives, which come first, and look at what the persons after them lose."""
    figures = {way: figures_of(boxes, num_negatives) for way, boxes in answers.items()}
    image_ids = next(iter(answers.values())).image_ids
    found: dict[str, Any] = {}
    for way, table in figures.items():
        found[way] = {name: with_interval(figure, image_ids, resamples) for name, figure in table.items()}
    for one, other in PAIRS if len(answers) > 1 else ():
        found[f"{one} minus {other}"] = {
            name: with_interval(difference(figures[one][name], figures[other][name]), image_ids, resamples)
            for name in figures[one]
        }
    for way, measured in found.items():
        for name, value in measured.items():
            print(f"{way}: {name} {value['value']:.3f} ({Interval(*value['interval'])})", flush=True)
    return found


def figures_of(boxes: Boxes, num_negatives: int) -> dict[str, Figure]:
    """Give the figures as functions of a choice of boxes."""
    persons = np.arange(len(boxes.image_ids)) >= num_negatives

    def mean(values: Floats, wanted: Bools) -> Figure:
        return lambda chosen: float(values[chosen[wanted[chosen]]].mean()) if wanted[chosen].any() else np.nan

    def area(values: Floats) -> Figure:
        return lambda chosen: auroc(values[chosen], persons[chosen])

    return {
        **{name: mean(values, ~persons) for name, values in boxes.measures().items()},
        "persons_found": mean((boxes.pose_scores > FALSE_POSE).astype(np.float64), persons),
        "auroc_pose_score": area(boxes.pose_scores),
        "auroc_max": area(boxes.keypoint_scores.max(axis=1)),
    }


def difference(one: Figure, other: Figure) -> Figure:
    """Subtract two figures of the same boxes."""
    return lambda chosen: one(chosen) - other(chosen)


def with_interval(figure: Figure, image_ids: Indices, resamples: Resamples) -> dict[str, Any]:
    """Give a figure of all boxes, and where it lies on resampled images."""
    return {"value": figure(np.arange(len(image_ids))), "interval": list(resamples.interval(image_ids, figure))}


def auroc(scores: Floats, persons: Bools) -> float:
    """Give the area under the curve, or nan where a resample has only one kind."""
    return area_under_roc(scores, persons) if 0 < persons.sum() < len(persons) else np.nan


def val_persons(coco: Path) -> list[Sample]:
    """Read persons whom no model was trained on, in images shrunk to the size of the negatives' images."""
    dataset = read_coco(coco / "annotations/person_keypoints_val.json", coco / "val")
    shrunk: dict[int, tuple[Any, float]] = {}
    for image_id, path in dataset.image_paths.items():
        whole = PIL.Image.fromarray(open_image(path))
        factor = SHORT_SIDE / min(whole.size)
        size = (round(whole.width * factor), round(whole.height * factor))
        shrunk[image_id] = np.asarray(whole.resize(size, PIL.Image.Resampling.LANCZOS)), factor
    persons = []
    for sample in dataset.samples:
        pixels, factor = shrunk[sample.image_id]
        box = (sample.box_xyxy + 0.5) * factor - 0.5
        if (box[2:] - box[:2]).min() >= LEAST_SIDE:
            persons.append(
                Sample(
                    image=pixels,
                    image_id=sample.image_id,
                    box_xyxy=box,
                    keypoints=(sample.keypoints + 0.5) * factor - 0.5,
                    visibility=sample.visibility,
                    area=sample.area * factor**2,
                )
            )
    return persons


def person_scores(
    model: PoseModel[Any], negatives: tuple[list[Sample], list[Sample]], persons: list[Sample], resamples: Resamples
) -> dict[str, Any]:
    """Fit a person score on one half and tell persons from negatives on the other."""
    seen, unseen = (
        Boxes.predict(model, [*half, *others])
        for half, others in zip(negatives, halves(persons, resamples.seed), strict=True)
    )
    labels = [
        np.arange(len(boxes.image_ids)) >= len(half) for boxes, half in zip((seen, unseen), negatives, strict=True)
    ]
    found: dict[str, Any] = {"persons": {"seen": int(labels[0].sum()), "unseen": int(labels[1].sum())}}
    for statistic in STATISTICS:
        score = fit_person_score(seen.keypoint_scores, labels[0], statistic=statistic)
        found[statistic] = {
            "slope": score.slope,
            "intercept": score.intercept,
            **told_apart(score(unseen.keypoint_scores), labels[1], unseen.image_ids, resamples),
        }
    found["pose_score"] = told_apart(unseen.pose_scores, labels[1], unseen.image_ids, resamples)
    for name in (*STATISTICS, "pose_score"):
        print(f"AUROC of {name}: {found[name]['auroc']:.3f} ({Interval(*found[name]['interval'])})", flush=True)
    return found


def told_apart(scores: Floats, persons: Bools, image_ids: Indices, resamples: Resamples) -> dict[str, Any]:
    """Give the area under the curve, and the share of each kind above one half."""
    return {
        "auroc": area_under_roc(scores, persons),
        "interval": list(resamples.interval(image_ids, lambda chosen: auroc(scores[chosen], persons[chosen]))),
        "persons_above_half": float((scores[persons] > 0.5).mean()),  # noqa: PLR2004 - even odds
        "negatives_above_half": float((scores[~persons] > 0.5).mean()),  # noqa: PLR2004 - even odds
    }


def trained_both_ways(
    model: PoseModel[Any], seen: list[Sample], spared: set[int], options: argparse.Namespace
) -> tuple[dict[str, PoseModel[Any]], dict[str, Any]]:
    """Train further on the same persons, without and with the seen half of the negatives."""
    coco: AnnotatedPersons = read_coco(
        options.coco / "annotations/person_keypoints_train.json",
        options.coco / "train",
        skeleton=model.config.skeleton,
    )
    usable = [sample for sample in coco.samples if sample.image_id not in spared]
    chosen = np.random.default_rng(options.seed).permutation(len(usable))[: options.persons]
    persons = [usable[index] for index in chosen]
    share = background_quota(len(persons))
    trained, told = {}, {"persons": len(persons), "negatives_an_epoch": share, "epochs": options.epochs}
    for way, parts, quotas, batch in (
        ("without negatives", [persons], (len(persons),), BATCH * PERSONS_PER_NEGATIVE // (PERSONS_PER_NEGATIVE + 1)),
        ("with negatives", [persons, seen], (len(persons), share), BATCH),
    ):
        start = time.monotonic()
        config = TrainConfig(
            epochs=options.epochs,
            batch_size=batch,
            quotas=quotas,
            learning_rate=options.learning_rate,
            freeze_statistics=True,
            schedule="cosine",
            warmup_steps=10,
            loss="cross_entropy" if model.config.heatmaps == "probability" else "squared_error",
            max_grad_norm=5.0,
            num_workers=0,
            seed=options.seed,
            checkpoint_every_steps=10_000,
        )
        with tempfile.TemporaryDirectory() as folder:
            student = type(model)(model.config)
            student.load_state_dict(model.state_dict())
            mixed = MixedDataset([crops(part, model) for part in parts])
            trainer = Trainer(student, mixed, folder, config)
            trained[way] = load_model(str(trainer.train()))
        seconds = time.monotonic() - start
        told[way] = {"steps": trainer.total_steps, "batch": batch, "seconds": round(seconds, 1)}
        print(f"trained {way}: {told[way]}", flush=True)
    return trained, {**told, "learning_rate": options.learning_rate}


def crops(samples: Sequence[Sample], model: PoseModel[Any]) -> KeypointDataset:
    """Cut the model's crops, with the usual changes."""
    skeleton = model.config.skeleton
    return KeypointDataset(
        samples,
        source_skeleton=skeleton,
        crop=model.config.crop_spec,
        augmentation=Augmentation(rotation=30.0, color_jitter=0.2),
    )


def average_precisions(models: Mapping[str, PoseModel[Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Measure AP on annotated boxes, to see that persons are not forgotten."""
    annotations = options.coco / "annotations/person_keypoints_val.json"
    evaluators, found = {}, dict[str, Any]()
    for way, model in models.items():
        dataset = read_coco(annotations, options.coco / "val", skeleton=model.config.skeleton)
        evaluators[way] = CocoEvaluator(annotations)
        ap = validate(PosePredictor(model), dataset, evaluators[way]).ap
        interval = bootstrap_interval(evaluators[way], draws=options.draws, seed=options.seed)["ap"]
        found[way] = {"ap": ap, "interval": list(interval)}
        print(f"AP {way}: {ap:.3f} ({interval})", flush=True)
    for one, other in PAIRS:
        interval = paired_difference(evaluators[one], evaluators[other], draws=options.draws, seed=options.seed)
        found[f"{one} minus {other}"] = {"interval": list(interval)}
        print(f"AP {one} minus {other}: {interval}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
