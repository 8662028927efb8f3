"""One training at a time in a folder."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcrpose.training.engine.lock import LOCK_FILE, FolderInUseError, FolderLock, locked
from pcrpose.training.engine.processes import Processes


def write_lock(folder: Path, **values: Any) -> None:  # noqa: ANN401 - JSON values
    """Leave somebody's lock."""
    content = {"pid": os.getpid(), "host": platform.node(), "started": None, **values}
    (folder / LOCK_FILE).write_text(json.dumps(content))


def dead_process() -> int:
    """Give the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_a_folder_is_taken_and_given_back(tmp_path: Path) -> None:
    """The lock names this process and is gone afterwards; the folder is made."""
    folder = tmp_path / "a/b"
    with locked(folder, Processes()):
        assert json.loads((folder / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(folder.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """While one holds it, another learns who does; the lock stays."""
    with locked(tmp_path, Processes()):
        with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}"):
            FolderLock(tmp_path).acquire()
        assert (tmp_path / LOCK_FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_lock_whose_writer_was_killed_is_taken_over(tmp_path: Path, content: str) -> None:
    """Half a lock holds nobody off."""
    (tmp_path / LOCK_FILE).write_text(content)
    FolderLock(tmp_path).acquire()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_a_dead_processes_lock_is_taken_over(tmp_path: Path) -> None:
    """A process that was killed does not keep its folder."""
    write_lock(tmp_path, pid=dead_process())
    FolderLock(tmp_path).acquire()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the kernel does not tell when a process began")
def test_a_number_given_again_is_not_the_old_process(tmp_path: Path) -> None:
    """A live process that began at another time is not the one that held the lock."""
    write_lock(tmp_path, started="another boot 1")
    FolderLock(tmp_path).acquire()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["started"] != "another boot 1"


def test_another_computers_lock_is_refused(tmp_path: Path) -> None:
    """Nobody can tell from here whether that process lives; the message says what to do."""
    write_lock(tmp_path, host="elsewhere", pid=dead_process())
    with pytest.raises(FolderInUseError, match=rf"on elsewhere; .* delete .*{LOCK_FILE}"):
        FolderLock(tmp_path).acquire()
