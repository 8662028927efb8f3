"""Image checks: entries and files of an annotation file's images, and images shared with another file."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pcrpose.data.images import ImageError, image_size, open_image
from pcrpose.data.readers.coco import Record
from pcrpose.data.readers.coco_file import AnnotationFile, ImageFile
from pcrpose.data.readers.findings import Findings, found
from pcrpose.data.readers.json_file import record_size
from pcrpose.keypoints.boxes import Size

_ENDINGS = (b"\xff\xd9", b"IEND")  # of a whole JPEG, of a whole PNG
_TAIL_BYTES = 64


def check_images(file: AnnotationFile, images: Path | None) -> Findings:
    """Check the entries of the images and, where their folder is given, their files."""
    lacking = [
        f"{name_of(image)}: {', '.join(missing)}" for image in file.images if (missing := _missing_fields(image))
    ]
    do = "give every image an id, a file_name, and its width and height in whole pixels"
    yield from found("error", "image_fields", "images with missing or wrong fields", do, lacking)
    ids = [str(image["id"]) for image in file.images if "id" in image]
    do = "number the images anew, in the annotations too"
    yield from found("error", "image_ids", "image ids that come twice", do, _repeated(ids))
    names = [str(image["file_name"]) for image in file.images if "file_name" in image]
    do = "list each image once, with all its persons"
    yield from found("warning", "image_names", "images that are listed twice", do, _repeated(names))
    if images is not None:
        yield from _check_files(file.image_files(images), images)


def name_of(image: Record) -> str:
    """Return the name of an image for messages."""
    return str(image.get("file_name", f"image {image.get('id', 'without id')}"))


def _missing_fields(image: Record) -> list[str]:
    missing = [] if isinstance(image.get("id"), int | str) else ["id"]
    if not isinstance(image.get("file_name"), str):
        missing.append("file_name")
    return missing if record_size(image) is not None else [*missing, "width and height"]


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _check_files(files: list[ImageFile], images: Path) -> Findings:
    troubles: dict[str, list[str]] = defaultdict(list)
    for record, path in files:
        kind, detail = _trouble(path, record_size(record))
        troubles[kind].append(name_of(record) + detail)
    kinds = {
        "missing": ("image_files", "image files that are missing", _where_they_are(troubles["missing"], images)),
        "unreadable": ("image_files", "files that are no images", "replace them, or take them out of the list"),
        "broken": ("image_files", "images that are cut off or damaged", "replace them, or take them out"),
        "swapped": (
            "image_sizes",
            "images whose width and height are swapped",
            "swap them in the file; images are read upright, as their EXIF orientation says",
        ),
        "resized": (
            "image_sizes",
            "images of another size than stated",
            "were they resized? then scale boxes and keypoints, and correct the sizes (here height x width)",
        ),
    }
    for kind, (check, what, do) in kinds.items():
        yield from found("error", check, what, do, troubles[kind], total=len(files))


def _trouble(path: Path, stated: Size | None) -> tuple[str, str]:
    """Return the kind of problem of an image file, and a detail; empty strings where there is none."""
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
    """Return whether a file ends as its format does, which costs little; only others have to be decoded."""
    with path.open("rb") as stream:
        stream.seek(-min(_TAIL_BYTES, path.stat().st_size), 2)
        tail = stream.read()
    return any(ending in tail for ending in _ENDINGS)


def _where_they_are(missing: list[str], images: Path) -> str:
    """Return advice on missing files, guessed from the first: how its name and the folder fit together."""
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
    """Check that two files share no images, such as those to train and those to validate on.

    With both folders, files are compared byte by byte, whatever their names. Without them, names are compared.
    """
    if images is not None and other_images is not None:
        shared = list(_same_bytes(file.image_files(images), other.image_files(other_images)))
        do = f"take them out of one; metrics on images that were trained on say nothing ({other.name})"
        yield from found("error", "shared_images", "images that the other file has too", do, shared)
        return
    numbers = {name_of(image): image.get("id") for image in other.images}
    named = [image for image in file.images if name_of(image) in numbers]
    same = [name_of(image) for image in named if image.get("id") == numbers[name_of(image)]]
    do = f"take them out of one, or give both folders to compare the files themselves ({other.name})"
    yield from found("error", "shared_images", "images with name and id of the other file's", do, same)
    alike = [name_of(image) for image in named if name_of(image) not in set(same)]
    do = f"give both folders to compare the files themselves ({other.name})"
    yield from found("warning", "shared_images", "images named like the other file's", do, alike)


def _same_bytes(files: list[ImageFile], others: list[ImageFile]) -> Iterator[str]:
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
