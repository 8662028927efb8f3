"""COCO validation during training, its images split over the processes that train."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcrpose.data.samples import AnnotatedPersons
from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.validate import validate
from pcrpose.keypoints.detections import Detections
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.engine.distributed import Processes

Rows = list[dict[str, Any]]


class CocoValidation:
    """COCO's metrics of a model; a `Trainer` takes it as ``validate`` and keeps the model of the best AP.

    With several processes each predicts its share of the images, and the first one measures them all.

    Args:
        dataset: images, and the boxes of its annotated persons.
        evaluator: of the same annotations; it holds the results of the last validation afterwards, in a single process.
        detections: boxes by image id to use instead of the annotated ones.
        flip: predict the mirrored crop too.
    """

    def __init__(
        self,
        dataset: AnnotatedPersons,
        evaluator: CocoEvaluator,
        *,
        detections: Mapping[int, Detections] | None = None,
        flip: bool = False,
    ) -> None:
        self.dataset, self.evaluator, self.detections, self.flip = dataset, evaluator, detections, flip

    def __call__(self, model: PoseModel[Any]) -> float:
        """Return the average precision."""
        return self.measure(model).ap

    def measure(self, model: PoseModel[Any]) -> CocoMetrics:
        """Compute all metrics, in every process.

        Raises:
            ValueError: as `validate`.
            ProcessError: if another process could not predict its share.
        """
        processes = Processes.current()
        predictor = PosePredictor(model, flip=self.flip)
        if processes.count == 1:
            return validate(predictor, self.dataset, self.evaluator, detections=self.detections)
        counted = sorted(self.evaluator.image_ids & self.dataset.image_paths.keys())
        shares = [frozenset(counted[rank :: processes.count]) for rank in range(processes.count)]
        rows = processes.together(lambda: self._predict(predictor, shares[processes.rank]))
        metrics = processes.first(lambda: self._evaluate(merge(rows, shares)))
        return processes.gather(metrics)[0]  # type: ignore[return-value] # the first one has them

    def _predict(self, predictor: PosePredictor, share: frozenset[int]) -> Rows:
        part = replace(
            self.dataset,
            samples=tuple(sample for sample in self.dataset.samples if sample.image_id in share),
            image_paths={key: path for key, path in self.dataset.image_paths.items() if key in share},
        )
        validate(predictor, part, self.evaluator, detections=self.detections)
        return self.evaluator.results

    def _evaluate(self, rows: Rows) -> CocoMetrics:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            path.write_text(json.dumps(rows, allow_nan=False), encoding="utf-8")
            return self.evaluator.evaluate_file(path)


def merge(rows: Iterable[Rows], shares: Iterable[frozenset[int]]) -> Rows:
    """Merge the processes' results, image by image in the order of their ids, each exactly once.

    Raises:
        ValueError: if a process gives results of an image that is another's.
    """
    merged: Rows = []
    for rank, (own, share) in enumerate(zip(rows, shares, strict=True)):
        foreign = sorted({row["image_id"] for row in own} - share)
        if foreign:
            raise ValueError(f"process {rank}: expected results of its own images, found image {foreign[0]}")
        merged.extend(own)
    return sorted(merged, key=lambda row: row["image_id"])
