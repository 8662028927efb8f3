"""In which numbers the network computes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.pcr import PCR
from pcrpose.training import trainer
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.engine.precision import autocast, loss_scaler
from pcrpose.training.trainer import Trainer


def test_fp16_is_for_cuda(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Elsewhere it is refused with the reason, before anything is written."""
    with pytest.raises(ValueError, match=r"fp16 expects a CUDA device, found cpu, .* bf16"):
        Trainer(model, dataset, tmp_path, make_config(precision="fp16"))
    assert list(tmp_path.iterdir()) == []


def test_a_scaler_that_is_not_needed_does_nothing() -> None:
    """A loss passes unchanged and there is no state to save."""
    scaler = loss_scaler("bf16", torch.device("cpu"))
    loss = torch.tensor(3.0)
    assert scaler.scale(loss) is loss
    assert scaler.state_dict() == {}


@pytest.mark.parametrize(("precision", "kind"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_operations_run_in_their_precision(precision: Precision, kind: torch.dtype) -> None:
    """A product of matrices has the type that was asked for."""
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind


def test_a_scaled_run_goes_on_to_the_same_end(
    make_model: Callable[[], PCR],
    dataset: KeypointDataset,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scaler's state is in the checkpoint; clipping sees gradients without the scale."""
    monkeypatch.setattr(
        trainer, "loss_scaler", lambda *_: torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    )
    config = make_config(max_grad_norm=0.1)
    whole = Trainer(make_model(), dataset, tmp_path / "whole", config).train()
    after_step = Trainer._after_step

    def cut(self: Trainer, done: int, loss: Tensor) -> None:
        after_step(self, done, loss)
        if done == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_after_step", cut)
        with pytest.raises(KeyboardInterrupt):
            Trainer(make_model(), dataset, tmp_path / "cut", config).train()
    resumed = Trainer(make_model(), dataset, tmp_path / "cut", config)
    resumed.train()

    assert resumed.progress.scaler is not None
    assert resumed.progress.scaler["scale"] == 8.0
    expected, found = (PCR.from_pretrained(path).state_dict() for path in (whole, tmp_path / "cut/final"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
