"""The folder of results: what is there already, whose it is, and what is written when."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from pcrpose.cli.marks import mark_of_text
from pcrpose.cli.pictures import Picture
from pcrpose.data.whole_file import write_text, write_whole
from pcrpose.inference.places import picture_size
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses

SETTINGS_NAME = "predict"
SETTINGS_FILE = f"{SETTINGS_NAME}.json"
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 92},
    "png": {"format": "PNG", "compress_level": 3},  # a third of the usual time for a tenth more bytes
}


@dataclass(frozen=True, kw_only=True)
class ResultsFolder:
    """The results of many pictures: a drawing and a JSON record each, and the settings they were made with.

    A record is written last, so a picture with a record is done. It names its picture by a path relative to itself.

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

    def record(self, picture: Picture) -> Path:
        """Name the JSON file of a picture."""
        return self.folder / f"{picture.name}.json"

    def drawing(self, picture: Picture) -> Path | None:
        """Name the drawn picture."""
        return None if self.suffix is None else self.folder / f"{picture.name}.{self.suffix}"

    def targets(self, picture: Picture) -> list[Path]:
        """Name all files of a picture."""
        return [target for target in (self.drawing(picture), self.record(picture)) if target is not None]

    def left_to_do(self, pictures: Sequence[Picture], *, again: bool = False) -> list[Picture]:
        """Leave out the pictures that were done with these settings and have not changed since.

        Args:
            pictures: all of them, for no result may take the place of one.
            again: leave out none.

        Raises:
            ValueError: if a result would take the place of a picture or, without `overwrite`, of something that was
                made with other settings, of another picture, or by something else.
        """
        sources = {os.path.realpath(picture.path) for picture in pictures}
        for picture in pictures:
            for target in self.targets(picture):
                if os.path.realpath(target) in sources:
                    raise ValueError(f"{target} is one of the pictures; choose another --out or --format")
        if self.overwrite:
            return list(pictures)
        if not (self.folder / SETTINGS_FILE).exists():
            self._refuse_foreign(pictures)
            return list(pictures)
        self._check_settings()
        return [picture for picture in pictures if not self._is_done(picture) or again]

    def save(self, picture: Picture, image: Image, poses: Poses, drawn: PIL.Image.Image | None) -> None:
        """Write the results of one picture; the record comes last and says that all is there."""
        settings_file = self.folder / SETTINGS_FILE
        if not settings_file.exists() or (self.overwrite and _read(settings_file) != self.settings):
            write_text(settings_file, json.dumps(self.settings, indent=2) + "\n")
        if (drawing := self.drawing(picture)) is not None and drawn is not None and self.suffix is not None:
            options = FORMATS[self.suffix]
            write_whole(drawing, lambda part: drawn.save(part, **options))
        record, size = self.record(picture), picture_size(image)
        content = {
            "image": _link(picture.path, record),
            "width": size.width,
            "height": size.height,
            "settings": self._mark,
            "poses": poses.to_dict(),
        }
        write_text(record, json.dumps(content, allow_nan=False))

    @property
    def _mark(self) -> str:
        return mark_of_text(json.dumps(self.settings, sort_keys=True))

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

    def _is_done(self, picture: Picture) -> bool:
        record = self.record(picture)
        if not record.exists():
            return False
        content = _read(record)
        link = record.parent / str(content.get("image"))
        if "poses" not in content or os.path.realpath(link) != os.path.realpath(picture.path):
            raise ValueError(f"{record} is not of {picture.path}; choose another --out, or --overwrite")
        whole = all(target.exists() for target in self.targets(picture))
        fresh = record.stat().st_mtime_ns >= picture.path.stat().st_mtime_ns
        return whole and fresh and content.get("settings") == self._mark

    def _refuse_foreign(self, pictures: Sequence[Picture]) -> None:
        for target in (target for picture in pictures for target in self.targets(picture)):
            if target.exists():
                raise ValueError(
                    f"{target} is there, and not made by pcrpose predict; choose another --out, or --overwrite"
                )


def _link(picture: Path, record: Path) -> str:
    """Write a picture's path relative to its record, so that both can be moved together."""
    try:
        return Path(os.path.relpath(os.path.realpath(picture), os.path.realpath(record.parent))).as_posix()
    except ValueError:  # another drive of Windows
        return picture.resolve().as_posix()


def _read(path: Path) -> dict[str, Any]:
    """Read an object; what is none of ours comes out empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
