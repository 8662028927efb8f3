"""Validation in one process, and what several put together."""

from pathlib import Path

import pytest
from torch import Tensor

from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.training.validation import CocoValidation, merge


def test_alone_it_is_validate(model: PCR, tmp_path: Path) -> None:
    """One process gives the figures of `validate`, and AP to a trainer."""
    annotations = write_synthetic_coco(tmp_path, 3)
    dataset, evaluator = read_coco(annotations, annotations.parent / "images"), CocoEvaluator(annotations)
    model.eval()
    expected = validate(PosePredictor(model, flip=False), dataset, evaluator)

    validation = CocoValidation(dataset, evaluator)

    assert validation.measure(model) == expected
    assert validation(model) == expected.ap


def test_results_are_put_together_by_image() -> None:
    """In the order of the images' ids, those of one image in the order they had."""
    rows = [[{"image_id": 5, "score": 2}, {"image_id": 1, "score": 1}], [{"image_id": 3}, {"image_id": 3}], []]
    merged = merge(rows, [frozenset({1, 5}), frozenset({3}), frozenset()])
    assert [row["image_id"] for row in merged] == [1, 3, 3, 5]


def test_a_image_of_another_process_is_refused() -> None:
    """Each image counts exactly once."""
    with pytest.raises(ValueError, match="process 1: expected results of its own images, found image 1"):
        merge([[{"image_id": 1}], [{"image_id": 1}]], [frozenset({1}), frozenset({2})])


@pytest.mark.parametrize("flip", [False, True])
def test_crops_are_mirrored_on_request(
    model: PCR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, flip: bool
) -> None:
    """Validation during training asks the network once per crop, and twice where ``flip`` says so."""
    annotations = write_synthetic_coco(tmp_path, 3)
    dataset, evaluator = read_coco(annotations, annotations.parent / "images"), CocoEvaluator(annotations)
    forward, seen = PCR.forward, list[int]()

    def watched(self: PCR, crops: Tensor) -> HeatmapOutput:
        seen.append(len(crops))
        return forward(self, crops)

    monkeypatch.setattr(PCR, "forward", watched)
    CocoValidation(dataset, evaluator, flip=flip)(model.eval())

    assert sum(seen) == 3 * (2 if flip else 1)
