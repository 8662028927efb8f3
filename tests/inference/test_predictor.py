"""Images and boxes in, poses out."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch

from pcrpose.inference.predictor import PosePredictor, Thresholds
from pcrpose.inference.runtime import Runtime
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Crops, mirror_keypoints
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.oks import oks_nms
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.pcr import PCR
from pcrpose.models.pose_config import HeatmapKind
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0], [-10.0, -5.0, 60.0, 80.0]])


def test_own_boxes_give_one_pose_each_in_order(model: PCR, photo: Image) -> None:
    """The same box twice stays twice: own boxes are neither reordered nor thinned."""
    boxes = BOXES[[1, 0, 1]]

    poses = PosePredictor(model).predict(photo, boxes)

    np.testing.assert_array_equal(poses.boxes_xyxy, boxes.astype(np.float32))
    assert poses.box_scores.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(poses.keypoints[0], poses.keypoints[2])
    assert poses.skeleton == COCO_17


def test_pose_score_is_the_mean_of_the_scores_above_the_threshold(model: PCR, photo: Image) -> None:
    """Rescoring: box score times the mean of the keypoint scores above the threshold, zero where there are none."""
    scores = PosePredictor(model).predict(photo, BOXES).keypoint_scores
    for threshold in (0.2, float(np.quantile(scores, 0.91))):  # halfway between two of the 51 scores
        poses = PosePredictor(model, thresholds=Thresholds(keypoint=threshold)).predict(photo, BOXES)

        expected = [row[row > threshold].mean() if (row > threshold).any() else 0.0 for row in poses.keypoint_scores]
        np.testing.assert_allclose(poses.pose_scores, expected, rtol=1e-6)


def test_detected_boxes_are_scored_and_thinned(model: PCR, photo: Image) -> None:
    """Near-identical detections become one pose, the best first, with the detector's score in it."""

    def detector(image: Image) -> tuple[npt.ArrayLike, npt.ArrayLike]:
        assert image.shape == photo.shape
        return BOXES[[0, 1, 0]], [0.5, 0.9, 0.6]

    own = PosePredictor(model).predict(photo, BOXES)
    poses = PosePredictor(model, detector=detector).predict(photo)

    assert len(poses) == 2
    assert sorted(poses.box_scores.tolist()) == pytest.approx([0.6, 0.9])
    assert (np.diff(poses.pose_scores) <= 0).all()
    best = int(np.argmax(poses.box_scores))
    assert poses.pose_scores[best] == pytest.approx(0.9 * own.pose_scores[1], rel=1e-5)


def test_detections_found_earlier_are_a_detectors(model: PCR, photo: Image) -> None:
    """A detection file and a detector that finds the same give the same poses."""
    found = Detections(BOXES, [0.5, 0.9, 0.6])

    live = PosePredictor(model, detector=lambda _: found).predict(photo)
    stored = PosePredictor(model).predict(photo, found)

    np.testing.assert_array_equal(live.keypoints, stored.keypoints)
    np.testing.assert_array_equal(live.pose_scores, stored.pose_scores)


def test_whole_image_is_one_person_and_says_so_once(model: PCR, photo: Image, caplog: pytest.LogCaptureFixture) -> None:
    """Without boxes and detector there is one pose an image and one warning in all."""
    predictor = PosePredictor(model)

    with caplog.at_level(logging.WARNING):
        poses = predictor.predict_batch([photo, photo])

    assert [len(found) for found in poses] == [1, 1]
    assert poses[0].boxes_xyxy.tolist() == [[0.0, 0.0, photo.shape[1] - 1, photo.shape[0] - 1]]
    assert len(caplog.records) == 1
    assert "detector" in caplog.text


def test_the_area_of_suppression_is_that_of_the_padded_box(
    model: PCR, photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OKS-NMS is handed the window that was cropped: the box at the crop's aspect ratio, then 1.25 times each side."""
    handed: list[Any] = []

    def recording(keypoints: Any, scores: Any, areas: Any, **options: Any) -> Any:  # noqa: ANN401 - as oks_nms
        handed.append((areas, options["threshold"]))
        return oks_nms(keypoints, scores, areas, **options)

    monkeypatch.setattr("pcrpose.inference.predictor.oks_nms", recording)
    tall, wide = [20.0, 10.0, 60.0, 130.0], [20.0, 10.0, 140.0, 50.0]  # crops are 2 wide and 3 high

    PosePredictor(model, thresholds=Thresholds(nms=0.8)).predict(photo, Detections([tall, wide], [0.9, 0.8]))

    ((areas, threshold),) = handed
    np.testing.assert_allclose(areas, [120 * 1.25 * 80 * 1.25, 120 * 1.25 * 180 * 1.25])
    assert threshold == 0.8


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_no_boxes_give_no_poses(model: PCR, photo: Image, boxes: npt.ArrayLike) -> None:
    """An empty list is not the whole image."""
    poses = PosePredictor(model).predict(photo, boxes)

    assert poses.keypoints.shape == (0, 17, 2)


def test_a_detector_that_finds_nobody_gives_no_poses(model: PCR, photo: Image) -> None:
    """Nobody found is an empty answer, not an error."""
    assert len(PosePredictor(model, detector=lambda _: ([], [])).predict(photo)) == 0


def test_detections_that_cannot_be_cropped_are_left_out(
    model: PCR, photo: Image, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad detection does not cost the others; how many there were is logged."""
    nan = float("nan")
    boxes = np.array([BOXES[0], [5, 5, 5, 9], [900, 5, 990, 9], [nan, 5, 9, 9], BOXES[1]])

    poses = PosePredictor(model).predict(photo, Detections(boxes, [0.5, 0.9, 0.9, 0.9, nan]))

    np.testing.assert_array_equal(poses.boxes_xyxy, BOXES[:1].astype(np.float32))
    assert "4 of 5" in caplog.text


def test_a_model_that_was_trained_meanwhile_still_predicts(model: PCR, photo: Image) -> None:
    """Prediction always runs in evaluation mode."""
    predictor = PosePredictor(model)
    expected = predictor.predict(photo, BOXES)
    model.train()

    np.testing.assert_array_equal(predictor.predict(photo, BOXES).keypoints, expected.keypoints)


@pytest.mark.parametrize("heatmaps", ["gaussian", "probability"])
@pytest.mark.parametrize("decode", ["argmax", "quarter", "dark", "udp", "soft_argmax"])
def test_a_mirrored_image_gives_mirrored_poses(
    model: PCR, photo: Image, decode: Decoding, heatmaps: HeatmapKind
) -> None:
    """With the flip test, mirroring image and boxes mirrors the poses to 0.01 px."""
    model.config = replace(model.config, heatmaps=heatmaps)
    predictor = PosePredictor(model, flip=True, decoding=decode)
    width = photo.shape[1]

    poses = predictor.predict(photo, BOXES)
    left, top, right, bottom = BOXES.T
    boxes = np.stack([width - 1 - right, top, width - 1 - left, bottom], axis=1)
    mirrored = predictor.predict(photo[:, ::-1], boxes)

    expected = mirror_keypoints(poses.keypoints, width, COCO_17.flip_indices)
    np.testing.assert_allclose(mirrored.keypoints, expected, atol=0.01)
    np.testing.assert_allclose(mirrored.keypoint_scores, poses.keypoint_scores[:, COCO_17.flip_indices], atol=1e-5)


def test_flip_shift_of_published_models(photo: Image) -> None:
    """The mirrored heatmaps of an edge-aligned model are moved by one cell before they are averaged."""
    config = SimpleBaselineConfig(encoder="resnet18", channels=(16, 16, 16), input_size=Size(width=64, height=96))
    network = SimpleBaseline(config).eval()
    torch.nn.init.normal_(network.final_layer.weight, std=0.5)
    crops = torch.from_numpy(Crops.from_boxes(BOXES, config.input_size, alignment="edge").warp(photo))
    normalized = config.normalize(crops.permute(0, 3, 1, 2))
    with torch.inference_mode():
        first, second = network(normalized).final, network(normalized.flip(3)).final
    back = second[:, torch.tensor(COCO_17.flip_indices)].flip(3)
    back[..., 1:] = back[..., :-1].clone()
    _, expected = config.codec().decode((first + back) / 2)

    found = PosePredictor(network).predict(photo, BOXES).keypoint_scores

    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)


def test_bgr_arrays_are_swapped(model: PCR, photo: Image) -> None:
    """An image from OpenCV gives the same poses once its color order is said."""
    expected = PosePredictor(model).predict(photo, BOXES)
    found = PosePredictor(model).predict(np.ascontiguousarray(photo[..., ::-1]), BOXES, color="bgr")

    np.testing.assert_array_equal(expected.keypoints, found.keypoints)


@pytest.mark.parametrize("flip", [True, False])
def test_heatmaps_are_those_that_predict_decodes(model: PCR, photo: Image, flip: bool) -> None:  # noqa: FBT001 - a case
    """Decoded and taken back to the image they give the very pose of the same box."""
    predictor = PosePredictor(model, flip=flip)
    expected = predictor.predict(photo, BOXES[1:2])

    heatmaps, crop = predictor.heatmaps(photo, BOXES[1])

    assert heatmaps.dtype == np.float32
    assert heatmaps.shape == (17, 24, 16)
    assert len(crop) == 1
    keypoints_crop, scores = predictor.codec.decode(torch.from_numpy(heatmaps)[None])
    np.testing.assert_allclose(crop.inverse(keypoints_crop.numpy()), expected.keypoints, atol=0.01)
    np.testing.assert_allclose(scores.numpy(), expected.keypoint_scores, rtol=1e-5)


def test_heatmaps_of_the_whole_image(model: PCR, photo: Image) -> None:
    """Without a box the whole image is one person, in either color order, and no detector is asked."""

    def detector(_: Image) -> tuple[npt.ArrayLike, npt.ArrayLike]:
        raise AssertionError

    predictor = PosePredictor(model, detector=detector)
    whole = [0, 0, photo.shape[1] - 1, photo.shape[0] - 1]

    heatmaps, crop = predictor.heatmaps(np.ascontiguousarray(photo[..., ::-1]), color="bgr")

    expected, expected_crop = predictor.heatmaps(photo, whole)
    np.testing.assert_array_equal(heatmaps, expected)
    np.testing.assert_array_equal(crop.matrices, expected_crop.matrices)


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [5, 5, 9], BOXES, [900, 900, 990, 990]])
def test_heatmaps_take_one_box(model: PCR, photo: Image, box: npt.ArrayLike) -> None:
    """Many boxes, and boxes that cannot be cropped, are refused."""
    with pytest.raises(ValueError, match=r"expected|outside"):
        PosePredictor(model).heatmaps(photo, box)


def test_path_bytes_pil_and_array_are_one_image(model: PCR, photo: Image, tmp_path: Path) -> None:
    """However the image comes, the poses are the same."""
    path = tmp_path / "image.png"
    PIL.Image.fromarray(photo).save(path)
    predictor = PosePredictor(model)

    poses = predictor.predict_batch([photo, path, str(path), path.read_bytes(), PIL.Image.open(path)], [BOXES] * 5)

    for other in poses[1:]:
        np.testing.assert_array_equal(poses[0].keypoints, other.keypoints)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 10, 50], "x1 < x2"),
        ([50, 10, 10, 50], "x1 < x2"),
        ([10, float("nan"), 50, 50], "finite"),
        ([500, 500, 600, 600], "outside"),
        ([10, 10, 50], "shape"),
    ],
)
def test_impossible_boxes_are_one_clear_error(model: PCR, photo: Image, box: list[float], message: str) -> None:
    """Zero-size, inverted, NaN, outside and malformed boxes say what is wrong."""
    with pytest.raises(ValueError, match=message):
        PosePredictor(model).predict(photo, [box])


def test_a_missing_image_is_named(model: PCR, tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        PosePredictor(model).predict(tmp_path / "nowhere.jpg")


def test_a_box_in_a_panorama_is_found_where_it_is(model: PCR, photo: Image) -> None:
    """A 20,000-pixel panorama gives the poses of the part that is looked at."""
    panorama = np.zeros((300, 20_000, 3), dtype=np.uint8)
    left, top = 17_000, 100
    panorama[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    box = np.array([[60.0, 40.0, 110.0, 110.0]])  # its window stays inside the small image

    near = PosePredictor(model).predict(photo, box).keypoints
    far = PosePredictor(model).predict(panorama, box + np.array([left, top, left, top])).keypoints

    np.testing.assert_allclose(far - np.array([left, top]), near, atol=0.01)


def test_a_name_is_no_model() -> None:
    """The error says what loads one."""
    with pytest.raises(TypeError, match="load_model"):
        PosePredictor("pcr-nano")  # type: ignore[arg-type] # what is tested


def test_a_device_of_its_own(model: PCR) -> None:
    """The device may be given alone, and not in two ways that differ."""
    predictor = PosePredictor(model, device="cpu", runtime=Runtime(batch_size=3))

    assert (predictor.runtime.device, predictor.runtime.batch_size) == ("cpu", 3)
    assert PosePredictor(model, device="cpu", runtime=Runtime(device="cpu")).runtime.device == "cpu"
    with pytest.raises(ValueError, match="'tpu:3'"):
        PosePredictor(model, device="tpu:3")
    with pytest.raises(ValueError, match="device: expected auto, as the runtime has it, found cpu"):
        PosePredictor(model, device="cpu", runtime=Runtime(device="auto"))


def test_a_predictor_in_a_line(model: PCR) -> None:
    """What a notebook shows says which model runs, how, and where."""

    def nobody(_: Image) -> Detections:
        return Detections.empty()

    expected = f"PosePredictor(PCR {model.config.input_size} of COCO_17, detector={{}}, flip={{}}, cpu float64)"
    assert repr(PosePredictor(model)) == expected.format(None, True)
    assert repr(PosePredictor(model, detector=nobody, flip=False)) == expected.format("nobody", False)


def test_a_box_far_outside_is_warned_about(model: PCR, photo: Image, caplog: pytest.LogCaptureFixture) -> None:
    """A box of which most lies outside is predicted, and said to be odd; one that sticks out a little is not."""
    height, width = photo.shape[:2]
    near, far = [-5.0, -5.0, 60.0, 90.0], [width - 10.0, height - 10.0, width + 30.0, height + 9.0]
    predictor = PosePredictor(model, flip=False)

    predictor.predict(photo, [near])
    assert caplog.messages == []

    assert len(predictor.predict(photo, [near, far])) == 2
    (said,) = caplog.messages
    # Nine by nine of forty by nineteen pixels are inside.
    assert said.startswith(f"box 1: 89 % of {far} lies outside the {height}x{width} (height x width) image")


def test_what_is_no_detector_and_what_is_no_image(model: PCR, photo: Image) -> None:
    """A mistake is said where it is made: the detector at once, several images and a box without its row by name."""
    with pytest.raises(TypeError, match="detector: expected a function of an image, a name or a path, found 5"):
        PosePredictor(model, detector=5)  # type: ignore[arg-type] # what is tested
    with pytest.raises(TypeError, match="expected one image, found 2; predict_batch and stream take several"):
        PosePredictor(model).predict([photo, photo])  # type: ignore[arg-type] # what is tested
    with pytest.raises(ValueError, match=r"a row per box: \[\[x1, y1, x2, y2\]\], found \(4,\)"):
        PosePredictor(model).predict(photo, [5, 5, 50, 80])
