"""All strategies in one short run: train, mine, pseudo-label, train on everything, evaluate. Minutes, not seconds.

A tiny network learns drawn people from scratch and labels images by itself, negatives are mined from boxes that a bad
detector might give, and a recipe trains on all of it. Each step reads the files that the one before has written.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch

from pcrpose import PCR, PCRConfig, PosePredictor, Recipe, load_model, oks
from pcrpose.cli.main import main
from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.images import image_size
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.readers.negatives import read_negatives
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.data.synthetic import SyntheticPoses, write_synthetic_coco
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.boxes import Size, intersection_areas, xyxy_to_xywh
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.training.config import TrainConfig
from pcrpose.training.recipe import read_recipe
from pcrpose.training.run_recipe import Source, run_recipe
from pcrpose.training.start import Encoder
from pcrpose.training.trainer import Trainer
from pcrpose.training.validation import CocoValidation

Record = dict[str, Any]

RECIPE = Recipe.parse("ACHU->CH")
IMAGE, WIDE = Size(width=96, height=128), Size(width=224, height=128)
MODEL = PCRConfig(
    encoder="resnet_nano",
    channels=(32, 32, 32),
    se_norm="none",
    input_size=Size(width=64, height=96),
    sigma=6.0,
    heatmaps="probability",
)
MILD = Augmentation(scale=0.15, rotation=15.0, rotation_probability=0.3, half_body_probability=0.0)
CONFIG = TrainConfig(
    epochs=10,
    batch_size=16,
    optimizer="muon",
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=10,
    loss="cross_entropy",
    ema_decay=0.95,
    max_grad_norm=5.0,
    num_workers=0,
    log_every_steps=25,
)
PEOPLE = SyntheticPoses(count=360, seed=1, size=IMAGE)
LEAK = "000777.jpg"


@pytest.mark.slow
def test_all_strategies(
    tmp_path: Path,
    shared_data: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the recipe gives is no worse on people than the first model, and finds fewer of them where nobody is."""
    monkeypatch.chdir(tmp_path)
    annotations = write_synthetic_coco("val", 48, seed=9, size=IMAGE)
    average_precision = CocoValidation(read_coco(annotations, "val/images"), CocoEvaluator(annotations))

    first = _train()
    seen, unseen = _mine()
    labelled = _pseudo_label(first, annotations, _real(shared_data, "samples/coco"))
    final = _train_on_everything(first, seen, labelled, _real(shared_data, "samples/aic"), average_precision)

    untrained = average_precision(PCR(MODEL).eval())
    before, after = (average_precision(load_model(folder)) for folder in (first, final))
    assert untrained < 0.01
    assert before > 0.05
    assert after > max(0.05, before - 0.03)
    assert _false_poses(final, unseen) < 0.5 * _false_poses(first, unseen)
    assert read_recipe(final) == RECIPE
    assert _evaluate(final, annotations) == pytest.approx(after, abs=1e-6)
    assert "annotated boxes" in capsys.readouterr().out


def _train() -> Path:
    """Train the first model, from scratch on drawn people."""
    torch.manual_seed(1)
    people = KeypointDataset(PEOPLE.samples(), source_skeleton=COCO_17, crop=MODEL.crop_spec, augmentation=MILD)
    return Trainer(PCR(MODEL), people, "first", CONFIG).train()


def _mine() -> tuple[list[Sample], list[Sample]]:
    """Mine what a bad detector finds beside people; images with an even number are to be learnt, the others not."""
    annotations = write_synthetic_coco("wide", 60, seed=7, size=WIDE)
    persons = read_coco(annotations, "wide/images")
    Path("detections.json").write_text(json.dumps(list(_detections(persons))))

    files = [str(annotations), "detections.json", "--images", "wide/images"]
    assert main(["mine", *files, "--out", "negatives.json", "--sheets", "sheets"]) == 0

    negatives = read_negatives("negatives.json", "wide/images")
    dropped = json.loads(Path("negatives.json").read_text())["source"]["dropped"]
    assert dropped["person"] >= len(persons)  # the persons' own boxes at least
    assert len(negatives) > 60
    assert len(negatives) + sum(dropped.values()) == 4 * len(persons)
    for negative in negatives:
        people = [person.box_xyxy for person in persons.samples if person.image_id == negative.image_id]
        assert not intersection_areas([negative.box_xyxy], people).any()
        assert negative.box_score >= 0.5
    assert list(Path("sheets").iterdir())
    return [each for each in negatives if each.image_id % 2 == 0], [each for each in negatives if each.image_id % 2]


def _detections(persons: AnnotatedPersons) -> Iterator[Record]:
    """Find every person, and three boxes an image wherever they fall."""
    rng = np.random.default_rng(0)
    for person in persons.samples:
        yield _box(person.image_id, person.box_xyxy, 0.95)
        for _ in range(3):
            width, height = rng.uniform(24, 48), rng.uniform(60, 120)
            left, top = rng.uniform(0, WIDE.width - width), rng.uniform(0, WIDE.height - height)
            yield _box(person.image_id, (left, top, left + width, top + height), rng.uniform(0.45, 0.9))


def _box(image_id: int, box_xyxy: npt.ArrayLike, score: float) -> Record:
    """Write a detection as COCO's results have it."""
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": xyxy_to_xywh(np.asarray(box_xyxy)[None])[0].tolist(),
        "score": score,
    }


def _pseudo_label(first: Path, never_in: Path, real: Path | None) -> AnnotatedPersons:
    """Label images with the first model; a copy of an image that is measured on lies among them."""
    truth = read_coco(write_synthetic_coco("unlabelled", 40, seed=11, size=IMAGE), "unlabelled/images")
    folder = Path("unlabelled/images")
    with PIL.Image.open(never_in.parent / "images/000003.png") as image:
        image.resize((144, 192)).save(folder / LEAK, quality=70)
    boxes = [_box(person.image_id, person.box_xyxy, 0.9) for person in truth.samples]
    boxes += [_box(person.image_id, (0, 0, 20, 40), 0.3) for person in truth.samples]
    for path in [] if real is None else real.glob("*.jpg"):
        shutil.copy(path, folder)
    for path in folder.glob("*.jpg"):
        size = image_size(path)
        boxes.append(_box(int(path.stem), (0, 0, size.width - 1, size.height - 1), 0.8))
    Path("boxes.json").write_text(json.dumps(boxes))

    arguments = ["--detector", "boxes.json", "--model", str(first), "--device", "cpu", "--min-keypoints", "3"]
    guard = ["--never-in", str(never_in), str(never_in.parent / "images")]
    assert (
        main(["pseudo-label", str(folder), *arguments, *guard, "--keep-fraction", "0.3", "--out", "pseudo.json"]) == 0
    )
    work = "pseudo.json.work"
    assert main(["pseudo-label", "--merge", work, "--threshold", "-1", "--out", "everything.json"]) == 0

    made = json.loads(Path("pseudo.json").read_text())["info"]["pcrpose"]
    assert [(leak["file_name"], leak["leak"]["file_name"]) for leak in made["images"]["leaks"]] == [
        (LEAK, "000003.png")
    ]
    assert made["persons"]["found"] == len(list(folder.iterdir())) - 1  # neither the leak nor the unsure boxes
    kept, everything = (read_coco(file, folder) for file in ("pseudo.json", "everything.json"))
    assert all(sample.labelled.all() for sample in everything.samples)
    assert np.sum([sample.labelled for sample in kept.samples], axis=0).max() <= round(0.3 * len(everything))
    assert _likeness(kept, truth) > 0.5
    return kept


def _likeness(labels: AnnotatedPersons, truth: AnnotatedPersons) -> float:
    """Give the mean similarity, OKS of one keypoint, of the labels in drawn images to what was drawn."""
    persons = {person.image_id: person for person in truth.samples}
    found: list[float] = []
    for label in labels.samples:
        if label.image_id not in persons:
            continue
        person = persons[label.image_id]
        for place in np.flatnonzero(label.labelled & person.labelled):
            here, there = label.keypoints[None, place : place + 1], person.keypoints[None, place : place + 1]
            found.append(float(oks(here, there, [person.area], sigmas=COCO_17.sigmas[place : place + 1])[0, 0]))
    return float(np.mean(found))


def _train_on_everything(
    first: Path, negatives: list[Sample], labelled: AnnotatedPersons, real: Path | None, validate: CocoValidation
) -> Path:
    """Run the recipe; A has other keypoints."""
    others = list(_with_keypoints(SyntheticPoses(count=160, seed=5, size=IMAGE).samples(), AIC_14))
    if real is not None:
        photographs = read_coco(real / "test_aic.json", real)
        assert photographs.skeleton == AIC_14
        others += photographs.samples
    data = {
        "A": (others, AIC_14),
        "C": (PEOPLE.samples(), COCO_17),
        "H": (negatives, COCO_17),
        "U": (labelled.samples, COCO_17),
    }
    return run_recipe(
        RECIPE,
        {
            letter: Source(samples=samples, skeleton=skeleton, augmentation=MILD)
            for letter, (samples, skeleton) in data.items()
        },
        MODEL,
        "run",
        configs=(replace(CONFIG, epochs=4), replace(CONFIG, epochs=2, learning_rate=0.003)),
        start=Encoder(first),
        validate=validate,
    )


def _with_keypoints(samples: Iterable[Sample], skeleton: Skeleton) -> Iterator[Sample]:
    """Give drawn people the keypoints of another data set; what is not drawn is not labelled."""
    for sample in samples:
        visibility = COCO_17.convert(sample.visibility[:, None], skeleton)[:, 0]
        yield replace(sample, keypoints=COCO_17.convert(sample.keypoints, skeleton), visibility=visibility)


def _false_poses(model: Path, negatives: list[Sample]) -> float:
    """Give the share of boxes without a person in which a model finds one all the same."""
    boxes = [[negative.box_xyxy] for negative in negatives]
    poses = PosePredictor(load_model(model)).predict_batch([negative.image for negative in negatives], boxes)
    return float(np.mean([each.pose_scores > 0.3 for each in poses]))


def _evaluate(model: Path, annotations: Path) -> float:
    """Measure a model as a user does."""
    images = str(annotations.parent / "images")
    options = ["--model", str(model), "--device", "cpu", "--no-flip", "--json", "figures.json"]
    assert main(["evaluate", str(annotations), images, *options]) == 0
    figures: dict[str, float] = json.loads(Path("figures.json").read_text())
    return figures["ap"]


def _real(shared_data: Callable[[str], Path], name: str) -> Path | None:
    """Find a folder of real images, where there is one: the test does without."""
    try:
        return shared_data(name)
    except pytest.skip.Exception:
        return None
