"""Distillation: a student learns its teacher's heatmaps, with labels or without."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.samples import Sample
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import COCO_17, LSP_14
from pcrpose.models.deeppose import DeepPoseConfig
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.distill import Teacher, check_teacher, distillation_loss, weights_sha256
from pcrpose.training.trainer import Trainer

MakeModel = Callable[[], PCR]


def unlabelled(count: int = 8) -> list[Sample]:
    """Draw people whose keypoints nobody has labelled."""
    return [
        replace(sample, visibility=np.zeros_like(sample.visibility)) for sample in SyntheticPoses(count=count).samples()
    ]


def sharp(make_model: MakeModel) -> PCR:
    """Build a teacher that is sure of itself: statistics of drawn people, and a last layer that speaks louder."""
    config = make_model().config
    torch.manual_seed(5)
    model = PCR(config)
    people = crops_of(unlabelled(), config.input_size)
    crops = torch.stack([people[index]["crop"] for index in range(len(people))])
    with torch.no_grad():
        for _ in range(20):
            model(config.normalize(crops))
        maps = model(config.normalize(crops)).final
        model.heads[-1].get_parameter("weight").mul_(6 / maps.std(dim=(0, 2, 3))[:, None, None, None])
    return model


def crops_of(samples: list[Sample], size: Size) -> KeypointDataset:
    """Crop every box as it stands."""
    return KeypointDataset(samples, source_skeleton=COCO_17, crop=CropSpec(input_size=size))


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax over the cells of each map."""
    return logits.flatten(2).softmax(dim=2).view_as(logits)


@pytest.mark.parametrize("kind", ["probability", "gaussian"])
def test_a_student_equal_to_its_teacher_has_nothing_to_learn(kind: Any) -> None:  # noqa: ANN401 - a literal
    """Its loss is zero, the least there is, and so is the gradient; a probability map's height does not matter."""
    student = torch.randn(2, 3, 6, 5, requires_grad=True)
    teacher = student.detach() if kind == "gaussian" else 7 * probabilities(student.detach())

    loss = distillation_loss(student, teacher, kind=kind)
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it bare

    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-7
    assert distillation_loss(torch.randn_like(teacher), teacher, kind=kind).item() > 0.01  # another's is larger


def test_the_loss_by_hand() -> None:
    """Two cells, one crop, one keypoint: the divergence of two coins."""
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[3.0, 1.0]]]])
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)

    assert distillation_loss(student, teacher, kind="probability").item() == pytest.approx(expected)


def test_a_temperature_softens_both() -> None:
    """At temperature 2 both logarithms are halved and the loss is multiplied by 4."""
    student, teacher = torch.randn(2, 3, 6, 5), torch.randn(2, 3, 6, 5)
    halved = distillation_loss(student / 2, probabilities(teacher / 2), kind="probability")

    found = distillation_loss(student, probabilities(teacher), kind="probability", temperature=2.0)

    assert found.item() == pytest.approx(4 * halved.item())


@pytest.mark.parametrize("kind", ["probability", "gaussian"])
def test_a_teacher_is_not_asked_about_backgrounds(kind: Any) -> None:  # noqa: ANN401 - a literal
    """A crop that is known to hold nobody adds nothing, but counts in the divisor."""
    student, teacher = torch.randn(2, 3, 6, 5), torch.rand(2, 3, 6, 5)
    alone = distillation_loss(student[:1], teacher[:1], kind=kind)

    found = distillation_loss(student, teacher, kind=kind, is_background=torch.tensor([False, True]))

    assert found.item() == pytest.approx(alone.item() / 2)


def test_a_teacher_normalizes_crops_its_own_way(make_model: MakeModel) -> None:
    """Its mean and deviation are those of its own configuration; the caller's model stays as it was."""
    model = PCR(replace(make_model().config, pixel_mean=(0.1, 0.2, 0.3), pixel_std=(0.5, 0.6, 0.7))).train()
    crops = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)

    found = Teacher(model, make_model().config, TrainConfig()).heatmaps(crops)

    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not found.requires_grad
    expected = model.eval()(model.config.normalize(crops)).final
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_size", Size(width=96, height=128)),
        ("padding", 1.5),
        ("alignment", "edge"),
        ("blackout", 1.1),
        ("heatmaps", "gaussian"),
        ("sigma", 5.0),
        ("skeleton", LSP_14),
    ],
)
def test_a_teacher_of_other_crops_or_maps_is_refused(make_model: MakeModel, name: str, value: object) -> None:
    """The message names what differs."""
    what = "keypoints" if name == "skeleton" else name
    teacher = PCR(replace(make_model().config, **{name: value}))  # type: ignore[arg-type] # one field

    with pytest.raises(ValueError, match=f"teacher: expected the student's {what}"):
        Teacher(teacher, make_model().config, TrainConfig())


def test_a_teacher_needs_heatmaps(make_model: MakeModel) -> None:
    """Coordinates are neither taught nor learnt this way, and the message says whose they are."""
    heatmaps, coordinates = make_model().config, DeepPoseConfig()

    with pytest.raises(ValueError, match=r"teacher: expected a model that predicts heatmaps, .* found DeepPose"):
        check_teacher(coordinates, heatmaps)
    with pytest.raises(ValueError, match=r"student: expected a model that predicts heatmaps, .* found DeepPose"):
        check_teacher(heatmaps, coordinates)


def test_a_temperature_needs_probabilities(make_model: MakeModel) -> None:
    """Squared error has no softmax to soften."""
    model = PCR(replace(make_model().config, heatmaps="gaussian"))

    with pytest.raises(ValueError, match="teacher_temperature"):
        Teacher(model, model.config, TrainConfig(teacher_temperature=2.0))


def test_a_teacher_counts_by_its_weight(make_model: MakeModel) -> None:
    """Half the weight is half the loss."""
    crops = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    model = make_model()
    student = torch.randn_like(Teacher(model, model.config, TrainConfig()).heatmaps(crops))
    whole, half = (
        Teacher(model, model.config, TrainConfig(teacher_weight=weight)).loss(student, crops).item()
        for weight in (1.0, 0.5)
    )

    assert whole > 0.01
    assert half == pytest.approx(whole / 2)


def test_the_digest_follows_the_weights(make_model: MakeModel) -> None:
    """Equal weights have equal digests; one changed number changes it."""
    model = make_model()
    before = weights_sha256(model)
    same = weights_sha256(make_model())
    with torch.no_grad():
        model.heads[-1].get_parameter("bias")[0] += 1

    assert before == same
    assert weights_sha256(model) != before


@pytest.mark.parametrize("parts", [1, 2])
def test_unlabelled_crops_bring_a_student_nearer_its_teacher(
    make_model: MakeModel, make_config: Callable[..., TrainConfig], tmp_path: Path, parts: int
) -> None:
    """Without a single label, thirty steps take a third and more off the divergence of a seeded student."""
    teacher, student = sharp(make_model).eval(), make_model()
    people = crops_of(unlabelled(), student.config.input_size)
    crops = torch.stack([people[index]["crop"] for index in range(len(people))])
    config = make_config(
        epochs=30,
        learning_rate=3e-3,
        schedule="constant",
        checkpoint_every_steps=100,
        gradient_accumulation_steps=parts,
    )
    judge = Teacher(teacher, student.config, config)

    def distance(model: PCR) -> float:
        with torch.no_grad():
            maps = model.eval()(model.config.normalize(crops)).final
            return float(judge.loss(maps.clamp_min(1e-30).log(), crops))

    before = distance(student)
    assert before > 0.2
    trained = Trainer(student, people, tmp_path, config, teacher=teacher).train()

    assert distance(PCR.from_pretrained(trained)) < 0.7 * before


def test_a_run_goes_on_with_its_own_teacher_only(
    make_model: MakeModel, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """The record holds the teacher's digest; another teacher, or none, is refused."""
    teacher = sharp(make_model)
    people = crops_of(SyntheticPoses(count=8).samples(), teacher.config.input_size)
    Trainer(make_model(), people, tmp_path, make_config(), teacher=teacher).train()

    record = json.loads((tmp_path / "train_config.json").read_text())

    assert record["teacher"] == weights_sha256(teacher)
    Trainer(make_model(), people, tmp_path, make_config(), teacher=teacher).train()
    for other in (None, make_model()):
        with pytest.raises(ValueError, match="teacher"):
            Trainer(make_model(), people, tmp_path, make_config(), teacher=other).train()


class StoppedError(Exception):
    """Stands for a power cut."""


def test_a_distillation_goes_on_bit_for_bit(
    make_model: MakeModel, make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after one of three steps, the weights end as those of an undisturbed run."""
    teacher, config = sharp(make_model), make_config(epochs=3)
    people = crops_of(SyntheticPoses(count=8).samples(), teacher.config.input_size)
    whole = Trainer(make_model(), people, tmp_path / "whole", config, teacher=teacher).train()
    heatmaps = Teacher.heatmaps
    calls = iter(range(10))

    def cut(self: Teacher, crops: torch.Tensor) -> torch.Tensor:
        if next(calls) == 1:
            raise StoppedError
        return heatmaps(self, crops)

    with monkeypatch.context() as patch:
        patch.setattr(Teacher, "heatmaps", cut)
        with pytest.raises(StoppedError):
            Trainer(make_model(), people, tmp_path / "cut", config, teacher=teacher).train()
    resumed = Trainer(make_model(), people, tmp_path / "cut", config, teacher=teacher).train()

    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()


def test_parts_of_a_batch_share_the_teachers_loss(
    make_model: MakeModel, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher whose loss is 1 for every part adds 1 to the loss of a step, however many parts it has."""

    def one(_self: Teacher, student: torch.Tensor, _crops: torch.Tensor, _nobody: torch.Tensor) -> torch.Tensor:
        return 0 * student.sum() + 1

    monkeypatch.setattr(Teacher, "loss", one)
    config = TrainConfig(
        epochs=1, batch_size=8, loss="cross_entropy", gradient_accumulation_steps=2, num_workers=0, log_every_steps=1
    )
    losses = []
    for name, teacher in (("alone", None), ("taught", make_model())):
        Trainer(make_model(), dataset, tmp_path / name, config, teacher=teacher).train()
        rows = (tmp_path / name / "log.jsonl").read_text().splitlines()
        losses.append(np.array([json.loads(row)["loss"] for row in rows]))

    assert losses[1] - losses[0] == pytest.approx(1.0, abs=1e-4)
