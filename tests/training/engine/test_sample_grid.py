"""Example crops for people who watch a training."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pcrpose.data.dataset import KeypointDataset
from pcrpose.keypoints.arrays import Image
from pcrpose.models.pcr import PCR
from pcrpose.training.engine.sample_grid import GAP, draw_examples

FACTOR = 3  # crops are 96 pixels high
HEIGHT, WIDTH = FACTOR * 96 + GAP, FACTOR * 64 + GAP
ROSE = (255, 75, 105)


@pytest.fixture
def batch(dataset: KeypointDataset) -> dict[str, Tensor]:
    """Stack ten crops; what is labelled is known, and the second crop holds nobody."""
    stacked: dict[str, Tensor] = torch.utils.data.default_collate([dataset[index] for index in range(10)])
    stacked["keypoints_crop"] = torch.rand(10, 17, 2) * torch.tensor([60.0, 90.0])
    stacked["keypoint_weights"] = torch.ones(10, 17)
    stacked["is_background"][1] = True
    return stacked


def logits_at(keypoints_crop: Tensor) -> Tensor:
    """Give ``(B, J, 24, 16)`` logits that peak in the cells of these keypoints."""
    logits = torch.zeros(*keypoints_crop.shape[:2], 24 * 16)
    columns, rows = ((keypoints_crop + 0.5) / 4).long().unbind(-1)
    logits.scatter_(2, (rows * 16 + columns)[..., None], 50.0)
    return logits.view(*keypoints_crop.shape[:2], 24, 16)


def cell(image: Image, row: int, place: int) -> Image:
    """Cut one crop out of the image, without its caption."""
    return image[row * HEIGHT + 24 : (row + 1) * HEIGHT, place * WIDTH : (place + 1) * WIDTH]


def rose(cell: Image) -> int:
    """Count the pixels of lines that show mistakes."""
    return int((np.abs(cell.astype(int) - ROSE).sum(axis=2) < 30).sum())


def test_two_rows_of_eight_crops(model: PCR, batch: dict[str, Tensor]) -> None:
    """Small crops are enlarged; labels are drawn above, predictions below, whatever the model's mode."""
    image = draw_examples(model, batch, logits_at(batch["keypoints_crop"]))

    assert image.shape == (2 * HEIGHT, 8 * WIDTH, 3)
    bare = draw_examples(model, {**batch, "keypoint_weights": torch.zeros(10, 17)}, torch.zeros(10, 17, 24, 16))
    for place in (0, 2, 7):
        assert (cell(image, 0, place) != cell(bare, 0, place)).any()
        assert (cell(image, 1, place) != cell(bare, 1, place)).any()


def test_background_has_no_labels(model: PCR, batch: dict[str, Tensor]) -> None:
    """Nothing is drawn into a crop without a person but that nobody is there, and no mistake is measured."""
    image = draw_examples(model, batch, torch.zeros(10, 17, 24, 16))
    moved = {**batch, "keypoints_crop": batch["keypoints_crop"].flip(1)}
    other = draw_examples(model, moved, torch.zeros(10, 17, 24, 16))

    assert (cell(image, 0, 1) == cell(other, 0, 1)).all()
    assert (cell(image, 0, 2) != cell(other, 0, 2)).any()
    assert rose(cell(image, 1, 1)) == 0
    somebody = draw_examples(model, {**batch, "is_background": torch.zeros(10).bool()}, torch.zeros(10, 17, 24, 16))
    assert (image[:24, WIDTH : 2 * WIDTH] != somebody[:24, WIDTH : 2 * WIDTH]).any()


def test_lines_show_mistakes(model: PCR, batch: dict[str, Tensor]) -> None:
    """Lines lead from labels to predictions: hardly any where they agree, many where they do not."""
    right = draw_examples(model, batch, logits_at(batch["keypoints_crop"]))
    wrong = draw_examples(model, batch, logits_at(batch["keypoints_crop"].flip(1)))

    assert rose(cell(wrong, 1, 2)) > 10 * (rose(cell(right, 1, 2)) + 1)
    assert rose(cell(wrong, 0, 2)) == rose(cell(right, 0, 2))


def test_unlabelled_keypoints_are_left_out(model: PCR, batch: dict[str, Tensor]) -> None:
    """A keypoint of weight zero is neither drawn nor missed, wherever its place says it is."""
    batch["keypoint_weights"][2, 5:] = 0
    moved = {**batch, "keypoints_crop": batch["keypoints_crop"].clone()}
    moved["keypoints_crop"][2, 5:] = 0

    images = [draw_examples(model, each, torch.zeros(10, 17, 24, 16)) for each in (batch, moved)]

    assert (images[0] == images[1]).all()
