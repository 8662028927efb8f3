"""Error types on cases worked out by hand, and the published program's counts on COCO's published case."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.evaluation.coco import CocoEvaluator
from pcrpose.evaluation.error_types import ALL_ERRORS, ERROR_TYPES, NOT_LABELLED, analyze_errors, classify_keypoints
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import Skeleton

# With a sigma of 0.5 and an area of 10000 the similarity is exp(-d^2 / 20000): 0.85 at 57.01 pixels, 0.5 at 117.74.
WIDE = Skeleton("wide", ("top", "left_end", "right_end"), [("left_end", "right_end")], [(0, 1)], [0.5] * 3)
AREA = 10000.0
PERSON = [[0.0, 0.0], [1000.0, 0.0], [2000.0, 0.0]]
NEIGHBOR = [[0.0, 5000.0], [1000.0, 5000.0], [2000.0, 5000.0]]


def types_of(pose: list[list[float]], *, labelled: Any = True, areas: tuple[float, float] = (AREA, AREA)) -> list[str]:  # noqa: ANN401 - what numpy broadcasts
    """Classify a pose that is matched with `PERSON`, beside `NEIGHBOR`."""
    found, _ = classify_keypoints(
        pose,
        [PERSON, NEIGHBOR],
        np.broadcast_to(labelled, (2, 3)),
        areas,
        sigmas=WIDE.sigmas,
        flip_indices=WIDE.flip_indices,
    )
    return ["" if number == NOT_LABELLED else ERROR_TYPES[number] for number in found.tolist()]


@pytest.mark.parametrize(
    ("left_end", "expected"),
    [
        ((1000, 0), "good"),
        ((1057, 0), "good"),
        ((1000, 57.1), "jitter"),
        ((1117.7, 0), "jitter"),
        ((1117.8, 0), "miss"),
        ((2000, 0), "inversion"),
        ((2000, 117.7), "inversion"),
        ((1000, 5000), "swap"),
        ((2000, 4900), "swap"),
        ((0, 0), "miss"),
        ((0, 5000), "miss"),
    ],
)
def test_one_keypoint(left_end: tuple[float, float], expected: str) -> None:
    """Thresholds lie at the distances worked out above; only the keypoint's own and its partner's places count."""
    assert types_of([[0, 0], list(left_end), [2000, 0]]) == ["good", expected, "good"]


def test_the_most_similar_place_decides() -> None:
    """Between two persons who stand 200 pixels apart, the nearer place counts, though both are near enough."""
    persons = [PERSON, [[x + 200, y] for x, y in PERSON]]
    found, remaining = classify_keypoints(
        [[99, 0], [1101, 0], [2000, 0]],
        persons,
        np.ones((2, 3), dtype=np.bool_),
        [AREA, AREA],
        sigmas=WIDE.sigmas,
        flip_indices=WIDE.flip_indices,
    )

    assert [ERROR_TYPES[number] for number in found] == ["jitter", "swap", "good"]
    assert remaining == pytest.approx([0.85, np.exp(-(99**2) / 20000), 1.0])


def test_labels_decide_what_counts() -> None:
    """A keypoint without a label has no type, and its place cannot be confused with."""
    inverted = [[0.0, 0.0], [2000.0, 0.0], [1000.0, 0.0]]
    without_right = [[True, True, False], [True, True, True]]

    assert types_of(inverted) == ["good", "inversion", "inversion"]
    assert types_of(inverted, labelled=without_right) == ["good", "miss", ""]


def test_the_area_is_of_the_place() -> None:
    """Beside a small neighbor there is less room for a swap: at a hundredth of the area a tenth of the distance."""
    pose = [[0.0, 5012.0], [1000.0, 0.0], [2000.0, 0.0]]

    assert types_of(pose) == ["swap", "good", "good"]
    assert types_of(pose, areas=(AREA, AREA / 100)) == ["miss", "good", "good"]


def test_shapes_are_checked() -> None:
    """A pose of nobody cannot be classified."""
    with pytest.raises(ValueError, match=r"labelled: expected shape \(1, 3\), found \(0, 3\)"):
        classify_keypoints(PERSON, [], np.zeros((0, 3)), [], sigmas=WIDE.sigmas, flip_indices=WIDE.flip_indices)


def evaluator_with(*poses: list[list[float]], skeleton: Skeleton | None = WIDE) -> CocoEvaluator:
    """Evaluate poses in an image of `PERSON` and `NEIGHBOR`, the best first."""
    persons = [
        {"image_id": 7, "category_id": 1, "keypoints": [n for x, y in points for n in (x, y, 2)], "area": AREA}
        for points in (PERSON, NEIGHBOR)
    ]
    content = {"images": [{"id": 7}], "categories": [{"id": 1}], "annotations": persons}
    evaluator = CocoEvaluator(content, skeleton=skeleton, sigmas=WIDE.sigmas)
    number = len(poses)
    found = Poses(
        keypoints=np.array(poses, dtype=np.float64).reshape(-1, 3, 2),
        keypoint_scores=np.ones((number, 3)),
        boxes_xyxy=np.zeros((number, 4)),
        box_scores=np.ones(number),
        pose_scores=np.linspace(0.9, 0.5, number),
        skeleton=WIDE,
    )
    evaluator.update(7, found)
    return evaluator


def test_ap_after_correction() -> None:
    """Two poses with one inverted pair, one of them with a miss, too: AP worked out by hand."""
    inverted = [[0.0, 0.0], [2000.0, 0.0], [1000.0, 0.0]]  # OKS 1/3: at no threshold
    missed = [[0.0, 9000.0], [1000.0, 5000.0], [2000.0, 5000.0]]  # OKS 2/3: at .50, .55, .60, .65
    found = analyze_errors(evaluator_with(inverted, missed))

    assert found.counts.tolist() == [[1, 0, 0, 0, 1], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]]
    assert (found.num_matched, found.num_poses) == (2, 2)
    # The second pose alone hits: recall .5 at a precision of .5, read at 51 of 101 recalls, at 4 of 10 thresholds.
    assert found.ap == pytest.approx(0.4 * 51 / 101 * 0.5)
    # The inverted pose becomes perfect: it hits at all ten; at four of them both do.
    assert found.ap_corrected["inversion"] == pytest.approx(0.4 + 0.6 * 51 / 101)
    # A corrected miss is 0.5 similar: OKS 2.5/3, at seven thresholds instead of four.
    assert found.ap_corrected["miss"] == pytest.approx(0.7 * 51 / 101 * 0.5)
    assert found.ap_corrected[ALL_ERRORS] == pytest.approx(0.7 + 0.3 * 51 / 101)
    assert found.ap_corrected["jitter"] == found.ap_corrected["swap"] == found.ap


def test_corrected_jitter_is_almost_good() -> None:
    """A jitter at 0.6 is moved to 0.85: the OKS of three such keypoints reaches .80, and .85 if rounding lets it."""
    off = float(np.sqrt(-np.log(0.6) * 20000) - 0.01)
    jittered = [[x + off, y] for x, y in PERSON]
    found = analyze_errors(evaluator_with(jittered))

    assert found.counts.sum(axis=0).tolist() == [0, 3, 0, 0, 0]
    assert found.ap == pytest.approx(0.3 * 51 / 101)
    assert 0.7 * 51 / 101 - 1e-9 < found.ap_corrected["jitter"] < 0.8 * 51 / 101 + 1e-9


def test_nobody_is_matched() -> None:
    """Without poses, and with one far from everybody, nothing is counted."""
    for evaluator in (evaluator_with(), evaluator_with([[9000, 9000]] * 3)):
        found = analyze_errors(evaluator)

        assert (found.counts.sum(), found.num_matched, found.ap) == (0, 0, 0.0)


def test_without_a_skeleton_nothing_is_inverted() -> None:
    """Sigmas alone say nothing of partners."""
    inverted = [[0.0, 0.0], [2000.0, 0.0], [1000.0, 0.0]]

    found = analyze_errors(evaluator_with(inverted, skeleton=None))

    assert found.counts.sum(axis=0).tolist() == [1, 0, 0, 0, 2]


def test_the_published_program_agrees(shared_data: Callable[[str], Path]) -> None:
    """On COCO's case of made-up detections the counts are those that coco-analyze computes for persons of all sizes."""
    folder = shared_data("evaluation/eval_val2014_fake100")
    evaluator = CocoEvaluator(folder / "person_keypoints_val2014_100_rebuilt.json")
    results: dict[int, list[dict[str, Any]]] = {}
    for result in json.loads((folder / "person_keypoints_val2014_fakekeypoints100_results.json").read_text()):
        results.setdefault(result["image_id"], []).append(result)
    for image_id, found in results.items():
        evaluator.update(image_id, poses_of(found))
    by_type = {
        "good": [25, 19, 21, 24, 22, 58, 64, 46, 51, 41, 39, 73, 74, 51, 51, 44, 46],
        "jitter": [19, 12, 15, 15, 15, 33, 31, 30, 28, 32, 30, 18, 17, 24, 21, 20, 17],
        "inversion": [0, 17, 11, 1, 0, 6, 3, 1, 0, 1, 1, 4, 9, 2, 4, 1, 3],
        "swap": [0, 0, 0, 0, 0, 3, 2, 1, 0, 0, 2, 1, 1, 0, 1, 0, 0],
        "miss": [46, 28, 33, 27, 29, 4, 9, 10, 14, 10, 10, 3, 0, 7, 5, 7, 5],
    }

    analysis = analyze_errors(evaluator)

    assert dict(zip(ERROR_TYPES, analysis.counts.T.tolist(), strict=True)) == by_type
    assert (analysis.num_matched, analysis.num_poses) == (122, 125)


def poses_of(results: list[dict[str, Any]]) -> Poses:
    """Make poses of entries of a results file; nobody looks at their boxes."""
    numbers = np.array([result["keypoints"] for result in results], dtype=np.float64).reshape(-1, 17, 3)
    return Poses(
        keypoints=numbers[..., :2],
        keypoint_scores=numbers[..., 2],
        boxes_xyxy=np.zeros((len(results), 4)),
        box_scores=np.ones(len(results)),
        pose_scores=np.array([result["score"] for result in results]),
    )
