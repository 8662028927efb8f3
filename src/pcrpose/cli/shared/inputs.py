"""Inputs of commands: the images that a user typed, and where their persons are."""

import argparse
import glob
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pcrpose.data.images import image_size
from pcrpose.data.readers.coco import read_detections
from pcrpose.files.digest import short_file_digest
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.boxes import whole_image_box
from pcrpose.keypoints.detections import Boxes, Detections, Detector

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})


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
    arguments: Sequence[str],
    *,
    recursive: bool,
    outside: Path,
    reserved: Iterable[str] = (),
    skip: Callable[[Path], bool] = lambda _: False,
) -> list[ImageFile]:
    """Expand files, folders and patterns into images.

    A file is taken whatever its name. Of a folder, and of a pattern such as ``*.jpg``, the files with an image's
    suffix are taken, sorted, without hidden ones. A file that comes twice counts once.

    An image's name is its path without suffix, relative to the deepest folder that holds everything that was given.
    Where two images would share a name, also on a file system that takes ``A`` for ``a``, both keep their suffix.

    Args:
        arguments: as typed; ``~`` is the home folder, ``**`` any folders.
        recursive: look into the folders of folders.
        outside: a folder, that of the results, whose files are not taken unless they, or the folder itself, are given.
        reserved: names that no image may have.
        skip: whether a file that is not given by name is none to take, a drawing for example.

    Raises:
        FileNotFoundError: if something given does not exist, or a pattern finds nothing.
        ValueError: if there is no image at all, or a video is given.
    """
    found: dict[Path, Path] = {}  # by absolute path
    results = _absolute(outside)
    roots = [_absolute(_root(Path(argument).expanduser())) for argument in arguments]
    for argument in arguments:
        for path in _expand(argument):
            by_name = path == Path(argument).expanduser() and not path.is_dir()
            for file in _walk(path, recursive=recursive) if path.is_dir() else [path]:
                absolute = _absolute(file)
                away = absolute.is_relative_to(results) and not _absolute(_root(path)).is_relative_to(results)
                if by_name or not (away or skip(file)):
                    found.setdefault(absolute, file)
    if not found:
        deeper = "" if recursive else "; --recursive looks into its folders too"
        raise ValueError(f"expected images in {', '.join(arguments)}, found none{deeper}")
    for file in found.values():
        if file.suffix.lower() in VIDEO_SUFFIXES:
            raise ValueError(
                f"{file}: expected an image, found a video, which is not read yet; with ffmpeg, "
                f'"ffmpeg -i {file.name} frames/%06d.png" writes its frames, and "pcrpose predict frames" reads them'
            )
    names = _names([_relative(file, roots) for file in found], reserved)
    return [ImageFile(path=path, name=name) for path, name in zip(found.values(), names, strict=True)]


def _expand(argument: str) -> list[Path]:
    """Return the files and folders that an argument means."""
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
    """Return the folder that an argument's images lie in, whichever of them there are now."""
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
    """Remove suffixes where the rest is unique."""
    taken = Counter(name.casefold() for name in reserved)
    whole: set[int] = set()
    while True:
        names = [file if index in whole else os.path.splitext(file)[0] for index, file in enumerate(files)]  # noqa: PTH122 - of a name, not of a path
        counts = taken + Counter(name.casefold() for name in names)
        clashing = {index for index, name in enumerate(names) if counts[name.casefold()] > 1} - whole
        if not clashing:
            return names
        whole |= clashing


Box: TypeAlias = tuple[float, ...]

WHOLE_IMAGE = "the whole image"


@dataclass(frozen=True, kw_only=True)
class Persons:
    """How the persons of images are found; at most one of the three is given.

    Attributes:
        description: in words, the same for the same way; goes into the settings of a results folder.
        boxes: of the only image, left, top, right, bottom.
        detections: by image.
        detector: for the predictor.
    """

    description: str
    boxes: Sequence[Box] | None = None
    detections: Mapping[ImageFile, Detections] | None = None
    detector: Detector | None = None

    def boxes_of(self, files: Iterable[ImageFile]) -> Iterator[Boxes] | None:
        """Yield what `PosePredictor.stream` takes for each image; None where it asks the detector."""
        if self.detector is not None:
            return None
        return map(self._boxes, files)

    def _boxes(self, file: ImageFile) -> Boxes:
        if self.boxes is not None:
            return self.boxes
        if self.detections is not None:
            return self.detections.get(file, Detections.empty())
        # Said in the command's own words, so not left to the predictor, which would warn.
        try:
            return whole_image_box(image_size(file.path))
        except (OSError, ValueError):  # the predictor reports it
            return []


def find_persons(
    files: Sequence[ImageFile],
    *,
    boxes: Sequence[Box] | None,
    detector: Path | None,
    score_threshold: float,
    threads: int | None = None,
) -> Persons:
    """Read the options that say where persons are.

    Args:
        files: all of them.
        boxes: of the only image.
        detector: a YOLOX model as ONNX, or a COCO results file, whose image ids are the numbers that the names of
            the images end in.
        score_threshold: detections scored below it are left out.
        threads: for a YOLOX model; None lets onnxruntime choose.

    Raises:
        ValueError: if there are boxes for several images, or images cannot be told apart by their ids.
        ImportError: if a detector is asked for without its extra.
    """
    if boxes is not None:
        if len(files) > 1:
            raise ValueError(f"--boxes: expected one image, found {len(files)}; --detector finds boxes in many")
        return Persons(description="boxes given", boxes=boxes)
    if detector is None:
        return Persons(description=WHOLE_IMAGE)
    description = f"{detector.name} {short_file_digest(detector)}, score at least {score_threshold}"
    if detector.suffix.lower() == ".onnx":
        found = YoloxDetector(detector, score_threshold=score_threshold, num_threads=threads)
        return Persons(description=description, detector=found)
    if detector.suffix.lower() != ".json":
        raise ValueError(f"--detector: expected a YOLOX model (.onnx) or a COCO results file (.json), found {detector}")
    return Persons(
        description=description,
        detections=_recorded(files, read_detections(detector, score_threshold=score_threshold), detector),
    )


def _recorded(
    files: Sequence[ImageFile], detections: Mapping[int, Detections], path: Path
) -> dict[ImageFile, Detections]:
    ids = {file: _image_id(file) for file in files}
    for image_id, count in Counter(ids.values()).most_common(1):
        if count > 1:
            same = [str(file.path) for file, other in ids.items() if other == image_id]
            raise ValueError(f"--detector {path}: expected one image of id {image_id}, found {', '.join(same[:3])}")
    if detections and not set(ids.values()) & set(detections):
        raise ValueError(
            f"--detector {path}: none of its {len(detections)} images is among the {len(files)} given; "
            f"{files[0].path} would be number {ids[files[0]]}"
        )
    return {file: detections[image_id] for file, image_id in ids.items() if image_id in detections}


def _image_id(file: ImageFile) -> int:
    """Return the number that COCO's file names end in."""
    number = re.search(r"[0-9]+$", file.path.stem)
    if number is None:
        raise ValueError(
            f"{file.path}: expected a name that ends in the image's number, as 000000000139.jpg, "
            "to find it in a detection file"
        )
    return int(number[0])


def box(text: str) -> Box:
    """Read ``X1,Y1,X2,Y2``; whether the box fits the image is checked when the image is open."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:  # noqa: PLR2004 - left, top, right, bottom
        raise argparse.ArgumentTypeError(f"expected four numbers X1,Y1,X2,Y2, found {text!r}")
    return numbers
