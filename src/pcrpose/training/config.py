"""Training settings: a frozen value that is written beside the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from pcrpose.files.checks import at_least, one_of, positive
from pcrpose.models.loss import LossKind

OptimizerKind = Literal["adam", "muon"]
Precision = Literal["float32", "bf16", "fp16"]
Schedule = Literal["constant", "step", "cosine"]

OLD_NAMES: Mapping[str, str] = MappingProxyType(  # of fields, in what version 0.1.0 wrote beside a run
    {
        "accumulate": "gradient_accumulation_steps",
        "base_batch": "base_batch_size",
        "checkpoint_every": "checkpoint_every_steps",
        "encoder_rate": "encoder_learning_rate_factor",
        "gradient_clip": "max_grad_norm",
        "log_every": "log_every_steps",
        "max_broken": "max_broken_images",
        "validate_every": "validate_every_epochs",
    }
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained; the defaults are HRNet's published recipe, which runs this batch on each of four GPUs.

    Attributes:
        epochs: passes over the data.
        batch_size: crops per optimizer step, over all processes; an epoch's incomplete last batch is left out.
        gradient_accumulation_steps: parts into which each process cuts its share of a batch, to need less memory.
            Gradients are those of the whole, but batch norms in training take each part's own statistics.
        quotas: samples per epoch from each part of a `MixedDataset`; None takes all of them once.
        optimizer: ``"adam"`` is the published recipe's; ``"muon"`` (see `Muon`) learns from scratch in fewer steps.
        learning_rate: before the schedule's factor.
        base_batch_size: the batch that ``learning_rate`` is meant for, crops; another ``batch_size`` scales it in
            proportion. None takes the rate as it is.
        encoder_learning_rate_factor: factor on the learning rate of the encoder; below 1 for one that was trained
            before.
        freeze: parameters that stay as they are, by name; ``*`` stands for anything, as in ``"encoder.stem.*"``.
        freeze_statistics: the encoder's batch norms keep the statistics they came with, all of a network that has no
            encoder apart; they are trained otherwise.
        schedule: see `rate_factor`.
        milestones: where ``"step"`` divides the rate by ten, as fractions of the run in ``(0, 1)``, not as epochs: by
            default after 170 and 200 of 210 epochs. A run of another length keeps its shape.
        warmup_steps: optimizer steps over which the rate first rises linearly.
        loss: ``"squared_error"`` for ``"gaussian"`` heatmaps, ``"cross_entropy"`` for ``"probability"`` ones.
        auxiliary_weight: factor of the losses of every head but the final one.
        background_weight: of the keypoints of a crop without a person; a person's weigh 1.
        teacher_weight: factor of the loss against a teacher's heatmaps, where the `Trainer` is given one.
        teacher_temperature: divides the logarithms of both models' probabilities; above 1 the teacher's lesser peaks
            count for more. For ``"probability"`` heatmaps only.
        ema_decay: of the averaged weights that are validated and exported, in ``[0, 1)``; 0 switches averaging off.
        max_grad_norm: largest norm of the gradient, which is scaled down to it; None does not clip.
        precision: ``"bf16"`` runs the network in autocast; weights, loss and averages stay float32. ``"fp16"`` does
            too, with a scaled loss, on CUDA only.
        sync_batch_norm: batch norms take their statistics over all processes, not each over its own; on CUDA only.
        max_broken_images: samples per process whose image may turn out missing or broken; another sample replaces
            each of them.
        tensorboard: also write curves and example images for TensorBoard.
        num_workers: processes that prepare crops; 0 prepares them in this one.
        seed: of the order of samples; their augmentation has the data set's own seed.
        checkpoint_every_steps: optimizer steps between checkpoints; one is also written at the end.
        validate_every_epochs: epochs between validations, where a validation is given.
        log_every_steps: optimizer steps between log lines.

    Raises:
        ValueError: naming the first field whose value has no meaning.
    """

    epochs: int = 210
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    quotas: tuple[int, ...] | None = None
    optimizer: OptimizerKind = "adam"
    learning_rate: float = 1e-3
    base_batch_size: int | None = None
    encoder_learning_rate_factor: float = 1.0
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
    max_grad_norm: float | None = None
    precision: Precision = "float32"
    sync_batch_norm: bool = False
    max_broken_images: int = 100
    tensorboard: bool = False
    num_workers: int = 2
    seed: int = 0
    checkpoint_every_steps: int = 200
    validate_every_epochs: int = 10
    log_every_steps: int = 50

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "gradient_accumulation_steps",
            "learning_rate",
            "encoder_learning_rate_factor",
            "teacher_weight",
            "teacher_temperature",
            "checkpoint_every_steps",
            "validate_every_epochs",
            "log_every_steps",
        ):
            positive(name, getattr(self, name))
        for name in ("max_grad_norm", "base_batch_size"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        for name in ("warmup_steps", "num_workers", "auxiliary_weight", "background_weight", "max_broken_images"):
            at_least(name, getattr(self, name), 0)
        one_of("optimizer", self.optimizer, get_args(OptimizerKind))
        one_of("schedule", self.schedule, get_args(Schedule))
        one_of("loss", self.loss, get_args(LossKind))
        one_of("precision", self.precision, get_args(Precision))


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's record with the present names of the fields, see `OLD_NAMES`."""
    return {OLD_NAMES.get(name, name): value for name, value in values.items()}
