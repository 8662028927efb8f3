"""Example crops for people who watch a training."""

import torch

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.pcr import PCR
from pcrpose.training.engine.examples import draw_examples


def test_labels_and_predictions_are_drawn(model: PCR, dataset: KeypointDataset) -> None:
    """Two rows of crops: a background crop has no labels drawn, a person has; a sure prediction is drawn below."""
    batch = torch.utils.data.default_collate([dataset[index] for index in range(10)])
    batch["is_background"][1] = True
    logits = torch.zeros(10, 17, 24, 16)
    logits[0, :, 12, 8] = 50.0

    image = draw_examples(model, batch, logits)

    assert image.shape == (2 * 96, 8 * 64, 3)
    crops = [crop.permute(1, 2, 0).numpy() for crop in batch["crop"]]
    above = [image[:96, 64 * place : 64 * place + 64] for place in range(8)]
    assert (above[0] != crops[0]).any()
    assert (above[1] != crops[1]).mean() < (above[0] != crops[0]).mean()
    assert (image[96:, :64] != crops[0]).any()
