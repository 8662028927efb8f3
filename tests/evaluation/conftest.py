"""What the tests of the evaluation share: files to evaluate, and the evaluation everybody else runs."""

import contextlib
import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pcrpose.keypoints.arrays import Floats


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    """Write JSON to a file of the test's own."""

    def write(content: Any) -> Path:  # noqa: ANN401 - JSON is anything
        path = tmp_path / "written.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def by_pycocotools() -> Callable[[dict[str, Any], list[dict[str, Any]], Floats], list[float]]:
    """Evaluate annotations, results and sigmas without this library: the ten metrics."""

    def evaluate(truth: dict[str, Any], results: list[dict[str, Any]], sigmas: Floats) -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            annotations = COCO()
            annotations.dataset = copy.deepcopy(truth)
            annotations.createIndex()
            evaluation = COCOeval(annotations, annotations.loadRes(copy.deepcopy(results)), "keypoints")
            evaluation.params.kpt_oks_sigmas = sigmas
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return [float(value) for value in evaluation.stats]

    return evaluate
