"""Where results may go."""

import argparse
import os
from pathlib import Path

import pytest

from pcrpose.cli.main import main
from pcrpose.cli.targets import new_file, new_folder


def test_what_can_be_written(here: Path) -> None:
    """Files and folders that are there or can be made; ``~`` is the home folder."""
    (here / "old.json").touch()
    (here / "old").mkdir()

    assert [new_file(name) for name in ("old.json", "new.json", "a/b/c.json")] == [
        Path("old.json"),
        Path("new.json"),
        Path("a/b/c.json"),
    ]
    assert [new_folder(name) for name in ("old", "new", "a/b")] == [Path("old"), Path("new"), Path("a/b")]
    assert new_folder("~") == Path.home()
    assert sorted(path.name for path in here.iterdir()) == ["old", "old.json"]


def test_what_cannot_be_written(here: Path) -> None:
    """A folder in the place of a file, a file in the place of a folder, however far up."""
    (here / "folder").mkdir()
    (here / "file").touch()

    with pytest.raises(argparse.ArgumentTypeError, match=r"^folder: expected the name of a file"):
        new_file("folder")
    for target, name in ((new_file, "file/a.json"), (new_folder, "file"), (new_folder, "file/deep/deeper")):
        with pytest.raises(argparse.ArgumentTypeError, match=rf"^{name}: expected a folder .*, found the file .*file$"):
            target(name)


def test_what_is_locked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which nothing may be made."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(argparse.ArgumentTypeError, match=f"^a/b: nothing can be written into {here}$"):
        new_folder("a/b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "photo.jpg", "--out", "file"],
        ["evaluate", "file", "--json", "folder"],
        ["evaluate", "file", "--results", "folder"],
        ["mine", "file", "file", "--out", "folder"],
        ["mine", "file", "file", "--out", "n.json", "--sheets", "file"],
    ],
)
def test_commands_ask_first(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result without a place stops a command before it reads anything."""
    (here / "folder").mkdir()
    (here / "file").touch()

    assert main(arguments) == 2

    assert f"error: argument {arguments[-2]}: {arguments[-1]}: expected" in capsys.readouterr().err
