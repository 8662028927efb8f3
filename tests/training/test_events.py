"""Events of a training: typed, in order, and the line that is logged of each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.events import Event, Saved, Step, Validated
from pcrpose.training.trainer import Trainer


def test_a_step_as_a_line() -> None:
    """Three digits, and the last validation where there was one."""
    step = Step(step=50, total_steps=400, loss=2.34567, learning_rate=0.0005, data_wait=0.02)
    later = Step(step=50, total_steps=400, loss=2.34567, learning_rate=0.0005, data_wait=0.02, last_validation=0.5)

    assert str(step) == "step 50 of 400: loss 2.35, learning rate 0.0005, data wait 0.02"
    assert str(later) == "step 50 of 400: loss 2.35, learning rate 0.0005, last validation 0.5, data wait 0.02"


def test_a_validation_as_a_line() -> None:
    """Its step and the metric."""
    assert str(Validated(step=4, total_steps=8, metric=0.5, is_best=True)) == "step 4 of 8: validation 0.5"


def test_events_come_in_the_order_of_what_happens(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Two epochs of three steps: steps, validations with the best one marked, and every folder once it is whole."""
    seen: list[tuple[str, int]] = []
    best: list[bool] = []

    def note(event: Event) -> None:
        if isinstance(event, Saved):
            assert (event.folder / "model.safetensors").is_file()
            seen.append((event.folder.name, event.step))
        else:
            seen.append((type(event).__name__, event.step))
        if isinstance(event, Validated):
            best.append(event.is_best)

    config = make_config(epochs=2, validate_every_epochs=1, checkpoint_every_steps=4, log_every_steps=3)
    metrics = iter([0.5, 0.25])
    Trainer(model, dataset, tmp_path, config, validate=lambda _: next(metrics), on_event=note).train()

    assert seen == [
        ("Step", 3),
        ("best", 3),
        ("Validated", 3),
        ("last", 4),
        ("Step", 6),
        ("Validated", 6),
        ("last", 6),
        ("final", 6),
    ]
    assert best == [True, False]


def test_what_a_listener_raises_stops_the_run(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """An error of the caller's own code is not swallowed."""

    def refuse(event: Event) -> None:
        raise LookupError(str(event.step))

    with pytest.raises(LookupError, match="1"):
        Trainer(model, dataset, tmp_path, make_config(), on_event=refuse).train()
