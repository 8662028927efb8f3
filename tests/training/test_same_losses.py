"""A short seeded training loses what it lost before the redesign; ``benchmarks/same_training.py`` compares weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.run_recipe import Source
from pcrpose.training.trainer import Trainer

# of the last commit before the redesign, as in benchmarks/same_training.json
ADAM = (4.763186, 4.721218, 4.780163, 4.660972, 4.701138, 4.824361, 4.805019, 4.696015, 4.735880, 4.663091)
MUON = (4.763186, 4.721557, 4.778433, 4.655330, 4.691508, 4.803519, 4.780633, 4.652166, 4.717988, 4.611251)


@pytest.mark.parametrize(
    ("values", "expected"), [({}, ADAM), ({"optimizer": "muon", "learning_rate": 3e-3}, MUON)], ids=["adam", "muon"]
)
def test_ten_steps_lose_what_they_did(
    tmp_path: Path,
    make_model: Callable[[], PCR],
    make_config: Callable[..., TrainConfig],
    values: dict[str, Any],
    expected: tuple[float, ...],
) -> None:
    """The losses of ten steps are those of the first version, to 1e-5."""
    model = make_model()
    people = Source(samples=SyntheticPoses(count=40).samples(), skeleton=COCO_17).crops(model.config)
    schedule = {"epochs": 2, "schedule": "cosine", "warmup_steps": 3, "encoder_learning_rate_factor": 0.5}
    config = make_config(**schedule, checkpoint_every_steps=4, **values)

    Trainer(model, people, tmp_path, config).train()

    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == pytest.approx(expected, abs=1e-5)
