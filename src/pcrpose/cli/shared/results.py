"""Results of commands: where they may be written, and the folder that holds those of many images."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

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


@dataclass(frozen=True, kw_only=True)
class ResultsFolder:
    """The results of many images: per image a drawing and a JSON record, and the settings they were made with.

    A record is written last, so an image with a record is done. It names its image by a path relative to itself.

    Attributes:
        folder: where everything lies; made with the first result.
        settings: everything the results depend on, in words and numbers.
        suffix: of the drawings, ``"jpg"`` or ``"png"``; None for none.
        overwrite: make everything anew, whatever is there.
    """

    folder: Path
    settings: Mapping[str, Any]
    suffix: str | None
    overwrite: bool

    def record(self, file: ImageFile) -> Path:
        """Return the path of an image's JSON record."""
        return self.folder / f"{file.name}.json"

    def drawing(self, file: ImageFile) -> Path | None:
        """Return the path of the drawn image; None where nothing is drawn."""
        return None if self.suffix is None else self.folder / f"{file.name}.{self.suffix}"

    def targets(self, file: ImageFile) -> list[Path]:
        """Return the paths of all results of an image."""
        return [target for target in (self.drawing(file), self.record(file)) if target is not None]

    def left_to_do(self, files: Sequence[ImageFile], *, again: bool = False) -> list[ImageFile]:
        """Return the images that were not done with these settings, or have changed since.

        Args:
            files: all of them, for no result may take the place of one.
            again: return all.

        Raises:
            ValueError: if a result would take the place of an image or, without `overwrite`, of something that was
                made with other settings, of another image, or by something else.
        """
        sources = {os.path.realpath(file.path) for file in files}
        for file in files:
            for target in self.targets(file):
                if os.path.realpath(target) in sources:
                    raise ValueError(f"{target} is one of the images; choose another --out or --format")
        if self.overwrite:
            return list(files)
        if not (self.folder / SETTINGS_FILE).exists():
            self._refuse_foreign(files)
            return list(files)
        self._check_settings()
        return [file for file in files if not self._is_done(file) or again]

    def save(self, file: ImageFile, size: Size, poses: Poses, drawn: PIL.Image.Image | None) -> None:
        """Write the results of one image; the record comes last and says that all is there."""
        settings_file = self.folder / SETTINGS_FILE
        if not settings_file.exists() or (self.overwrite and _read(settings_file) != self.settings):
            write_text(settings_file, json.dumps(self.settings, indent=2) + "\n")
        if (drawing := self.drawing(file)) is not None and drawn is not None and self.suffix is not None:
            options = FORMATS[self.suffix]
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

    def _check_settings(self) -> None:
        there = _read(self.folder / SETTINGS_FILE)
        changes = [
            f"{key} was {there.get(key)!r}, is {self.settings.get(key)!r}"
            for key in dict.fromkeys([*self.settings, *there])
            if there.get(key) != self.settings.get(key)
        ]
        if changes:
            raise ValueError(
                f"{self.folder} was made with other settings: {'; '.join(changes)}; "
                "choose another --out, or --overwrite to make the results anew"
            )

    def _is_done(self, file: ImageFile) -> bool:
        record = self.record(file)
        if not record.exists():
            return False
        content = _read(record)
        link = record.parent / str(content.get("image"))
        if "poses" not in content or os.path.realpath(link) != os.path.realpath(file.path):
            raise ValueError(f"{record} is not of {file.path}; choose another --out, or --overwrite")
        whole = all(target.exists() for target in self.targets(file))
        fresh = record.stat().st_mtime_ns >= file.path.stat().st_mtime_ns
        return whole and fresh and content.get("settings") == self._mark

    def _refuse_foreign(self, files: Sequence[ImageFile]) -> None:
        for target in (target for file in files for target in self.targets(file)):
            if target.exists():
                raise ValueError(
                    f"{target} is there, and not made by pcrpose predict; choose another --out, or --overwrite"
                )


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
