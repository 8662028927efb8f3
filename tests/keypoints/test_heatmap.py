"""Heatmaps drawn from keypoints, and the way back."""

import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import HeatmapCodec, merge_mirrored, mirror_heatmaps
from pcrpose.keypoints.skeleton import COCO_17

Golden = Callable[[str], Any]
SIZE = Size(width=192, height=256)
CODEC = HeatmapCodec(input_size=SIZE)
EDGE = HeatmapCodec(input_size=SIZE, alignment="edge")
UDP = HeatmapCodec(input_size=SIZE, alignment="udp")
PUBLISHED = {"64x48_s2": (SIZE, 2), "96x72_s3": (Size(width=288, height=384), 3)}
# The published weights of wrists, ankles and their neighbors, for configurations that ask for them.
JOINT_WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 1, 1.2, 1.2, 1.5, 1.5, 1, 1, 1.2, 1.2, 1.5, 1.5])


def one(x: float, y: float) -> Tensor:
    """``(1, 1, 2)`` float64 keypoint."""
    return torch.tensor([[[x, y]]], dtype=torch.float64)


def draw(
    codec: HeatmapCodec, x: float, y: float, weight: float = 1.0, stride: int | None = None
) -> tuple[Tensor, float]:
    """One keypoint's heatmap and weight."""
    heatmaps, weights = codec.encode(one(x, y), torch.tensor([[weight]]), stride=stride)
    return heatmaps[0, 0], weights.item()


def test_a_heatmap_is_a_gaussian_at_the_keypoint() -> None:
    """Every cell holds exp(-d^2 / 2 sigma^2) of its distance in crop pixels."""
    heatmap, weight = draw(CODEC, 70.2, 100.9)
    x, y = 4 * (torch.arange(48) + 0.5) - 0.5, 4 * (torch.arange(64) + 0.5) - 0.5
    expected = torch.exp(-((x - 70.2) ** 2 + (y[:, None] - 100.9) ** 2) / (2 * 8.0**2))

    assert weight == 1
    torch.testing.assert_close(heatmap, expected, atol=1e-6, rtol=0)


def test_every_stride_draws_the_same_place() -> None:
    """Targets of another stride have their own size and the same sigma in crop pixels."""
    for stride in (1, 8, 16):
        heatmap, _ = draw(CODEC, 97.5, 120.5, stride=stride)
        x, y = (stride * (torch.arange(n // stride) + 0.5) - 0.5 for n in (192, 256))

        assert heatmap.shape == (256 // stride, 192 // stride)
        expected = torch.exp(-((x - 97.5) ** 2 + (y[:, None] - 120.5) ** 2) / (2 * 8.0**2))
        torch.testing.assert_close(heatmap, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("codec", [CODEC, EDGE])
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30])
def test_an_unlabelled_keypoint_draws_nothing(codec: HeatmapCodec, garbage: float) -> None:
    """Weight 0 gives zeros whatever stands in the coordinates, and garbage never gets a weight."""
    for place in (one(garbage, garbage), one(50.0, garbage), one(50.0, 50.0)):
        heatmaps, weights = codec.encode(place, torch.zeros(1, 1))

        assert not heatmaps.any()
        assert not weights.any()

    heatmap, weight = draw(codec, garbage, 50.0)

    assert weight == 0
    assert not heatmap.any()


@pytest.mark.parametrize(
    ("x", "weight"), [(-0.5, 1.0), (-0.6, 0.0), (191.5, 1.0), (191.6, 0.0), (-40.0, 0.0), (1000.0, 0.0)]
)
def test_a_keypoint_off_the_map_has_no_weight(x: float, weight: float) -> None:
    """The map ends at the outer edge of its outermost cells."""
    heatmap, found = draw(CODEC, x, 100.0)

    assert found == weight
    assert heatmap.any() == bool(weight)


def test_weights_pass_through() -> None:
    """A weight between 0 and 1 is kept and the Gaussian stays of height 1, except below the published threshold."""
    assert draw(CODEC, 101.5, 101.5, 0.25)[1] == 0.25
    assert draw(CODEC, 101.5, 101.5, 0.25)[0].max() == 1
    assert draw(EDGE, 101.5, 101.5, 0.25)[1] == 0.25
    assert not draw(EDGE, 101.5, 101.5, 0.25)[0].any()


@given(
    points=st.lists(st.tuples(st.floats(-20, 211), st.floats(-20, 275)), min_size=17, max_size=17),
    stride=st.sampled_from([2, 4, 8]),
)
@example(points=[(-0.5, -0.5), (191.5, 255.5), (95.5, 127.5), (0.0, 255.0)] * 4 + [(191.0, 0.0)], stride=4)
@example(points=[(-0.5000001, 1.0), (191.5000001, 1.0), (-20.0, -20.0), (211.0, 275.0)] * 4 + [(1.5, 1.5)], stride=8)
def test_encoding_commutes_with_mirroring(points: list[tuple[float, float]], stride: int) -> None:
    """The heatmaps of mirrored keypoints are the mirrored heatmaps, without any shift."""
    keypoints = torch.tensor(points, dtype=torch.float64)[None]
    order = torch.from_numpy(COCO_17.flip_indices)
    mirrored_keypoints = keypoints[:, order]
    mirrored_keypoints[..., 0] = 191 - mirrored_keypoints[..., 0]

    heatmaps, weights = CODEC.encode(keypoints, torch.ones(1, 17), stride=stride)
    mirrored, mirrored_weights = CODEC.encode(mirrored_keypoints, torch.ones(1, 17), stride=stride)

    torch.testing.assert_close(mirror_heatmaps(mirrored, COCO_17.flip_indices), heatmaps, atol=1e-6, rtol=0)
    assert torch.equal(mirrored_weights[:, order], weights)


CELLS = st.one_of(st.floats(0, 1), st.integers(0, 30).map(lambda half: half / 2))


@given(
    x=CELLS,
    y=CELLS,
    sigma=st.floats(4.0, 12.0),
    far=st.tuples(st.booleans(), st.booleans()),
    size=st.sampled_from([SIZE, Size(width=48, height=64), Size(width=64, height=20)]),
    kernel=st.sampled_from([3, 11, 17]),
)
@example(x=0.0, y=0.0, sigma=4.0, far=(False, False), size=SIZE, kernel=17)
@example(x=0.0, y=0.0, sigma=12.0, far=(True, True), size=Size(width=64, height=20), kernel=17)
@example(x=1.0, y=1.0, sigma=12.0, far=(False, True), size=Size(width=48, height=64), kernel=3)
def test_dark_reads_back_what_was_drawn(
    x: float, y: float, sigma: float, far: tuple[bool, bool], size: Size, kernel: int
) -> None:
    """Every point from the first cell to the last comes back to 0.05 cell, at the border too."""
    codec = HeatmapCodec(input_size=size, sigma=sigma, blur_kernel=kernel)
    last = codec.heatmap_size()
    cells = torch.tensor(
        [min(x * (1 if x > 1 else last.width), last.width - 1), min(y * (1 if y > 1 else last.height), last.height - 1)]
    )
    cells = torch.where(torch.tensor(far), torch.tensor([last.width - 1.0, last.height - 1.0]) - cells, cells)[
        None, None
    ].double()

    heatmaps, _ = codec.encode(codec.to_crop(cells), torch.ones(1, 1))
    found, scores = codec.locate(heatmaps)

    assert (found - cells).abs().max() <= 0.05
    assert scores.item() == heatmaps.max()


@pytest.mark.parametrize(
    ("decoding", "error"), [("argmax", 0.5), ("quarter", 0.25), ("dark", 0.001), ("udp", 0.001), ("soft_argmax", 0.06)]
)
def test_every_decoding_reads_back_inside(decoding: Decoding, error: float) -> None:
    """Away from the border each decoding keeps its own accuracy, in cells of the default codec."""
    codec = HeatmapCodec(input_size=SIZE, decoding=decoding)
    cells = torch.rand(20, 17, 2, dtype=torch.float64) * torch.tensor([35.0, 51.0]) + 6

    heatmaps, _ = codec.encode(codec.to_crop(cells), torch.ones(20, 17))
    difference = (codec.locate(heatmaps)[0] - cells).abs().max()

    assert difference <= error
    assert difference > error / 10 or error == 0.001


@pytest.mark.parametrize("codec", [CODEC, EDGE, UDP])
def test_cells_and_crop_pixels_are_inverse(codec: HeatmapCodec) -> None:
    """The two frames meet as the alignment says, and decode is locate in crop pixels."""
    points = torch.randn(2, 3, 2, dtype=torch.float64) * 100

    torch.testing.assert_close(codec.to_heatmap(codec.to_crop(points)), points)
    assert codec.to_crop(torch.zeros(2)).tolist() == ([1.5, 1.5] if codec is CODEC else [0.0, 0.0])
    assert CODEC.to_heatmap(torch.tensor([7.5]), stride=8).item() == 0.5
    heatmaps = torch.rand(2, 17, 64, 48)
    assert torch.equal(codec.decode(heatmaps)[0], codec.to_crop(codec.locate(heatmaps)[0]))


def test_udp_puts_the_last_cells_on_the_last_pixels() -> None:
    """Both corners of the map are those of the crop, at any stride."""
    corners = torch.tensor([[0.0, 0.0], [SIZE.width - 1, SIZE.height - 1]], dtype=torch.float64)
    for stride in (4, 8):
        last = [SIZE.width // stride - 1, SIZE.height // stride - 1]
        torch.testing.assert_close(UDP.to_heatmap(corners, stride), torch.tensor([[0, 0], last]).double())


def test_udp_targets_by_hand() -> None:
    """The Gaussian has the keypoint's own center, and a window of 3 sigma; half a weight draws nothing."""
    keypoints = UDP.to_crop(torch.tensor([[[10.4, 20.0], [3.0, 3.0], [-6.0, 2.0], [-8.6, 2.0]]], dtype=torch.float64))
    heatmaps, weights = UDP.encode(keypoints, torch.tensor([[1.0, 0.5, 1.0, 1.0]]))

    columns = torch.arange(4, 17)  # 10 - 6 to 10 + 6
    expected = torch.zeros(SIZE.width // 4).index_put((columns,), torch.exp(-((columns - 10.4) ** 2) / 8))
    torch.testing.assert_close(heatmaps[0, 0, 20], expected)
    assert not heatmaps[0, 1].any()
    assert weights.tolist() == [[1.0, 0.5, 1.0, 0.0]]


@pytest.mark.parametrize("decoding", get_args(Decoding))
def test_no_person_gives_no_keypoint(decoding: Decoding) -> None:
    """Empty input is a case, in both directions and for every alignment."""
    for codec in (
        HeatmapCodec(input_size=SIZE, decoding=decoding),
        HeatmapCodec(input_size=SIZE, decoding=decoding, alignment="edge"),
        HeatmapCodec(input_size=SIZE, decoding=decoding, alignment="udp"),
    ):
        heatmaps, weights = codec.encode(torch.zeros(0, 17, 2), torch.zeros(0, 17))
        keypoints, scores = codec.decode(heatmaps)

        assert [tuple(each.shape) for each in (heatmaps, weights, keypoints, scores)] == [
            (0, 17, 64, 48),
            (0, 17),
            (0, 17, 2),
            (0, 17),
        ]


def test_encoding_asks_the_device_for_nothing() -> None:
    """On the meta device, where nothing has a value, encoding and merging work."""
    for codec in (CODEC, EDGE):
        heatmaps, weights = codec.encode(torch.empty(2, 17, 2, device="meta"), torch.empty(2, 17, device="meta"))

        assert heatmaps.is_meta
        assert weights.is_meta
        assert merge_mirrored(heatmaps, heatmaps, COCO_17.flip_indices).shape == (2, 17, 64, 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 5}, r"stride: expected a divisor of the 256x192 \(height x width\) crop, found 5"),
        ({"stride": 0}, "stride: expected a divisor"),
        ({"sigma": 0.0}, "sigma: expected a positive number"),
        ({"sigma": math.nan}, "sigma: expected a positive number"),
        ({"alignment": "middle"}, "alignment: expected one of"),
        ({"decoding": "taylor"}, "decoding: expected one of"),
        ({"blur_kernel": 10}, "blur_kernel: expected an odd number"),
        ({"stride": 64}, "expected heatmaps of at least 5x5 cells, found 4x3"),
    ],
)
def test_bad_codecs_are_refused(change: dict[str, Any], message: str) -> None:
    """A codec checks itself."""
    with pytest.raises(ValueError, match=message):
        HeatmapCodec(**({"input_size": SIZE} | change))


def test_bad_tensors_are_refused() -> None:
    """Shapes and types have one clear error each."""
    with pytest.raises(ValueError, match=r"keypoints_crop: expected shape \(B, J, 2\), found \(1, 17, 3\)"):
        CODEC.encode(torch.zeros(1, 17, 3), torch.zeros(1, 17))
    with pytest.raises(ValueError, match=r"keypoint_weights: expected shape \(1, 17\), found \(1, 17, 1\)"):
        CODEC.encode(torch.zeros(1, 17, 2), torch.zeros(1, 17, 1))
    with pytest.raises(ValueError, match="stride: expected a divisor"):
        CODEC.encode(torch.zeros(1, 17, 2), torch.zeros(1, 17), stride=7)
    with pytest.raises(ValueError, match=r"heatmaps: expected shape \(B, J, 64, 48\), found \(1, 17, 48, 64\)"):
        CODEC.decode(torch.zeros(1, 17, 48, 64))
    with pytest.raises(ValueError, match="heatmaps: expected floating point, found"):
        CODEC.decode(torch.zeros(1, 17, 64, 48, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected heatmaps of one shape"):
        merge_mirrored(torch.zeros(1, 17, 8, 8), torch.zeros(2, 17, 8, 8), COCO_17.flip_indices)


def test_a_mirrored_crop_merges_without_a_trace() -> None:
    """Merging a keypoint's heatmaps with those of the mirrored crop changes nothing in center alignment."""
    keypoints = torch.rand(3, 17, 2, dtype=torch.float64) * torch.tensor([191.0, 255.0])
    order = COCO_17.flip_indices
    mirrored = keypoints[:, torch.from_numpy(order)] * torch.tensor([-1.0, 1.0]) + torch.tensor([191.0, 0.0])
    heatmaps, of_mirrored = (CODEC.encode(each, torch.ones(3, 17))[0] for each in (keypoints, mirrored))

    torch.testing.assert_close(merge_mirrored(heatmaps, of_mirrored, order), heatmaps, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_targets(golden: Golden, name: str) -> None:
    """Rounding, window, weights and the limits of both are the reference's."""
    reference, (size, sigma) = golden("targets"), PUBLISHED[name]
    codec = HeatmapCodec(input_size=size, sigma=4.0 * sigma, alignment="edge")
    keypoints = torch.from_numpy(reference[f"in_joints_{name}"][..., :2])
    heatmaps, weights = codec.encode(keypoints, torch.from_numpy(reference[f"in_joints_vis_{name}"][..., 0]))

    np.testing.assert_allclose(heatmaps, reference[f"out_target_{name}"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, reference[f"out_weight_{name}"][..., 0])
    weighted = (weights.numpy() * JOINT_WEIGHTS).astype(np.float32)
    np.testing.assert_array_equal(weighted, reference[f"out_weight_jw_{name}"][..., 0])


@pytest.mark.parametrize(("name", "joints"), [("64x48_s2", slice(None)), ("96x72_s3", slice(0, 17, 4))])
def test_published_gaussians_with_a_real_center(golden: Golden, name: str, joints: slice) -> None:
    """DARK's targets are a part of ours on a map with a margin, for it also draws what lies a little off the map."""
    reference, (size, sigma), margin = golden("targets"), PUBLISHED[name], 32
    codec = HeatmapCodec(input_size=size, sigma=4.0 * sigma)
    wide = HeatmapCodec(input_size=Size(width=size.width + 256, height=size.height + 256), sigma=4.0 * sigma)
    cells = torch.from_numpy(reference[f"in_darkjoints_{name}"][..., :2])
    labelled = torch.from_numpy(reference[f"in_joints_vis_{name}"][:3, :, 0])
    expected, published_weights = reference[f"out_dark_target_{name}"], reference[f"out_dark_weight_{name}"][..., 0]

    heatmaps, _ = wide.encode(wide.to_crop(cells + margin), torch.from_numpy(published_weights))
    _, weights = codec.encode(codec.to_crop(cells), labelled)

    inner = heatmaps[: len(expected), joints, margin:-margin, margin:-margin]
    np.testing.assert_allclose(inner, expected, rtol=0, atol=1e-5)
    on_map = ((cells >= -0.5) & (cells <= torch.tensor([size.width, size.height]) / 4 - 0.5)).all(dim=-1)
    np.testing.assert_array_equal(weights, np.where(on_map, published_weights, 0))


@pytest.mark.parametrize("name", ["small", "full"])
def test_published_mirroring(golden: Golden, name: str) -> None:
    """Unflipping, shifting and averaging are the reference's bit for bit, and change no argument."""
    reference, order = golden("flip"), COCO_17.flip_indices
    heatmaps, mirrored = (
        torch.from_numpy(reference[f"in_{kind}_{name}"].astype(np.float32)) for kind in ("out", "outflip")
    )
    before = heatmaps.clone(), mirrored.clone()

    for shift, suffix in ((False, ""), (True, "_shift")):
        back, mean = (
            mirror_heatmaps(mirrored, order, shift=shift),
            merge_mirrored(heatmaps, mirrored, order, shift=shift),
        )

        np.testing.assert_array_equal(back, reference[f"out_back{suffix}_{name}"])
        np.testing.assert_array_equal(mean, reference[f"out_avg{suffix}_{name}"])
    assert torch.equal(heatmaps, before[0])
    assert torch.equal(mirrored, before[1])
