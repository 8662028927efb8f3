"""Folder locks: one process at a time writes in a folder."""

import json
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from pcrpose.files.atomic import write_text
from pcrpose.files.json import read_object

LOCK_FILE = ".lock"  # locked by the operating system; stays, because removing it would let two processes in
HOLDER_FILE = "lock.json"  # says who holds the lock


class FolderInUseError(OSError):
    """Another process holds the folder; the message names it."""


class FolderLock:
    """A lock on a folder that the operating system keeps: it ends with its process, however that ends.

    Args:
        folder: has to exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / LOCK_FILE, blocking=False, thread_local=False)

    def acquire(self) -> None:
        """Acquire the lock at once.

        Raises:
            FolderInUseError: if somebody holds it: another process, or another lock of this one.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise FolderInUseError(f"{self.folder}: in use by {self._holder()}; choose another folder") from None
        write_text(self.folder / HOLDER_FILE, json.dumps({"pid": os.getpid(), "host": platform.node()}), sync=False)

    def release(self) -> None:
        """Release the lock."""
        (self.folder / HOLDER_FILE).unlink(missing_ok=True)
        self._lock.release()

    def _holder(self) -> str:
        """Return the holder of the lock; there is a moment in which it is not written yet."""
        try:
            holder = read_object(self.folder / HOLDER_FILE)
        except (OSError, ValueError):
            return "another process"
        host = "" if holder.get("host") == platform.node() else f" on {holder.get('host')}"
        return f"process {holder.get('pid')}{host}"
