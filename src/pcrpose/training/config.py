"""How to train: a frozen value that is written beside the run."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pcrpose.models.loss import LossKind
from pcrpose.training.schedule import Schedule

Precision = Literal["float32", "bf16"]
OptimizerKind = Literal["adam", "muon"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; the defaults are HRNet's published recipe, which runs this batch on each of four GPUs.

    Attributes:
        epochs: passes over the data.
        batch_size: crops a step; an epoch's incomplete last batch is left out.
        quotas: samples an epoch takes from each part of a `MixedDataset`; None takes all of them once.
        optimizer: ``"adam"`` is the published recipe's; ``"muon"`` (see `Muon`) learns from scratch in fewer steps.
        learning_rate: before the schedule's factor.
        encoder_rate: factor on the learning rate of the encoder; below 1 for one that was trained before.
        freeze: parameters that stay as they are, by name; ``*`` stands for anything, as in ``"encoder.stem.*"``.
        freeze_statistics: the encoder's batch norms keep the statistics they came with; they are trained otherwise.
        schedule: see `rate_factor`.
        milestones: shares of the run at which ``"step"`` divides the rate by ten: 170 and 200 of 210 epochs.
        warmup_steps: the rate rises linearly over these.
        loss: ``"squared_error"`` for ``"gaussian"`` heatmaps, ``"cross_entropy"`` for ``"probability"`` ones.
        auxiliary_weight: factor of the losses of every head but the final one.
        ema_decay: of the averaged weights that are validated and exported; 0 switches averaging off.
        gradient_clip: largest norm of the gradient; None does not clip.
        precision: ``"bf16"`` runs the network in autocast; weights, loss and averages stay float32.
        num_workers: processes that prepare crops; 0 prepares them in this one.
        seed: of the order of samples; their augmentation has the data set's own seed.
        checkpoint_every: steps between checkpoints; one is also written at the end.
        validate_every: epochs between validations, where a validation is given.
        log_every: steps between log lines.
    """

    epochs: int = 210
    batch_size: int = 32
    quotas: tuple[int, ...] | None = None
    optimizer: OptimizerKind = "adam"
    learning_rate: float = 1e-3
    encoder_rate: float = 1.0
    freeze: tuple[str, ...] = ()
    freeze_statistics: bool = False
    schedule: Schedule = "step"
    milestones: tuple[float, ...] = (170 / 210, 200 / 210)
    warmup_steps: int = 0
    loss: LossKind = "squared_error"
    auxiliary_weight: float = 1.0
    ema_decay: float = 0.0
    gradient_clip: float | None = None
    precision: Precision = "float32"
    num_workers: int = 2
    seed: int = 0
    checkpoint_every: int = 200
    validate_every: int = 10
    log_every: int = 50

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "learning_rate",
            "encoder_rate",
            "checkpoint_every",
            "validate_every",
            "log_every",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a positive number, found {getattr(self, name)}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip: expected a positive number or None, found {self.gradient_clip}")
        for name in ("warmup_steps", "num_workers", "auxiliary_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, found {getattr(self, name)}")
        for name, kind in (
            ("optimizer", OptimizerKind),
            ("schedule", Schedule),
            ("loss", LossKind),
            ("precision", Precision),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name}: expected one of {get_args(kind)}, found {getattr(self, name)!r}")
