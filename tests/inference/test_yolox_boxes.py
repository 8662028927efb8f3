"""What a detector does around its network: fitting images in, and thinning boxes out."""

import numpy as np
import pytest

from pcrpose.inference.yolox import box_nms, letterbox
from pcrpose.keypoints.boxes import Size, intersection_areas

SMALL = Size(width=64, height=64)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((64, 64), (64, 64)),
        ((640, 480), (64, 48)),
        ((333, 500), (42, 64)),
        ((1, 1), (64, 64)),
        ((1, 900), (1, 64)),
        ((900, 1), (64, 1)),
        ((65, 64), (64, 63)),
    ],
)
def test_letterbox_keeps_the_shape_and_fills_with_gray(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    """The image fills the top left corner without a gap; everything else is 114; the scales are those used."""
    image = np.full((size[1], size[0], 3), (200, 0, 30), dtype=np.uint8)

    pixels, scales = letterbox(image, SMALL)

    expected = np.full((64, 64, 3), 114, dtype=np.uint8)
    expected[: fitted[1], : fitted[0]] = (200, 0, 30)
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_allclose(scales, np.divide(fitted, size))


def test_letterbox_leaves_fitting_images_alone() -> None:
    """At scale 1 nothing changes."""
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    np.testing.assert_array_equal(letterbox(image, SMALL)[0], image)


def test_letterbox_averages_large_images() -> None:
    """Thin stripes where a plain bilinear reading would look do not turn the whole image white."""
    image = np.zeros((512, 512, 3), dtype=np.uint8)
    image[:, 3::8] = image[:, 4::8] = 255

    pixels, _ = letterbox(image, SMALL)

    assert pixels.mean() == pytest.approx(255 / 4, abs=15)
    assert pixels.max() < 200


def test_suppression_keeps_the_best_and_what_overlaps_no_more_than_allowed() -> None:
    """A half-covered box goes at 0.4 and stays at 0.5, its very overlap."""
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 10], [50, 50, 60, 60]])
    scores = np.array([0.6, 0.9, 0.6, 0.7])

    assert box_nms(boxes, scores, threshold=0.4).tolist() == [1, 3]
    assert box_nms(boxes, scores, threshold=0.5).tolist() == [1, 3, 0]
    assert box_nms(boxes, scores, threshold=1.0).tolist() == [1, 3, 0, 2]
    assert box_nms(np.zeros((0, 4)), np.zeros(0), threshold=0.5).shape == (0,)


def test_equal_scores_keep_their_order() -> None:
    """Of equally good boxes the earlier comes first, and stays where two overlap."""
    left = np.repeat(np.arange(40.0) * 10, 2)
    boxes = np.stack([left, left * 0, left + 5, left * 0 + 5], axis=1)

    scores = np.tile([0.5, 0.5, 0.9, 0.9], 20)

    assert box_nms(boxes, scores, threshold=0.5).tolist() == [*range(2, 80, 4), *range(0, 80, 4)]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_suppression_of_many_boxes(threshold: float) -> None:
    """No two kept boxes overlap too much, and every dropped one does so with a better one that is kept."""
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 30, (80, 2))
    boxes = np.concatenate([start, start + rng.uniform(5, 30, (80, 2))], axis=1)
    scores = rng.uniform(size=80)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    shared = intersection_areas(boxes, boxes)
    too_close = shared / (areas[:, None] + areas - shared) > threshold
    better = scores[:, None] < scores  # the second of the two

    kept = box_nms(boxes, scores, threshold=threshold)

    assert (np.diff(scores[kept]) < 0).all()
    stays = np.isin(np.arange(80), kept)
    np.testing.assert_array_equal((too_close & better & stays).any(axis=1), ~stays)
