"""A run is not continued under another configuration."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.record import RECORD_FILE, check_record, write_record
from pcrpose.training.trainer import Trainer

CONFIG = TrainConfig(milestones=(0.5,))
NEW = ("accumulate", "base_batch", "sync_batch_norm", "max_broken", "tensorboard")


def drawn(count: int, **options: Any) -> KeypointDataset:  # noqa: ANN401 - of the data set
    """Make crops of drawn people."""
    given = {"augmentation": Augmentation(), **options}
    samples = SyntheticPoses(count=count).samples()
    return KeypointDataset(samples, source_skeleton=COCO_17, input_size=Size(width=32, height=64), **given)


def test_what_decides_nothing_may_change(tmp_path: Path) -> None:
    """Workers and intervals are free; a rate is not, and is named with both values."""
    both = MixedDataset([drawn(5), drawn(6)])
    write_record(tmp_path, CONFIG, both)
    check_record(tmp_path, TrainConfig(milestones=(0.5,), num_workers=7, max_broken=1, tensorboard=True), both)
    with pytest.raises(ValueError, match=r"another configuration \(learning_rate 0.001 then, 0.5 now\)"):
        check_record(tmp_path, TrainConfig(milestones=(0.5,), learning_rate=0.5), both)
    with pytest.raises(ValueError, match=r"samples \[5, 6\] then, \[5\] now"):
        check_record(tmp_path, CONFIG, drawn(5))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 3}, "part 2: seed 0 then, 3 now"),
        ({"reduce_jpegs": True}, "part 2: reduce_jpegs False then, True now"),
        ({"augmentation": None}, "part 2: scale 0.35 then, None now"),
        ({"augmentation": Augmentation(scale=0.2)}, "part 2: scale 0.35 then, 0.2 now"),
    ],
)
def test_what_a_crop_looks_like_may_not_change(tmp_path: Path, other: dict[str, Any], told: str) -> None:
    """Seed, augmentation and decoding of each part are held against what they were."""
    write_record(tmp_path, CONFIG, MixedDataset([drawn(5), drawn(6)]))
    with pytest.raises(ValueError, match=told):
        check_record(tmp_path, CONFIG, MixedDataset([drawn(5), drawn(6, **other)]))


def test_other_people_are_another_run(tmp_path: Path) -> None:
    """As many samples, but not the same ones; where their images lie does not matter."""
    people = SyntheticPoses(count=4)
    here, there = (
        [replace(s, image=folder / f"{s.image_id}.png") for s in people.samples()] for folder in (Path("a"), Path("b"))
    )
    crops = [
        KeypointDataset(samples, source_skeleton=COCO_17, input_size=Size(width=32, height=64))
        for samples in (here, there)
    ]
    write_record(tmp_path, CONFIG, crops[0])
    check_record(tmp_path, CONFIG, crops[1])

    moved = [replace(here[0], keypoints=here[0].keypoints + 1), *here[1:]]
    other = KeypointDataset(moved, source_skeleton=COCO_17, input_size=Size(width=32, height=64))
    with pytest.raises(ValueError, match=r"part 1: annotations [0-9a-f]+ then, [0-9a-f]+ now"):
        check_record(tmp_path, CONFIG, other)


def test_a_run_of_an_earlier_version_goes_on(
    model: PCR, dataset: KeypointDataset, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Fields that its files lack have their defaults, and nothing but those."""
    Trainer(model, dataset, tmp_path, make_config()).train()
    record = json.loads((tmp_path / RECORD_FILE).read_text())
    (tmp_path / RECORD_FILE).write_text(
        json.dumps({name: record[name] for name in record if name not in NEW and ":" not in name})
    )
    progress = json.loads((tmp_path / "last/progress.json").read_text())
    for name in ("validation", "scaler"):
        del progress[name]
    (tmp_path / "last/progress.json").write_text(json.dumps(progress))

    trainer = Trainer(model, dataset, tmp_path, make_config())
    trainer.train()
    assert trainer.progress.step == 3
    with pytest.raises(ValueError, match="accumulate 1 then, 2 now"):
        Trainer(model, dataset, tmp_path, make_config(accumulate=2)).train()
