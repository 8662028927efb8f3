"""Draw the poses of an image, and write them as JSON.

    python examples/demo.py                                     # a photograph of an astronaut
    python examples/demo.py image.jpg                         # one person who fills the image
    python examples/demo.py image.jpg --boxes 10,20,200,400 --boxes 220,15,380,410

Boxes are left, top, right, bottom in pixels; give one for every person.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pcrpose import PosePredictor, Poses, load_model, open_image
from pcrpose.keypoints.arrays import Image

ASTRONAUT_BOX = (20.0, 15.0, 365.0, 511.0)

Box = tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 2 after a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", type=Path, help="an image; without one, scikit-image's astronaut")
    parser.add_argument("--boxes", action="append", metavar="X1,Y1,X2,Y2", help="a person's box")
    parser.add_argument("--model", default="pcr-small", help="zoo name, Hub repository or folder (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write into (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        boxes = None if options.boxes is None else [read_box(text) for text in options.boxes]
        run(options.image, boxes, options.model, options.output)
    except (OSError, ValueError, ImportError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def run(path: Path | None, boxes: list[Box] | None, model: str, output: Path) -> None:
    """Predict, draw, write, and say what was done."""
    image = astronaut() if path is None else open_image(path)
    whole = boxes is None and path is not None
    if boxes is None:
        height, width = image.shape[:2]
        boxes = [ASTRONAUT_BOX if path is None else (0.0, 0.0, width - 1.0, height - 1.0)]
    predictor = PosePredictor(load_model(model))

    start = time.perf_counter()
    poses = predictor.predict(image, boxes)
    seconds = time.perf_counter() - start

    output.mkdir(parents=True, exist_ok=True)
    drawn = poses.draw(image)
    write(output / "poses.png", lambda file: drawn.save(file, format="PNG"))
    write(output / "poses.json", lambda file: file.write_text(json.dumps(poses.to_dict()), encoding="utf-8"))
    print(f"{summary(poses)}; {seconds:.2f} s")
    if whole:
        print("the whole image was taken for one person; give --boxes for each person otherwise")
    print(f"{output / 'poses.png'} {output / 'poses.json'}")


def astronaut() -> Image:
    """Load the photograph that ships inside scikit-image; it is in the public domain."""
    try:
        from skimage import data  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("the astronaut needs scikit-image: pip install 'pcrpose[demo]', or give an image") from error
    image: Image = data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image annotates little
    return image


def read_box(text: str) -> Box:
    """Read ``X1,Y1,X2,Y2``; whether the box fits the image is checked later."""
    try:
        box = tuple(float(number) for number in text.split(","))
    except ValueError:
        box = ()
    if len(box) != 4:  # noqa: PLR2004 - left, top, right, bottom
        raise ValueError(f"--boxes: expected four numbers X1,Y1,X2,Y2, found {text!r}")
    return box


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Save under a temporary name, then rename: a file is whole or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def summary(poses: Poses) -> str:
    """Count persons and the keypoints that score above 0.2."""
    found = int((poses.keypoint_scores > 0.2).sum())  # noqa: PLR2004 - what is drawn solid
    persons = "1 person" if len(poses) == 1 else f"{len(poses)} persons"
    return f"{persons}, {found} of {poses.keypoint_scores.size} keypoints score above 0.2 (not a probability)"


if __name__ == "__main__":
    sys.exit(main())
