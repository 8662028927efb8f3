"""What a run's folder says about the run: its configuration, against which a resumed one is held."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pcrpose.data.whole_file import write_text
from pcrpose.training.config import TrainConfig

RECORD_FILE = "train_config.json"
# what does not change the result, and may change when a run goes on
FREE = ("num_workers", "log_every", "checkpoint_every", "validate_every", "max_broken", "tensorboard")


def write_record(folder: Path, config: TrainConfig, sizes: Sequence[int]) -> None:
    """Write how a run is trained, and how many samples each of its data sets has."""
    write_text(folder / RECORD_FILE, _text(config, sizes))


def check_record(folder: Path, config: TrainConfig, sizes: Sequence[int]) -> None:
    """Refuse to go on with a run under another configuration; fields that are newer than the run have their defaults.

    Raises:
        ValueError: naming what decides the result and is not what it was.
        FileNotFoundError: if the folder does not say how the run was trained.
    """
    defaults = json.loads(_text(TrainConfig(), ()))
    before = {**defaults, **json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))}
    now = json.loads(_text(config, sizes))
    changed = [
        f"{name} {before[name]} then, {now[name]} now" for name in now if name not in FREE and before[name] != now[name]
    ]
    if changed:
        raise ValueError(
            f"{folder}: holds a run with another configuration ({'; '.join(changed)}); choose another folder"
        )


def _text(config: TrainConfig, sizes: Sequence[int]) -> str:
    return json.dumps({**asdict(config), "samples": sizes}, indent=2)
