"""Checkpoints: a folder of safetensors and JSON that is whole or not there. Nothing is pickled."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pcrpose.files.atomic import interrupted_names, replace_folder, write_text, write_whole
from pcrpose.files.json import read_object
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.ema import WeightAverage

TRAINING_FILE = "training.safetensors"
PROGRESS_FILE = "progress.json"
AVERAGE, MOMENT = "average.", "moment."


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a run.

    Attributes:
        step: optimizer steps done.
        best: the best validation metric so far, if any was measured.
        log_bytes: length of the log up to this step; what a crash wrote after it is cut off on resume.
        validation: the last validation metric, if any was measured.
        scaler: state of the loss scaler of ``"fp16"``.
    """

    step: int = 0
    best: float | None = None
    log_bytes: int = 0
    validation: float | None = None
    scaler: dict[str, Any] | None = None


def save_checkpoint(
    folder: Path, model: PoseModel[Any], optimizer: Optimizer, average: WeightAverage, progress: Progress
) -> None:
    """Write a checkpoint; an interrupted save leaves the previous one."""
    training = {AVERAGE + name: tensor for name, tensor in average.tensors.items()}
    training |= {MOMENT + name: tensor for name, tensor in optimizer_tensors(model, optimizer).items()}
    contiguous = {name: tensor.detach().clone().contiguous() for name, tensor in training.items()}
    with replace_folder(folder) as fresh:
        model.save_pretrained(fresh)
        write_whole(fresh / TRAINING_FILE, lambda part: save_file(contiguous, part))
        # last, when the others are on the disk: this one says that the checkpoint is whole
        write_text(fresh / PROGRESS_FILE, json.dumps(asdict(progress)))


def find_checkpoint(folder: Path) -> Path | None:
    """Find the newest whole checkpoint: ``folder``, or what a crash between two renames has left beside it."""
    for candidate in (folder, *interrupted_names(folder)):
        if (candidate / PROGRESS_FILE).is_file():
            return candidate
    return None


def settle_checkpoint(folder: Path) -> None:
    """Rename what a crash between two renames has left to ``folder``, before the next save clears the way."""
    found = find_checkpoint(folder)
    if found is not None and found != folder:
        found.replace(folder)


def load_checkpoint(folder: Path, model: PoseModel[Any], optimizer: Optimizer, average: WeightAverage) -> Progress:
    """Load a saved run's weights, average and moments.

    Raises:
        ValueError: if the checkpoint is of a model with another configuration.
    """
    saved = type(model).from_pretrained(folder)
    if saved.config != model.config:
        raise ValueError(f"{folder}: holds a model with another configuration; choose another output folder")
    model.load_state_dict(saved.state_dict())
    tensors = load_file(folder / TRAINING_FILE)
    average.load({name.removeprefix(AVERAGE): t for name, t in tensors.items() if name.startswith(AVERAGE)})
    moments = {name.removeprefix(MOMENT): t for name, t in tensors.items() if name.startswith(MOMENT)}
    restore_optimizer(model, optimizer, moments)
    return read_progress(folder)


def read_progress(folder: Path) -> Progress:
    """Read how far a checkpoint is."""
    return Progress(**read_object(folder / PROGRESS_FILE, what="checkpoint"))


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return every tensor of an optimizer's state as ``<kind>/<parameter>``."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{kind}/{names[parameter]}": value
        for parameter, state in optimizer.state.items()
        for kind, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        kind, name = key.split("/", 1)
        parameter = parameters[name]
        # moments take the parameter's device and memory layout; a step counter is a scalar of its own
        optimizer.state[parameter][kind] = torch.empty_like(parameter).copy_(value) if value.dim() else value
