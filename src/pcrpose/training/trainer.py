"""The training loop."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pcrpose.data.dataset import EpochSampler, KeypointDataset, MixedDataset
from pcrpose.models.loss import PoseLoss
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.average import WeightAverage
from pcrpose.training.checkpoint import Progress, find_checkpoint, load_checkpoint, save_checkpoint
from pcrpose.training.config import TrainConfig
from pcrpose.training.optimizer import build_optimizer, freeze, freeze_statistics
from pcrpose.training.schedule import rate_factor

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]
Validate = Callable[[PoseModel[Any]], float]


class Trainer:
    """Train a model on a data set, in a folder from which an interrupted run goes on.

    The folder holds ``last`` (checkpoint), ``best`` (highest validation figure, averaged weights), ``final`` (averaged
    weights after the last step), ``log.jsonl`` and ``train_config.json``.

    Args:
        model: changed in place.
        dataset: yields items of the model's input size and skeleton.
        output_dir: made if it is missing; a checkpoint there is continued.
        config: see `TrainConfig`.
        validate: called with the averaged model in evaluation mode; larger is better.

    Raises:
        ImportError: without the ``train`` extra.
        ValueError: if the loss does not fit the heatmaps, the data set's crops or keypoints are not the model's, or
            several processes were launched, which is not supported yet.
    """

    def __init__(
        self,
        model: PoseModel[Any],
        dataset: KeypointDataset | MixedDataset,
        output_dir: str | Path,
        config: TrainConfig,
        *,
        validate: Validate | None = None,
    ) -> None:
        if (config.loss == "cross_entropy") != (model.config.heatmaps == "probability"):
            raise ValueError(
                f"loss {config.loss!r} does not train {model.config.heatmaps!r} heatmaps: "
                "squared_error goes with gaussian, cross_entropy with probability"
            )
        _check_crops_fit(model, dataset)
        self.accelerator = _accelerator()
        self.config = config
        self.output_dir = Path(output_dir)
        self.dataset = dataset
        self.validate = validate
        self.model = model.to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(self.model, config.freeze)
        self.optimizer = build_optimizer(self.model, config)
        self.average = WeightAverage(self.model, config.ema_decay)
        self.loss = PoseLoss(codec=model.config.codec(), kind=config.loss, auxiliary_weight=config.auxiliary_weight)
        self.sampler = EpochSampler(
            dataset.sizes if isinstance(dataset, MixedDataset) else (len(dataset),),
            batch_size=config.batch_size,
            quotas=config.quotas,
            seed=config.seed,
            drop_last=True,
        )
        self.steps_per_epoch = len(self.sampler)
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"expected at least one batch of {config.batch_size} samples, found {len(dataset)} samples"
            )
        self.total_steps = config.epochs * self.steps_per_epoch
        self.progress = Progress()

    def train(self) -> Path:
        """Train to the end, from the last checkpoint if there is one.

        Returns:
            The folder with the final averaged weights, ready for ``from_pretrained``.

        Raises:
            FloatingPointError: if the loss or a weight is found not to be finite; no such weight is ever saved.
            ValueError: if the folder holds a run with another configuration or other data.
        """
        self._resume()
        network, optimizer = self.accelerator.prepare(self.model, self.optimizer)
        network.train()
        if self.config.freeze_statistics:
            freeze_statistics(self.model)
        for step, batch in self._batches():
            for group in optimizer.param_groups:
                group["lr"] = self._learning_rate(step) * group["rate"]
            crops = self.model.config.normalise(batch["crop"]).contiguous(memory_format=torch.channels_last)
            with torch.autocast(crops.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                output = network(crops)
            loss = self.loss(output, batch["keypoints_crop"], batch["keypoint_weights"], batch["is_background"])
            self.accelerator.backward(loss)
            if self.config.gradient_clip is not None:
                self.accelerator.clip_grad_norm_(network.parameters(), self.config.gradient_clip)
            optimizer.step()
            optimizer.zero_grad()
            self.average.update(self.model, step)
            self.progress = replace(self.progress, step=step + 1)
            self._after_step(step + 1, loss)
        self._save()
        return self._export("final")

    def _batches(self) -> Iterator[tuple[int, Batch]]:
        """Give the remaining optimiser steps with their batches, on the device."""
        device = self.accelerator.device
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=self.sampler,
            num_workers=self.config.num_workers,
            persistent_workers=self.config.num_workers > 0,
            pin_memory=device.type == "cuda",
        )
        first_epoch, first_batch = divmod(self.progress.step, self.steps_per_epoch)
        step = self.progress.step
        for epoch in range(first_epoch, self.config.epochs):
            self.sampler.set_epoch(epoch, first_batch=first_batch if epoch == first_epoch else 0)
            for batch in loader:
                yield step, {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
                step += 1

    def _after_step(self, done: int, loss: Tensor) -> None:
        """Log, validate and save where the step says so."""
        last = done == self.total_steps
        if done % self.config.log_every == 0 or last:
            value = float(loss.detach())
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {value} at step {done}; the last checkpoint is kept")
            self._log({"step": done, "loss": value, "learning_rate": self._learning_rate(done - 1)})
        epoch, position = divmod(done, self.steps_per_epoch)
        if self.validate is not None and position == 0 and (epoch % self.config.validate_every == 0 or last):
            self._validate(done)
        if done % self.config.checkpoint_every == 0:
            self._save()

    def _validate(self, done: int) -> None:
        self._require_finite()
        figure = self.validate(self.averaged_model()) if self.validate is not None else 0.0
        if not math.isfinite(figure):
            raise ValueError(f"validate: expected a finite figure, found {figure}")
        self._log({"step": done, "validation": figure})
        if self.progress.best is None or figure > self.progress.best:
            self.progress = replace(self.progress, best=figure)
            self._export("best")

    def averaged_model(self) -> PoseModel[Any]:
        """Copy the model with the averaged weights, in evaluation mode."""
        model: PoseModel[Any] = type(self.model)(self.model.config)
        model.load_state_dict(self.average.tensors)
        return model.to(self.accelerator.device).eval()

    def _learning_rate(self, step: int) -> float:
        return self.config.learning_rate * rate_factor(
            step,
            self.total_steps,
            schedule=self.config.schedule,
            warmup_steps=self.config.warmup_steps,
            milestones=self.config.milestones,
        )

    def _resume(self) -> None:
        """Prepare the folder, or go on from what it holds; the log is cut back to the checkpoint."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        recorded = self.output_dir / "train_config.json"
        current = json.dumps({**asdict(self.config), "samples": self.sampler.sizes}, indent=2)
        checkpoint = find_checkpoint(self.output_dir / "last")
        if checkpoint is not None:
            before, now = (_deciding(text) for text in (recorded.read_text(encoding="utf-8"), current))
            changed = [
                f"{name} {before.get(name)} then, {now[name]} now" for name in now if before.get(name) != now[name]
            ]
            if changed:
                raise ValueError(
                    f"{self.output_dir}: holds a run with another configuration ({'; '.join(changed)}); "
                    "choose another folder"
                )
            self.progress = load_checkpoint(checkpoint, self.model, self.optimizer, self.average)
            logger.info("going on from step %d of %d", self.progress.step, self.total_steps)
        else:
            logger.info("starting a new run of %d steps", self.total_steps)
            temporary = recorded.with_suffix(".tmp")
            temporary.write_text(current, encoding="utf-8")
            temporary.replace(recorded)
        with (self.output_dir / "log.jsonl").open("ab") as log:
            log.truncate(min(log.tell(), self.progress.log_bytes))

    def _log(self, values: dict[str, float]) -> None:
        with (self.output_dir / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(values) + "\n")
        logger.info("%s", values)

    def _require_finite(self) -> None:
        """Stop before a broken weight reaches a file: the model's, its statistics' or the average's."""
        for tensors in (self.model.state_dict(), self.average.tensors):
            for name, tensor in tensors.items():
                if not bool(tensor.isfinite().all()):
                    raise FloatingPointError(
                        f"{name} is not finite at step {self.progress.step}; the last checkpoint is kept"
                    )

    def _save(self) -> None:
        self._require_finite()
        size = (self.output_dir / "log.jsonl").stat().st_size
        self.progress = replace(self.progress, log_bytes=size)
        save_checkpoint(self.output_dir / "last", self.model, self.optimizer, self.average, self.progress)

    def _export(self, name: str) -> Path:
        self.averaged_model().save_pretrained(self.output_dir / name)
        return self.output_dir / name


def _deciding(text: str) -> dict[str, Any]:
    """Read a recorded configuration without what does not change the result."""
    free = ("num_workers", "log_every", "checkpoint_every", "validate_every")
    return {name: value for name, value in json.loads(text).items() if name not in free}


def _check_crops_fit(model: PoseModel[Any], dataset: KeypointDataset | MixedDataset) -> None:
    """Refuse crops that the model will not see when it predicts."""
    for part in dataset.datasets if isinstance(dataset, MixedDataset) else (dataset,):
        expected = (model.config.skeleton.keypoints, model.config.input_size, model.config.alignment)
        found = (part.skeleton.keypoints, part.input_size, part.alignment)
        for what, wanted, given in zip(("keypoints", "input_size", "alignment"), expected, found, strict=True):
            if wanted != given:
                raise ValueError(f"data set: expected the model's {what} {wanted}, found {given}")
        if part.padding != model.config.padding:
            raise ValueError(f"data set: expected the model's padding {model.config.padding}, found {part.padding}")


def _accelerator() -> "Accelerator":
    try:
        from accelerate import Accelerator  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("training needs more packages: pip install 'pcrpose[train]'") from error
    # Accelerate's own mixed precision is one setting for a whole process; the loop casts by itself
    accelerator = Accelerator(mixed_precision="no")
    if accelerator.num_processes > 1:
        raise ValueError(f"expected one process, found {accelerator.num_processes}: several are not supported yet")
    return accelerator
