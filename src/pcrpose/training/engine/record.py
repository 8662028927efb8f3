"""What a run's folder says about the run: its configuration, against which a resumed one is held."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.mixed import MixedDataset
from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_object
from pcrpose.training.config import TrainConfig, renamed

RECORD_FILE = "train_config.json"
# what does not change the result, and may change when a run goes on
FREE = (
    "num_workers",
    "log_every_steps",
    "checkpoint_every_steps",
    "validate_every_epochs",
    "max_broken_images",
    "tensorboard",
)


def write_record(
    folder: Path, config: TrainConfig, dataset: KeypointDataset | MixedDataset, *, teacher: str | None = None
) -> None:
    """Write how a run is trained, how many samples each of its data sets has, and how they become crops.

    Args:
        folder: of the run.
        config: of the run.
        dataset: of the run.
        teacher: SHA-256 of the teacher's weights, where there is one.
    """
    write_text(folder / RECORD_FILE, _text(config, dataset, teacher))


def check_record(
    folder: Path, config: TrainConfig, dataset: KeypointDataset | MixedDataset, *, teacher: str | None = None
) -> None:
    """Refuse to go on with a run under another configuration; fields that are newer than the run have their defaults.

    Raises:
        ValueError: naming what decides the result and is not what it was.
        FileNotFoundError: if the folder does not say how the run was trained.
    """
    now = json.loads(_text(config, dataset, teacher))
    noted = renamed(read_object(folder / RECORD_FILE))
    defaults = json.loads(json.dumps(asdict(TrainConfig())))
    if not any(name.startswith("part ") for name in noted):
        defaults = {**now, **defaults}
    before = {**defaults, **noted}
    changed = [
        f"{name} {before.get(name)} then, {now.get(name)} now"
        for name in {**now, **before}
        if name not in FREE and before.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"{folder}: holds a run with another configuration ({'; '.join(changed)}); choose another folder"
        )


def _text(config: TrainConfig, dataset: KeypointDataset | MixedDataset, teacher: str | None) -> str:
    parts = dataset.datasets if isinstance(dataset, MixedDataset) else (dataset,)
    facts: dict[str, Any] = {**asdict(config), "samples": [len(part) for part in parts]}
    if teacher is not None:
        facts["teacher"] = teacher
    for number, part in enumerate(parts, start=1):
        facts |= {f"part {number}: {name}": fact for name, fact in _crops(part).items()}
    return json.dumps(facts, indent=2)


def _crops(part: KeypointDataset) -> dict[str, Any]:
    """Say what decides which crops there are, but for what the model's configuration decides."""
    augmentation = {"augmentation": None} if part.augmentation is None else asdict(part.augmentation)
    return {"annotations": _digest(part), "seed": part.seed, "reduce_jpegs": part.reduce_jpegs, **augmentation}


def _digest(part: KeypointDataset) -> str:
    """Hash what is annotated, wherever the images lie."""
    hashed = hashlib.sha256()
    for sample in part.samples:
        hashed.update(sample.image.name.encode(errors="surrogateescape") if isinstance(sample.image, Path) else b"")
        for values in (sample.box_xyxy, sample.keypoints, sample.visibility):
            hashed.update(values.tobytes())
    return hashed.hexdigest()
