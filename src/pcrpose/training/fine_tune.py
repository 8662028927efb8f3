"""Fine-tuning: the settings by which a pretrained model learns from a small annotated data set."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import Cache, KeypointDataset
from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.files.checks import at_least, positive
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.load import load_model
from pcrpose.models.loss import LossKind
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.events import Event
from pcrpose.training.run_recipe import Source
from pcrpose.training.trainer import Trainer, Validate
from pcrpose.training.validation import CocoValidation

CACHED_BYTES = 1 << 30  # of decoded images in memory
LOG_LINES = 20
VALIDATIONS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class FineTune:
    """Settings of fine-tuning; every default suits a few hundred persons (ours).

    The encoder's batch norms keep their statistics, the learning rate falls along a cosine, and weights are averaged.
    ``pcrpose train`` is this class on the command line.

    Attributes:
        epochs: passes over the data.
        batch_size: crops per optimizer step; no more than there are persons.
        learning_rate: at its highest.
        mirror: mirror half of the crops; off for things whose left and right have no partner.
        color_jitter: largest change of brightness, contrast and saturation, a fraction.
        input_size: of the crops; None keeps the model's.
        reduce_jpegs: decode JPEG files of many megapixels at a part of their size, see `KeypointDataset`.
        precision: see `TrainConfig`.
        num_workers: processes that prepare crops.
        seed: of everything random.
        teacher: model whose heatmaps are learnt beside the labels, or what `load_model` takes; it has to predict the
            data's keypoints, see `Teacher`.
        teacher_weight: factor of that loss.

    Raises:
        ValueError: naming the first setting whose value has no meaning.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    mirror: bool = True
    color_jitter: float = 0.2
    input_size: Size | None = None
    reduce_jpegs: bool = False
    precision: Precision = "float32"
    num_workers: int = 2
    seed: int = 0
    teacher: PoseModel[Any] | str | Path | None = None
    teacher_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "teacher_weight"):
            positive(name, getattr(self, name))
        for name in ("color_jitter", "num_workers", "seed"):
            at_least(name, getattr(self, name), 0)

    def train(
        self,
        model: PoseModel[Any] | str | Path,
        data: AnnotatedPersons,
        output_dir: str | Path,
        val: tuple[AnnotatedPersons, CocoEvaluator] | Validate | None = None,
        *,
        keep_skeleton: bool = True,
        on_event: Callable[[Event], None] | None = None,
    ) -> Path:
        """Train to the end; the same call goes on after an interruption.

        Args:
            model: to start from, or what `load_model` takes. Where the data has other keypoints, those of the same
                name keep what they have learnt, see `replace_skeleton`.
            data: such as ``read_coco(...)``.
            output_dir: see `Trainer`.
            val: persons to measure AP on now and then, with the evaluator of the same annotations, or a function of
                the model; the best model is kept in the folder ``best``.
            keep_skeleton: where the data's keypoints are the model's by name, keep the model's flip pairs, bones and
                sigmas too.
            on_event: see `Trainer`.

        Returns:
            The folder ``final``, ready for ``load_model``; ``best`` beside it, with ``val``.

        Raises:
            ImportError: without the ``train`` extra.
            ValueError: if there are no persons, or as `Trainer`.
        """
        if not data.samples:
            raise ValueError("data: expected persons with keypoints, found none; see pcrpose doctor")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)  # of new heads
            given = model if isinstance(model, PoseModel) else load_model(model)
            learner = self.prepare(given, data.skeleton, keep=keep_skeleton)
        teacher = self.teacher
        trainer = Trainer(
            learner,
            self.crops(data, learner.config),
            output_dir,
            self.config(len(data), learner.config),
            validate=CocoValidation(*val) if isinstance(val, tuple) else val,
            teacher=teacher if teacher is None or isinstance(teacher, PoseModel) else load_model(teacher),
            on_event=on_event,
        )
        return trainer.train()

    def prepare(self, model: PoseModel[Any], skeleton: Skeleton, *, keep: bool = True) -> PoseModel[Any]:
        """Return a pretrained model with the keypoints and input size that it is to learn; itself if it has them."""
        config = learning_config(model.config, skeleton, input_size=self.input_size, keep=keep)
        if config == replace(model.config, calibration=None):
            return model
        return replace_skeleton(model, config.skeleton, input_size=self.input_size)

    def crops(self, data: AnnotatedPersons, model: PoseConfig) -> KeypointDataset:
        """Return the crops to train on; images are kept in memory where they are few enough."""
        source = Source(
            samples=data.samples,
            skeleton=data.skeleton,
            augmentation=self.augmentation,
            cache=choose_cache([data], reduce_jpegs=self.reduce_jpegs),
        )
        return source.crops(model, seed=self.seed)

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of the crops."""
        return Augmentation(mirror_probability=0.5 if self.mirror else 0.0, color_jitter=self.color_jitter)

    def config(self, num_samples: int, model: PoseConfig) -> TrainConfig:
        """Return the training's configuration.

        Args:
            num_samples: per epoch.
            model: configuration of the model; its heatmaps decide the loss.
        """
        batch = min(self.batch_size, num_samples)
        steps = self.epochs * (num_samples // batch)
        return TrainConfig(
            epochs=self.epochs,
            batch_size=batch,
            learning_rate=self.learning_rate,
            freeze_statistics=True,  # a small data set's would be worse than those of the first training
            schedule="cosine",
            warmup_steps=min(50, steps // 10),
            loss=loss_of(model),
            teacher_weight=self.teacher_weight,
            ema_decay=0.99,
            max_grad_norm=5.0,
            precision=self.precision,
            num_workers=self.num_workers,
            seed=self.seed,
            checkpoint_every_steps=100,
            validate_every_epochs=max(1, self.epochs // VALIDATIONS),
            log_every_steps=max(1, steps // LOG_LINES),
        )


def learning_config(
    model: PoseConfig, skeleton: Skeleton, *, input_size: Size | None = None, keep: bool = True
) -> PoseConfig:
    """Return the configuration of a network that learns a data set's keypoints; new weights have no calibration.

    Args:
        model: to start from.
        skeleton: of the data.
        input_size: of the crops; None keeps the model's.
        keep: where the data's keypoints are the model's by name, keep the model's flip pairs, bones and sigmas too.
    """
    wanted = model.skeleton if keep and model.skeleton.keypoints == skeleton.keypoints else skeleton
    size = model.input_size if input_size is None else input_size
    return replace(model, skeleton=wanted, input_size=size, calibration=None)


def loss_of(model: PoseConfig) -> LossKind:
    """Return the loss that goes with a network's heatmaps."""
    return "cross_entropy" if model.heatmaps == "probability" else "squared_error"


def choose_cache(data: Iterable[AnnotatedPersons], *, reduce_jpegs: bool) -> Cache:
    """Return how images are decoded: kept in memory, unless they are too many or to be decoded at a part of their size.

    Args:
        data: all persons of the run.
        reduce_jpegs: whether ``"reduced"`` is asked for.
    """
    if reduce_jpegs:
        return "reduced"
    pixels = 0
    for part in data:
        used = {sample.image_id for sample in part.samples}
        pixels += sum(part.image_sizes[image_id].width * part.image_sizes[image_id].height for image_id in used)
    return "decoded" if 3 * pixels <= CACHED_BYTES else "none"
