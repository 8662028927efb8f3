"""The training loop."""

import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pcrpose.data.dataset import CropDataset
from pcrpose.files.atomic import replace_folder
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.checkpoint import (
    Progress,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
    settle_checkpoint,
)
from pcrpose.training.config import TrainConfig
from pcrpose.training.distill import Teacher
from pcrpose.training.ema import WeightAverage
from pcrpose.training.engine.batches import (
    Batch,
    BatchStream,
    PartSampler,
    check_crops_fit,
    check_images_exist,
    whole_batches,
)
from pcrpose.training.engine.distributed import Processes, start_accelerator, synchronize_statistics
from pcrpose.training.engine.log import RunLog
from pcrpose.training.engine.run import check_record, locked, plain_errors, write_record
from pcrpose.training.engine.sample_grid import draw_examples
from pcrpose.training.engine.step import (
    BATCH_FILE,
    LossWatch,
    autocast,
    build_loss,
    first_not_finite,
    loss_scaler,
    loss_shares,
    write_not_finite,
)
from pcrpose.training.events import Event, Saved, Step, Validated
from pcrpose.training.optimizer import build_optimizer, freeze, freeze_statistics
from pcrpose.training.schedule import rate_factor

logger = logging.getLogger(__name__)

Validate = Callable[[PoseModel[Any]], float]


class _Outcome(NamedTuple):
    """The loss of a step in this process, and a batch with its heatmaps where somebody wants to see them."""

    loss: Tensor
    shown: tuple[Batch, Tensor] | None = None


class Trainer:
    """Train a model on a data set, in a folder from which an interrupted run goes on.

    The folder holds ``last`` (checkpoint), ``best`` (highest validation metric, averaged weights), ``final`` (averaged
    weights after the last step), ``log.jsonl`` and ``train_config.json``. Several processes, as ``accelerate launch``
    starts them, share every batch; the first one writes, and all have to see the folder.

    Args:
        model: changed in place; a calibration is dropped, for it does not hold for other weights.
        dataset: yields items of the model's input size and skeleton.
        output_dir: made if it is missing; a checkpoint there is continued.
        config: see `TrainConfig`.
        validate: called in every process with the averaged model in evaluation mode; larger is better. What it returns
            in the first process counts. `CocoValidation` shares the images among the processes.
        teacher: a trained model whose heatmaps are learnt beside the labels, on unlabelled persons too; see `Teacher`
            and ``teacher_weight``. It is copied. A run goes on only with the teacher it began with.
        on_event: called in the first process with every `Step` that is logged, `Validated` and `Saved`. What it raises
            stops the run.

    Raises:
        ImportError: without the ``train`` extra, or without TensorBoard where it is asked for.
        FileNotFoundError: if not one image of the data set is there.
        ValueError: if the loss does not fit the heatmaps, the data set's crops or keypoints are not the model's, the
            teacher's crops or heatmaps are not the model's, the device has no such precision, or a batch cannot be
            shared evenly.
    """

    def __init__(
        self,
        model: PoseModel[Any],
        dataset: CropDataset,
        output_dir: str | Path,
        config: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
        *,
        validate: Validate | None = None,
        teacher: PoseModel[Any] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        model.config = replace(model.config, calibration=None)  # of the weights as they were
        self.loss = build_loss(model.config, config)
        check_crops_fit(model, dataset)
        check_images_exist(dataset)
        self.accelerator = start_accelerator()
        self.processes = Processes.current()
        device = self.accelerator.device
        self.scaler = loss_scaler(config.precision, device)
        self.config = config
        self.output_dir = Path(output_dir)
        self.dataset = dataset
        self.validate = validate
        self.on_event = on_event
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher = None if teacher is None else Teacher(teacher, model.config, config, device)
        if config.sync_batch_norm:
            synchronize_statistics(self.model, device)
        freeze(self.model, config.freeze)
        self.optimizer = build_optimizer(self.model, config)
        self.average = WeightAverage(self.model, config.ema_decay)
        self.sampler = whole_batches(dataset, config)
        self.steps_per_epoch = len(self.sampler)
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"expected at least one batch of {config.batch_size} samples, found {len(dataset)} samples"
            )
        self.total_steps = config.epochs * self.steps_per_epoch
        self.progress = Progress()
        rank, count = self.processes.rank, self.processes.count
        parts = PartSampler(self.sampler, parts=config.gradient_accumulation_steps, rank=rank, processes=count)
        self.batches = BatchStream(dataset, parts, config, device)
        self.log = RunLog(
            self.output_dir,
            total_steps=self.total_steps,
            batch_size=config.batch_size,
            tensorboard=config.tensorboard,
            active=rank == 0,
        )
        self._watch = LossWatch()
        self._looks_always = device.type == "cpu" and count == 1  # elsewhere looking is waiting

    def train(self) -> Path:
        """Train to the end, from the last checkpoint if there is one.

        Returns:
            The folder ``final`` with the averaged weights after the last step, ready for ``from_pretrained``. With
            ``validate``, ``best`` beside it holds those of the highest metric.

        Raises:
            FloatingPointError: if the loss or a weight is found not to be finite; no such weight is ever saved, and
                the samples of a batch whose loss broke are written to ``not_finite.json``. One process on a CPU looks
                at every step, otherwise the steps since the last log line are looked at together.
            ValueError: if the folder holds a run with another configuration or other data, a sample cannot be made
                into a crop, or more than ``max_broken_images`` images cannot be opened.
            FolderInUseError: if another process trains in the folder.
            ChildProcessError: if a process that prepares crops died.
            OSError: if the disk is full; the last checkpoint is kept.
        """
        with (
            locked(self.output_dir, self.processes),
            contextlib.closing(self.log),
            plain_errors(self.output_dir / "last"),
        ):
            self._resume()
            network: nn.Module = self.accelerator.prepare(self.model)
            network.train()
            if self.config.freeze_statistics:
                freeze_statistics(self.model)
            for step, parts in self.batches.steps(self.progress.step):
                self._take_step(network, step, parts)
            self._save()
            self._export("final")
        return self.output_dir / "final"

    def _take_step(self, network: nn.Module, step: int, parts: list[Batch]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step) * group["rate"]
        outcome = self._backward(network, parts)
        norm: Tensor | None = None
        if self.config.max_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(network.parameters(), self.config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.average.update(self.model, step)
        self.progress = replace(self.progress, step=step + 1)
        samples = tuple(int(index) for batch in parts for index in batch["index"])
        # the scaler looks for overflow and skips such a step
        self._watch.add(step + 1, samples, loss=outcome.loss, gradient=None if self.scaler.is_enabled() else norm)
        self._after_step(step + 1, outcome)

    def _backward(self, network: nn.Module, parts: list[Batch]) -> _Outcome:
        """Add up the gradients of the parts of a step; the mean of the losses over processes is the batch's."""
        total = torch.zeros((), device=self.accelerator.device)
        shares = loss_shares(self.loss, parts, self.processes)
        for place, (batch, share) in enumerate(zip(parts, shares, strict=True)):
            is_last = place == len(parts) - 1
            with contextlib.nullcontext() if is_last else self.accelerator.no_sync(network):
                crops = self.model.config.normalize(batch["crop"]).contiguous(memory_format=torch.channels_last)
                with autocast(self.config.precision, crops.device):
                    output = network(crops)
                loss = self.loss(output, batch["keypoints_crop"], batch["keypoint_weights"], batch["is_background"])
                if share is not None:
                    loss = loss * share
                if self.teacher is not None:  # a mean over crops, of which all parts have as many
                    taught = self.teacher.loss(output.final, batch["crop"], batch["is_background"])
                    loss = loss + taught / len(parts)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # torch leaves it bare
            total += loss.detach()
        return _Outcome(total, (parts[-1], output.final.detach()) if self.log.wants_images else None)

    def _after_step(self, done: int, outcome: _Outcome) -> None:
        """Log, validate and save where the step says so."""
        last = done == self.total_steps
        epoch, position = divmod(done, self.steps_per_epoch)
        logs = done % self.config.log_every_steps == 0 or last
        saves = done % self.config.checkpoint_every_steps == 0
        validates = position == 0 and (epoch % self.config.validate_every_epochs == 0 or last)
        value: float | None = None
        if logs or saves or validates or self._looks_always:
            value = self._checked(outcome.loss)
        if logs and value is not None:
            event = Step(
                step=done,
                total_steps=self.total_steps,
                loss=value,
                learning_rate=self._learning_rate(done - 1),
                data_wait=self.batches.wait.share(),
                last_validation=self.progress.validation,
            )
            self.log.write(event)
            self._report(event)
        if validates:
            if outcome.shown is not None:
                self.log.image(done, draw_examples(self.model, *outcome.shown))
            self._validate(done)
            self.batches.wait.share()  # the time it took is none of the training's
        if saves:
            self._save()
        self.log.show(done, value)

    def _checked(self, loss: Tensor) -> float:
        """Return the loss of the whole batch, or stop at the first step since the last look that was not finite."""
        reports = self.processes.gather((float(loss), self._watch.check()))
        found = first_not_finite(found for _, found in reports)
        if found is None:
            return sum(value for value, _ in reports) / len(reports)
        path = self.output_dir / BATCH_FILE
        self.processes.first(lambda: write_not_finite(path, found, self.dataset))
        raise FloatingPointError(
            f"the {found.what} is {found.value} at step {found.step}; its samples are in {path}; "
            "the last checkpoint is kept"
        )

    def _validate(self, done: int) -> None:
        if self.validate is None:
            return
        measure = self.validate
        self.processes.together(self._require_finite)
        self.processes.copy_from_first(self.average.tensors.values())  # batch norms differ between processes
        metric = self.processes.together(lambda: measure(self.averaged_model()))[0]
        if not math.isfinite(metric):
            raise ValueError(f"validate: expected a finite metric, found {metric}")
        is_best = self.progress.best is None or metric >= self.progress.best  # of equals the later one
        event = Validated(step=done, total_steps=self.total_steps, metric=metric, is_best=is_best)
        self.log.write(event)
        self.progress = replace(self.progress, validation=metric)
        if is_best:
            self.progress = replace(self.progress, best=metric)
            self._export("best")
        self._report(event)

    def averaged_model(self) -> PoseModel[Any]:
        """Copy the model with the averaged weights, in evaluation mode."""
        model: PoseModel[Any] = type(self.model)(self.model.config)
        model.load_state_dict(self.average.tensors)
        return model.to(self.accelerator.device).eval()

    def _learning_rate(self, step: int) -> float:
        config = self.config
        rate = config.learning_rate * (config.batch_size / (config.base_batch_size or config.batch_size))
        return rate * rate_factor(
            step,
            self.total_steps,
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            milestones=config.milestones,
        )

    def _resume(self) -> None:
        """Go on from what the folder holds, or begin; the log is cut back to the checkpoint."""
        last = self.output_dir / "last"
        sha256 = None if self.teacher is None else self.teacher.sha256
        self.processes.first(lambda: settle_checkpoint(last))
        checkpoint = find_checkpoint(last)
        if checkpoint is not None:
            check_record(self.output_dir, self.config, self.dataset, teacher=sha256)
            self.progress = load_checkpoint(checkpoint, self.model, self.optimizer, self.average)
            self.scaler.load_state_dict(self.progress.scaler or {})
            logger.info("going on from step %d of %d", self.progress.step, self.total_steps)
        else:
            logger.info("starting a new run of %d steps", self.total_steps)
        steps = self.processes.gather(self.progress.step)
        if len(set(steps)) > 1:
            raise ValueError(f"{self.output_dir}: every process has to see this folder; they found the steps {steps}")
        if checkpoint is None and self.processes.rank == 0:
            write_record(self.output_dir, self.config, self.dataset, teacher=sha256)
        self.log.open(self.progress)

    def _report(self, event: Event) -> None:
        """Log an event and hand it on, in the first process."""

        def tell() -> None:
            if not isinstance(event, Saved):
                logger.info("%s", event)
            if self.on_event is not None:
                self.on_event(event)

        self.processes.first(tell)

    def _require_finite(self) -> None:
        """Stop before a broken weight reaches a file: the model's, its statistics' or the average's."""
        for tensors in (self.model.state_dict(), self.average.tensors):
            for name, tensor in tensors.items():
                if not bool(tensor.isfinite().all()):
                    raise FloatingPointError(
                        f"{name} is not finite at step {self.progress.step}; the last checkpoint is kept"
                    )

    def _save(self) -> None:
        def write() -> None:
            self._require_finite()
            scaler = self.scaler.state_dict() or None
            self.progress = replace(self.progress, log_bytes=self.log.size, scaler=scaler)
            save_checkpoint(self.output_dir / "last", self.model, self.optimizer, self.average, self.progress)

        self.processes.first(write)
        self._report_saved("last")

    def _export(self, name: str) -> None:
        def write() -> None:
            with replace_folder(self.output_dir / name) as folder:
                self.averaged_model().save_pretrained(folder)

        self.processes.first(write)
        self._report_saved(name)

    def _report_saved(self, name: str) -> None:
        step, folder = self.progress.step, self.output_dir / name
        self._report(Saved(step=step, total_steps=self.total_steps, folder=folder))
