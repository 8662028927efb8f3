"""The training loop: it learns, it stops and goes on, it refuses what cannot work."""

import builtins
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.synthetic import SyntheticPoses, write_synthetic_coco
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration
from pcrpose.keypoints.skeleton import COCO_17, LSP_14
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput, PoseModel
from pcrpose.training.config import OptimizerKind, TrainConfig
from pcrpose.training.ema import WeightAverage
from pcrpose.training.trainer import Trainer

CONFIG = TrainConfig(
    epochs=3,
    batch_size=8,
    loss="cross_entropy",
    schedule="cosine",
    ema_decay=0.9,
    num_workers=0,
    checkpoint_every_steps=2,
    log_every_steps=1,
)


def changed(**values: Any) -> TrainConfig:  # noqa: ANN401 - any field
    """Give the configuration with other values."""
    return TrainConfig(**{**CONFIG.__dict__, **values})


def losses(folder: Path) -> list[float]:
    """Read the logged losses."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_a_run_leaves_model_log_and_checkpoint(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """After training the final folder loads, every step is logged, and the loss has fallen."""
    final = Trainer(model, dataset, tmp_path, changed(epochs=8, learning_rate=3e-3)).train()

    assert not PCR.from_pretrained(final).training
    logged = losses(tmp_path)
    assert len(logged) == 24
    assert sum(logged[-6:]) < 0.95 * sum(logged[:6])


def test_new_weights_have_no_calibration(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """What was fitted on the weights as they were is in none of the folders that a run leaves."""
    calibration = Calibration(keypoints=model.config.skeleton.keypoints, input_size=model.config.input_size)
    model.config = replace(model.config, calibration=calibration)

    final = Trainer(model, dataset, tmp_path, changed(epochs=1), validate=lambda _: 1.0).train()

    assert [PCR.from_pretrained(tmp_path / name).config.calibration for name in ("best", "final")] == [None] * 2
    assert "calibration" not in json.loads((final / "config.json").read_text())


@pytest.mark.slow  # that the loss falls is tested above
def test_one_batch_can_be_learnt_by_heart(model: PCR, tmp_path: Path) -> None:
    """Without augmentation a tiny network finds the keypoints of the images it was trained on."""
    samples = SyntheticPoses(count=8).samples()
    dataset = KeypointDataset(samples, source_skeleton=COCO_17, crop=model.config.crop_spec)
    config = changed(epochs=150, learning_rate=3e-3, ema_decay=0.0, checkpoint_every_steps=1000)

    trained = PCR.from_pretrained(Trainer(model, dataset, tmp_path, config).train())

    items = [dataset[index] for index in range(len(dataset))]
    crops = torch.stack([item["crop"] for item in items])
    with torch.inference_mode():
        found, _ = model.config.codec().decode(trained(model.config.normalize(crops)).final)
    labelled = torch.stack([item["keypoint_weights"] for item in items]) > 0
    error = (found - torch.stack([item["keypoints_crop"] for item in items])).norm(dim=-1)[labelled]
    assert error.median() < 3


class InterruptedRunError(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_an_interrupted_run_goes_on_to_the_same_end(
    make_model: Any,  # noqa: ANN401 - a builder
    dataset: KeypointDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: OptimizerKind,
) -> None:
    """Stopped after five of nine steps and started again, weights and log equal the uninterrupted run's bit for bit."""
    config = changed(optimizer=optimizer)
    whole = Trainer(make_model(), dataset, tmp_path / "whole", config).train()

    after_step = Trainer._after_step

    def cut(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        after_step(self, done, outcome)
        if done == 5:
            raise InterruptedRunError

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", cut)
        with pytest.raises(InterruptedRunError):
            Trainer(make_model(), dataset, tmp_path / "cut", config).train()
    resumed = Trainer(make_model(), dataset, tmp_path / "cut", config).train()

    expected, found = (PCR.from_pretrained(folder).state_dict() for folder in (whole, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (tmp_path / "cut/log.jsonl").read_text() == (tmp_path / "whole/log.jsonl").read_text()


def test_what_is_frozen_stays_as_it_was(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """Frozen weights and statistics are those the model came with; the rest has moved."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = changed(freeze=("encoder.layer1.*",), freeze_statistics=True)
    after = PCR.from_pretrained(Trainer(model, dataset, tmp_path, config).train()).state_dict()
    kept = {name for name in after if torch.equal(before[name], after[name])}
    assert {name for name in after if name.startswith("encoder.layer1.")} <= kept
    assert {name for name in after if name.startswith("encoder.") and "running" in name} <= kept
    assert not any("running" in name for name in kept if not name.startswith("encoder."))
    assert "encoder.layer2.0.conv1.weight" not in kept


def test_a_finished_run_is_not_trained_again(make_model: Any, dataset: KeypointDataset, tmp_path: Path) -> None:  # noqa: ANN401 - a builder
    """Starting a finished run again gives the same model at once."""
    first = PCR.from_pretrained(Trainer(make_model(), dataset, tmp_path, CONFIG).train()).state_dict()
    again = PCR.from_pretrained(Trainer(make_model(), dataset, tmp_path, CONFIG).train()).state_dict()

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert len(losses(tmp_path)) == 9


def test_another_configuration_in_the_same_folder_is_refused(
    make_model: Any,  # noqa: ANN401 - a builder
    dataset: KeypointDataset,
    tmp_path: Path,
) -> None:
    """A run is not continued with other settings."""
    Trainer(make_model(), dataset, tmp_path, CONFIG).train()

    with pytest.raises(ValueError, match="another configuration"):
        Trainer(make_model(), dataset, tmp_path, changed(learning_rate=0.5)).train()


def test_the_best_validated_average_is_kept(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """Validation sees an averaged model in evaluation mode; the best one is exported, of equals the last."""
    figures = iter([0.7, 0.7, 0.5])
    seen: list[dict[str, Tensor]] = []

    def validate(candidate: PoseModel[Any]) -> float:
        assert not candidate.training
        seen.append(candidate.state_dict())
        return next(figures)

    Trainer(model, dataset, tmp_path, changed(validate_every_epochs=1), validate=validate).train()

    best = PCR.from_pretrained(tmp_path / "best").state_dict()
    assert all(torch.equal(best[name], seen[1][name]) for name in best)


def test_the_rate_follows_the_batch(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """A rate meant for a batch of 4 is doubled for one of 8; parts of it change nothing in that."""
    config = changed(
        epochs=1, learning_rate=1e-3, base_batch_size=4, gradient_accumulation_steps=2, schedule="constant"
    )

    Trainer(model, dataset, tmp_path, config).train()

    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["learning_rate"] for row in rows] == [2e-3] * 3


def test_the_encoder_keeps_its_own_rate_after_the_first_step(
    model: PCR, dataset: KeypointDataset, tmp_path: Path
) -> None:
    """The factor of each group acts at every step, not only when the optimizer is made."""
    config = changed(epochs=1, learning_rate=1e-3, encoder_learning_rate_factor=0.25, schedule="constant")

    trainer = Trainer(model, dataset, tmp_path, config)
    trainer.train()

    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    found = {
        (id(parameter) in encoder, group["lr"])
        for group in trainer.optimizer.param_groups
        for parameter in group["params"]
    }
    assert found == {(True, 0.25e-3), (False, 1e-3)}


def test_the_gradient_of_a_whole_batch_is_clipped(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """Its norm is the largest allowed, in however many parts the batch was computed."""
    config = changed(epochs=1, max_grad_norm=0.01, gradient_accumulation_steps=2)
    trainer = Trainer(model, dataset, tmp_path, config)
    norms: list[float] = []

    def note(*_: object) -> None:
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))

    trainer.optimizer.register_step_pre_hook(note)
    trainer.train()

    assert norms == pytest.approx([0.01] * 3, rel=1e-3)


def test_the_average_counts_its_steps_from_zero(
    model: PCR, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warm-up of the average begins with the first step: it takes over nine tenths of the first weights."""
    steps: list[int] = []
    update = WeightAverage.update

    def note(self: WeightAverage, model: PCR, step: int) -> None:
        steps.append(step)
        update(self, model, step)

    monkeypatch.setattr(WeightAverage, "update", note)
    Trainer(model, dataset, tmp_path, changed(epochs=1)).train()

    assert steps == [0, 1, 2]


def test_data_sets_are_mixed_by_quota(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """An epoch takes what the quotas say from each part."""
    mixed = MixedDataset([dataset, dataset])

    trainer = Trainer(model, mixed, tmp_path, changed(quotas=(8, 16), epochs=1))

    assert trainer.total_steps == 3
    trainer.train()
    assert len(losses(tmp_path)) == 3


def test_bf16_runs_the_network_in_half_precision(
    model: PCR, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads give bf16, the weights stay float32, the losses are finite."""
    forward, seen = PCR.forward, set()

    def watched(self: PCR, crops: Tensor) -> HeatmapOutput:
        output = forward(self, crops)
        seen.add(output.final.dtype)
        return output

    monkeypatch.setattr(PCR, "forward", watched)

    Trainer(model, dataset, tmp_path, changed(precision="bf16", epochs=1)).train()

    assert seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(0 < loss < 20 for loss in losses(tmp_path))


def test_worker_processes_change_nothing(make_model: Any, dataset: KeypointDataset, tmp_path: Path) -> None:  # noqa: ANN401 - a builder
    """With and without workers, the same weights; and a run may go on with another number of them."""
    config = changed(epochs=1)
    alone = PCR.from_pretrained(Trainer(make_model(), dataset, tmp_path / "0", config).train()).state_dict()
    helped = changed(epochs=1, num_workers=2)
    together = PCR.from_pretrained(Trainer(make_model(), dataset, tmp_path / "2", helped).train()).state_dict()

    assert all(torch.equal(alone[name], together[name]) for name in alone)
    Trainer(make_model(), dataset, tmp_path / "2", config).train()


def test_a_loss_that_does_not_fit_the_heatmaps_is_refused(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """Squared error does not train probability maps."""
    with pytest.raises(ValueError, match="cross_entropy"):
        Trainer(model, dataset, tmp_path, changed(loss="squared_error"))


def test_too_few_samples_for_a_batch_are_refused(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """A run of no steps is an error."""
    with pytest.raises(ValueError, match="at least one batch"):
        Trainer(model, dataset, tmp_path, changed(batch_size=64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("learning_rate", float("nan")),
        ("log_every_steps", 0),
        ("max_grad_norm", -1.0),
        ("warmup_steps", -3),
        ("schedule", "typo"),
        ("precision", "fp8"),
        ("gradient_accumulation_steps", 0),
        ("base_batch_size", 0),
        ("max_broken_images", -1),
        ("loss", "mse"),
        ("optimizer", "sgd"),
        ("encoder_learning_rate_factor", 0.0),
    ],
)
def test_a_configuration_checks_itself(name: str, value: object) -> None:
    """What has no meaning is refused by name."""
    with pytest.raises(ValueError, match=name):
        changed(**{name: value})


@pytest.mark.parametrize("what", ["padding", "alignment", "input_size", "blackout", "keypoints"])
def test_crops_that_are_not_the_models_are_refused(model: PCR, tmp_path: Path, what: str) -> None:
    """A model is not trained on crops that it will not see when it predicts."""
    others = {"padding": 2.0, "alignment": "edge", "input_size": Size(width=32, height=32), "blackout": 1.5}
    other: dict[str, Any] = {what: others[what]} if what in others else {}
    dataset = KeypointDataset(
        SyntheticPoses(count=8).samples(),
        source_skeleton=COCO_17,
        skeleton=LSP_14 if what == "keypoints" else None,
        crop=replace(model.config.crop_spec, **other),
    )

    with pytest.raises(ValueError, match=what):
        Trainer(model, dataset, tmp_path, CONFIG)


def test_other_data_in_the_same_folder_is_refused(make_model: Any, dataset: KeypointDataset, tmp_path: Path) -> None:  # noqa: ANN401 - a builder
    """A run is not continued with another number of samples."""
    Trainer(make_model(), dataset, tmp_path, CONFIG).train()

    with pytest.raises(ValueError, match="another configuration"):
        Trainer(make_model(), MixedDataset([dataset, dataset]), tmp_path, CONFIG).train()


def test_a_weight_that_is_not_finite_is_never_saved(
    model: PCR, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the weights break between two log lines, the checkpoint before stays the last."""
    after_step = Trainer._after_step

    def breaking(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        if done == 3:
            torch.nn.init.constant_(self.model.heads[0].weight, float("nan"))
        after_step(self, done, outcome)

    monkeypatch.setattr(Trainer, "_after_step", breaking)

    with pytest.raises(FloatingPointError, match="kept"):
        Trainer(model, dataset, tmp_path, changed(checkpoint_every_steps=1, log_every_steps=50)).train()

    saved = PCR.from_pretrained(tmp_path / "last").state_dict()
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_a_broken_model_is_never_the_best(
    model: PCR, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose weights broke is not exported, even where its validation gives a finite figure."""
    after_step = Trainer._after_step

    def breaking(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        if done == 3:
            torch.nn.init.constant_(self.average.tensors["heads.0.weight"], float("nan"))
        after_step(self, done, outcome)

    monkeypatch.setattr(Trainer, "_after_step", breaking)

    with pytest.raises(FloatingPointError, match=r"heads\.0\.weight is not finite"):
        Trainer(model, dataset, tmp_path, changed(validate_every_epochs=1), validate=lambda _: 0.0).train()

    assert not (tmp_path / "best").exists()


def test_a_validation_that_is_not_finite_is_refused(model: PCR, dataset: KeypointDataset, tmp_path: Path) -> None:
    """NaN would stay the best figure for ever."""
    with pytest.raises(ValueError, match="finite metric"):
        Trainer(model, dataset, tmp_path, changed(validate_every_epochs=1), validate=lambda _: float("nan")).train()


def test_a_lost_log_does_not_stop_a_run(make_model: Any, dataset: KeypointDataset, tmp_path: Path) -> None:  # noqa: ANN401 - a builder
    """A log that was deleted is begun again, not filled with zeros."""
    Trainer(make_model(), dataset, tmp_path, CONFIG).train()
    (tmp_path / "log.jsonl").unlink()

    Trainer(make_model(), dataset, tmp_path, CONFIG).train()

    assert (tmp_path / "log.jsonl").read_bytes() == b""


def test_without_the_extra_the_error_names_it(
    model: PCR, dataset: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Accelerate the message says what to install."""
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the builtin's signature
        if name == "accelerate":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(ImportError, match=r"pip install '.+\[train\]'"):
        Trainer(model, dataset, tmp_path, CONFIG)


def test_training_on_a_written_data_set(model: PCR, tmp_path: Path) -> None:
    """Drawn images on disk, the COCO reader, a step: the path a user's data takes."""
    from pcrpose.data.readers.coco import read_coco  # noqa: PLC0415 - only this test reads files

    annotations = write_synthetic_coco(tmp_path / "data", count=8)
    source = read_coco(annotations, annotations.parent / "images")
    dataset = KeypointDataset(source.samples, source_skeleton=source.skeleton, crop=model.config.crop_spec)

    assert Trainer(model, dataset, tmp_path / "run", changed(epochs=1)).train().is_dir()
