"""COCO's files: persons with keypoints of any skeleton, and detected boxes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from pcrpose.data.readers.json_file import JsonFile, image_size, load_json
from pcrpose.data.samples import AnnotatedPersons, Sample, Visibilities
from pcrpose.files.json import JsonObject, field, identifier, is_finite, number, numbers, records, text
from pcrpose.keypoints.boxes import Size, clip_boxes, xywh_to_xyxy
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.skeleton import CROWDPOSE_14, KNOWN_SKELETONS, Skeleton

Record: TypeAlias = JsonObject

PERSON = 1
DEFAULT_SIGMA = 0.07  # for skeletons that publish none: about the mean of COCO's seventeen

# CrowdPose and its conversions have two names for the top of the head.
_OTHER_NAMES = {(*CROWDPOSE_14.keypoints[:-2], head, "neck"): CROWDPOSE_14.keypoints for head in ("head", "top_head")}


def read_coco(
    annotations: str | Path | Record | JsonFile, images: str | Path, *, skeleton: Skeleton | None = None
) -> AnnotatedPersons:
    """Read the persons of a COCO keypoint file.

    Left out are crowds, annotations of other categories, areas that are not positive, persons without a keypoint,
    and boxes without a pixel inside the image. Boxes are clipped to the image as `clip_boxes` says.
    An annotation without an area gets its box's. Image files are looked for when they are opened, not here.

    Args:
        annotations: the JSON file, or its content.
        images: folder of the images.
        skeleton: of the keypoints. By default the one the file's category describes: one of `KNOWN_SKELETONS`
            where the names are its; otherwise flip pairs come from names that begin with ``left_`` and ``right_``,
            bones from the file, and every sigma is `DEFAULT_SIGMA`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, lacks something, holds a wrong number of keypoints, or an annotation
            belongs to an image that is not listed; the message says where.
    """
    name, content = load_json(annotations)
    if not isinstance(content, Mapping):
        raise ValueError(f"{name}: expected a COCO annotation object, found a {type(content).__name__}")  # noqa: TRY004 - file content
    listed = {identifier(image, "id", f"{name}: image"): image for image in records(content, "images", name)}
    sizes = {image_id: image_size(image, f"{name}: image {image_id}") for image_id, image in listed.items()}
    folder = Path(images)
    paths = {key: folder / text(image, "file_name", f"{name}: image {key}") for key, image in listed.items()}
    category_id, found = _category(content, name, skeleton)
    samples: dict[int, list[Sample]] = {image_id: [] for image_id in listed}
    for position, annotation in enumerate(records(content, "annotations", name)):
        where = f"{name}: annotation {annotation.get('id', f'at position {position}')}"
        image_id = identifier(annotation, "image_id", where)
        if image_id not in listed:
            raise ValueError(f"{where}: image_id {image_id} is not among the {len(listed)} images")
        if annotation.get("category_id", category_id) == category_id:
            samples[image_id] += _persons(annotation, where, paths[image_id], sizes[image_id], found.num_keypoints)
    together = tuple(sample for persons in samples.values() for sample in persons)
    return AnnotatedPersons(skeleton=found, samples=together, image_sizes=sizes, image_paths=paths)


def read_detections(
    path: str | Path | list[Record], *, score_threshold: float = 0.0, category_id: int = PERSON
) -> dict[int, Detections]:
    """Read a detector's boxes from a file in COCO's results format.

    Args:
        path: the JSON file, or its content.
        score_threshold: boxes scored below it are left out.
        category_id: boxes of other categories are left out.

    Returns:
        By image id, images in the order in which they first appear, boxes in the file's order. An image
        without a box that is kept has no entry.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON or an entry lacks a field or has a wrong one.
    """
    name, content = load_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{name}: expected a list of detections, found a {type(content).__name__}")  # noqa: TRY004 - file content
    boxes: dict[int, list[Any]] = {}
    scores: dict[int, list[float]] = {}
    for position, entry in enumerate(content):
        where = f"{name}: detection {position}"
        image_id, score = identifier(entry, "image_id", where), number(entry, "score", where)
        box = numbers(entry, "bbox", 4, where, finite=True)
        if field(entry, "category_id", where) == category_id and score >= score_threshold:
            boxes.setdefault(image_id, []).append(box)
            scores.setdefault(image_id, []).append(score)
    return {key: Detections(xywh_to_xyxy(boxes[key]), scores[key]) for key in boxes}


def skeleton_of(category: Record, where: str = "category") -> Skeleton:
    """Build the skeleton that a COCO category describes; see `read_coco`.

    Raises:
        ValueError: if names or bones are none, or make no skeleton; it begins with ``where``.
    """
    names = _names(_listed(category, "keypoints", where))
    for known in KNOWN_SKELETONS:
        if known.keypoints == names:
            return known
    pairs = [(name, f"right_{name[5:]}") for name in names if name.startswith("left_") and f"right_{name[5:]}" in names]
    bones = [_bone(bone, where) for bone in _listed(category, "skeleton", where)] if category.get("skeleton") else []
    try:
        return Skeleton(str(category.get("name", "unnamed")), names, pairs, bones, [DEFAULT_SIGMA] * len(names))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _listed(category: Record, key: str, where: str) -> Sequence[Any]:
    values = field(category, key, where)
    if not isinstance(values, list | tuple):
        raise ValueError(f"{where}: expected {key!r} to be a list, found {values!r:.80}")  # noqa: TRY004 - file content
    return values


def _bone(bone: object, where: str) -> tuple[int, int]:
    if not isinstance(bone, list | tuple) or len(bone) != 2 or not all(is_finite(end) for end in bone):  # noqa: PLR2004 - two ends
        raise ValueError(f"{where}: expected bones in 'skeleton' to be two keypoints' numbers, found {bone!r:.80}")
    return int(bone[0]) - 1, int(bone[1]) - 1


def _names(keypoints: Iterable[str]) -> tuple[str, ...]:
    """Return names in this library's spelling: ``Left Hip`` and ``left-hip`` are ``left_hip``."""
    names = tuple(str(name).strip().lower().replace(" ", "_").replace("-", "_") for name in keypoints)
    return _OTHER_NAMES.get(names, names)


def _category(content: Record, name: str, skeleton: Skeleton | None) -> tuple[int, Skeleton]:
    categories = records(content, "categories", name)
    candidates = [category for category in categories if category.get("keypoints")]
    if skeleton is not None and not candidates:
        candidates = [category for category in categories if category.get("id") == PERSON]
    if len(candidates) != 1:
        described = [category.get("name") for category in candidates]
        raise ValueError(f"{name}: expected one category with 'keypoints', found {described}")
    where = f"{name}: category {candidates[0].get('name')!r}"
    category_id: int = field(candidates[0], "id", where)
    names = _names(_listed(candidates[0], "keypoints", where)) if candidates[0].get("keypoints") else ()
    if skeleton is None:
        return category_id, skeleton_of(candidates[0], where)
    if names and names != skeleton.keypoints:
        raise ValueError(
            f"{where}: expected the keypoints of {skeleton.name} {list(skeleton.keypoints)}, found {list(names)}"
        )
    return category_id, skeleton


def _persons(annotation: Record, where: str, path: Path, size: Size, num_keypoints: int) -> Iterator[Sample]:
    """Yield the annotation as a sample, or nothing where it cannot be used."""
    x, y, w, h = numbers(annotation, "bbox", 4, where, finite=True)
    area = number(annotation, "area", where) if "area" in annotation else w * h
    if annotation.get("iscrowd", 0) or area <= 0:
        return
    values = np.array(numbers(annotation, "keypoints", 3 * num_keypoints, where), dtype=np.float64).reshape(-1, 3)
    box = clip_boxes([[x, y, w, h]], size)[0]
    outside = x > size.width - 1 or y > size.height - 1 or x + w <= 0 or y + h <= 0
    if not values[:, 2].any() or outside or (box[2:] == box[:2]).all():
        return
    try:
        yield Sample(
            image=path,
            image_id=annotation["image_id"],
            box_xyxy=box,
            keypoints=values[:, :2],
            visibility=cast("Visibilities", values[:, 2]),  # a sample checks and converts
            area=area,
            annotation_id=annotation.get("id"),
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
