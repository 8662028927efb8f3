"""A run's folder: its lock, the record that a resumed run has to match, and errors in one line."""

import contextlib
import errno
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import CropDataset, KeypointDataset
from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_object
from pcrpose.files.lock import FolderLock
from pcrpose.training.checkpoint import find_checkpoint, read_progress
from pcrpose.training.config import TrainConfig, renamed
from pcrpose.training.engine.distributed import Processes

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

logger = logging.getLogger(__name__)

_WORKER = "DataLoader worker"  # how PyTorch's messages about them begin
_FULL = f"os error {errno.ENOSPC}"  # how safetensors, which has errors of its own, names a full disk


@contextlib.contextmanager
def locked(folder: Path, processes: Processes) -> Iterator[None]:
    """Create a folder if missing, and keep other trainings out of it.

    Raises:
        FolderInUseError: if another process holds the folder; in the other processes of this run as a `ProcessError`.
    """
    lock = FolderLock(folder)

    def take() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()

    processes.first(take)
    try:
        yield
    finally:
        if processes.rank == 0:
            lock.release()


def write_record(folder: Path, config: TrainConfig, dataset: CropDataset, *, teacher: str | None = None) -> None:
    """Write how a run is trained, how many samples each of its data sets has, and how they become crops.

    Args:
        folder: of the run.
        config: of the run.
        dataset: of the run.
        teacher: SHA-256 of the teacher's weights, where there is one.
    """
    write_text(folder / RECORD_FILE, _text(config, dataset, teacher))


def check_record(folder: Path, config: TrainConfig, dataset: CropDataset, *, teacher: str | None = None) -> None:
    """Raise where a run would go on under another configuration; fields newer than the run have their defaults.

    Raises:
        ValueError: naming what decides the result and is not what it was.
        FileNotFoundError: if the folder does not say how the run was trained.
    """
    now = json.loads(_text(config, dataset, teacher))
    noted = renamed(read_object(folder / RECORD_FILE))
    defaults = json.loads(json.dumps(asdict(TrainConfig())))
    if any(name.startswith("part ") for name in noted):
        defaults |= _newer_augmentation(noted, dataset)
    else:
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


def _text(config: TrainConfig, dataset: CropDataset, teacher: str | None) -> str:
    facts: dict[str, Any] = {**asdict(config), "samples": list(dataset.sizes)}
    if teacher is not None:
        facts["teacher"] = teacher
    for number, part in enumerate(dataset.parts, start=1):
        facts |= {f"part {number}: {name}": fact for name, fact in _crops(part).items()}
    return json.dumps(facts, indent=2)


def _newer_augmentation(noted: Mapping[str, Any], dataset: CropDataset) -> dict[str, Any]:
    """Return the defaults of what an augmentation could not do yet when a run began."""
    fields = json.loads(json.dumps(asdict(Augmentation())))
    augmented = [number for number in range(1, len(dataset.parts) + 1) if f"part {number}: scale" in noted]
    return {f"part {number}: {name}": value for number in augmented for name, value in fields.items()}


def _crops(part: KeypointDataset) -> dict[str, Any]:
    """Return what decides which crops there are, apart from the model's configuration."""
    augmentation = {"augmentation": None} if part.augmentation is None else asdict(part.augmentation)
    return {"annotations": _digest(part), "seed": part.seed, "reduce_jpegs": part.cache == "reduced", **augmentation}


def _digest(part: KeypointDataset) -> str:
    """Hash what is annotated, wherever the images lie."""
    hashed = hashlib.sha256()
    for sample in part.samples:
        hashed.update(sample.image.name.encode(errors="surrogateescape") if isinstance(sample.image, Path) else b"")
        for values in (sample.box_xyxy, sample.keypoints, sample.visibility):
            hashed.update(values.tobytes())
    return hashed.hexdigest()


@contextlib.contextmanager
def plain_errors(last: Path) -> Iterator[None]:
    """Raise known troubles of a training as one clear error that says what is left of it; so does Ctrl-C, in the log.

    Args:
        last: folder of the checkpoint.

    Raises:
        ChildProcessError: if a process that prepares crops died.
        OSError: with ``ENOSPC`` if the disk is full.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("stopped; %s", _left(last))
        raise
    except RuntimeError as error:
        if _WORKER not in str(error):
            raise
        raise ChildProcessError(
            "a process that prepares crops died, often for want of memory: lower num_workers or do without "
            f"cached images; {_left(last)} ({str(error).splitlines()[0]})"
        ) from None
    except (OSError, SafetensorError) as error:
        full = _FULL in str(error) if isinstance(error, SafetensorError) else error.errno == errno.ENOSPC
        if not full:
            raise
        raise OSError(errno.ENOSPC, f"the disk is full; {_left(last)}", str(last.parent)) from error


def _left(last: Path) -> str:
    found = find_checkpoint(last)
    if found is None:
        return "no checkpoint was written yet, so the same run begins anew"
    return f"the checkpoint of step {read_progress(found).step} is kept, and the same run goes on from it"
