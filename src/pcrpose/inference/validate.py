"""COCO metrics of a predictor on an annotated data set."""

from collections.abc import Callable, Mapping

import numpy as np

from pcrpose.data.samples import AnnotatedPersons, Sample
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.detections import Boxes, Detections
from pcrpose.keypoints.poses import Poses


def validate(
    predictor: PosePredictor,
    dataset: AnnotatedPersons,
    evaluator: CocoEvaluator,
    *,
    detections: Mapping[int, Detections] | None = None,
    on_image: Callable[[Poses], object] | None = None,
) -> CocoMetrics:
    """Predict every image of a data set and evaluate the poses.

    Args:
        predictor: of a model with the data set's skeleton.
        dataset: images, and the boxes of its annotated persons.
        evaluator: of the same annotations; cleared first. Only the images it counts are predicted.
        detections: boxes by image id to use instead of the annotated ones; they are rescored and go through OKS-NMS.
        on_image: called with the poses of each image when it is done.

    Returns:
        The ten COCO metrics, over all images of the evaluator.

    Raises:
        ValueError: if the skeletons differ, or an image or a box cannot be used.
    """
    expected = predictor.model.config.skeleton
    if dataset.skeleton.keypoints != expected.keypoints:
        raise ValueError(f"expected a data set of {expected.name}, found one of {dataset.skeleton.name}")
    evaluator.reset()
    image_ids = [image_id for image_id in dataset.image_paths if image_id in evaluator.image_ids]
    paths = [dataset.image_paths[image_id] for image_id in image_ids]
    boxes: Mapping[int, Boxes] = _annotated_boxes(dataset) if detections is None else detections
    predicted = predictor.stream(paths, (boxes.get(image_id, Detections.empty()) for image_id in image_ids))
    for image_id, poses in zip(image_ids, predicted, strict=True):
        evaluator.update(image_id, poses)
        if on_image is not None:
            on_image(poses)
    return evaluator.compute()


def _annotated_boxes(dataset: AnnotatedPersons) -> dict[int, Floats]:
    """Return the boxes of each image."""
    boxes: dict[int, list[Floats]] = {image_id: [] for image_id in dataset.image_paths}
    for sample in dataset.samples:
        boxes[sample.image_id].append(widened_box(sample))
    return {image_id: np.array(found).reshape(-1, 4) for image_id, found in boxes.items()}


def widened_box(sample: Sample) -> Floats:
    """Return ``(4,)``, a sample's box; a side that is one pixel wide in the file has length zero and is widened."""
    box: Floats = sample.box_xyxy.copy()
    box[2:] = np.maximum(box[2:], box[:2] + 1)
    return box
