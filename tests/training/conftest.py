"""A tiny model and drawn people to train it on."""

from collections.abc import Callable
from typing import Any

import pytest

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig

SIZE = Size(width=64, height=96)


@pytest.fixture
def model(make_model: Callable[[], PCR]) -> PCR:
    """Build one tiny network."""
    return make_model()


@pytest.fixture
def dataset() -> KeypointDataset:
    """Draw 24 people."""
    return KeypointDataset(
        SyntheticPoses(count=24).samples(),
        source_skeleton=COCO_17,
        crop=CropSpec(input_size=SIZE),
        augmentation=Augmentation(),
    )


@pytest.fixture
def make_config() -> Callable[..., TrainConfig]:
    """Give a builder of the configuration of a short run, three batches an epoch."""

    def make(**values: Any) -> TrainConfig:  # noqa: ANN401 - any field
        short: dict[str, Any] = {
            "epochs": 1,
            "batch_size": 8,
            "loss": "cross_entropy",
            "num_workers": 0,
            "checkpoint_every_steps": 1,
            "log_every_steps": 1,
        }
        return TrainConfig(**{**short, **values})

    return make
