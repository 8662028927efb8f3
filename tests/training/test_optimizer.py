"""What is trained, and how fast."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_config import PoseConfig
from pcrpose.training.config import TrainConfig
from pcrpose.training.muon import Muon
from pcrpose.training.optimizer import build_optimizer, freeze, freeze_statistics


def test_adam_takes_everything_at_one_rate(model: PCR) -> None:
    """The published recipe: one group, one learning rate."""
    optimizer = build_optimizer(model, TrainConfig(learning_rate=0.5))
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.Adam)
    assert len(group["params"]) == len(list(model.parameters()))
    assert (group["lr"], group["rate"]) == (0.5, 1.0)


def test_the_encoder_has_its_own_rate(model: PCR) -> None:
    """Parameters of the encoder learn slower, all others at the full rate."""
    optimizer = build_optimizer(model, TrainConfig(learning_rate=0.5, encoder_learning_rate_factor=0.25))
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    for group in optimizer.param_groups:
        inside = {id(parameter) in encoder for parameter in group["params"]}
        assert inside == {group["rate"] == 0.25}
        assert group["lr"] == 0.5 * group["rate"]


def test_muon_makes_kernels_orthogonal_only(model: PCR) -> None:
    """Every parameter is in exactly one group; vectors and heads are in Adam's."""
    optimizer = build_optimizer(model, TrainConfig(optimizer="muon"))
    grouped = [(parameter, group["orthogonal"]) for group in optimizer.param_groups for parameter in group["params"]]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert isinstance(optimizer, Muon)
    assert sorted(names[id(parameter)] for parameter, _ in grouped) == sorted(names.values())
    assert {parameter.dim() for parameter, orthogonal in grouped if orthogonal} == {4}
    assert not any("head" in names[id(parameter)] for parameter, orthogonal in grouped if orthogonal)


def test_frozen_parameters_are_not_trained(model: PCR) -> None:
    """A pattern takes its parameters out, and no other."""
    freeze(model, ("encoder.layer1.*", "encoder.conv1.weight"))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    trained = {id(p) for group in build_optimizer(model, TrainConfig()).param_groups for p in group["params"]}
    assert {"encoder.conv1.weight", "encoder.layer1.0.conv1.weight", "encoder.layer1.1.bn2.bias"} <= frozen
    assert all(name.startswith(("encoder.layer1.", "encoder.conv1.weight")) for name in frozen)
    assert trained == {id(p) for name, p in model.named_parameters() if name not in frozen}


def test_a_pattern_that_fits_nothing_is_refused(model: PCR) -> None:
    """A misspelt name is not ignored."""
    with pytest.raises(ValueError, match=r"such as encoder.*, found 'encodr\.\*'"):
        freeze(model, ("encodr.*",))


def test_something_has_to_be_left(model: PCR) -> None:
    """Freezing everything is a mistake."""
    freeze(model, ("*",))
    with pytest.raises(ValueError, match="found every parameter frozen"):
        build_optimizer(model, TrainConfig())


def test_statistics_of_the_encoder_are_kept(model: PCR) -> None:
    """Its norms stand still, those of the decoders follow the data."""
    freeze_statistics(model.train())
    norms = {name: part.training for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert norms
    assert all(training is not name.startswith("encoder.") for name, training in norms.items())


def test_a_network_without_an_encoder_keeps_all_statistics(tiny_system: Callable[[str], PoseConfig]) -> None:
    """Where encoder and decoder alternate, every norm stands still."""
    model = build_model(tiny_system("StackedHourglass"))
    freeze_statistics(model.train())
    assert {part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d)} == {False}
