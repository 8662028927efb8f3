"""Folder locks: one holder at a time, and none that is dead."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pcrpose.files.lock import HOLDER_FILE, LOCK_FILE, FolderInUseError, FolderLock

# Reads lines "folder moment": waits for the moment, tries to take the folder, and says how that went.
RACER = """
import sys, time
from pathlib import Path
from pcrpose.files.lock import FolderInUseError, FolderLock

print("ready", flush=True)
for line in sys.stdin:
    folder, moment = line.split()
    lock = FolderLock(Path(folder))
    while time.time() < float(moment):
        pass
    try:
        lock.acquire()
    except FolderInUseError as error:
        print(f"lost: {error}", flush=True)
    else:
        print("won", flush=True)
"""


@contextmanager
def racer() -> Iterator[subprocess.Popen[str]]:
    """Start a process that takes folders and keeps them until it ends."""
    command = [sys.executable, "-c", RACER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        answer(process)
        yield process
        process.kill()


def send(process: subprocess.Popen[str], folder: Path, moment: float) -> None:
    """Ask a racer to take a folder at a moment."""
    assert process.stdin is not None
    process.stdin.write(f"{folder} {moment}\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    """Read a racer's answer."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_folder_is_taken_and_given_back(tmp_path: Path) -> None:
    """The lock says who holds it; afterwards an empty file is left, and the next holder does not mind."""
    locks = [FolderLock(tmp_path) for _ in range(2)]  # both live on: a forgotten lock would be given back
    for lock in locks:
        lock.acquire()

        assert json.loads((tmp_path / HOLDER_FILE).read_text()) == {"pid": os.getpid(), "host": platform.node()}
        lock.release()
        assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] in ([], [(LOCK_FILE, 0)])


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """While one holds it, another learns at once who does, in one line; the holder is not disturbed."""
    lock = FolderLock(tmp_path)
    lock.acquire()
    begun = time.monotonic()

    for _ in range(2):
        with pytest.raises(FolderInUseError, match=rf"^.*: in use by process {os.getpid()}; choose another folder$"):
            FolderLock(tmp_path).acquire()
    assert time.monotonic() - begun < 2
    assert (tmp_path / HOLDER_FILE).exists()
    lock.release()


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_holder_that_has_not_said_who_it_is(content: str | None, tmp_path: Path) -> None:
    """The folder is refused all the same."""
    lock = FolderLock(tmp_path)
    lock.acquire()
    (tmp_path / HOLDER_FILE).unlink()
    if content is not None:
        (tmp_path / HOLDER_FILE).write_text(content)

    with pytest.raises(FolderInUseError, match="in use by another process; choose another folder"):
        FolderLock(tmp_path).acquire()
    lock.release()


def test_another_computer_is_named(tmp_path: Path) -> None:
    """In a folder that several computers share."""
    lock = FolderLock(tmp_path)
    lock.acquire()
    (tmp_path / HOLDER_FILE).write_text('{"pid": 7, "host": "elsewhere"}')

    with pytest.raises(FolderInUseError, match="in use by process 7 on elsewhere; choose another folder"):
        FolderLock(tmp_path).acquire()
    lock.release()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1, "host": "elsewhere", "started": null}'])
def test_what_is_written_holds_nobody_off(tmp_path: Path, content: str) -> None:
    """A file that a killed process or version 0.1.0 left, whatever it says, is written over."""
    (tmp_path / HOLDER_FILE).write_text(content)
    (tmp_path / LOCK_FILE).touch()
    lock = FolderLock(tmp_path)

    lock.acquire()

    assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == os.getpid()
    lock.release()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """While the process lives the folder is refused by its number; once it is killed, the folder is free."""
    with racer() as process:
        send(process, tmp_path, 0)
        assert answer(process) == "won"
        lock = FolderLock(tmp_path)
        with pytest.raises(FolderInUseError, match=f"in use by process {process.pid}"):
            lock.acquire()

        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        lock.acquire()

    assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == os.getpid()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_children_do_not_keep_a_lock(tmp_path: Path) -> None:
    """A forked child, as a data worker is, that outlives its parent does not hold the folder."""
    program = f"""
import os, time
from pathlib import Path
from pcrpose.files.lock import FolderLock
FolderLock(Path({str(tmp_path)!r})).acquire()
if os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        child = int(answer(process))
        process.kill()
        process.wait()

        lock = FolderLock(tmp_path)
        lock.acquire()
        lock.release()
        os.kill(child, signal.SIGKILL)  # it was alive until now


def test_of_two_that_race_one_wins(tmp_path: Path) -> None:
    """Twenty times two processes meet the lock of a dead one at the same moment."""
    with ExitStack() as stack:
        racers = [stack.enter_context(racer()) for _ in range(2)]
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / LOCK_FILE).touch()
            (folder / HOLDER_FILE).write_text('{"pid": 0, "host": "gone"}')
            moment = time.time() + 0.01
            for process in racers:
                send(process, folder, moment)

            answers = sorted(answer(process) for process in racers)
            assert [text.partition(":")[0] for text in answers] == ["lost", "won"], answers
