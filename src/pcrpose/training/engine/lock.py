"""The lock of a run's folder: the first of its processes holds it for all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pcrpose.files.lock import FolderLock
from pcrpose.training.engine.processes import Processes


@contextlib.contextmanager
def locked(folder: Path, processes: Processes) -> Iterator[None]:
    """Make a folder if need be, and keep other trainings out of it.

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
