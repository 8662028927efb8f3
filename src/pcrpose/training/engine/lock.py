"""One training at a time in a folder."""

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcrpose.training.engine.processes import Processes

LOCK_FILE = "lock.json"
_WRITING_SECONDS = 0.2  # within which whoever makes a lock has also written it


class FolderInUseError(OSError):
    """Another process is training in the folder; the message names it."""


class FolderLock:
    """A file that says which process trains in a folder.

    A lock is left behind by a process that was killed; one of a dead process of this computer is taken over.

    Args:
        folder: has to exist.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            FolderInUseError: if a live process holds it, or one of another computer, which cannot be asked.
        """
        content = {"pid": os.getpid(), "host": platform.node(), "started": _started(os.getpid())}
        while True:
            try:
                descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                self._clear()
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(content))
            return

    def release(self) -> None:
        """Give the folder back."""
        self.path.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove the lock of a dead process, or refuse."""
        holder = self._holder()
        if holder and holder.get("host") != platform.node():
            raise FolderInUseError(
                f"{self.path.parent}: in use by process {holder.get('pid')} on {holder.get('host')}; "
                f"if that one has ended, delete {self.path}"
            )
        if holder and _is_running(holder.get("pid"), holder.get("started")):
            raise FolderInUseError(f"{self.path.parent}: in use by process {holder['pid']}; choose another folder")
        self.release()

    def _holder(self) -> dict[str, Any]:
        """Read the lock; empty for one whose writer was killed half-way."""
        for _ in range(2):
            try:
                content = json.loads(self.path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                break
            except ValueError:
                time.sleep(_WRITING_SECONDS)
                continue
            return content if isinstance(content, dict) else {}
        return {}


@contextlib.contextmanager
def locked(folder: Path, processes: Processes) -> Iterator[None]:
    """Make a folder if need be, and keep other trainings out of it; the first process holds the lock for all."""
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


def _is_running(pid: object, started: object) -> bool:
    """Tell whether a process lives and is the very one that was meant: numbers are given again."""
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as somebody else's
    return started is None or _started(pid) == started


def _started(pid: int) -> str | None:
    """Say when a process began, in the kernel's own clock; None for a dead one and where there is no such record."""
    try:
        # behind the name, which may hold spaces and brackets: state, parent, ..., the 20th is the time
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"
