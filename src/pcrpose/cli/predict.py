"""``pcrpose predict``: images in, drawings and JSON records out."""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pcrpose.cli.image_files import ImageFile, find_images
from pcrpose.cli.options import add_model_options, existing_file, load_models, share
from pcrpose.cli.outputs import FORMATS, SETTINGS_NAME, ResultsFolder
from pcrpose.cli.persons import WHOLE_IMAGE, Persons, box, find_persons
from pcrpose.cli.progress import ProgressLine, counted
from pcrpose.cli.targets import new_folder
from pcrpose.data.images import open_image
from pcrpose.files.digest import short_file_digest
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.poses import Poses
from pcrpose.models.hub import WEIGHTS_FILE, find_folder

logger = logging.getLogger(__name__)

Opened: TypeAlias = tuple[ImageFile, Image]

HELP = "find the keypoints of the people in images: drawings and JSON files"
CHUNK_BYTES = 256 << 20  # of open images at once
EPILOG = """\
examples:
  pcrpose predict photo.jpg --boxes 10,20,200,400 --boxes 220,15,380,410
  pcrpose predict photos "holiday/**/*.jpg" --detector yolox_nano.onnx --out drawn

For photos/a/b.jpg, "pcrpose predict photos --recursive" writes drawn/a/b.jpg and drawn/a/b.json: the image's path
from the record, its size, and the poses, for Poses.from_dict. Two images that differ by suffix alone keep it:
b.jpg.json, b.png.json. The same command again does what is missing: images that were not done, or changed since.

Persons are looked for in --boxes, else by --detector; without either, an image is taken for one person.

exit codes: 0 every image is done; 1 some could not be read, the others are done; 2 a mistake in what was asked for;
130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
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
        type=existing_file,
        metavar="FILE",
        help="a YOLOX model as .onnx; or a COCO results file as .json, whose image ids are the numbers that the "
        "names of the images end in",
    )
    parser.add_argument(
        "--score-threshold",
        type=share,
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
        "--threshold", type=share, default=0.2, metavar="S", help="draw keypoints below it faintly (%(default)s)"
    )
    results.add_argument("--draw-boxes", action="store_true", help="draw the persons' boxes too")
    results.add_argument("--draw-scores", action="store_true", help="write the scores beside the persons too")
    results.add_argument("--overwrite", action="store_true", help="make everything anew, whatever is in the folder")


def run(options: argparse.Namespace) -> int:
    """Predict every image that is not done yet."""
    files = find_images(options.paths, recursive=options.recursive, outside=options.out, reserved=[SETTINGS_NAME])
    persons = find_persons(
        files, boxes=options.boxes, detector=options.detector, score_threshold=options.score_threshold
    )
    model_folders = [find_folder(name) for name in options.model]
    model = load_models(model_folders)
    results = ResultsFolder(
        folder=options.out,
        settings=_settings(options, persons, model_folders),
        suffix=None if options.format == "none" else options.format,
        overwrite=options.overwrite,
    )
    left = results.left_to_do(files, again=persons.boxes is not None)
    if not left:
        done = f"{counted(len(files), 'image')} done before, in {options.out}"
        sys.stdout.write(f"{done}; --overwrite redoes them\n")
        return 0
    predictor = PosePredictor(
        model.to(options.device), detector=persons.detector, flip=options.flip, batch_size=options.batch
    )
    logger.info("%s on %s, %d images to do", " + ".join(options.model), options.device, len(left))
    with ProgressLine(len(left)) as progress:
        drawing = {"threshold": options.threshold, "boxes": options.draw_boxes, "scores": options.draw_scores}
        work = _Work(predictor=predictor, persons=persons, results=results, progress=progress, drawing=drawing)
        work.do(left)
    _say(options, files, left, work)
    return 1 if work.failed else 0


def _settings(options: argparse.Namespace, persons: Persons, model_folders: Sequence[Path]) -> dict[str, Any]:
    """Collect what the results depend on, in the words of the options."""
    pairs = zip(options.model, model_folders, strict=True)
    models = [
        f"{name if Path(name) != folder else folder.resolve().name} {short_file_digest(folder / WEIGHTS_FILE)}"
        for name, folder in pairs
    ]
    settings = {
        "model": " + ".join(models),
        "persons": persons.description,
        "flip": options.flip,
        "format": options.format,
    }
    if options.format != "none":
        settings |= {name: getattr(options, name) for name in ("threshold", "draw_boxes", "draw_scores")}
    return settings


@dataclass(kw_only=True)
class _Work:
    """One run over the images, chunk by chunk, so that memory does not grow with their number.

    Attributes:
        drawing: how poses are drawn.
        done: images whose results were written.
        failed: images that could not be used.
    """

    predictor: PosePredictor
    persons: Persons
    results: ResultsFolder
    progress: ProgressLine
    drawing: Mapping[str, Any]
    done: list[ImageFile] = field(default_factory=list)
    failed: list[ImageFile] = field(default_factory=list)

    def do(self, files: Sequence[ImageFile]) -> None:
        """Predict, draw and write; images that cannot be used are reported and counted."""
        # As many images as a batch has persons fill at least one batch.
        for chunk in _chunks(self._opened(files), self.predictor.batch_size):
            for (file, image), poses in self._predicted(chunk):
                drawn = None if self.results.suffix is None else poses.draw(image, **self.drawing)
                self.results.save(file, image, poses, drawn)
                self.done.append(file)
                self.progress.advance(persons=len(poses))

    def _opened(self, files: Sequence[ImageFile]) -> Iterator[Opened]:
        for file in files:
            try:
                image = open_image(file.path)
            except (OSError, ValueError) as error:
                self._leave_out(file, error)
            else:
                yield file, image

    def _predicted(self, chunk: Sequence[Opened]) -> Iterator[tuple[Opened, Poses]]:
        files, images = zip(*chunk, strict=True)
        try:
            found = self.persons.predict(self.predictor, files, images)
        except ValueError as error:
            if self.persons.boxes is not None:  # the boxes are the user's to fix
                raise
            if len(chunk) == 1:
                self._leave_out(files[0], error)
            else:  # an image one pixel wide, for example, must not take the others with it
                for opened in chunk:
                    yield from self._predicted([opened])
        else:
            yield from zip(chunk, found, strict=True)

    def _leave_out(self, file: ImageFile, error: Exception) -> None:
        name = str(file.path)
        logger.warning("left out %s", error if name in str(error) else f"{name}: {error}")
        self.failed.append(file)
        self.progress.advance()


def _chunks(opened: Iterator[Opened], count: int) -> Iterator[list[Opened]]:
    chunk: list[Opened] = []
    for file, image in opened:
        chunk.append((file, image))
        if len(chunk) == count or sum(image.nbytes for _, image in chunk) >= CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _say(options: argparse.Namespace, files: Sequence[ImageFile], left: Sequence[ImageFile], work: _Work) -> None:
    """Sum up on stdout: how much, how fast, and where it is."""
    progress = work.progress
    before, failed = len(files) - len(left), len(work.failed)
    asides = [f"{before} done before"] * bool(before) + [f"{failed} left out, see above"] * bool(failed)
    lines = [
        counted(len(work.done), "image")
        + (f" ({', '.join(asides)})" if asides else "")
        + f", {progress.results}, {progress.seconds:.1f} s"
    ]
    if len(work.done) == 1:
        lines += [str(target) for target in work.results.targets(work.done[0])]
    elif work.done:
        lines += [f"results in {options.out}"]
    if work.done and options.boxes is None and options.detector is None:
        lines += [f"{WHOLE_IMAGE} was taken for one person: --detector FILE.onnx, or --boxes, finds each"]
    sys.stdout.write("\n".join(lines) + "\n")
