"""Atomic writes of files and folders.

One rule for all of them: content is written under a temporary name, flushed to the disk, and only then renamed. So
after an error, a kill or a power cut, a reader finds all of the new content or all of the old.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

Save: TypeAlias = Callable[[Path], object]


def write_whole(path: Path, save: Save, *, sync: bool = True) -> None:
    """Write a file as a whole; folders on the way are made.

    Processes and threads may write the same file at once: one of them wins.

    Args:
        path: of the file.
        save: writes the content to the path that it is called with.
        sync: flush to the disk. Without, a power cut may leave an empty file: for results in great number that
            are made again where they are missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:
        _save(part, save, sync=sync)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write a text file as a whole, in UTF-8; see `write_whole`."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), sync=sync)


def write_together(folder: Path, files: Mapping[str, Save]) -> None:
    """Write files of a folder that count together; other files in it stay.

    A reader finds all of the new files, all of the old, or the last one missing: the one by which it knows that the
    others are there.

    Args:
        folder: made where it is missing.
        files: what saves each, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {folder / name: _part(folder / name) for name in files}
    try:
        for part, save in zip(parts.values(), files.values(), strict=True):
            _save(part, save, sync=True)
        list(parts)[-1].unlink(missing_ok=True)  # never new files beside an old last one
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into that takes the place of ``folder`` at the end, or is removed after an error.

    For one writer at a time. A crash between the two renames leaves the name free, and both folders whole under the
    names of `interrupted_names`.
    """
    new, old = interrupted_names(folder)
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        yield new
        _sync_all(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)  # a full disk needs the space
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
    new.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into that gets the name ``folder`` at the end, or is removed after an error.

    Raises:
        FileExistsError: if the name is taken, by anything but an empty folder; before anything is written, too.
    """
    check_free(folder)
    part = _part(folder)
    try:
        part.mkdir(parents=True)
        yield part
        _sync_all(part)
        check_free(folder)
        if folder.is_dir():
            folder.rmdir()
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Raise FileExistsError unless a name is free for a new folder: nothing is there, or an empty folder."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise FileExistsError(f"{folder}: expected a new or an empty folder, found one that holds files, or a file")


def interrupted_names(folder: Path) -> tuple[Path, Path]:
    """Return where a crash in `replace_folder` leaves the new folder, which may be unfinished, and the old one."""
    return folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _save(part: Path, save: Save, *, sync: bool) -> None:
    part.touch()
    mode = part.stat().st_mode
    save(part)
    part.chmod(mode)  # safetensors lets only the owner read its files
    if sync:
        _sync(part)


def _sync(file: Path) -> None:
    with file.open("rb+") as written:  # Windows flushes only what may be written
        os.fsync(written.fileno())


def _sync_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            _sync(file)
