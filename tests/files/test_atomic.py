"""Atomic writes: after an error or a crash all of the new content is there, or all of the old."""

import os
import stat
import threading
from pathlib import Path

import pytest

from pcrpose.files.atomic import (
    create_folder,
    interrupted_names,
    replace_folder,
    write_text,
    write_together,
    write_whole,
)


def fail(part: Path) -> None:
    """Write half a file, then find the disk full."""
    part.write_text("half", encoding="utf-8")
    raise OSError("disk full")


def contents(folder: Path) -> dict[str, str]:
    """Read all files of a folder."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def write_both(folder: Path, text: str) -> None:
    """Write two files that count together."""
    write_together(folder, {name: lambda part: part.write_text(text) for name in ("weights", "config")})


def test_write_text(tmp_path: Path) -> None:
    """Folders are made as needed, and a file that was there is replaced."""
    target = tmp_path / "a" / "b.txt"

    write_text(target, "old")
    write_text(target, "n\u00e9w")

    assert contents(target.parent) == {"b.txt": "n\u00e9w"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An error half way through leaves what was there, and nothing beside it."""
    write_text(tmp_path / "file", "old")

    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "file", fail)

    assert contents(tmp_path) == {"file": "old"}


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushed before the rename, once; not flushed where the caller can do without."""
    seen = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(contents(tmp_path)["file"])

    monkeypatch.setattr(os, "fsync", watched)
    write_text(tmp_path / "file", "1", sync=False)
    write_text(tmp_path / "file", "2")
    write_text(tmp_path / "file", "3")

    assert seen == ["1", "2"]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    """A writer that lets only the owner read, as safetensors' does, does not lock others out."""

    def private(part: Path) -> None:
        part.unlink()
        part.touch(mode=0o600)

    (tmp_path / "usual").touch()
    write_whole(tmp_path / "file", private)

    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Half a file of a killed writer is neither read nor an obstacle."""
    (tmp_path / ".file.0123abcd.part").write_text("half")

    write_text(tmp_path / "file", "whole")

    assert (tmp_path / "file").read_text() == "whole"


def test_two_writers(tmp_path: Path) -> None:
    """Writers at the same time, threads of one process too, leave the content of one of them and nothing else."""
    texts = [letter * 100_000 for letter in "ab"]
    both_half_way = threading.Barrier(2)

    def save(part: Path, text: str) -> None:
        part.write_text(text[:-1])
        both_half_way.wait()
        part.write_text(text)

    def write(text: str) -> None:
        write_whole(tmp_path / "file", lambda part: save(part, text))

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert contents(tmp_path)["file"] in texts
    assert len(contents(tmp_path)) == 1


def test_files_that_count_together(tmp_path: Path) -> None:
    """All are replaced; what else is in the folder stays."""
    (tmp_path / "card").write_text("mine")
    write_both(tmp_path, "old")
    write_both(tmp_path, "new")

    assert contents(tmp_path) == {"card": "mine", "weights": "new", "config": "new"}


def test_an_error_leaves_all_of_the_old_files(tmp_path: Path) -> None:
    """The second file fails: the first, though written, has not taken its place."""
    write_both(tmp_path, "old")

    with pytest.raises(OSError, match="disk full"):
        write_together(tmp_path, {"weights": lambda part: part.write_text("new"), "config": fail})

    assert contents(tmp_path) == {"weights": "old", "config": "old"}


@pytest.mark.parametrize("killed_at", ["weights", "config"])
def test_no_new_file_beside_an_old_last_one(killed_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the renames leaves the last file missing."""
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == killed_at:
            raise OSError("killed")
        return replace(self, target)

    write_both(tmp_path, "old")
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(OSError, match="killed"):
        write_both(tmp_path, "new")

    assert contents(tmp_path) == {"weights": "old" if killed_at == "weights" else "new"}


def test_replace_folder(tmp_path: Path) -> None:
    """The new folder takes the place of the old one, whose files go."""
    for name in ("old", "new"):
        with replace_folder(tmp_path / "a" / "last") as folder:
            (folder / name).write_text(name)

    assert contents(tmp_path / "a" / "last") == {"new": "new"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["last"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    """Nothing of the new one stays: a full disk needs the space."""
    with replace_folder(tmp_path / "last") as folder:
        (folder / "file").write_text("old")

    with pytest.raises(OSError, match="disk full"), replace_folder(tmp_path / "last") as folder:
        fail(folder / "file")

    assert contents(tmp_path / "last") == {"file": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_every_file_of_a_folder_is_flushed_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of folders in it too."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append((tmp_path / "last").exists()))

    with replace_folder(tmp_path / "last") as folder:
        (folder / "a").touch()
        (folder / "b").mkdir()
        (folder / "b" / "c").touch()

    assert seen == [False, False]


def test_a_crash_between_the_renames_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are whole beside the free name; the next write is not disturbed and clears them away."""
    new, old = interrupted_names(tmp_path / "last")
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self == new:
            raise OSError("killed")
        return replace(self, target)

    with replace_folder(tmp_path / "last") as folder:
        (folder / "file").write_text("1")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(OSError, match="killed"), replace_folder(tmp_path / "last") as folder:
            (folder / "file").write_text("2")

    assert not (tmp_path / "last").exists()
    assert (contents(new), contents(old)) == ({"file": "2"}, {"file": "1"})

    with replace_folder(tmp_path / "last") as folder:
        assert contents(folder) == {}
        assert contents(old) == {"file": "1"}
        (folder / "file").write_text("3")

    assert contents(tmp_path / "last") == {"file": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_created_folder_appears_whole(tmp_path: Path) -> None:
    """Nothing has the name before the end; folders on the way are made, and an empty one may be there."""
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "deep" / "new", tmp_path / "empty"):
        with create_folder(target) as folder:
            (folder / "file").write_text("1")
            assert not (target / "file").exists()

        assert contents(target) == {"file": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


def test_a_folder_whose_creation_fails_is_not_there(tmp_path: Path) -> None:
    """An error leaves neither the folder nor what was written of it."""
    with pytest.raises(OSError, match="disk full"), create_folder(tmp_path / "new") as folder:
        fail(folder / "file")

    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_not_created(tmp_path: Path) -> None:
    """A folder with content and a file stay as they are; so does what came there in the meantime."""
    write_text(tmp_path / "full" / "file", "old")
    for taken in (tmp_path / "full", tmp_path / "full" / "file"):
        with pytest.raises(FileExistsError, match="expected a new or an empty folder"), create_folder(taken):
            pytest.fail("nothing is written")
    with pytest.raises(FileExistsError, match="expected a new"), create_folder(tmp_path / "late"):
        write_text(tmp_path / "late" / "file", "theirs")

    assert contents(tmp_path / "full") == {"file": "old"}
    assert contents(tmp_path / "late") == {"file": "theirs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "late"]
