"""How to train: a frozen value that is written beside the run."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pcrpose.models.loss import LossKind
from pcrpose.training.schedule import Schedule

Precision = Literal["float32", "bf16", "fp16"]
OptimizerKind = Literal["adam", "muon"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; the defaults are HRNet's published recipe, which runs this batch on each of four GPUs.

    Attributes:
        epochs: passes over the data.
        batch_size: crops an optimizer step sees in all, over all processes; an epoch's incomplete last batch is left
            out.
        accumulate: parts into which each process cuts its share of a batch, to need less memory. Gradients are those
            of the whole, but batch norms in training take each part's own statistics.
        quotas: samples an epoch takes from each part of a `MixedDataset`; None takes all of them once.
        optimizer: ``"adam"`` is the published recipe's; ``"muon"`` (see `Muon`) learns from scratch in fewer steps.
        learning_rate: before the schedule's factor.
        base_batch: the batch that ``learning_rate`` is meant for; another ``batch_size`` scales it in proportion.
            None takes the rate as it is.
        encoder_rate: factor on the learning rate of the encoder; below 1 for one that was trained before.
        freeze: parameters that stay as they are, by name; ``*`` stands for anything, as in ``"encoder.stem.*"``.
        freeze_statistics: the encoder's batch norms keep the statistics they came with; they are trained otherwise.
        schedule: see `rate_factor`.
        milestones: shares of the run at which ``"step"`` divides the rate by ten: 170 and 200 of 210 epochs.
        warmup_steps: the rate rises linearly over these.
        loss: ``"squared_error"`` for ``"gaussian"`` heatmaps, ``"cross_entropy"`` for ``"probability"`` ones.
        auxiliary_weight: factor of the losses of every head but the final one.
        background_weight: of the keypoints of a crop without a person; a person's weigh 1.
        teacher_weight: factor of the loss against a teacher's heatmaps, where the `Trainer` is given one.
        teacher_temperature: divides the logarithms of both models' probabilities; above 1 the teacher's lesser peaks
            count for more. For ``"probability"`` heatmaps only.
        ema_decay: of the averaged weights that are validated and exported; 0 switches averaging off.
        gradient_clip: largest norm of the gradient; None does not clip.
        precision: ``"bf16"`` runs the network in autocast; weights, loss and averages stay float32. ``"fp16"`` does
            too, with a scaled loss, on CUDA only.
        sync_batch_norm: batch norms take their statistics over all processes, not each over its own; on CUDA only.
        max_broken: samples whose image may turn out missing or broken, in each process; another sample takes the
            place of such a one.
        tensorboard: also write curves and example images for TensorBoard.
        num_workers: processes that prepare crops; 0 prepares them in this one.
        seed: of the order of samples; their augmentation has the data set's own seed.
        checkpoint_every: steps between checkpoints; one is also written at the end.
        validate_every: epochs between validations, where a validation is given.
        log_every: steps between log lines.
    """

    epochs: int = 210
    batch_size: int = 32
    accumulate: int = 1
    quotas: tuple[int, ...] | None = None
    optimizer: OptimizerKind = "adam"
    learning_rate: float = 1e-3
    base_batch: int | None = None
    encoder_rate: float = 1.0
    freeze: tuple[str, ...] = ()
    freeze_statistics: bool = False
    schedule: Schedule = "step"
    milestones: tuple[float, ...] = (170 / 210, 200 / 210)
    warmup_steps: int = 0
    loss: LossKind = "squared_error"
    auxiliary_weight: float = 1.0
    background_weight: float = 1.0
    teacher_weight: float = 1.0
    teacher_temperature: float = 1.0
    ema_decay: float = 0.0
    gradient_clip: float | None = None
    precision: Precision = "float32"
    sync_batch_norm: bool = False
    max_broken: int = 100
    tensorboard: bool = False
    num_workers: int = 2
    seed: int = 0
    checkpoint_every: int = 200
    validate_every: int = 10
    log_every: int = 50

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "accumulate",
            "learning_rate",
            "encoder_rate",
            "teacher_weight",
            "teacher_temperature",
            "checkpoint_every",
            "validate_every",
            "log_every",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a positive number, found {getattr(self, name)}")
        for name in ("gradient_clip", "base_batch"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a positive number or None, found {value}")
        for name in ("warmup_steps", "num_workers", "auxiliary_weight", "background_weight", "max_broken"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected at least 0 and finite, found {getattr(self, name)}")
        for name, kind in (
            ("optimizer", OptimizerKind),
            ("schedule", Schedule),
            ("loss", LossKind),
            ("precision", Precision),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: expected one of {get_args(kind)}, found {getattr(self, name)!r}")
