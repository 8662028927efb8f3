"""The pictures of an annotation file: their entries, their files, and whether another file shares them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pcrpose.data.coco import Record
from pcrpose.data.doctor.annotation_file import AnnotationFile, Records
from pcrpose.data.doctor.findings import Findings, found
from pcrpose.data.formats.json_file import is_finite
from pcrpose.data.images import ImageError, image_size, open_image
from pcrpose.keypoints.boxes import Size

_ENDINGS = (b"\xff\xd9", b"IEND")  # of a whole JPEG, of a whole PNG
_TAIL_BYTES = 64


class PictureFile(NamedTuple):
    """A picture's entry and where its file should be."""

    record: Record
    path: Path


def check_pictures(file: AnnotationFile, images: Path | None) -> Findings:
    """Look at the entries of the pictures and, where their folder is given, at their files."""
    lacking = [
        f"{name_of(picture)}: {', '.join(missing)}"
        for picture in file.pictures
        if (missing := _missing_fields(picture))
    ]
    do = "give every picture an id, a file_name, and its width and height in whole pixels"
    yield from found("error", "picture_fields", "pictures with missing or wrong fields", do, lacking)
    ids = [str(picture["id"]) for picture in file.pictures if "id" in picture]
    do = "number the pictures anew, in the annotations too"
    yield from found("error", "picture_ids", "picture ids that come twice", do, _repeated(ids))
    names = [str(picture["file_name"]) for picture in file.pictures if "file_name" in picture]
    do = "list each picture once, with all its persons"
    yield from found("warning", "picture_names", "pictures that are listed twice", do, _repeated(names))
    if images is not None:
        yield from _check_files(picture_files(file.pictures, images), images)


def name_of(picture: Record) -> str:
    """Give what a picture is called in messages."""
    return str(picture.get("file_name", f"picture {picture.get('id', 'without id')}"))


def picture_files(pictures: Records, images: Path) -> list[PictureFile]:
    """Join the folder and the names, each file once."""
    named = {str(picture["file_name"]): picture for picture in pictures if isinstance(picture.get("file_name"), str)}
    return [PictureFile(picture, images / name) for name, picture in named.items()]


def record_size(picture: Record) -> Size | None:
    """Read a picture's size from its entry; None where there is no usable one."""
    width, height = picture.get("width"), picture.get("height")
    if not all(is_finite(length) and length >= 1 and length == int(length) for length in (width, height)):
        return None
    return Size(width=int(width or 0), height=int(height or 0))


def _missing_fields(picture: Record) -> list[str]:
    missing = [] if isinstance(picture.get("id"), int | str) else ["id"]
    if not isinstance(picture.get("file_name"), str):
        missing.append("file_name")
    return missing if record_size(picture) is not None else [*missing, "width and height"]


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _check_files(files: list[PictureFile], images: Path) -> Findings:
    troubles: dict[str, list[str]] = defaultdict(list)
    for record, path in files:
        kind, detail = _trouble(path, record_size(record))
        troubles[kind].append(name_of(record) + detail)
    kinds = {
        "missing": ("picture_files", "picture files that are missing", _where_they_are(troubles["missing"], images)),
        "unreadable": ("picture_files", "files that are no pictures", "replace them, or take them out of the list"),
        "broken": ("picture_files", "pictures that are cut off or damaged", "replace them, or take them out"),
        "swapped": (
            "picture_sizes",
            "pictures whose width and height are swapped",
            "swap them in the file; pictures are read upright, as their EXIF orientation says",
        ),
        "resized": (
            "picture_sizes",
            "pictures of another size than stated",
            "were they resized? then scale boxes and keypoints, and correct the sizes (here height x width)",
        ),
    }
    for kind, (check, what, do) in kinds.items():
        yield from found("error", check, what, do, troubles[kind], total=len(files))


def _trouble(path: Path, stated: Size | None) -> tuple[str, str]:
    """Say what is wrong with a picture's file, and a detail; the empty string where nothing is."""
    try:
        real = image_size(path)
    except FileNotFoundError:
        return "missing", ""
    except (ValueError, OSError):
        return "unreadable", ""
    try:
        if not _looks_whole(path):
            open_image(path)
    except ImageError:
        return "broken", ""
    if stated is None or stated == real:
        return "", ""
    turned = (stated.width, stated.height) == (real.height, real.width)
    return "swapped" if turned else "resized", f" says {stated}, is {real}"


def _looks_whole(path: Path) -> bool:
    """Tell cheaply whether a file ends as its kind does; what does not is worth decoding."""
    with path.open("rb") as stream:
        stream.seek(-min(_TAIL_BYTES, path.stat().st_size), 2)
        tail = stream.read()
    return any(ending in tail for ending in _ENDINGS)


def _where_they_are(missing: list[str], images: Path) -> str:
    """Guess from the first missing file how names and folder fit together."""
    if missing and not images.is_dir():
        return f"there is no folder {images}"
    for name in missing[:1]:
        parts = Path(name).parts
        for start in range(1, len(parts)):
            if images.joinpath(*parts[start:]).is_file():
                return f"leave {Path(*parts[:start]).as_posix()}/ out of file_name"
        for path in (images.parent / name, *images.glob(f"*/{_literal(parts[-1])}")):
            if path.is_file():
                return f"{path.name} lies in {path.parent}: give that folder"
    return "give the folder that they are in, or take them and their persons out"


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def check_shared(
    file: AnnotationFile, images: Path | None, other: AnnotationFile, other_images: Path | None
) -> Findings:
    """Look for pictures that two files share, such as those to train and those to validate on.

    With both folders, files count that are the same byte by byte, whatever they are called. Without them names do.
    """
    if images is not None and other_images is not None:
        shared = list(_same_bytes(picture_files(file.pictures, images), picture_files(other.pictures, other_images)))
        do = f"take them out of one; figures on pictures that were trained on say nothing ({other.name})"
        yield from found("error", "shared_pictures", "pictures that the other file has too", do, shared)
        return
    numbers = {name_of(picture): picture.get("id") for picture in other.pictures}
    named = [picture for picture in file.pictures if name_of(picture) in numbers]
    same = [name_of(picture) for picture in named if picture.get("id") == numbers[name_of(picture)]]
    do = f"take them out of one, or give both folders to compare the files themselves ({other.name})"
    yield from found("error", "shared_pictures", "pictures with name and id of the other file's", do, same)
    alike = [name_of(picture) for picture in named if name_of(picture) not in set(same)]
    do = f"give both folders to compare the files themselves ({other.name})"
    yield from found("warning", "shared_pictures", "pictures named like the other file's", do, alike)


def _same_bytes(files: list[PictureFile], others: list[PictureFile]) -> Iterator[str]:
    """Yield the pairs of files with the same content; only files of equal length are read."""
    by_length: dict[int, list[Path]] = defaultdict(list)
    for _, path in others:
        if path.is_file():
            by_length[path.stat().st_size].append(path)
    digests: dict[Path, bytes] = {}
    for record, path in files:
        rivals = by_length.get(path.stat().st_size, []) if path.is_file() else []
        twin = next((rival for rival in rivals if _digest(rival, digests) == _digest(path, digests)), None)
        if twin is not None:
            yield name_of(record) if twin.name == path.name else f"{name_of(record)} is {twin.name}"


def _digest(path: Path, known: dict[Path, bytes]) -> bytes:
    if path not in known:
        with path.open("rb") as stream:
            known[path] = hashlib.file_digest(stream, "sha256").digest()
    return known[path]
