"""A small network with random weights: enough to ask how images and boxes travel."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pcrpose.keypoints.arrays import Image
from pcrpose.models.pcr import PCR, PCRConfig


@pytest.fixture
def model(tiny_config: Callable[..., PCRConfig]) -> PCR:
    """Give a tiny PCR in float64, so that the order of additions cannot move a keypoint."""
    torch.manual_seed(3)
    network = PCR(tiny_config()).double()
    for parameter in network.parameters():  # heads start near zero; wake them up
        if parameter.dim() == 4 and parameter.shape[2:] == (1, 1):
            torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.fixture
def photo() -> Image:
    """Give a smooth random image: neighboring crops differ, no two cells tie."""
    rng = np.random.default_rng(5)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 12, 16)))
    fine = torch.nn.functional.interpolate(coarse, size=(150, 201), mode="bicubic").clamp(0, 255)
    return np.ascontiguousarray(fine[0].permute(1, 2, 0).numpy().round().astype(np.uint8))
