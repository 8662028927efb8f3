"""The COCO metrics against the reference arrays, against published cases and against pycocotools itself."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.oks import oks_nms_batch, pose_scores, soft_oks_nms
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import COCO_17

ByPycocotools = Callable[[dict[str, Any], list[dict[str, Any]], Floats], list[float]]

CROWDPOSE_SIGMAS = np.array([79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89, 79, 79]) / 1000


def listed(metrics: CocoMetrics) -> list[float]:
    """List the first ten fields."""
    return list(vars(metrics).values())[:10]


def test_golden_metrics_and_curves(
    golden: Callable[[str], Any], golden_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """Crowds, empty images, unlabelled persons and tied scores: all as pycocotools has it."""
    truth, results = (
        json.loads(gzip.decompress(golden_file(f"coco_{kind}.json.gz").read_bytes())) for kind in ("gt", "dt")
    )
    expected = json.loads(golden_file("coco_expected.json").read_text())

    (tmp_path / "results.json").write_text(json.dumps(results))
    metrics = CocoEvaluator(truth).evaluate_file(tmp_path / "results.json")

    np.testing.assert_allclose(listed(metrics), expected["stats_list"], rtol=0, atol=1e-12)
    curves = golden("coco_arrays")
    for name in ("precision", "recall", "scores"):
        np.testing.assert_allclose(getattr(metrics, name), curves[f"out_{name}"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("tag", ["oks0.9_vis0.2", "oks0.5_vis0.0", "soft0.9_vis0.2"])
def test_golden_test_procedure(golden: Callable[[str], Any], golden_file: Callable[[str], Path], tag: str) -> None:
    """Rescoring, suppression and evaluation together give the published procedure's metrics."""
    rescore = golden("rescore")
    truth = json.loads(gzip.decompress(golden_file("coco_gt.json.gz").read_bytes()))
    suppression, threshold = tag.split("_vis")
    poses, image_ids, areas = rescore["in_preds"], rescore["in_image_id"], rescore["in_all_boxes"][:, 4]
    scores = pose_scores(rescore["in_box_score"], poses[..., 2], threshold=float(threshold))
    level: dict[str, Any] = {"sigmas": COCO_17.sigmas, "threshold": float(suppression[-3:])}
    kept = np.arange(len(poses))
    if suppression.startswith("oks"):
        kept = oks_nms_batch(poses[..., :2], scores, areas, image_ids, **level)
    evaluator = CocoEvaluator(truth)

    for image_id in np.unique(image_ids):
        rows = kept[image_ids[kept] == image_id]
        if suppression.startswith("soft"):
            # published: the lowered scores only decide which twenty stay
            rows = rows[soft_oks_nms(poses[rows][..., :2], scores[rows], areas[rows], max_poses=20, **level)[0]]
        evaluator.update(
            int(image_id),
            Poses(
                keypoints=poses[rows][..., :2],
                keypoint_scores=poses[rows][..., 2],
                boxes_xyxy=rescore["in_boxes_xywh"][rows],
                box_scores=rescore["in_box_score"][rows],
                pose_scores=scores[rows],
            ),
        )

    np.testing.assert_allclose(listed(evaluator.compute()), rescore[f"out_stats_{tag}"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("truth", "results", "published"),
    [
        (
            "eval_val2014_fake100/person_keypoints_val2014_100_rebuilt.json",
            "eval_val2014_fake100/person_keypoints_val2014_fakekeypoints100_results.json",
            "0.372 0.636 0.348 0.384 0.386 0.514 0.734 0.504 0.508 0.522",
        ),
        (
            "xtcoco/example_coco_val.json",
            "xtcoco/example_coco_preds.json",
            "0.8609 0.9931 0.9109 0.7756 0.9373 0.8750 1.0000 0.9167 0.7800 0.9429",
        ),
    ],
)
def test_published_cases(shared_data: Callable[[str], Path], truth: str, results: str, published: str) -> None:
    """The metrics other people have printed, digit for digit."""
    evaluator = CocoEvaluator(shared_data(f"evaluation/{truth}"))

    metrics = evaluator.evaluate_file(shared_data(f"evaluation/{results}"))

    digits = len(published.split(maxsplit=1)[0]) - 2
    assert " ".join(f"{value:.{digits}f}" for value in listed(metrics)) == published


def test_crowdpose_with_its_own_keypoints(shared_data: Callable[[str], Path], by_pycocotools: ByPycocotools) -> None:
    """Fourteen keypoints, their sigmas, and areas as a fraction of the box: what pycocotools gives for them."""
    truth_file = shared_data("evaluation/xtcoco/example_crowdpose_val.json")
    results_file = shared_data("evaluation/xtcoco/example_crowdpose_preds.json")
    truth = json.loads(truth_file.read_text())
    for person in truth["annotations"]:
        person["area"] = 0.53 * person["bbox"][2] * person["bbox"][3]

    metrics = CocoEvaluator(truth_file, sigmas=CROWDPOSE_SIGMAS, area_per_box=0.53).evaluate_file(results_file)

    assert listed(metrics) == by_pycocotools(truth, json.loads(results_file.read_text()), CROWDPOSE_SIGMAS)
    assert 0.5 < metrics.ap < 1
    with pytest.raises(ValueError, match=r"annotation 0: expected a field 'area', found \["):
        CocoEvaluator(truth_file, sigmas=CROWDPOSE_SIGMAS)
