"""Predicted poses as annotations: for a person to correct, or for other programs."""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pcrpose.data.readers.json_file import image_size
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.files.json import mapping, read_object, text
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

logger = logging.getLogger(__name__)

SETTINGS_NAME = "predict.json"  # beside the records
THRESHOLD = 0.2  # below it keypoints are not drawn either
_VISIBLE = 2

_LEAST_EXTENT = 1e-3  # of a box, pixels


class Prediction(NamedTuple):
    """The poses of one image file."""

    image: Path
    size: Size
    poses: Poses


def predicted_persons(predictions: Iterable[Prediction], *, threshold: float = THRESHOLD) -> AnnotatedPersons:
    """Return predicted poses as annotated persons, for `write_annotations`.

    A keypoint scored above the threshold and found inside the image is visible (2): a model does not tell hidden from
    visible. All others are not labelled. Boxes are clipped to the image; a person without a label or without a box
    inside is left out. Images and persons are numbered from 1. The area is the box's, the ``box_score`` the pose score.

    Args:
        predictions: of different images, all of one skeleton.
        threshold: for the keypoint scores.

    Raises:
        ValueError: if there is none, or skeletons differ.
    """
    listed = list(predictions)
    if not listed:
        raise ValueError("predictions: expected at least one image, found none")
    skeleton = listed[0].poses.skeleton
    samples: list[Sample] = []
    for image_id, prediction in enumerate(listed, start=1):
        _check(prediction, skeleton)
        samples += _samples(prediction, image_id, first=len(samples) + 1, threshold=threshold)
    found = sum(len(prediction.poses) for prediction in listed)
    logger.info("%d of %d persons have a label", len(samples), found)
    return AnnotatedPersons(
        skeleton=skeleton,
        samples=tuple(samples),
        image_sizes={image_id: prediction.size for image_id, prediction in enumerate(listed, start=1)},
        image_paths={image_id: prediction.image for image_id, prediction in enumerate(listed, start=1)},
    )


def read_predictions(folder: str | Path, images: str | Path, *, skeleton: Skeleton | None = None) -> AnnotatedPersons:
    """Read the records that ``pcrpose predict --out FOLDER`` has written, by `predicted_persons`.

    Args:
        folder: of the records, one JSON file per image.
        images: not used: a record names its image.
        skeleton: by default the records'; the same keypoints.

    Raises:
        FileNotFoundError: if there is no such folder, or no record in it.
        ValueError: if a JSON file in it is no record, or its skeleton has other keypoints.
    """
    del images
    place = Path(folder)
    records = sorted(path for path in place.rglob("*.json") if path.name != SETTINGS_NAME)
    if not records:
        raise FileNotFoundError(f"{folder}: expected a folder of results of pcrpose predict, found no JSON file in it")
    persons = predicted_persons(map(_read, records))
    if skeleton is None or skeleton.keypoints == persons.skeleton.keypoints:
        return replace(persons, skeleton=skeleton or persons.skeleton)
    expected, found = list(skeleton.keypoints), list(persons.skeleton.keypoints)
    raise ValueError(f"{folder}: expected the keypoints of {skeleton.name} {expected}, found {found}")


def _read(record: Path) -> Prediction:
    content = read_object(record, what="record")
    where = str(record)
    image = Path(os.path.normpath(record.parent / text(content, "image", where)))
    try:
        poses = Poses.from_dict(mapping(content, "poses", where))
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    return Prediction(image, image_size(content, where), poses)


def _check(prediction: Prediction, skeleton: Skeleton) -> None:
    if prediction.poses.skeleton != skeleton:
        found = prediction.poses.skeleton
        raise ValueError(f"{prediction.image}: expected poses of {skeleton.name} as the first, found {found.name}")


def _samples(prediction: Prediction, image_id: int, *, first: int, threshold: float) -> Iterator[Sample]:
    last = np.array([prediction.size.width - 1.0, prediction.size.height - 1.0])
    number = first
    for pose in prediction.poses:
        points = pose.keypoints[0].astype(np.float64)
        inside = ((points >= 0) & (points <= last)).all(axis=1)
        labelled = inside & (pose.keypoint_scores[0] > threshold)
        whole = pose.boxes_xyxy[0].astype(np.float64)
        box = np.clip(whole, 0, np.tile(last, 2))
        outside = (whole[:2] > last).any() or (whole[2:] < 0).any()
        if outside or not labelled.any() or (box[2:] - box[:2]).max() < _LEAST_EXTENT:
            continue
        width, height = box[2:] - box[:2] + 1
        yield Sample(
            image=prediction.image,
            image_id=image_id,
            box_xyxy=box,
            keypoints=np.where(labelled[:, None], points, 0.0),
            visibility=labelled * _VISIBLE,
            area=float(width * height),
            annotation_id=number,
            box_score=max(float(pose.pose_scores[0]), 0.0),
        )
        number += 1
