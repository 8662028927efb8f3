"""A run is not continued under another configuration."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.training.config import OLD_NAMES, TrainConfig
from pcrpose.training.engine.record import RECORD_FILE, check_record, write_record
from pcrpose.training.trainer import Trainer

CONFIG = TrainConfig(milestones=(0.5,))
NEW = ("gradient_accumulation_steps", "base_batch_size", "sync_batch_norm", "max_broken_images", "tensorboard")


def drawn(count: int, **options: Any) -> KeypointDataset:  # noqa: ANN401 - of the data set
    """Make crops of drawn people."""
    given = {"augmentation": Augmentation(), **options}
    samples = SyntheticPoses(count=count).samples()
    return KeypointDataset(samples, source_skeleton=COCO_17, input_size=Size(width=32, height=64), **given)


def test_what_decides_nothing_may_change(tmp_path: Path) -> None:
    """Workers and intervals are free; a rate is not, and is named with both values."""
    both = MixedDataset([drawn(5), drawn(6)])
    write_record(tmp_path, CONFIG, both)
    check_record(tmp_path, TrainConfig(milestones=(0.5,), num_workers=7, max_broken_images=1, tensorboard=True), both)
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


def test_a_record_with_the_old_names_of_fields_is_read(tmp_path: Path) -> None:
    """A run that version 0.1.0 began goes on, and what decides its result is still compared."""
    people = drawn(5)
    write_record(tmp_path, CONFIG, people)
    names = {new: old for old, new in OLD_NAMES.items()}
    noted = json.loads((tmp_path / RECORD_FILE).read_text())
    old = {names.get(name, name): value for name, value in noted.items() if not name.startswith("teacher")}
    assert OLD_NAMES.keys() <= old.keys()
    (tmp_path / RECORD_FILE).write_text(json.dumps(old))

    check_record(tmp_path, CONFIG, people)

    with pytest.raises(ValueError, match=r"encoder_learning_rate_factor 1\.0 then, 0\.5 now"):
        check_record(tmp_path, replace(CONFIG, encoder_learning_rate_factor=0.5), people)


def test_a_changed_visibility_is_other_data(tmp_path: Path) -> None:
    """A keypoint that is now hidden, not visible, changes the digest of what is annotated, though no number moved."""
    samples = SyntheticPoses(count=5).samples()
    visibility = samples[3].visibility.copy()
    seen = int(np.flatnonzero(visibility == 2)[0])
    visibility[seen] = 1
    other = [replace(sample, visibility=visibility) if sample is samples[3] else sample for sample in samples]
    people, changed = (
        KeypointDataset(part, source_skeleton=COCO_17, input_size=Size(width=32, height=64))
        for part in (samples, other)
    )
    write_record(tmp_path, CONFIG, people)

    with pytest.raises(ValueError, match="part 1: annotations"):
        check_record(tmp_path, CONFIG, changed)


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
    with pytest.raises(ValueError, match="gradient_accumulation_steps 1 then, 2 now"):
        Trainer(model, dataset, tmp_path, make_config(gradient_accumulation_steps=2)).train()
