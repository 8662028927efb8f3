"""A builder of `AnnotatedPersons` for annotation files that are not COCO's."""

import logging
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcrpose.data.images import ImageError, image_size
from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.boxes import Size, clip_boxes
from pcrpose.keypoints.skeleton import Skeleton

logger = logging.getLogger(__name__)

MANY = 0.2  # of all persons left out: more than stray mistakes, such as boxes that are no corners


class ListedImage(NamedTuple):
    """An image that can be used: its number, its file and its size."""

    image_id: int
    path: Path
    size: Size


class PersonList:
    """Persons as a file lists them; images and persons are numbered from 1 in its order.

    Who cannot be used is left out and counted, and `finish` logs the counts: as a warning where they are many.

    Args:
        name: of the file, for messages.
        images: folder of the images.
        skeleton: of the persons' keypoints.
    """

    def __init__(self, name: str, images: str | Path, skeleton: Skeleton) -> None:
        self.name = name
        self.folder = Path(images)
        self.skeleton = skeleton
        self._images: dict[str, ListedImage | None] = {}
        self._samples: dict[int, list[Sample]] = {}
        self._unusable: list[str] = []
        self._num_persons = 0
        self._left_out: Counter[str] = Counter()

    def list_image(self, file_name: str, size: Size) -> ListedImage:
        """Register an image whose size the annotations state; the file is not opened."""
        image = self._images.get(file_name)
        if image is None:
            image = ListedImage(len(self._images) + 1, self.folder / file_name, size)
            self._images[file_name] = image
        return image

    def open_listed(self, file_name: str) -> ListedImage | None:
        """Register an image and read its size from its header; None if it is missing or broken."""
        if file_name not in self._images:
            try:
                return self.list_image(file_name, image_size(self.folder / file_name))
            except (ImageError, OSError) as error:
                self._images[file_name] = None  # it keeps its number
                self._unusable.append(str(error))
        return self._images[file_name]

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count persons who cannot be used, those of one reason together."""
        self._num_persons += count
        self._left_out[reason] += count

    def add(
        self,
        image: ListedImage,
        box_xyxy: Floats,
        keypoints: Floats,
        visibility: npt.ArrayLike,
        where: str,
        *,
        area: float | None = None,
    ) -> None:
        """Add a person; one without a labelled keypoint or without a box of some size is left out.

        Args:
            image: the person's.
            box_xyxy: ``(4,)`` float64, image pixels; used as it is.
            keypoints: ``(J, 2)`` float64, image pixels; those that are not labelled become zero.
            visibility: ``(J,)``, COCO's 0, 1 and 2.
            where: the person's place in the file, for messages.
            area: by default the box's.

        Raises:
            ValueError: if the numbers make no person; it says where.
        """
        labelled = np.asarray(visibility) > 0
        if not labelled.any():
            return self.leave_out("without a labelled keypoint")
        if not (box_xyxy[2:] >= box_xyxy[:2]).all() or (box_xyxy[2:] == box_xyxy[:2]).all():
            return self.leave_out("without a box inside the image")
        self._num_persons += 1
        try:
            sample = Sample(
                image=image.path,
                image_id=image.image_id,
                box_xyxy=box_xyxy,
                keypoints=np.where(labelled[:, None], keypoints, 0.0),
                visibility=np.asarray(visibility, dtype=np.int64),
                area=float(np.prod(box_xyxy[2:] - box_xyxy[:2])) if area is None else area,
                annotation_id=self._num_persons,
            )
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        self._samples.setdefault(image.image_id, []).append(sample)
        return None

    def finish(self) -> AnnotatedPersons:
        """Return all persons, image by image.

        Raises:
            FileNotFoundError: if the file lists images and none of them can be used.
        """
        usable = {image.image_id: image for image in self._images.values() if image is not None}
        if self._unusable:
            what = f"{len(self._unusable)} of {len(self._images)} images are missing or broken"
            if not usable:
                raise FileNotFoundError(f"{self.name}: {what} in {self.folder}, such as: {self._unusable[0]}")
            logger.warning("%s: %s and left out, such as: %s", self.name, what, self._unusable[0])
        together = tuple(sample for image_id in usable for sample in self._samples.get(image_id, ()))
        left_out = "".join(f", {count} left out {reason}" for reason, count in self._left_out.items())
        level = logging.WARNING if self._left_out.total() > MANY * self._num_persons else logging.INFO
        logger.log(level, "%s: %d persons in %d images%s", self.name, len(together), len(usable), left_out)
        return AnnotatedPersons(
            skeleton=self.skeleton,
            samples=together,
            image_sizes={image_id: image.size for image_id, image in usable.items()},
            image_paths={image_id: image.path for image_id, image in usable.items()},
        )


def clip_corners(corners: npt.ArrayLike, size: Size) -> Floats:
    """Clip a box as `read_coco` would after the usual conversion to COCO's left, top, width, height.

    Args:
        corners: ``(4,)`` left, top, right, bottom, as files give them.
        size: of the image.

    Returns:
        ``(4,)`` float64, left, top, right, bottom; all 0 for a box without a pixel inside the image.
    """
    box = np.asarray(corners, dtype=np.float64)
    if not (box[2:] > np.maximum(box[:2], 0)).all() or (box[:2] > (size.width - 1, size.height - 1)).any():
        return np.zeros(4)
    clipped: Floats = clip_boxes([[*box[:2], *(box[2:] - box[:2])]], size)[0]
    return clipped
