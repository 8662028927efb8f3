"""The systems beside the paper's are trained by the same `Trainer`, through the same loss."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.load import build_model, load_model
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.sample_grid import draw_examples
from pcrpose.training.engine.step import build_loss
from pcrpose.training.trainer import Trainer
from pcrpose.training.validation import CocoValidation

SYSTEMS = ["MultiStagePose", "CascadedPyramid", "StackedHourglass", "DeepPose"]
STEPS = 40
EPOCHS = 60


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_batch_is_learnt_by_heart(name: str, tiny_system: Callable[[str], PoseConfig]) -> None:
    """Two drawn people: from about 25 pixels at first, labelled keypoints are found to 6 of 64 on average."""
    config = tiny_system(name)
    people = KeypointDataset(SyntheticPoses(count=2).samples(), source_skeleton=COCO_17, crop=config.crop_spec)
    batch = default_collate([people[index] for index in range(2)])
    crops, labels = config.normalize(batch["crop"]), (batch["keypoints_crop"], batch["keypoint_weights"])
    model, loss = build_model(config).train(), build_loss(config, TrainConfig())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model(crops), *labels, batch["is_background"]).backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
    found, scores = model.decode(model(crops).final.detach())
    distance = (found - labels[0]).norm(dim=2)[labels[1] > 0]

    assert scores.shape == (2, 17)
    assert float(distance.mean()) < 6


def test_coordinates_are_trained_watched_and_loaded(tiny_system: Callable[[str], PoseConfig], tmp_path: Path) -> None:
    """Two steps in parts through the `Trainer`, example crops on the way, and the final folder is a `DeepPose`."""
    config = tiny_system("DeepPose")
    people = KeypointDataset(SyntheticPoses(count=8).samples(), source_skeleton=COCO_17, crop=config.crop_spec)
    short = TrainConfig(epochs=2, batch_size=8, gradient_accumulation_steps=2, num_workers=0, log_every_steps=1)
    model = build_model(config)
    final = Trainer(model, people, tmp_path, short).train()
    batch = default_collate([people[index] for index in range(2)])
    shown = draw_examples(model, batch, model(config.normalize(batch["crop"])).final.detach())

    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 2
    assert losses[1] > 0
    assert type(load_model(final)) is type(model)
    assert shown.shape[2] == 3


def test_coordinates_have_one_loss(tiny_system: Callable[[str], PoseConfig]) -> None:
    """There is no cross-entropy of coordinates."""
    with pytest.raises(ValueError, match="loss 'cross_entropy' does not train coordinates: expected 'squared_error'"):
        build_loss(tiny_system("DeepPose"), TrainConfig(loss="cross_entropy"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_short_run_on_real_people_improves(
    name: str, tiny_system: Callable[[str], PoseConfig], shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """AP on the persons of 24 real images, which are trained on, is higher in the end than after the first epoch."""
    whole = read_coco(shared_data("coco/annotations/person_keypoints_train.json"), shared_data("coco/train"))
    kept = dict(list(whole.image_paths.items())[:24])
    people = replace(
        whole, samples=tuple(sample for sample in whole.samples if sample.image_id in kept), image_paths=kept
    )
    annotations = json.loads(shared_data("coco/annotations/person_keypoints_train.json").read_text())
    for key, identity in (("images", "id"), ("annotations", "image_id")):
        annotations[key] = [row for row in annotations[key] if row[identity] in kept]
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    config = tiny_system(name)
    crops = KeypointDataset(people.samples, source_skeleton=COCO_17, crop=config.crop_spec, cache="decoded")
    short = TrainConfig(
        epochs=EPOCHS, batch_size=16, learning_rate=3e-3, num_workers=0, validate_every_epochs=1, schedule="cosine"
    )
    validation = CocoValidation(people, CocoEvaluator(tmp_path / "annotations.json"))
    measured: list[float] = []

    def validate(model: PoseModel[Any]) -> float:
        """Measure after the first epoch and after the last, and say the last value in between."""
        epoch = len(measured) + 1
        measured.append(validation(model) if epoch in {1, EPOCHS} else measured[-1])
        return measured[-1]

    Trainer(build_model(config), crops, tmp_path / "run", short, validate=validate).train()

    assert len(measured) == EPOCHS
    assert measured[-1] > measured[0] + 0.05
