"""Where persons are looked for: in boxes given, in a file, by a detector, or in the whole image."""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pcrpose.cli.image_files import ImageFile
from pcrpose.data.images import image_size
from pcrpose.data.readers.coco import read_detections
from pcrpose.files.digest import short_file_digest
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.boxes import whole_image_box
from pcrpose.keypoints.detections import Boxes, Detections, Detector

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
    files: Sequence[ImageFile], *, boxes: Sequence[Box] | None, detector: Path | None, score_threshold: float
) -> Persons:
    """Read what the options say.

    Args:
        files: all of them.
        boxes: of the only image.
        detector: a YOLOX model as ONNX, or a COCO results file, whose image ids are the numbers that the names of
            the images end in.
        score_threshold: detections scored below it are left out.

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
        found = YoloxDetector(detector, score_threshold=score_threshold)
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
    """Read the number that COCO's file names end in."""
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
