"""One optimizer step: precision, loss scaling, finite losses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.models.loss import PoseLoss
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.training import trainer
from pcrpose.training.config import Precision, TrainConfig
from pcrpose.training.engine.batches import Batch
from pcrpose.training.engine.distributed import Processes
from pcrpose.training.engine.step import (
    LossWatch,
    NotFinite,
    autocast,
    first_not_finite,
    loss_scaler,
    loss_shares,
    write_not_finite,
)
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

    def cut(self: Trainer, done: int, outcome: Any) -> None:  # noqa: ANN401 - private
        after_step(self, done, outcome)
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


def uneven(dataset: KeypointDataset) -> Batch:
    """Give eight crops of which the second half has few labels and one background."""
    batch: Batch = torch.utils.data.default_collate([dataset[index] for index in range(8)])
    batch["keypoint_weights"][4:, 3:] = 0
    batch["is_background"][7] = True
    return batch


@pytest.mark.parametrize("background_weight", [1.0, 0.25])
@pytest.mark.parametrize("kind", ["cross_entropy", "squared_error"])
def test_the_parts_add_up(
    model: PCR, dataset: KeypointDataset, kind: Literal["cross_entropy", "squared_error"], background_weight: float
) -> None:
    """The sum over parts is the loss of the whole."""
    loss = PoseLoss(codec=model.config.codec(), kind=kind, background_weight=background_weight)
    batch = uneven(dataset)
    maps = torch.rand(8, 17, 24, 16)
    parts = [{name: tensor[:4] for name, tensor in batch.items()}, {name: t[4:] for name, t in batch.items()}]

    def of(part: Batch, heatmaps: torch.Tensor) -> torch.Tensor:
        return loss(HeatmapOutput(heatmaps), part["keypoints_crop"], part["keypoint_weights"], part["is_background"])

    shares = loss_shares(loss, parts, Processes())
    together = 0.0
    for part, part_maps, share in zip(parts, (maps[:4], maps[4:]), shares, strict=True):
        assert share is not None
        together += float(of(part, part_maps) * share)

    assert together == pytest.approx(float(of(batch, maps)), rel=1e-5)


class Faked(Processes):
    """One of two processes whose sums over both are known beforehand."""

    def __init__(self, rank: int, total: torch.Tensor | None = None) -> None:
        super().__init__(rank, 2)
        self.total, self.own = total, torch.zeros(())

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Remember this process's part; return the whole."""
        self.own = tensor.clone()
        return tensor if self.total is None else self.total.clone()


@pytest.mark.parametrize("kind", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_processes_average_to_the_whole(
    model: PCR, dataset: KeypointDataset, kind: Literal["cross_entropy", "squared_error"], parts: int
) -> None:
    """Two processes with unequally many labels: the mean of their scaled losses is that of the whole batch."""
    loss = PoseLoss(codec=model.config.codec(), kind=kind, background_weight=0.5)
    batch, maps = uneven(dataset), torch.rand(8, 17, 24, 16)
    size = 4 // parts
    starts = [[4 * rank + size * part for part in range(parts)] for rank in range(2)]
    batches = [[{name: t[i : i + size] for name, t in batch.items()} for i in own] for own in starts]

    def of(part: Batch, heatmaps: torch.Tensor) -> float:
        output = HeatmapOutput(heatmaps)
        return float(loss(output, part["keypoints_crop"], part["keypoint_weights"], part["is_background"]))

    alone = [Faked(rank) for rank in range(2)]
    for process in alone:
        loss_shares(loss, batches[process.rank], process)
    total = alone[0].own + alone[1].own
    means = [0.0, 0.0]
    for rank in range(2):
        shares = loss_shares(loss, batches[rank], Faked(rank, total))
        for part, start, share in zip(batches[rank], starts[rank], shares, strict=True):
            means[rank] += of(part, maps[start : start + size]) * (1.0 if share is None else float(share))

    assert sum(means) / 2 == pytest.approx(of(batch, maps), rel=1e-5)


def test_a_whole_batch_is_left_as_it_is(model: PCR, dataset: KeypointDataset) -> None:
    """One part in one process has no factor, so that not a bit of it changes."""
    assert loss_shares(PoseLoss(codec=model.config.codec()), [uneven(dataset)], Processes()) == [None]


def test_a_batch_without_labels_is_no_division_by_zero(model: PCR, dataset: KeypointDataset) -> None:
    """Its parts count nothing."""
    batch: Batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
    batch["keypoint_weights"][:] = 0
    loss = PoseLoss(codec=model.config.codec(), kind="cross_entropy")
    shares = loss_shares(loss, [batch, batch], Processes())
    assert [float(share) for share in shares if share is not None] == [0.0, 0.0]


def test_the_first_of_several_steps_is_found() -> None:
    """Looked at together, the earliest step that was not finite is told, and all are forgotten."""
    watch = LossWatch()
    watch.add(1, (4, 5), loss=torch.tensor(1.0), gradient=torch.tensor(2.0))
    watch.add(2, (6, 7), loss=torch.tensor(1.0), gradient=torch.tensor(float("inf")))
    watch.add(3, (8, 9), loss=torch.tensor(float("nan")))

    assert watch.check() == NotFinite(2, "gradient", float("inf"), (6, 7))
    assert watch.check() is None


def test_processes_are_joined() -> None:
    """The earliest step counts, with the samples of every process in which it broke."""
    found = [NotFinite(3, "loss", 0.0, (1,)), None, NotFinite(2, "loss", 0.0, (2,)), NotFinite(2, "loss", 0.0, (3,))]
    assert first_not_finite(found) == NotFinite(2, "loss", 0.0, (2, 3))
    assert first_not_finite([None]) is None


@pytest.mark.parametrize("mixed", [False, True])
def test_samples_are_named(dataset: KeypointDataset, tmp_path: Path, *, mixed: bool) -> None:
    """The file says which samples the step saw, by index, image and annotation."""
    whole = MixedDataset([dataset, dataset]) if mixed else dataset
    index = len(dataset) + 2 if mixed else 2

    write_not_finite(tmp_path / "x.json", NotFinite(7, "loss", float("nan"), (index,)), whole)

    content = json.loads((tmp_path / "x.json").read_text())
    sample = dataset.samples[2]
    assert content["step"] == 7
    assert content["loss"] == "nan"
    assert content["samples"] == [
        {"index": index, "image": None, "image_id": sample.image_id, "annotation_id": sample.annotation_id}
    ]
