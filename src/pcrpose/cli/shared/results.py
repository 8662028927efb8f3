"""Results of commands: where they may be written, and the folder that holds those of many images."""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from pcrpose.cli.shared.inputs import ImageFile
from pcrpose.files.atomic import write_text, write_whole
from pcrpose.files.digest import short_text_digest
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.poses import Poses

SETTINGS_NAME = "predict"
SETTINGS_FILE = f"{SETTINGS_NAME}.json"
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 92},
    "png": {"format": "PNG", "compress_level": 3},  # a third of the usual time for a tenth more bytes
}
_SIGN = "drawn by pcrpose predict"  # in a drawing's metadata: what carries it may be drawn anew
_MOST_NAMES = 10_000  # tried for one image


def free_names(
    files: Sequence[ImageFile], folder: Path, *, suffix: str | None, overwrite: bool = False
) -> list[ImageFile]:
    """Number the images whose results would take the place of something else: a, a-2, a-3.

    An image keeps the name under which its results are there already. So the same images always get the same names.

    Args:
        files: all of them, named as their results should be.
        folder: of the results.
        suffix: of the drawings; None for none.
        overwrite: take the place of whatever is there, but for the images themselves.
    """
    sources = {os.path.realpath(file.path) for file in files}
    named, taken = [], {file.name.casefold() for file in files}
    for file in files:
        for number in range(1, _MOST_NAMES):
            name = file.name if number == 1 else f"{file.name}-{number}"
            if number > 1 and name.casefold() in taken:
                continue
            record, drawing = _targets(folder, name, suffix)
            if _is_free(record, drawing, file, sources, overwrite=overwrite):
                break
        else:
            raise ValueError(f"{folder}: {_MOST_NAMES} results are called {file.name}; choose another --out")
        taken.add(name.casefold())
        named.append(replace(file, name=name))
    return named


def is_drawing(path: Path) -> bool:
    """Return whether a record lies beside an image that says that the image was drawn from another."""
    record = path.with_suffix(".json")
    return record.is_file() and not _is_of(record, path) and _is_record(_read(record))


def _is_free(record: Path, drawing: Path | None, file: ImageFile, sources: set[str], *, overwrite: bool) -> bool:
    if drawing is not None and os.path.realpath(drawing) in sources:
        return False
    if overwrite:
        return True
    if record.exists():
        return _is_of(record, file.path)
    return drawing is None or not drawing.exists() or _has_sign(drawing)


def _targets(folder: Path, name: str, suffix: str | None) -> tuple[Path, Path | None]:
    """Return the paths of an image's record and of its drawing."""
    return folder / f"{name}.json", None if suffix is None else folder / f"{name}.{suffix}"


def _is_record(content: Mapping[str, Any]) -> bool:
    return {"image", "poses"} <= set(content)


def _is_of(record: Path, image: Path) -> bool:
    """Return whether a file is the record of an image."""
    content = _read(record)
    link = record.parent / str(content.get("image"))
    return _is_record(content) and os.path.realpath(link) == os.path.realpath(image)


def _has_sign(drawing: Path) -> bool:
    try:
        with PIL.Image.open(drawing) as image:
            return _SIGN in {image.info.get("comment", b"").decode(errors="replace"), image.info.get("Software")}
    except (OSError, ValueError, SyntaxError, AttributeError):
        return False


@dataclass(frozen=True, kw_only=True)
class ResultsFolder:
    """The results of many images: per image a drawing and a JSON record, and the settings they were made with.

    A record is written last, so an image with a record is done. It names its image by a path relative to itself.
    The images are those of `free_names`, so that nothing of anybody else's is replaced.

    Attributes:
        folder: where everything lies; made with the first result.
        settings: everything the results depend on, in words and numbers.
        suffix: of the drawings, ``"jpg"`` or ``"png"``; None for none.
        overwrite: make everything anew.
    """

    folder: Path
    settings: Mapping[str, Any]
    suffix: str | None
    overwrite: bool

    def record(self, file: ImageFile) -> Path:
        """Return the path of an image's JSON record."""
        return _targets(self.folder, file.name, self.suffix)[0]

    def drawing(self, file: ImageFile) -> Path | None:
        """Return the path of the drawn image; None where nothing is drawn."""
        return _targets(self.folder, file.name, self.suffix)[1]

    def targets(self, file: ImageFile) -> list[Path]:
        """Return the paths of all results of an image."""
        return [target for target in (self.drawing(file), self.record(file)) if target is not None]

    def left_to_do(self, files: Sequence[ImageFile], *, again: bool = False) -> list[ImageFile]:
        """Return the images that were not done with these settings, or have changed since.

        Args:
            files: all of them.
            again: return all.

        Raises:
            ValueError: if the file of settings is something else, unless `overwrite`.
        """
        there = self._settings_there()
        if (self.folder / SETTINGS_FILE).exists() and not (self.overwrite or set(there) & set(self.settings)):
            raise ValueError(
                f"{self.folder / SETTINGS_FILE} is there, and not made by pcrpose predict; choose another --out, "
                "or --overwrite"
            )
        return [file for file in files if self.overwrite or again or not self._is_done(file)]

    def changes(self) -> list[str]:
        """Return in words how these settings differ from those that the folder was made with before."""
        there = self._settings_there()
        keys = dict.fromkeys([*self.settings, *there]) if there else {}
        return [
            f"{key} was {there.get(key)!r}, is {self.settings.get(key)!r}"
            for key in keys
            if there.get(key) != self.settings.get(key)
        ]

    def made_otherwise(self, files: Iterable[ImageFile]) -> int:
        """Count the images whose results were made with other settings."""
        records = [self.record(file) for file in files]
        return sum(record.exists() and _read(record).get("settings") != self._mark for record in records)

    def save(self, file: ImageFile, size: Size, poses: Poses, drawn: PIL.Image.Image | None) -> None:
        """Write the results of one image; the record comes last and says that all is there."""
        if self._settings_there() != self.settings:
            write_text(self.folder / SETTINGS_FILE, json.dumps(self.settings, indent=2) + "\n")
        if (drawing := self.drawing(file)) is not None and drawn is not None and self.suffix is not None:
            options = {**FORMATS[self.suffix], **_signed(self.suffix)}
            write_whole(drawing, lambda part: drawn.save(part, **options), sync=False)
        record = self.record(file)
        content = {
            "image": _link(file.path, record),
            "width": size.width,
            "height": size.height,
            "settings": self._mark,
            "poses": poses.to_dict(),
        }
        write_text(record, json.dumps(content, allow_nan=False), sync=False)

    @property
    def _mark(self) -> str:
        return short_text_digest(json.dumps(self.settings, sort_keys=True))

    def _settings_there(self) -> dict[str, Any]:
        file = self.folder / SETTINGS_FILE
        return _read(file) if file.is_file() else {}

    def _is_done(self, file: ImageFile) -> bool:
        record = self.record(file)
        if not record.exists():
            return False
        whole = all(target.exists() for target in self.targets(file))
        fresh = record.stat().st_mtime_ns >= file.path.stat().st_mtime_ns
        return whole and fresh and _read(record).get("settings") == self._mark


def _signed(suffix: str) -> dict[str, Any]:
    """Return the options with which Pillow writes the sign."""
    if suffix == "jpg":
        return {"comment": _SIGN.encode()}
    text = PngInfo()
    text.add_text("Software", _SIGN)
    return {"pnginfo": text}


def _link(file: Path, record: Path) -> str:
    """Write an image's path relative to its record, so that both can be moved together."""
    try:
        return Path(os.path.relpath(os.path.realpath(file), os.path.realpath(record.parent))).as_posix()
    except ValueError:  # another drive of Windows
        return file.resolve().as_posix()


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where the file holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def new_file(text: str) -> Path:
    """Read the path of a file to write, which may be there already; ``~`` is the home folder."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected the name of a file to write, found a folder")
    _check_place(path.parent, text)
    return path


def new_folder(text: str) -> Path:
    """Read the path of a folder to write into, which is made if it is missing; ``~`` is the home folder."""
    path = Path(text).expanduser()
    _check_place(path, text)
    return path


def _check_place(folder: Path, text: str) -> None:
    """Raise unless a folder is there, or can be made, and written into."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected a folder to write into, found the file {there}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{text}: nothing can be written into {there}")
