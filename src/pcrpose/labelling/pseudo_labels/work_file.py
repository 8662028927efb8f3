"""Work files of pseudo-label runs: predictions so far, one line per image, and the shard of images they are of.

Lines are in an order that is fixed beforehand and are written a chunk at a time. A run that was stopped goes on after
the last whole chunk, so every image shares its batches with the same others and the file comes out byte for byte
as if nothing had happened.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pcrpose.keypoints.skeleton import Skeleton

Record: TypeAlias = Mapping[str, Any]

CHUNK_IMAGES = 8
FORMAT = "pcrpose pseudo-label work"
VERSION = 1
_OLD_KEYS = {"pictures": "images"}


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of several equal shards of the work, for one process.

    Attributes:
        number: which one, from 1.
        count: how many there are.

    Raises:
        ValueError: if there is no such shard.

    Examples:
        >>> print(Shard.parse("2/4"))
        2/4
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"shard: expected 1/N to N/N, found {self}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``NUMBER/COUNT``; raises ValueError for anything else."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise ValueError(f"shard: expected NUMBER/COUNT such as 2/4, found {text!r}")
        return cls(number=int(number), count=int(count))

    def chunks(self, images: int) -> list[range]:
        """Deal out ``images`` in chunks of neighbors, so that shards do not change who is predicted with whom."""
        starts = range(0, images, CHUNK_IMAGES)[self.number - 1 :: self.count]
        return [range(start, min(start + CHUNK_IMAGES, images)) for start in starts]


@dataclass(frozen=True, kw_only=True)
class WorkHeader:
    """The first line of a work file.

    Attributes:
        settings: everything that the predictions depend on; shards of one run agree in it.
        skeleton: of the keypoints.
        images: how many there are, those of the other shards included.
        shard: which shard this is.
    """

    settings: Record
    skeleton: Skeleton
    images: int
    shard: Shard

    def line(self) -> bytes:
        """Write as a line of JSON."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "shard": str(self.shard),
            "images": self.images,
            "skeleton": self.skeleton.to_dict(),
            "settings": self.settings,
        }
        return _line(content)

    @classmethod
    def parse(cls, line: bytes, path: Path) -> "WorkHeader":
        """Read a line; raises ValueError if it is of something else, naming the file."""
        content = _parse(line)
        if content is None or content.get("format") != FORMAT or content.get("version") != VERSION:
            raise ValueError(f"{path}: expected a work file of pseudo-labels, version {VERSION}, found {line[:60]!r}")
        content = _renamed(content) | {"settings": _renamed(content["settings"])}
        return cls(
            settings=content["settings"],
            skeleton=Skeleton.from_dict(content["skeleton"]),
            images=content["images"],
            shard=Shard.parse(content["shard"]),
        )

    def differences(self, other: "WorkHeader") -> list[str]:
        """Return what makes the predictions of two headers incomparable."""
        mine, others = ({**header.settings, "skeleton": header.skeleton.to_dict()} for header in (self, other))
        return [
            f"{key}: {mine.get(key)} and {others.get(key)}"
            for key in dict.fromkeys([*mine, *others])
            if mine.get(key) != others.get(key)
        ]


class Work(NamedTuple):
    """A whole shard of the work.

    Attributes:
        header: see `WorkHeader`.
        records: one per image, with its number among all images as ``index``.
    """

    header: WorkHeader
    records: list[dict[str, Any]]


class WorkFile:
    """A work file that is being written.

    Args:
        path: of the file; made where it does not exist.
        header: of the run. A file that is there must have the same one.

    Attributes:
        chunks: of images that are left to do.
        done: how many images were done before.

    Raises:
        ValueError: if the file is of something else, was made with other settings, or is damaged elsewhere than at
            its end; a line that was cut off there by a crash is done again.
    """

    def __init__(self, path: str | Path, header: WorkHeader) -> None:
        self.path = Path(path)
        chunks = header.shard.chunks(header.images)
        lines = self._begin(header)
        whole, self.done = 0, 0
        for chunk in chunks:
            if self.done + len(chunk) > len(lines) - 1:
                break
            whole, self.done = whole + 1, self.done + len(chunk)
        self.chunks = chunks[whole:]
        _check(self.path, lines[1 : self.done + 1], chunks[:whole])
        self._length = sum(map(len, lines[: self.done + 1]))
        os.truncate(self.path, self._length)

    def append(self, records: Iterable[Record]) -> None:
        """Add the records of a chunk, on the disk when this returns.

        Raises:
            ValueError: if a number in a record is not finite.
            OSError: if another process writes into the file too.
        """
        content = b"".join(map(_line, records))
        with self.path.open("ab") as stream:
            if stream.tell() != self._length:
                raise OSError(f"{self.path}: another process writes into it; give each its own --shard, or wait")
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._length += len(content)

    def _begin(self, header: WorkHeader) -> list[bytes]:
        """Read the whole lines that are there, or write the first."""
        lines = _whole_lines(self.path) if self.path.exists() else []
        if not lines:
            _refuse_foreign(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(header.line())
            return [header.line()]
        there = WorkHeader.parse(lines[0], self.path)
        if there.line() != header.line():
            what = [f"shard: {there.shard} and {header.shard}"] * (there.shard != header.shard)
            what += there.differences(header)
            raise ValueError(
                f"{self.path}: was begun with other settings ({'; '.join(what)}); go on with the same, "
                "or delete it to begin anew"
            )
        return lines


def read_work(path: str | Path) -> Work:
    """Read a finished work file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, damaged, or not finished.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such work file")
    lines = _whole_lines(file)
    header = WorkHeader.parse(lines[0] if lines else b"", file)
    chunks = header.shard.chunks(header.images)
    expected = sum(map(len, chunks))
    if len(lines) - 1 != expected:
        raise ValueError(f"{file}: expected {expected} images, found {len(lines) - 1}; the run is not finished")
    return Work(header, _check(file, lines[1:], chunks))


def read_shards(paths: Sequence[str | Path]) -> Work:
    """Read all shards of one run and put them together, images in their order.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a shard is missing, comes twice, is not finished, or was made with other settings.
    """
    works = [read_work(path) for path in paths]
    if not works:
        raise ValueError("expected work files, found none")
    first = works[0].header
    for path, work in zip(paths, works, strict=True):
        if differences := first.differences(work.header):
            raise ValueError(f"{path}: was made with other settings than {paths[0]}: {'; '.join(differences)}")
    found = sorted((work.header.shard.number, work.header.shard.count) for work in works)
    if found != [(number, first.shard.count) for number in range(1, first.shard.count + 1)]:
        shards = ", ".join(f"{number}/{count}" for number, count in found)
        raise ValueError(f"expected each of the {first.shard.count} shards once, found {shards}")
    records = sorted((record for work in works for record in work.records), key=lambda record: int(record["index"]))
    return Work(first, records)


def _line(content: Record) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _renamed(content: Record) -> dict[str, Any]:
    """Return values under the names that version 0.1.0 had others for."""
    return {_OLD_KEYS.get(key, key): value for key, value in content.items()}


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _whole_lines(path: Path) -> list[bytes]:
    """Read the lines that end; what a crash has cut off is left out."""
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _refuse_foreign(path: Path) -> None:
    """Raise ValueError for a file without a line feed that is not the beginning of a work file."""
    content = path.read_bytes() if path.exists() else b""
    start = b'{"format":"' + FORMAT.encode()
    if content[: len(start)] != start[: len(content)]:
        raise ValueError(f"{path}: expected a work file of pseudo-labels, found {content[:60]!r}")


def _check(path: Path, lines: Sequence[bytes], chunks: Sequence[range]) -> list[dict[str, Any]]:
    """Parse the lines of whole chunks; each has to be of the image whose turn it is."""
    records = []
    for number, (line, index) in enumerate(zip(lines, (i for chunk in chunks for i in chunk), strict=True), start=2):
        record = _parse(line)
        if record is None or record.get("index") != index:
            raise ValueError(f"{path}: line {number}: expected the record of image {index}, found {line[:60]!r}")
        records.append(record)
    return records
