"""Parts count for what they hold."""

from typing import Literal

import pytest
import torch

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.loss import PoseLoss
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.training.engine.batches import Batch
from pcrpose.training.engine.processes import Processes
from pcrpose.training.engine.shares import loss_shares


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
