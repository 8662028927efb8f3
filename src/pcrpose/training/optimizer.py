"""The optimizer: which parameters are trained, by which rule and how fast."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.muon import Muon, is_kernel

ENCODER = "encoder."


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Freeze parameters by name; raises ValueError for a pattern that no name fits."""
    names = dict(model.named_parameters())
    for pattern in patterns:
        chosen = [name for name in names if fnmatchcase(name, pattern)]
        if not chosen:
            raise ValueError(f"freeze: expected the names of parameters such as {next(iter(names))}, found {pattern!r}")
        for name in chosen:
            names[name].requires_grad_(False)


def freeze_statistics(model: PoseModel[Any]) -> None:
    """Keep the encoder's batch norms at the statistics they have; call it after ``model.train()``.

    A network that has no encoder apart from the rest keeps all of them.
    """
    encoder = dict(model.named_children()).get(ENCODER.rstrip("."), model)
    for module in encoder.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Build the optimizer of a configuration; every group has the factor ``rate`` on the learning rate."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.encoder_learning_rate_factor if name.startswith(ENCODER) else 1.0
            orthogonal = config.optimizer == "muon" and is_kernel(name, parameter)
            groups.setdefault((rate, orthogonal), []).append(parameter)
    if not groups:
        raise ValueError("freeze: expected something left to train, found every parameter frozen")
    rated = [
        {"params": parameters, "lr": config.learning_rate * rate, "rate": rate, "orthogonal": orthogonal}
        for (rate, orthogonal), parameters in groups.items()
    ]
    if config.optimizer == "muon":
        return Muon(rated)
    return torch.optim.Adam(rated, lr=config.learning_rate, foreach=True)
