"""Annotated person boxes per image, for hard-negative mining."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pcrpose.data.readers.coco import PERSON
from pcrpose.data.readers.coco_file import AnnotationFile
from pcrpose.data.readers.json_file import finite_numbers, record_size
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.boxes import Size, xywh_to_xyxy


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonBoxes:
    """Boxes of the annotated persons of images, those without keypoints and the crowds included.

    Attributes:
        boxes_xyxy: ``(N, 4)`` float64 by image id, as the file has them; every image has an entry.
        file_names: by image id.
        sizes: of the images, by image id.
        incomplete: ids of the images that the file says lack some persons, ``"annotations_complete": false``.
        unstated: ids of the images of which it does not say whether they lack some.
    """

    boxes_xyxy: Mapping[int, Floats]
    file_names: Mapping[int, str]
    sizes: Mapping[int, Size]
    incomplete: frozenset[int] = field(default_factory=frozenset)
    unstated: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def read(cls, annotations: str | Path | Mapping[str, Any]) -> "PersonBoxes":
        """Read the boxes of a COCO file: of its category with keypoints, else of COCO's person.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no annotation file, or an image or a person lacks something.
        """
        file = AnnotationFile.read(annotations)
        _check_whole(file)
        names: dict[int, str] = {}
        sizes: dict[int, Size] = {}
        complete: dict[int, object] = {}
        for index, image in enumerate(file.images):
            image_id, name, size = image.get("id"), image.get("file_name"), record_size(image)
            if not isinstance(image_id, int) or not isinstance(name, str) or size is None:
                where = f"{file.name}: image at position {index}"
                raise ValueError(f"{where}: expected an id, a file_name, a width and a height, found {image!r:.80}")
            names[image_id], sizes[image_id], complete[image_id] = name, size, image.get("annotations_complete")
        return cls(
            boxes_xyxy=_boxes(file, set(names)),
            file_names=names,
            sizes=sizes,
            incomplete=frozenset(key for key, value in complete.items() if value is not None and not value),
            unstated=frozenset(key for key, value in complete.items() if value is None),
        )


def _check_whole(file: AnnotationFile) -> None:
    """Raise ValueError if entries were skipped: a skipped person would be mined as a negative."""
    content = file.content or {}
    for key, read in (("images", file.images), ("annotations", file.annotations)):
        if not isinstance(content.get(key), list) or len(read) != len(content[key]):
            raise ValueError(f"{file.name}: {file.findings[0].message}")


def _boxes(file: AnnotationFile, image_ids: set[int]) -> dict[int, Floats]:
    wanted = file.category.get("id", PERSON)
    boxes: dict[int, list[list[float]]] = {image_id: [] for image_id in image_ids}
    for index, annotation in enumerate(file.annotations):
        if annotation.get("category_id", wanted) != wanted:
            continue
        where = f"{file.name}: annotation {annotation.get('id', f'at position {index}')}"
        image_id, box = annotation.get("image_id"), finite_numbers(annotation.get("bbox"), 4)
        if image_id not in boxes:
            raise ValueError(f"{where}: image_id {image_id!r:.40} is not among the {len(boxes)} images")
        if box is None:
            raise ValueError(f"{where}: expected 4 finite numbers in 'bbox', found {annotation.get('bbox')!r:.80}")
        boxes[image_id].append(box)
    return {image_id: xywh_to_xyxy(np.reshape(found, (-1, 4))) for image_id, found in boxes.items()}
