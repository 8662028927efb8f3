"""Outputs of other libraries' detectors as `Detections`; none of these libraries is needed to import this."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.detections import Detections

Output: TypeAlias = Any  # an object of a library that need not be here

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def from_ultralytics(results: Output, *, class_id: int | None = 0) -> Detections:
    """Convert what an ultralytics model returned for one image.

    Args:
        results: ``Results``, or a list of one. The model takes arrays as BGR: ``model(image[..., ::-1])``.
        class_id: to keep; 0 is the person of models trained on COCO, None keeps all classes.

    Raises:
        ValueError: for several images.
        TypeError: for something else, and for results without boxes.
    """
    boxes: Any = getattr(_only(results, "ultralytics results"), "boxes", None)
    if not all(hasattr(boxes, name) for name in ("xyxy", "conf", "cls")):
        raise TypeError(f"expected ultralytics results with boxes, found {type(results).__name__}")
    return _of_class(boxes.xyxy, boxes.conf, boxes.cls, class_id)


def from_supervision(found: Output, *, class_id: int | None = 0) -> Detections:
    """Convert ``supervision.Detections`` of one image.

    Args:
        found: boxes with scores. Without class ids, all are kept.
        class_id: to keep; 0 is the person of most models trained on COCO, 1 of others; None keeps all classes.

    Raises:
        ValueError: if there are no scores.
        TypeError: for something else.
    """
    detections = Detections.of(found)
    classes = getattr(found, "class_id", None)
    return detections if classes is None else _of_class(found.xyxy, found.confidence, classes, class_id)


def from_transformers(found: Sequence[Mapping[str, Any]], *, label: str | None = "person") -> Detections:
    """Convert what transformers' object-detection pipeline returned for one image.

    Args:
        found: one mapping per box, with ``score``, ``label`` and ``box``.
        label: to keep; None keeps all.

    Raises:
        TypeError: for something else, the results of several images for example.
    """
    try:
        kept = [entry for entry in found if label is None or entry["label"] == label]
        boxes = [[entry["box"][corner] for corner in _CORNERS] for entry in kept]
        return Detections(boxes, [entry["score"] for entry in kept])
    except (KeyError, TypeError) as error:
        raise TypeError(f"expected score, label and box of each detection in one image, found {found!r:.80}") from error


def from_torchvision(output: Output, *, label: int | None = 1) -> Detections:
    """Convert what a torchvision detection model in evaluation mode returned for one image.

    Args:
        output: a mapping with ``boxes``, ``labels`` and ``scores``, or a list of one. The model takes
            ``(3, H, W)`` float32 in ``[0, 1]``.
        label: to keep; 1 is the person of models trained on COCO, None keeps all.

    Raises:
        ValueError: for several images.
        TypeError: for something else.
    """
    values = _only(output, "torchvision outputs")
    if not isinstance(values, Mapping) or not {"boxes", "labels", "scores"} <= set(values):
        raise TypeError(f"expected boxes, labels and scores of one image, found {values!r:.80}")
    return _of_class(values["boxes"], values["scores"], values["labels"], label)


def _only(results: Output, what: str) -> Output:
    """Return the one result of a list, or what is no list itself."""
    if not isinstance(results, list | tuple):
        return results
    if len(results) != 1:
        raise ValueError(f"expected {what} of one image, found {len(results)}")
    return results[0]


def _of_class(boxes: npt.ArrayLike, scores: npt.ArrayLike, classes: npt.ArrayLike, wanted: int | None) -> Detections:
    found = _numbers(classes)
    kept = np.ones(len(found), dtype=bool) if wanted is None else found == wanted
    return Detections(_numbers(boxes).reshape(-1, 4)[kept], _numbers(scores)[kept])


def _numbers(values: npt.ArrayLike) -> Floats:
    """Copy an array, or a tensor of any device that may require gradients, to float64."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double().numpy()
    return np.array(values, dtype=np.float64)
