"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from pcrpose.training.ema import WeightAverage


def test_no_decay_follows_the_model() -> None:
    """With decay 0 the average is the model."""
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 0.0)
    nn.init.ones_(model.weight)

    average.update(model, 0)

    assert torch.equal(average.tensors["weight"], torch.ones(2, 2))


def test_late_in_a_run_the_decay_is_the_given_one() -> None:
    """After many steps each update keeps the configured share; the model itself is untouched."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.9)
    nn.init.ones_(model.weight)

    average.update(model, 10_000)

    assert average.tensors["weight"].item() == pytest.approx(0.1)
    assert model.weight.item() == 1


def test_no_decay_takes_no_memory() -> None:
    """With decay 0 nothing is copied, neither at first nor at a step."""
    model = nn.Linear(2, 2)

    average = WeightAverage(model, 0.0)

    assert average.tensors["weight"].data_ptr() == model.weight.data_ptr()


def test_every_tensor_moves_as_it_would_alone() -> None:
    """Many tensors in one call end bit for bit where ``Tensor.lerp_`` brings each, for early and late steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 5, 1)).to(
        memory_format=torch.channels_last
    )  # type: ignore[call-overload] # torch's
    average = WeightAverage(model, 0.99)
    expected = {name: tensor.clone() for name, tensor in average.tensors.items()}
    for step in (0, 1, 5, 10_000):
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name].lerp_(tensor, 1 - min(0.99, (1 + step) / (10 + step)))

        average.update(model, step)

    assert all(torch.equal(expected[name], tensor) for name, tensor in average.tensors.items())


def test_early_the_average_forgets_its_random_start() -> None:
    """The first update takes over nine tenths of the model."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.999)
    nn.init.ones_(model.weight)

    average.update(model, 0)

    assert average.tensors["weight"].item() == pytest.approx(0.9)


def test_counters_are_copied() -> None:
    """A batch norm's count of batches is no average."""
    model = nn.BatchNorm2d(1)
    average = WeightAverage(model, 0.9)
    model(torch.randn(2, 1, 2, 2))

    average.update(model, 0)

    assert average.tensors["num_batches_tracked"].item() == 1


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decay_is_refused(decay: float) -> None:
    """A decay of one would never learn."""
    with pytest.raises(ValueError, match="ema_decay"):
        WeightAverage(nn.Linear(1, 1), decay)
