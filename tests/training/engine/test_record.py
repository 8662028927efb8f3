"""A run is not continued under another configuration."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pcrpose.data.dataset import KeypointDataset
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.record import RECORD_FILE, check_record, write_record
from pcrpose.training.trainer import Trainer

CONFIG = TrainConfig(milestones=(0.5,))
NEW = ("accumulate", "base_batch", "sync_batch_norm", "max_broken", "tensorboard")


def test_what_decides_nothing_may_change(tmp_path: Path) -> None:
    """Workers and intervals are free; a rate is not, and is named with both values."""
    write_record(tmp_path, CONFIG, (5, 6))
    check_record(tmp_path, TrainConfig(milestones=(0.5,), num_workers=7, max_broken=1, tensorboard=True), (5, 6))
    with pytest.raises(ValueError, match=r"another configuration \(learning_rate 0.001 then, 0.5 now\)"):
        check_record(tmp_path, TrainConfig(milestones=(0.5,), learning_rate=0.5), (5, 6))
    with pytest.raises(ValueError, match=r"samples \[5, 6\] then, \[5\] now"):
        check_record(tmp_path, CONFIG, (5,))


def test_a_run_of_an_earlier_version_goes_on(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Fields that its files lack have their defaults, and nothing but those."""
    Trainer(model, dataset, tmp_path, make_config()).train()
    record = json.loads((tmp_path / RECORD_FILE).read_text())
    (tmp_path / RECORD_FILE).write_text(json.dumps({name: record[name] for name in record if name not in NEW}))
    progress = json.loads((tmp_path / "last/progress.json").read_text())
    for name in ("validation", "scaler"):
        del progress[name]
    (tmp_path / "last/progress.json").write_text(json.dumps(progress))

    trainer = Trainer(model, dataset, tmp_path, make_config())
    trainer.train()
    assert trainer.progress.step == 3
    with pytest.raises(ValueError, match="accumulate 1 then, 2 now"):
        Trainer(model, dataset, tmp_path, make_config(accumulate=2)).train()
