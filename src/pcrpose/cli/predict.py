"""``pcrpose predict``: drawings and JSON records of images."""

import argparse
import logging
import shlex
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcrpose.cli.shared.inputs import WHOLE_IMAGE, ImageFile, Persons, box, find_images, find_persons
from pcrpose.cli.shared.options import DETECTORS, add_model_options, detector, fraction, load_models, runtime
from pcrpose.cli.shared.progress import ProgressLine, counted
from pcrpose.cli.shared.results import FORMATS, SETTINGS_NAME, ResultsFolder, free_names, is_drawing, new_folder
from pcrpose.data.images import ImageError, ImageSource, image_size, open_image
from pcrpose.files.digest import short_file_digest
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.stream import FailedImage
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.poses import Poses
from pcrpose.models.hub import find_folder, weights_file
from pcrpose.models.pose_model import PoseModel

logger = logging.getLogger(__name__)

LOWER = 0.05  # a threshold that shows what the usual ones hide
HELD_BYTES = 1 << 28  # of opened images that wait for their poses, to be drawn on

EPILOG = """\
examples:
  pcrpose predict photo.jpg --boxes 10,20,200,400 --boxes 220,15,380,410
  pcrpose predict photos "holiday/**/*.jpg" --detector yolox-nano --out drawn

For photos/a/b.jpg, "pcrpose predict photos --recursive" writes drawn/a/b.jpg and drawn/a/b.json: the image's path
from the record, its size, and the poses, for Poses.from_dict. Two images that differ by suffix alone keep it:
b.jpg.json, b.png.json. The same command again does what is missing: images that were not done, or changed since,
and with other options what was made without them. Where a name is taken by something else, results get a number:
b-2.jpg, b-2.json. Drawings are not taken for images of a folder.

Persons are looked for in --boxes, else by --detector; without either, an image is taken for one person.

exit codes: 0 every image is done; 1 some could not be read, the others are done; 2 a mistake in what was asked for;
130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help='an image, a folder, or a pattern in quotes: "photos/*.jpg"'
    )
    parser.add_argument("--recursive", action="store_true", help="look into the folders of folders too")
    persons = parser.add_argument_group("persons").add_mutually_exclusive_group()
    persons.add_argument(
        "--boxes",
        type=box,
        action="append",
        metavar="X1,Y1,X2,Y2",
        help="left, top, right, bottom of a person in pixels; once for each person of the one image",
    )
    persons.add_argument(
        "--detector",
        type=detector,
        metavar="NAME_OR_FILE",
        help=f"{DETECTORS}: published models, downloaded once; another YOLOX model as .onnx; or a COCO results file as "
        ".json, whose image ids are the numbers that the names of the images end in",
    )
    parser.add_argument(
        "--score-threshold",
        type=fraction,
        default=0.3,
        metavar="S",
        help="leave out what the detector scores below it (%(default)s)",
    )
    add_model_options(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "--out", type=new_folder, default=Path("pcrpose-out"), metavar="DIR", help="folder to write into (%(default)s)"
    )
    formats = results.add_mutually_exclusive_group()
    formats.add_argument(
        "--format", choices=[*FORMATS, "none"], default="jpg", help="of the drawn images (%(default)s)"
    )
    formats.add_argument(
        "--json", dest="format", action="store_const", const="none", help="JSON only, no drawings: --format none"
    )
    results.add_argument(
        "--threshold", type=fraction, default=0.2, metavar="S", help="draw keypoints below it faintly (%(default)s)"
    )
    results.add_argument("--draw-boxes", action="store_true", help="draw the persons' boxes too")
    results.add_argument("--draw-scores", action="store_true", help="write the scores beside the persons too")
    results.add_argument(
        "--overwrite", action="store_true", help="make everything anew, and replace what has the name of a result"
    )


def run(options: argparse.Namespace) -> int:
    """Predict every image that is not done yet."""
    plan = _plan(options)
    files, left, persons, results = plan.files, plan.left, plan.persons, plan.results
    if not left:
        before = f"{counted(len(files), 'image')} done before, in {options.out}"
        sys.stdout.write(f"{before}; --overwrite redoes them\n")
        return 0
    predictor = PosePredictor(
        plan.model.to(options.device),
        detector=persons.detector,
        flip=options.flip,
        runtime=runtime(options),
    )
    logger.info("%s on %s, %d images to do", " + ".join(options.model), options.device, len(left))
    redone, changes = results.made_otherwise(left), "; ".join(results.changes())
    done, failed = Done(), 0
    opened = OpenedImages(left, hold=results.suffix is not None)
    found = predictor.stream(opened.sources(), persons.boxes_of(left), on_error="yield")
    drawing = {"threshold": options.threshold, "boxes": options.draw_boxes, "scores": options.draw_scores}
    with ProgressLine(len(left)) as progress:
        for file, poses in zip(left, found, strict=True):
            image = opened.take()
            if isinstance(poses, FailedImage):
                _leave_out(FailedImage(file.path, poses.error), persons)
                failed += 1
                progress.advance()
            else:
                _write(results, file, image, poses, drawing)
                done.add(file, poses, threshold=options.threshold)
                progress.advance(persons=len(poses))
    asides = [f"{len(files) - len(left)} done before"] * (len(left) < len(files))
    asides += [f"{redone} done again: {changes or 'made with other settings'}"] * bool(redone)
    asides += [f"{failed} left out, see above"] * bool(failed)
    summary = counted(len(done.files), "image") + (f" ({', '.join(asides)})" if asides else "")
    lines = [f"{summary}, {progress.results}, {progress.seconds:.1f} s", *_where(options, results, done.files)]
    sys.stdout.write("\n".join([*lines, *_advice(options, done)]) + "\n")
    return 1 if failed else 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to do.

    Attributes:
        files: all images.
        left: those of them that are not done.
        persons: how they are found.
        model: finds the keypoints.
        results: where they go.
    """

    files: list[ImageFile]
    left: list[ImageFile]
    persons: Persons
    model: PoseModel[Any] | Ensemble
    results: ResultsFolder


def _plan(options: argparse.Namespace) -> Plan:
    found = find_images(
        options.paths, recursive=options.recursive, outside=options.out, reserved=[SETTINGS_NAME], skip=is_drawing
    )
    suffix = None if options.format == "none" else options.format
    files = free_names(found, options.out, suffix=suffix, overwrite=options.overwrite)
    persons = find_persons(
        files,
        boxes=options.boxes,
        detector=options.detector,
        score_threshold=options.score_threshold,
        threads=options.threads,
    )
    folders = [find_folder(name) for name in options.model]
    model = load_models(folders)
    settings = _settings(options, persons, folders)
    results = ResultsFolder(folder=options.out, settings=settings, suffix=suffix, overwrite=options.overwrite)
    left = results.left_to_do(files, again=persons.boxes is not None)
    renamed = [file for before, file in zip(found, files, strict=True) if file.name != before.name]
    if renamed:
        logger.warning(
            "%s: other files have the names of the results, which are numbered: %s is %s in %s",
            counted(len(renamed), "image"),
            renamed[0].path,
            renamed[0].name,
            options.out,
        )
    return Plan(files=files, left=left, persons=persons, model=model, results=results)


@dataclass
class Done:
    """What has been done.

    Attributes:
        files: the images.
        persons: in them.
        seen: keypoints scored above the threshold that they are drawn with.
    """

    files: list[ImageFile] = field(default_factory=list)
    persons: int = 0
    seen: int = 0

    def add(self, file: ImageFile, poses: Poses, *, threshold: float) -> None:
        """Count one image."""
        self.files.append(file)
        self.persons += len(poses)
        self.seen += int((poses.keypoint_scores > threshold).sum())


class OpenedImages:
    """Images that are opened once, for the predictor, and held until their poses are drawn on them.

    Args:
        files: in the order of the predictor's results.
        hold: False leaves the opening to the predictor.
    """

    def __init__(self, files: Iterable[ImageFile], *, hold: bool) -> None:
        self._files = files
        self._hold = hold
        self._held: deque[Image | None] = deque()
        self._bytes = 0

    def sources(self) -> Iterator[ImageSource]:
        """Yield what the predictor reads: opened images, and the paths of those that cannot be opened."""
        for file in self._files:
            image = self._open(file) if self._hold else None
            small = image is not None and self._bytes + image.nbytes <= HELD_BYTES
            self._held.append(image if small else None)  # of others the file is opened again
            self._bytes += image.nbytes if image is not None and small else 0
            yield file.path if image is None else image

    def take(self) -> Image | None:
        """Return the image of the next result, and forget it; None where it is not held."""
        image = self._held.popleft()
        self._bytes -= 0 if image is None else image.nbytes
        return image

    def _open(self, file: ImageFile) -> Image | None:
        try:
            return open_image(file.path)
        except (OSError, ValueError):
            return None  # the predictor reports it


def _leave_out(image: FailedImage, persons: Persons) -> None:
    """Report an image that cannot be used; a mistake in boxes that the user gave is the user's to fix."""
    if persons.boxes is not None and not isinstance(image.error, OSError | ImageError):
        raise image.error
    logger.warning("left out %s", image)


def _write(
    results: ResultsFolder, file: ImageFile, image: Image | None, poses: Poses, drawing: Mapping[str, Any]
) -> None:
    if results.suffix is None:
        results.save(file, image_size(file.path), poses, None)
        return
    image = open_image(file.path) if image is None else image
    results.save(file, Size.of(image), poses, poses.draw(image, **drawing))


def _where(options: argparse.Namespace, results: ResultsFolder, done: Sequence[ImageFile]) -> Iterator[str]:
    """Yield where the results are, and how better ones are had."""
    if len(done) == 1:
        yield from (str(target) for target in results.targets(done[0]))
    elif done:
        yield f"results in {options.out}"
    if done and options.boxes is None and options.detector is None:
        yield f"{WHOLE_IMAGE} was taken for one person: --detector yolox-nano, or --boxes, finds each"


def _advice(options: argparse.Namespace, done: Done) -> Iterator[str]:
    """Yield the command that shows something, where nothing was above a threshold."""
    command = ["pcrpose", "predict", *options.paths, *(["--recursive"] * options.recursive)]
    command += [] if options.detector is None else ["--detector", str(options.detector)]
    if done.files and not done.persons and options.detector is not None and options.score_threshold > LOWER:
        shown = shlex.join([*command, "--score-threshold", str(LOWER)])
        yield f"nobody scored {options.score_threshold} or more: {shown}"
    elif done.persons and not done.seen and options.threshold > 0:
        command += [part for box in options.boxes or () for part in ("--boxes", ",".join(f"{edge:g}" for edge in box))]
        shown = shlex.join([*command, "--threshold", str(LOWER if options.threshold > LOWER else 0)])
        yield f"no keypoint scored above {options.threshold}: {shown}"


def _settings(options: argparse.Namespace, persons: Persons, model_folders: Sequence[Path]) -> dict[str, Any]:
    """Return what the results depend on, in the words of the options."""
    pairs = zip(options.model, model_folders, strict=True)
    models = [
        f"{name if Path(name) != folder else folder.resolve().name} {short_file_digest(weights_file(folder))}"
        for name, folder in pairs
    ]
    settings = {
        "model": " + ".join(models),
        "persons": persons.description,
        "flip": options.flip,
        "format": options.format,
    }
    if options.dtype is not None:
        settings["dtype"] = options.dtype
    if options.format != "none":
        settings |= {name: getattr(options, name) for name in ("threshold", "draw_boxes", "draw_scores")}
    return settings
