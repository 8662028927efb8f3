"""Pseudo-labels, first half: what a model finds in images that nobody has annotated.

Everything that is found is written into a work file with its scores; `pcrpose.labelling.pseudo_labels.select` decides
afterwards what of it is sure enough to be a label. So another threshold costs no second prediction.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from pcrpose.data.images import ImageError, ImageSource, open_image
from pcrpose.data.near_duplicates import EvaluationImages
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.detections import Detections, Detector
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.labelling.pseudo_labels.work_file import Shard, WorkFile, WorkHeader

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], object]  # more images, more persons

BOX_THRESHOLD = 0.5

_COORDINATE_DECIMALS, _SCORE_DECIMALS = 2, 5


class BoxPredictor(Protocol):
    """A protocol for predictors of keypoints in boxes: `PosePredictor`, or several models, for example."""

    def predict_batch(self, images: Iterable[ImageSource], boxes_xyxy: Iterable[Detections]) -> list[Poses]:
        """Find the poses in each image's scored boxes."""


@dataclass(frozen=True, kw_only=True)
class UnlabelledImage:
    """An image that nobody has annotated.

    Attributes:
        path: of the file.
        file_name: that the labels give it, relative to the folder of the images.
        image_id: its number in the labels.
    """

    path: Path
    file_name: str
    image_id: int


def number_images(folder: str | Path, paths: Iterable[str | Path]) -> list[UnlabelledImage]:
    """Name and number the images of a folder, the same way whatever their order.

    An image's number is the one that its name ends in, as in ``000000000139.jpg``, where every image has one of its
    own; otherwise they are counted from 1.

    Raises:
        ValueError: if an image lies outside the folder, or there is none.
    """
    files = sorted({Path(path).relative_to(folder).as_posix() for path in paths})
    if not files:
        raise ValueError(f"{folder}: expected images, found none")
    endings = [re.search(r"[0-9]+$", Path(file).stem) for file in files]
    ids = [int(ending[0]) for ending in endings if ending is not None]
    if len(set(ids)) < len(files):
        ids = list(range(1, len(files) + 1))
    return [
        UnlabelledImage(path=Path(folder, file), file_name=file, image_id=image_id)
        for file, image_id in zip(files, ids, strict=True)
    ]


class _Looked(NamedTuple):
    """An image, its record so far, and the boxes to look into; none where it is not to be used."""

    record: dict[str, Any]
    image: Image
    boxes: Detections | None


@dataclass(frozen=True, kw_only=True)
class ImageLabeller:
    """Find the people of unlabelled images and write them into a work file.

    Attributes:
        predictor: finds the keypoints, see `BoxPredictor`.
        detector: finds the boxes; or boxes found before, by ``file_name``.
        skeleton: of the predictor's keypoints.
        made_with: provenance, values for JSON: which model, with which weights, and which detector. A run goes on, and
            shards are merged, only where it is the same.
        box_threshold: boxes scored below it are not looked into.
        evaluation_images: to measure on; what looks like one of them is left out and listed.

    Source:
        Section 2.3: keypoints from a detector's boxes in the unlabelled part of COCO. It does not say which boxes; 0.5
        is ours.
    """

    predictor: BoxPredictor
    detector: Detector | Mapping[str, Detections]
    skeleton: Skeleton
    made_with: Mapping[str, Any]
    box_threshold: float = BOX_THRESHOLD
    evaluation_images: EvaluationImages | None = None

    def label(
        self,
        images: Sequence[UnlabelledImage],
        work: str | Path,
        *,
        shard: Shard | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Predict the images of a shard, going on where an earlier run stopped.

        Images that cannot be read are recorded as left out, which is logged.

        Args:
            images: all of them, those of other shards included; see `number_images`.
            work: the file to write. For the same arguments its bytes are the same, however often the run was stopped.
            shard: the shard to do; all of them by default.
            progress: called with how many more images are done, and how many persons were found in them.

        Raises:
            ValueError: if there is no image, or the work file is of something else or of other settings.
            FloatingPointError: if the model finds coordinates or scores that are not finite.
            OSError: if the file cannot be written, or another process writes into it.
        """
        if not images:
            raise ValueError("expected images, found none")
        header = WorkHeader(
            settings=self._settings(images),
            skeleton=self.skeleton,
            images=len(images),
            shard=Shard() if shard is None else shard,
        )
        file = WorkFile(work, header)
        tell = progress or _tell_nobody
        tell(file.done, 0)
        for chunk in file.chunks:
            records = self._records([(index, images[index]) for index in chunk])
            file.append(records)
            tell(len(records), sum(len(record.get("persons", ())) for record in records))

    def _settings(self, images: Sequence[UnlabelledImage]) -> dict[str, Any]:
        listed = "\n".join(f"{file.image_id} {file.file_name}" for file in images)
        return {
            "pcrpose": version("pcrpose"),
            **self.made_with,
            "box_threshold": self.box_threshold,
            "never_in": None if self.evaluation_images is None else self.evaluation_images.describe(),
            "images": {
                "count": len(images),
                "sha256": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
            },
        }

    def _records(self, numbered: Sequence[tuple[int, UnlabelledImage]]) -> list[dict[str, Any]]:
        """Predict a chunk; its persons share batches."""
        looked = [self._look(index, file) for index, file in numbered]
        asked = [entry for entry in looked if entry.boxes]
        if asked:
            boxes = [entry.boxes for entry in asked if entry.boxes is not None]
            found = self.predictor.predict_batch([entry.image for entry in asked], boxes)
            for entry, poses in zip(asked, found, strict=True):
                entry.record["persons"] = list(self._persons(poses, entry.record["file_name"]))
        return [entry.record for entry in looked]

    def _look(self, index: int, file: UnlabelledImage) -> _Looked:
        record: dict[str, Any] = {"index": index, "file_name": file.file_name, "image_id": file.image_id}
        try:
            image = open_image(file.path)
        except (ImageError, OSError) as error:
            logger.warning("left out %s", error)
            reason = str(error).replace(str(file.path), file.file_name)
            return _Looked(record | {"left_out": reason}, np.zeros((0, 0, 3), dtype=np.uint8), None)
        near = None if self.evaluation_images is None else self.evaluation_images.find(image)
        if near is not None:
            return _Looked(record | {"leak": asdict(near)}, image, None)
        size = Size.of(image)
        return _Looked(
            record | {"width": size.width, "height": size.height, "persons": []}, image, self._boxes(file, image)
        )

    def _boxes(self, file: UnlabelledImage, image: Image) -> Detections:
        if isinstance(self.detector, Mapping):
            found = self.detector.get(file.file_name, Detections.empty())
        else:
            try:
                found = Detections.of(self.detector(image))
            except ValueError as error:
                raise ValueError(f"{file.file_name}: {error}") from error
        return found[found.scores >= self.box_threshold]

    def _persons(self, poses: Poses, file_name: str) -> Iterator[dict[str, Any]]:
        if poses.skeleton.keypoints != self.skeleton.keypoints:
            raise ValueError(f"expected poses of {self.skeleton.name}, found poses of {poses.skeleton.name}")
        values = np.concatenate([poses.keypoints, poses.keypoint_scores[..., None]], axis=2).astype(np.float64)
        if not (np.isfinite(values).all() and np.isfinite(poses.pose_scores).all()):
            raise FloatingPointError(f"{file_name}: expected finite keypoints and scores, found nan or inf")
        points = values[..., :2].round(_COORDINATE_DECIMALS)
        triples = np.concatenate([points, values[..., 2:].round(_SCORE_DECIMALS)], axis=2)
        boxes = poses.boxes_xyxy.astype(np.float64).round(_COORDINATE_DECIMALS)
        scores = np.stack([poses.box_scores, poses.pose_scores], axis=1).astype(np.float64).round(_SCORE_DECIMALS)
        for index in range(len(poses)):
            box_score, score = scores[index].tolist()
            yield {
                "box_xyxy": boxes[index].tolist(),
                "box_score": box_score,
                "score": score,
                "keypoints": triples[index].ravel().tolist(),
            }


def _tell_nobody(_images: int, _persons: int) -> None:
    """Stand in for a progress that nobody has asked for."""
