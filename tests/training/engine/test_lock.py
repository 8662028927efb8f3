"""One training at a time in a folder."""

import json
import os
from pathlib import Path

import pytest

from pcrpose.files.lock import HOLDER_FILE, FolderInUseError, FolderLock
from pcrpose.training.engine.lock import locked
from pcrpose.training.engine.processes import Processes


def test_a_run_holds_its_folder(tmp_path: Path) -> None:
    """The folder is made, refused to others while the run lasts, and free afterwards, also after an error."""
    folder = tmp_path / "a/b"

    with pytest.raises(ValueError, match="stop"), locked(folder, Processes()):  # noqa: PT012 - what happens inside is meant
        assert json.loads((folder / HOLDER_FILE).read_text())["pid"] == os.getpid()
        with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}"):
            FolderLock(folder).acquire()
        raise ValueError("stop")

    with locked(folder, Processes()):
        pass
    assert not (folder / HOLDER_FILE).exists()


def test_the_first_process_holds_it_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process of the run neither takes the folder nor gives it back."""
    monkeypatch.setattr(Processes, "first", lambda _self, _action: None)  # the first process acts, elsewhere

    with locked(tmp_path, Processes()), locked(tmp_path, Processes(rank=1, count=2)):
        pass

    assert list(tmp_path.iterdir()) == []
