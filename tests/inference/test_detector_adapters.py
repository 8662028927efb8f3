"""Outputs of other libraries' detectors, as stand-ins of the same shape, come out as `Detections`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.inference.detector_adapters import from_supervision, from_torchvision, from_transformers, from_ultralytics
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.detections import Detections
from pcrpose.models.pcr import PCR, PCRConfig

BOXES = [[10.0, 5.0, 60.0, 110.0], [70.0, 5.0, 119.5, 110.0], [0.0, 0.0, 30.0, 20.0]]
SCORES = [0.75, 0.5, 0.875]
CLASSES = [0, 0, 16]  # two persons and a dog


def ultralytics_results() -> Any:  # noqa: ANN401 - stands in for a class that is not here
    """Build what ``YOLO(...)(image)`` returns: a list of results whose boxes hold float32 tensors, classes too."""
    boxes = SimpleNamespace(
        xyxy=torch.tensor(BOXES), conf=torch.tensor(SCORES, requires_grad=True), cls=torch.tensor(CLASSES).float()
    )
    return [SimpleNamespace(boxes=boxes, names={0: "person", 16: "dog"})]


def supervision_detections(class_id: Any = CLASSES) -> Any:  # noqa: ANN401 - as above
    """Build ``supervision.Detections``: arrays, of which all but the boxes may be None."""
    return SimpleNamespace(
        xyxy=np.array(BOXES, dtype=np.float32),
        confidence=np.array(SCORES, dtype=np.float32),
        class_id=class_id if class_id is None else np.array(class_id),
    )


def pipeline_output() -> Any:  # noqa: ANN401 - as above
    """Build what ``pipeline("object-detection")(image)`` returns: a list of plain values."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    labels = {0: "person", 16: "dog"}
    return [
        {"score": score, "label": labels[index], "box": dict(zip(corners, box, strict=True))}
        for box, score, index in zip(BOXES, SCORES, CLASSES, strict=True)
    ]


def torchvision_output() -> Any:  # noqa: ANN401 - as above
    """Build what a detection model of torchvision returns: tensors per image, whose classes begin at 1."""
    return [
        {"boxes": torch.tensor(BOXES), "labels": torch.tensor(CLASSES) + 1, "scores": torch.tensor(SCORES)},
    ]


CASES: list[tuple[Callable[..., Detections], Callable[[], Any], dict[str, None]]] = [
    (from_ultralytics, ultralytics_results, {"class_id": None}),
    (from_supervision, supervision_detections, {"class_id": None}),
    (from_transformers, pipeline_output, {"label": None}),
    (from_torchvision, torchvision_output, {"label": None}),
]


@pytest.mark.parametrize(("convert", "output", "everything"), CASES)
def test_persons_are_kept(
    convert: Callable[..., Detections], output: Callable[[], Any], everything: dict[str, None]
) -> None:
    """Boxes and scores of the persons come out in order; of all classes where that is asked for."""
    persons, all_of_them = convert(output()), convert(output(), **everything)

    assert persons.boxes_xyxy.tolist() == BOXES[:2]
    assert persons.scores.tolist() == SCORES[:2]
    assert all_of_them.boxes_xyxy.tolist() == BOXES


@pytest.mark.parametrize(
    ("convert", "nothing"),
    [
        (
            from_ultralytics,
            SimpleNamespace(
                boxes=SimpleNamespace(xyxy=torch.zeros(0, 4), conf=torch.zeros(0), cls=torch.zeros(0)),
            ),
        ),
        (from_supervision, SimpleNamespace(xyxy=np.zeros((0, 4)), confidence=np.zeros(0), class_id=np.zeros(0, int))),
        (from_transformers, []),
        (from_torchvision, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}),
    ],
)
def test_nothing_found(convert: Callable[..., Detections], nothing: Any) -> None:  # noqa: ANN401 - of any library
    """An image without boxes gives none."""
    assert len(convert(nothing)) == 0


def test_without_class_ids() -> None:
    """Detections of supervision that name no class are all taken for persons."""
    assert len(from_supervision(supervision_detections(class_id=None))) == 3


@pytest.mark.parametrize(
    ("convert", "output", "error", "message"),
    [
        (from_ultralytics, ultralytics_results() * 2, ValueError, "of one image, found 2"),
        (from_ultralytics, [SimpleNamespace(boxes=None)], TypeError, "expected ultralytics results with boxes"),
        (from_transformers, [pipeline_output()], TypeError, "in one image"),
        (from_torchvision, torchvision_output() * 2, ValueError, "of one image, found 2"),
        (from_torchvision, {"loss": 0.1}, TypeError, "expected boxes, labels and scores"),
        (from_supervision, 3, TypeError, "expected Detections"),
    ],
)
def test_other_outputs_are_refused(
    convert: Callable[..., Detections],
    output: Any,  # noqa: ANN401 - of any library
    error: type[Exception],
    message: str,
) -> None:
    """What is not one image's output is named."""
    with pytest.raises(error, match=message):
        convert(output)


def test_supervision_as_boxes() -> None:
    """A predictor takes another library's scored boxes where it takes boxes, and treats them as a detector's."""
    config = PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), se_norm="none")
    predictor = PosePredictor(PCR(config), flip=False)
    image = np.zeros((120, 160, 3), dtype=np.uint8)

    poses = predictor.predict(image, supervision_detections())

    assert sorted(poses.box_scores.tolist()) == sorted(SCORES)
