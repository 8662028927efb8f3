"""Where the persons of each picture are: in boxes given, in a file, where a detector says, or all over the picture."""

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pcrpose.cli.marks import mark_of_file
from pcrpose.cli.pictures import Picture
from pcrpose.data.coco import Detections, read_detections
from pcrpose.inference.detectors import Detector, YoloxDetector
from pcrpose.inference.places import picture_size
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import NO_DETECTIONS
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import whole_image_box
from pcrpose.keypoints.poses import Poses

Box: TypeAlias = tuple[float, ...]

WHOLE_PICTURE = "the whole picture"


@dataclass(frozen=True, kw_only=True)
class Persons:
    """How the persons of pictures are found; at most one of the three is given.

    Attributes:
        description: in words, the same for the same way; goes into the settings of a results folder.
        boxes: of the only picture, left, top, right, bottom.
        detections: by picture.
        detector: for the predictor.
    """

    description: str
    boxes: Sequence[Box] | None = None
    detections: Mapping[Picture, Detections] | None = None
    detector: Detector | None = None

    def predict(self, predictor: PosePredictor, pictures: Sequence[Picture], images: Sequence[Image]) -> list[Poses]:
        """Find the poses of some of the pictures; their persons share batches."""
        if self.boxes is not None:
            return predictor.predict_batch(images, [self.boxes] * len(images))
        if self.detections is not None:
            found = [self.detections.get(picture, NO_DETECTIONS) for picture in pictures]
            return predictor.predict_detections(images, found)
        if self.detector is None:  # said in the command's own words, so not left to the predictor, which would warn
            return predictor.predict_batch(images, [whole_image_box(picture_size(image)) for image in images])
        return predictor.predict_batch(images)


def find_persons(
    pictures: Sequence[Picture], *, boxes: Sequence[Box] | None, detector: Path | None, score_threshold: float
) -> Persons:
    """Read what the options say.

    Args:
        pictures: all of them.
        boxes: of the only picture.
        detector: a YOLOX model as ONNX, or a COCO results file, whose picture ids are the numbers that the names of
            the pictures end in.
        score_threshold: detections scored below it are left out.

    Raises:
        ValueError: if there are boxes for several pictures, or pictures cannot be told apart by their ids.
        ImportError: if a detector is asked for without its extra.
    """
    if boxes is not None:
        if len(pictures) > 1:
            raise ValueError(f"--boxes: expected one picture, found {len(pictures)}; --detector finds boxes in many")
        return Persons(description="boxes given", boxes=boxes)
    if detector is None:
        return Persons(description=WHOLE_PICTURE)
    description = f"{detector.name} {mark_of_file(detector)}, score at least {score_threshold}"
    if detector.suffix.lower() == ".onnx":
        found = YoloxDetector(detector, score_threshold=score_threshold)
        return Persons(description=description, detector=found)
    if detector.suffix.lower() != ".json":
        raise ValueError(f"--detector: expected a YOLOX model (.onnx) or a COCO results file (.json), found {detector}")
    return Persons(
        description=description,
        detections=_recorded(pictures, read_detections(detector, score_threshold=score_threshold), detector),
    )


def _recorded(
    pictures: Sequence[Picture], detections: Mapping[int, Detections], path: Path
) -> dict[Picture, Detections]:
    ids = {picture: _image_id(picture) for picture in pictures}
    for image_id, count in Counter(ids.values()).most_common(1):
        if count > 1:
            same = [str(picture.path) for picture, other in ids.items() if other == image_id]
            raise ValueError(f"--detector {path}: expected one picture of id {image_id}, found {', '.join(same[:3])}")
    if detections and not set(ids.values()) & set(detections):
        raise ValueError(
            f"--detector {path}: none of its {len(detections)} pictures is among the {len(pictures)} given; "
            f"{pictures[0].path} would be number {ids[pictures[0]]}"
        )
    return {picture: detections[image_id] for picture, image_id in ids.items() if image_id in detections}


def _image_id(picture: Picture) -> int:
    """Read the number that COCO's file names end in."""
    number = re.search(r"[0-9]+$", picture.path.stem)
    if number is None:
        raise ValueError(
            f"{picture.path}: expected a name that ends in the picture's number, as 000000000139.jpg, "
            "to find it in a detection file"
        )
    return int(number[0])


def box(text: str) -> Box:
    """Read ``X1,Y1,X2,Y2``; whether the box fits the picture is checked when the picture is open."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:  # noqa: PLR2004 - left, top, right, bottom
        raise argparse.ArgumentTypeError(f"expected four numbers X1,Y1,X2,Y2, found {text!r}")
    return numbers
