"""Images and boxes in, poses out."""

import logging
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch

from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Crops, mirror_keypoints
from pcrpose.keypoints.decoding import Decoding
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
    """Rescoring: box score times the mean of the keypoint scores above 0.2, zero where there are none."""
    poses = PosePredictor(model, keypoint_threshold=0.2).predict(photo, BOXES)

    expected = [row[row > 0.2].mean() if (row > 0.2).any() else 0.0 for row in poses.keypoint_scores]
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
    found = (BOXES, [0.5, 0.9, 0.6])

    live = PosePredictor(model, detector=lambda _: found).predict(photo)
    stored = PosePredictor(model).predict_detections([photo], [found])[0]

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


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_no_boxes_give_no_poses(model: PCR, photo: Image, boxes: npt.ArrayLike) -> None:
    """An empty list is not the whole image."""
    poses = PosePredictor(model).predict(photo, boxes)

    assert poses.keypoints.shape == (0, 17, 2)


def test_a_detector_that_finds_nobody_gives_no_poses(model: PCR, photo: Image) -> None:
    """Nobody found is an empty answer, not an error."""
    assert len(PosePredictor(model, detector=lambda _: ([], [])).predict(photo)) == 0


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_batches_cross_images_and_do_not_matter(model: PCR, photo: Image, batch_size: int) -> None:
    """However persons are grouped into batches, each image gets its own poses."""
    images = [photo, photo[:, ::-1].copy(), photo[:100]]
    boxes = [BOXES, np.zeros((0, 4)), BOXES[:1]]

    together = PosePredictor(model, batch_size=batch_size).predict_batch(images, boxes)

    assert [len(poses) for poses in together] == [3, 0, 1]
    for poses, image, given in zip(together, images, boxes, strict=True):
        alone = PosePredictor(model).predict(image, given)
        np.testing.assert_allclose(poses.keypoints, alone.keypoints, atol=1e-4)


def test_a_buffer_may_be_used_again(model: PCR, photo: Image) -> None:
    """Frames that share one array, as video readers give them, each get their own poses."""
    frames = [photo, photo[::-1].copy(), 255 - photo]

    def reader() -> Iterator[Image]:
        buffer = np.empty_like(photo)
        for frame in frames:
            buffer[:] = frame
            yield buffer

    together = PosePredictor(model).predict_batch(reader(), [BOXES] * 3)

    for poses, frame in zip(together, frames, strict=True):
        np.testing.assert_allclose(poses.keypoints, PosePredictor(model).predict(frame, BOXES).keypoints, atol=1e-4)


def test_images_are_let_go_one_by_one(model: PCR, photo: Image) -> None:
    """However many images share a batch, only the one being read and its neighbors are in memory."""
    alive: list[weakref.ref[Image]] = []

    def reader() -> Iterator[Image]:
        for _ in range(12):
            fresh = photo.copy()
            alive.append(weakref.ref(fresh))
            assert sum(reference() is not None for reference in alive) <= 4
            yield fresh

    assert len(PosePredictor(model).predict_batch(reader(), [BOXES] * 12)) == 12


def test_detections_that_cannot_be_cropped_are_left_out(
    model: PCR, photo: Image, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad detection does not cost the others; how many there were is logged."""
    nan = float("nan")
    boxes = np.array([BOXES[0], [5, 5, 5, 9], [900, 5, 990, 9], [nan, 5, 9, 9], BOXES[1]])

    poses = PosePredictor(model).predict_detections([photo], [(boxes, [0.5, 0.9, 0.9, 0.9, nan])])[0]

    np.testing.assert_array_equal(poses.boxes_xyxy, BOXES[:1].astype(np.float32))
    assert "4 of 5" in caplog.text


def test_a_model_that_was_trained_meanwhile_still_predicts(model: PCR, photo: Image) -> None:
    """Prediction always runs in evaluation mode."""
    predictor = PosePredictor(model)
    expected = predictor.predict(photo, BOXES)
    model.train()

    np.testing.assert_array_equal(predictor.predict(photo, BOXES).keypoints, expected.keypoints)


@pytest.mark.parametrize("one", ["image.jpg", Path("image.jpg"), np.zeros((4, 5, 3), dtype=np.uint8)])
def test_one_image_is_not_many(model: PCR, one: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """A path given as the list of images would be read letter by letter."""
    with pytest.raises(TypeError, match="several images"):
        PosePredictor(model).predict_batch(one)


def test_the_image_of_a_wrong_box_is_named(model: PCR, photo: Image) -> None:
    """In a batch the error says which image's box it was."""
    with pytest.raises(ValueError, match="image 1: box 2"):
        PosePredictor(model).predict_batch([photo, photo], [BOXES, [*BOXES[:2], [5, 5, 5, 5]]])


def test_images_and_boxes_must_match_in_number(model: PCR, photo: Image) -> None:
    """A missing entry is an error, not an image without persons."""
    with pytest.raises(ValueError, match="none for image 1"):
        PosePredictor(model).predict_batch([photo, photo], [BOXES])


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


def test_wrong_batch_size_is_refused(model: PCR) -> None:
    """Zero crops a batch would never finish."""
    with pytest.raises(ValueError, match="at least 1"):
        PosePredictor(model, batch_size=0)


MEMORY_PROGRAM = """
import sys, resource
import numpy as np, torch
from pcrpose.models.pcr import PCR
from pcrpose.models.pcr import PCRConfig
from pcrpose.inference.predictor import PosePredictor
torch.set_num_threads(1)
model = PCR(PCRConfig(encoder="resnet18", channels=(64, 64, 64), se_norm="none")).eval()
if sys.argv[1] == "forward":
    with torch.inference_mode():
        model(torch.zeros(32, 3, 256, 192))
else:
    boxes = np.tile([[10.0, 10.0, 100.0, 200.0]], (256, 1))
    PosePredictor(model).predict(np.zeros((240, 320, 3), dtype=np.uint8), boxes)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(program: str, *arguments: str) -> str:
    """Run a program in a process of its own and give what it printed."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in Linux's units")
def test_memory_of_many_boxes_is_that_of_one_batch() -> None:
    """256 boxes peak at most at 1.3 times what one forward pass of 32 crops needs."""
    one, many = (int(run(MEMORY_PROGRAM, what)) for what in ("forward", "predict"))

    assert many <= 1.3 * one


GROWTH_PROGRAM = """
import numpy as np, torch
from pcrpose.models.pcr import PCR
from pcrpose.models.pcr import PCRConfig
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size
torch.set_num_threads(1)
size = Size(width=32, height=32)
predictor = PosePredictor(PCR(PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), input_size=size)))
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
rng = np.random.default_rng(0)
for number in range(1000):
    image = rng.integers(0, 255, (rng.integers(40, 90), rng.integers(40, 90), 3), dtype=np.uint8)
    predictor.predict(image, [[1, 1, 30, 30]])
    if number == 99:
        before = resident()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_images() -> None:
    """A thousand images in a row add less than 20 MB after the first hundred."""
    assert int(run(GROWTH_PROGRAM)) < 20e6
