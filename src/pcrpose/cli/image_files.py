"""From what a user typed to a list of images, each with the name that its results will bear."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """One image file.

    Attributes:
        path: of the file, as the user gave it or below the folder given.
        name: of its results, without suffix: a relative path with forward slashes, of no other image.
    """

    path: Path
    name: str


def find_images(
    arguments: Sequence[str], *, recursive: bool, outside: Path, reserved: Iterable[str] = ()
) -> list[ImageFile]:
    """Expand files, folders and patterns into images.

    A file is taken whatever its name. Of a folder, and of a pattern such as ``*.jpg``, the files with an image's
    suffix are taken, sorted, without hidden ones. A file that comes twice counts once.

    An image's name is its path without suffix, relative to the deepest folder that holds everything that was given.
    Where two images would share a name, also on a file system that takes ``A`` for ``a``, both keep their suffix.

    Args:
        arguments: as typed; ``~`` is the home folder, ``**`` any folders.
        recursive: look into the folders of folders.
        outside: a folder whose files are not taken unless they are given by name: that of the results.
        reserved: names that no image may have.

    Raises:
        FileNotFoundError: if something given does not exist, or a pattern finds nothing.
        ValueError: if there is no image at all.
    """
    found: dict[Path, Path] = {}  # by absolute path
    roots = [_absolute(_root(Path(argument).expanduser())) for argument in arguments]
    for argument in arguments:
        for path in _expand(argument):
            by_name = path == Path(argument).expanduser() and not path.is_dir()
            for file in _walk(path, recursive=recursive) if path.is_dir() else [path]:
                absolute = _absolute(file)
                if by_name or not absolute.is_relative_to(_absolute(outside)):
                    found.setdefault(absolute, file)
    if not found:
        deeper = "" if recursive else "; --recursive looks into its folders too"
        raise ValueError(f"expected images in {', '.join(arguments)}, found none{deeper}")
    names = _names([_relative(file, roots) for file in found], reserved)
    return [ImageFile(path=path, name=name) for path, name in zip(found.values(), names, strict=True)]


def _expand(argument: str) -> list[Path]:
    """List the files and folders that an argument means."""
    path = Path(argument).expanduser()
    if path.exists():
        return [path]
    if not glob.has_magic(argument):
        raise FileNotFoundError(f"{argument}: no such file or folder")
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
    kept = [match for match in matches if match.is_dir() or _is_image(match)]
    if not kept:
        raise FileNotFoundError(f"{argument}: expected images that match, found none")
    return kept


def _root(path: Path) -> Path:
    """Give the folder that an argument's images lie in, whichever of them there are now."""
    if path.is_dir():
        return path
    if path.exists():
        return path.parent
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parent.parts)
    return Path(*fixed)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path]:
    for where, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        yield from (path for path in (Path(where, name) for name in sorted(files)) if _is_image(path))


def _refuse(error: OSError) -> None:
    raise error  # os.walk would leave out what it cannot read, without a word


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _absolute(path: Path) -> Path:
    """Make absolute without following links: two links to one image are two images."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links, Path.absolute keeps ".."


def _relative(file: Path, roots: Sequence[Path]) -> str:
    try:
        return file.relative_to(os.path.commonpath(roots)).as_posix()
    except ValueError:  # several drives of Windows have nothing in common: their letters become folders
        return file.as_posix().replace(":", "", 1).lstrip("/")


def _names(files: Sequence[str], reserved: Iterable[str]) -> list[str]:
    """Cut off suffixes where what is left is nobody else's."""
    taken = Counter(name.casefold() for name in reserved)
    whole: set[int] = set()
    while True:
        names = [file if index in whole else os.path.splitext(file)[0] for index, file in enumerate(files)]  # noqa: PTH122 - of a name, not of a path
        counts = taken + Counter(name.casefold() for name in names)
        clashing = {index for index, name in enumerate(names) if counts[name.casefold()] > 1} - whole
        if not clashing:
            return names
        whole |= clashing
