"""The evaluator at its edges: what counts, what may be missing, what is refused, what is written."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import AIC_14, Skeleton

METRICS = ["ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large"]
ByPycocotools = Callable[[dict[str, Any], list[dict[str, Any]], Floats], list[float]]
STICK = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])


def listed(metrics: CocoMetrics) -> list[float]:
    """List the first ten fields."""
    return list(vars(metrics).values())[:10]


def annotation(image_id: int, keypoints: list[float], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """Make an annotated person of two keypoints, large enough for every metric but the medium ones."""
    fields = {"image_id": image_id, "category_id": 1, "id": 0, "keypoints": keypoints, "area": 10000.0}
    return {**fields, "bbox": [0, 0, 100, 100], "iscrowd": 0, "num_keypoints": 2, **changes}


def two_images() -> dict[str, Any]:
    """Annotate one person in each of two images."""
    return {
        "images": [{"id": 5}, {"id": 9}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            annotation(5, [10, 10, 2, 10, 90, 2], id=1),
            annotation(9, [40, 10, 2, 40, 90, 1], id=2),
        ],
    }


def found(keypoints: list[list[float]], score: float = 0.9, skeleton: Skeleton = STICK) -> Poses:
    """Make one pose that scores well."""
    return Poses(
        keypoints=np.array([keypoints]),
        keypoint_scores=np.ones((1, len(keypoints))),
        boxes_xyxy=np.array([[0, 0, 99, 99]]),
        box_scores=np.ones(1),
        pose_scores=np.array([score]),
        skeleton=skeleton,
    )


def test_perfect_poses() -> None:
    """Poses on the annotated points reach 1; nobody is of medium size, so those metrics are -1."""
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    evaluator.update(5, found([[10, 10], [10, 90]]))
    evaluator.update(9, found([[40, 10], [40, 90]]))

    metrics = evaluator.compute()

    assert listed(metrics) == pytest.approx([1, 1, 1, -1, 1, 1, 1, 1, -1, 1])
    assert (metrics.num_images, metrics.num_persons, metrics.num_poses) == (2, 2, 2)
    assert list(metrics.to_dict())[:10] == METRICS
    assert json.loads(json.dumps(metrics.to_dict())) == metrics.to_dict()
    assert all(type(value) is float for value in listed(metrics))


def test_every_image_counts_unless_some_are_named() -> None:
    """An image without update is a person missed; with ``image_ids`` it is not looked at."""
    everything = CocoEvaluator(two_images(), skeleton=STICK)
    narrowed = CocoEvaluator(two_images(), skeleton=STICK, image_ids=[5])
    for evaluator in (everything, narrowed):
        evaluator.update(5, found([[10, 10], [10, 90]]))

    assert everything.compute().ar == pytest.approx(0.5)
    assert narrowed.compute().ar == pytest.approx(1.0)
    assert narrowed.compute().num_images == 1
    with pytest.raises(ValueError, match="image 9 is not among the 1 images to evaluate"):
        narrowed.update(9, found([[40, 10], [40, 90]]))
    with pytest.raises(ValueError, match="annotations: image 6 of image_ids is not among its 2"):
        CocoEvaluator(two_images(), skeleton=STICK, image_ids=[5, 6])


def test_results_of_images_that_do_not_count_are_left_out(save: Callable[[Any], Path]) -> None:
    """A file of the whole set can be measured on a part of it."""
    results = [
        *found([[10, 10], [10, 90]]).to_coco(5),
        *found([[0, 0], [1, 1]], score=0.95).to_coco(9),
    ]
    evaluator = CocoEvaluator(two_images(), skeleton=STICK, image_ids=[5])

    metrics = evaluator.evaluate_file(save(results))

    assert metrics.ap == pytest.approx(1.0)
    assert metrics.num_poses == 1


@pytest.mark.parametrize("empty", ["nothing given", "empty poses", "empty file"])
def test_no_pose_at_all(empty: str, save: Callable[[Any], Path]) -> None:
    """Without poses every metric is 0, or -1 where nobody is of that size; pycocotools itself stops here."""
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    if empty == "empty poses":
        evaluator.update(5, Poses.empty(STICK))
        evaluator.update(9, Poses.empty(STICK))

    metrics = evaluator.evaluate_file(save([])) if empty == "empty file" else evaluator.compute()

    assert listed(metrics) == [0, 0, 0, -1, 0, 0, 0, 0, -1, 0]
    assert metrics.num_poses == 0
    assert evaluator.results == []


def test_nobody_annotated() -> None:
    """With images but no persons, or no images, every metric is undefined."""
    evaluator = CocoEvaluator({**two_images(), "annotations": []}, skeleton=STICK)
    evaluator.update(5, found([[10, 10], [10, 90]]))
    nothing = CocoEvaluator({"images": [], "annotations": [], "categories": [{"id": 1}]})

    assert listed(evaluator.compute()) == [-1.0] * 10
    assert listed(nothing.compute()) == [-1.0] * 10


def test_a_person_with_id_zero_can_be_found(by_pycocotools: ByPycocotools) -> None:
    """Ids, even equal ones or none, only name persons: 0 is an id like another, unlike in pycocotools."""
    truth = two_images()
    truth["annotations"][0]["id"] = truth["annotations"][1]["id"] = 0
    results = [*found([[10, 10], [10, 90]]).to_coco(5), *found([[40, 10], [40, 90]]).to_coco(9)]
    evaluator = CocoEvaluator(truth, skeleton=STICK)
    for result, image_id in zip(results, (5, 9), strict=True):
        evaluator.update(image_id, found(np.reshape(result["keypoints"], (2, 3))[:, :2].tolist()))

    assert evaluator.compute().ap == pytest.approx(1.0)
    assert by_pycocotools(truth, results, STICK.sigmas)[0] < 0.5


def test_annotations_are_not_changed_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """What pycocotools writes into annotations and to the screen does not reach the caller, however often asked."""
    truth = two_images()
    before = copy.deepcopy(truth)
    evaluator = CocoEvaluator(truth, skeleton=STICK)
    evaluator.update(5, found([[10, 10], [10, 90]]))

    assert evaluator.compute() == evaluator.compute()
    assert truth == before
    assert capsys.readouterr() == ("", "")


def test_fields_that_can_be_derived_may_be_missing() -> None:
    """``iscrowd``, ``num_keypoints`` and, with a labelled keypoint, the box: the metrics are those of a full file."""
    bare = two_images()
    for person in bare["annotations"]:
        for key in ("iscrowd", "num_keypoints", "bbox", "id"):
            del person[key]
    metrics = []
    for truth in (bare, two_images()):
        evaluator = CocoEvaluator(truth, skeleton=STICK)
        evaluator.update(5, found([[14, 10], [10, 90]]))
        metrics.append(evaluator.compute())

    assert metrics[0] == metrics[1]
    assert metrics[0].num_persons == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"area": None}, r"annotation 1: expected a field 'area', found \["),
        ({"keypoints": None}, r"annotation 1: expected a field 'keypoints', found \["),
        ({"category_id": None}, r"annotation 1: expected a field 'category_id', found \["),
        ({"bbox": None, "keypoints": [0] * 6}, r"annotation 1: expected a field 'bbox', found \["),
        (
            {"keypoints": [1, 2, 2]},
            r"annotation 1: x, y, visibility of 2 keypoints: expected shape \(6\), found \(3,\)",
        ),
        ({"keypoints": [float("nan")] * 6}, "annotation 1: .* expected finite numbers"),
        ({"area": float("nan")}, "annotation 1: area: expected finite numbers"),
    ],
)
def test_what_annotations_lack_is_named(changes: dict[str, Any], message: str) -> None:
    """The error says which annotation lacks what."""
    truth = two_images()
    person = {**truth["annotations"][1], **changes}
    truth["annotations"][1] = {key: value for key, value in person.items() if value is not None}

    with pytest.raises(ValueError, match=message):
        CocoEvaluator(truth, skeleton=STICK)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_what_a_file_lacks_is_named(key: str, save: Callable[[Any], Path]) -> None:
    """A results file or a captions file is not an annotation file, and the message names the file."""
    truth = two_images()
    del truth[key]

    with pytest.raises(ValueError, match=rf"written.json: expected a field '{key}', found \["):
        CocoEvaluator(save(truth), skeleton=STICK)
    with pytest.raises(ValueError, match=r"written.json: expected a field 'images', found \[\]"):
        CocoEvaluator(save([]), skeleton=STICK)
    with pytest.raises(ValueError, match=r"annotations: image 0: expected a field 'id', found \["):
        CocoEvaluator({**two_images(), "images": [{"file_name": "a.jpg"}]}, skeleton=STICK)


def test_the_category_is_the_only_one_or_is_asked_for() -> None:
    """One category of any number is taken; among several it is COCO's person, or has to be named."""
    truth = {**two_images(), "categories": [{"id": 3}, {"id": 4}]}
    truth["annotations"] = [annotation(5, [10, 10, 2, 10, 90, 2], category_id=category) for category in (3, 4)]
    only = {**truth, "categories": [{"id": 3}]}

    assert CocoEvaluator(only, skeleton=STICK).category_id == 3
    assert CocoEvaluator(truth, skeleton=STICK, category_id=4).compute().num_persons == 1
    with pytest.raises(ValueError, match=r"expected category 1, found \[3, 4\]; name another with category_id="):
        CocoEvaluator(truth, skeleton=STICK)
    evaluator = CocoEvaluator(only, skeleton=STICK)
    evaluator.update(5, found([[10, 10], [10, 90]]))
    assert evaluator.results[0]["category_id"] == 3
    assert evaluator.compute().ap == pytest.approx(1.0)


def test_updates_that_cannot_be_right_are_refused() -> None:
    """An unknown image, one given twice, another skeleton, another number of keypoints, NaN."""
    pose = found([[10, 10], [10, 90]])
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    evaluator.update(5, pose)

    with pytest.raises(ValueError, match="image 6 is not among the 2 images to evaluate"):
        evaluator.update(6, pose)
    with pytest.raises(ValueError, match="image 5: expected its poses once"):
        evaluator.update(5, pose)
    with pytest.raises(ValueError, match="expected poses of stick, found poses of AIC_14"):
        evaluator.update(9, found([[1, 1]] * 14, skeleton=AIC_14))
    with pytest.raises(ValueError, match="expected poses of 2 keypoints, found 14"):
        CocoEvaluator(two_images(), sigmas=[0.1, 0.1]).update(9, found([[1, 1]] * 14, skeleton=AIC_14))
    with pytest.raises(ValueError, match=r"Poses.keypoints: expected finite numbers, found nan or inf in pose 0"):
        evaluator.update(9, found([[np.nan, 10], [10, 90]]))
    assert evaluator.compute().num_poses == 1


def test_reset_forgets_poses_only() -> None:
    """After a reset the same images can be given again and the same metrics come out."""
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    evaluator.update(5, found([[10, 10], [10, 90]]))
    before = evaluator.compute()

    evaluator.reset()

    assert evaluator.results == []
    evaluator.update(5, found([[10, 10], [10, 90]]))
    assert evaluator.compute() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 6}, "result 1: image 6 is not in the annotations"),
        ({"category_id": 2}, "result 1: expected category 1, found 2"),
        ({"keypoints": [1, 2, 3]}, r"result 1: x, y, score of 2 keypoints: expected shape \(6\), found \(3,\)"),
        ({"keypoints": [float("nan")] * 6}, "result 1: x, y, score of 2 keypoints: expected finite numbers"),
        ({"keypoints": ["a"] * 6}, "result 1: x, y, score of 2 keypoints: expected numbers"),
        ({"score": float("inf")}, "result 1: score: expected finite numbers"),
        ({"score": None}, "result 1: score: expected finite numbers"),
    ],
)
def test_results_that_cannot_be_right_are_refused(
    changes: dict[str, Any], message: str, save: Callable[[Any], Path]
) -> None:
    """The error names the file and the index in it."""
    good = found([[10, 10], [10, 90]]).to_coco(5)[0]

    with pytest.raises(ValueError, match=f"written.json: {message}"):
        CocoEvaluator(two_images(), skeleton=STICK).evaluate_file(save([good, {**good, **changes}]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "written.json: expected JSON, found"),
        ("[{", "written.json: expected JSON, found"),
        ({"annotations": []}, "written.json: expected a list of results, found"),
        (["pose"], "written.json: result 0: expected a field 'image_id', found '"),
        ([{"image_id": 5}], r"result 0: expected a field 'category_id', found \['image_id'\]"),
    ],
)
def test_files_that_hold_no_results_are_refused(content: Any, message: str, save: Callable[[Any], Path]) -> None:  # noqa: ANN401 - JSON is anything
    """An empty or cut off file, an annotation file, a list of something else."""
    with pytest.raises(ValueError, match=message):
        CocoEvaluator(two_images(), skeleton=STICK).evaluate_file(save(content))


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    """The usual error, for annotations and for results."""
    with pytest.raises(FileNotFoundError):
        CocoEvaluator(tmp_path / "no.json")
    with pytest.raises(FileNotFoundError):
        CocoEvaluator(two_images(), skeleton=STICK).evaluate_file(str(tmp_path / "no.json"))


def test_saved_results_measure_the_same(tmp_path: Path, by_pycocotools: ByPycocotools) -> None:
    """What is written is a list of the server's dicts that pycocotools reads and that gives the same metrics."""
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    evaluator.update(5, found([[14, 10], [10, 90]]))
    evaluator.update(9, found([[40, 10], [47, 90]], score=0.25))
    path = tmp_path / "results.json"
    path.write_text("old")

    evaluator.save_results(path)

    results = json.loads(path.read_text())
    assert [sorted(result) for result in results] == [["category_id", "image_id", "keypoints", "score"]] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert evaluator.evaluate_file(path) == evaluator.compute()
    assert listed(evaluator.compute()) == by_pycocotools(two_images(), results, STICK.sigmas)


def test_saving_fails_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing breaks off, the old file is as it was and nothing lies beside it."""
    evaluator = CocoEvaluator(two_images(), skeleton=STICK)
    path = tmp_path / "results.json"
    path.write_text("old")

    def fail(_: Path, __: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        evaluator.save_results(path)

    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_scores_of_a_file_stay_as_they_are(save: Callable[[Any], Path]) -> None:
    """The order of the scores decides: a wrong pose that scores higher costs precision, with any box beside it."""
    right = found([[10, 10], [10, 90]], score=0.5).to_coco(5)[0]
    wrong = {**right, "keypoints": [900.0, 9.0, 1.0, 990.0, 95.0, 1.0], "bbox": [0, 0, 2, 2]}
    evaluator = CocoEvaluator(two_images(), skeleton=STICK, image_ids=[5])

    above = evaluator.evaluate_file(save([right, {**wrong, "score": 0.6}]))
    below = evaluator.evaluate_file(save([right, {**wrong, "score": 0.4}]))

    assert above.ap == pytest.approx(0.5)
    assert below.ap == pytest.approx(1.0)
    assert above.scores[0, :2, 0, 0, 0].tolist() == [0.6, 0.5]


@pytest.mark.parametrize("sigmas", [[], [0.1, 0.0], [0.1, float("nan")], [[0.1, 0.1]]])
def test_sigmas_are_positive_numbers(sigmas: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """Sigmas that cannot scale a distance are refused."""
    with pytest.raises(ValueError, match="sigmas: expected"):
        CocoEvaluator(two_images(), sigmas=sigmas)


def test_sigmas_belong_to_the_skeleton() -> None:
    """With both given their numbers must agree; the sigmas given are the ones used."""
    loose = CocoEvaluator(two_images(), skeleton=STICK, sigmas=[9.0, 9.0])
    loose.update(5, found([[60, 10], [60, 90]]))
    strict = CocoEvaluator(two_images(), skeleton=STICK)
    strict.update(5, found([[60, 10], [60, 90]]))

    assert strict.compute().ar < loose.compute().ar
    with pytest.raises(ValueError, match=r"sigmas: expected shape \(2\), found \(3,\)"):
        CocoEvaluator(two_images(), skeleton=STICK, sigmas=[0.1] * 3)
