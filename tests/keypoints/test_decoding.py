"""Finding a heatmap's peak and the place between the cells."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, Crops
from pcrpose.keypoints.decoding import Decoding, Peaks, find_peaks, quarter_step, soft_argmax
from pcrpose.keypoints.heatmap import HeatmapCodec

Golden = Callable[[str], Any]
DECODINGS = get_args(Decoding)
WAYS: list[tuple[Alignment, Decoding]] = [(alignment, way) for alignment in ("center", "edge") for way in DECODINGS]
WAYS.append(("udp", "udp"))  # the one in which it differs from "center"
SIZES = {"64x48": Size(width=192, height=256), "96x72": Size(width=288, height=384)}


def codec(
    decoding: Decoding, alignment: Alignment = "center", size: Size = SIZES["64x48"], blur_kernel: int = 11
) -> HeatmapCodec:
    """Make a codec of stride 4."""
    return HeatmapCodec(input_size=size, alignment=alignment, decoding=decoding, blur_kernel=blur_kernel)


def one_map(values: list[list[float]]) -> Tensor:
    """``(1, 1, h, w)`` float64 heatmap of given rows."""
    return torch.tensor(values, dtype=torch.float64)[None, None]


def both_searches(heatmaps: Tensor) -> tuple[Peaks, Peaks]:
    """Search by numpy, and by torch as under compilation."""
    by_numpy = find_peaks(heatmaps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        return by_numpy, find_peaks(heatmaps)


@given(
    values=st.lists(st.integers(-2, 2), min_size=60, max_size=60),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@example(values=[0] * 60, dtype=torch.float32)
@example(values=[-2] * 60, dtype=torch.float64)
@example(values=([0] * 14 + [1]) * 4, dtype=torch.float32)
@example(values=([1] + [0] * 13 + [1]) * 4, dtype=torch.float32)
def test_both_searches_find_the_same_cell(values: list[int], dtype: torch.dtype) -> None:
    """Numpy's and torch's search agree in every tie: the first cell in reading order."""
    heatmaps = torch.tensor(values, dtype=dtype).reshape(2, 2, 3, 5)

    by_numpy, by_torch = both_searches(heatmaps)
    first = [row.index(max(row)) for row in heatmaps.flatten(2).flatten(0, 1).tolist()]

    assert torch.equal(by_numpy.y.flatten() * 5 + by_numpy.x.flatten(), torch.tensor(first))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(by_numpy, by_torch, strict=True))


def test_both_searches_agree_on_real_sizes() -> None:
    """Full heatmaps with many equal values, and none at all."""
    heatmaps = torch.randint(0, 30, (5, 17, 64, 48)).float()
    for batch in (heatmaps, heatmaps[:0], heatmaps.transpose(2, 3)):
        by_numpy, by_torch = both_searches(batch)

        assert by_numpy.scores.shape == batch.shape[:2]
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(by_numpy, by_torch, strict=True))


@pytest.mark.parametrize(("alignment", "decoding"), WAYS)
def test_the_heatmaps_are_not_changed(alignment: Alignment, decoding: Decoding) -> None:
    """Decoding reads; the caller's tensor keeps every value."""
    heatmaps = torch.randn(2, 3, 64, 48)
    before = heatmaps.clone()

    codec(decoding, alignment).decode(heatmaps)

    assert torch.equal(heatmaps, before)


@pytest.mark.parametrize(("alignment", "decoding"), WAYS)
def test_no_value_is_asked_of_the_device(alignment: Alignment, decoding: Decoding) -> None:
    """On the meta device nothing has a value, so whatever needs one on the host fails there."""
    keypoints, scores = codec(decoding, alignment).decode(torch.empty(2, 17, 64, 48, device="meta"))

    assert (keypoints.shape, scores.shape) == ((2, 17, 2), (2, 17))
    assert keypoints.is_meta


@pytest.mark.parametrize(("alignment", "decoding"), WAYS)
def test_compiled_and_exported_decoding_is_the_same(alignment: Alignment, decoding: Decoding) -> None:
    """One graph, any batch size, equal results."""

    class Decoder(torch.nn.Module):
        def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
            return codec(decoding, alignment, Size(width=48, height=64)).decode(heatmaps)

    torch.compiler.reset()  # the cases are compiled one by one, not as variants of one function
    batches = [torch.randn(count, 3, 16, 12) for count in (2, 3, 5)]
    compiled = torch.compile(Decoder(), fullgraph=True, backend="eager", dynamic=True)
    dynamic = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(Decoder(), (batches[0],), dynamic_shapes=dynamic, strict=alignment == "center")
    runs: list[Callable[[Tensor], Any]] = [compiled, exported.module()]
    for batch in batches:
        expected = Decoder()(batch)
        for run in runs:
            for ours, theirs in zip(run(batch), expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)  # numpy sums in another order


@pytest.mark.parametrize(("alignment", "decoding"), WAYS)
@pytest.mark.parametrize("value", [0.0, -1.0, 5.0, float("nan"), float("inf"), float("-inf"), 1e-30])
def test_maps_without_a_peak_give_a_cell(alignment: Alignment, decoding: Decoding, value: float) -> None:
    """Even maps and maps of garbage give the first cell and its value."""
    keypoints, scores = codec(decoding, alignment).locate(torch.full((1, 2, 64, 48), value))

    torch.testing.assert_close(scores, torch.full((1, 2), value), equal_nan=True)
    assert torch.isfinite(keypoints).all() or (alignment == "edge" and value > 0)
    if alignment == "center" or not value > 0:
        assert not keypoints.any()


def test_udp_alignment_differs_in_its_own_decoding_alone() -> None:
    """There it steps as the published code does, which ``"edge"`` follows too; the others are those of ``"center"``."""
    heatmaps = torch.rand(2, 17, 64, 48, generator=torch.Generator().manual_seed(3))

    for decoding in DECODINGS:
        expected = codec(decoding, "edge" if decoding == "udp" else "center").locate(heatmaps)[0]
        torch.testing.assert_close(codec(decoding, "udp").locate(heatmaps)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_a_negative_map_still_has_its_highest_cell(decoding: Decoding) -> None:
    """Ours reports a low score at its place; the published code reports (0, 0)."""
    heatmaps = torch.full((1, 1, 64, 48), -1.0)
    heatmaps[0, 0, 20, 30] = -0.5

    ours, scores = codec(decoding).locate(heatmaps)
    published, _ = codec(decoding, "edge").locate(heatmaps)

    assert scores.item() == -0.5
    assert (ours[0, 0] - torch.tensor([30.0, 20.0])).abs().max() <= 0.25
    assert published.tolist() == [[[0.0, 0.0]]]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_mirrored_maps_have_mirrored_peaks(decoding: Decoding) -> None:
    """On noise as on a clean peak, at the border too, a mirrored map gives the mirrored place, to a millionth."""
    heatmaps = torch.rand(40, 17, 16, 12, dtype=torch.float64)
    small = codec(decoding, size=Size(width=48, height=64))
    keypoints = torch.rand(20, 17, 2, dtype=torch.float64) * torch.tensor([47.0, 63.0])
    heatmaps[:20] += 3 * small.encode(keypoints, torch.ones(20, 17))[0]

    places, scores = small.locate(heatmaps)
    mirrored, mirrored_scores = small.locate(heatmaps.flip(-1))

    expected = places * torch.tensor([-1.0, 1.0]) + torch.tensor([11.0, 0.0])
    torch.testing.assert_close(mirrored, expected, atol=1e-6, rtol=0)
    assert torch.equal(mirrored_scores, scores)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_swapped_axes_swap_the_place(decoding: Decoding) -> None:
    """No axis is treated differently from the other."""
    heatmaps = torch.rand(8, 17, 16, 16, dtype=torch.float64)
    square = codec(decoding, size=Size(width=64, height=64))

    torch.testing.assert_close(square.locate(heatmaps.mT)[0], square.locate(heatmaps)[0].flip(-1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised(decoding: Decoding, dtype: torch.dtype) -> None:
    """Results of half-precision maps are those of the same values in float32."""
    heatmaps = torch.rand(2, 17, 64, 48).to(dtype)

    keypoints, scores = codec(decoding).decode(heatmaps)
    expected, expected_scores = codec(decoding).decode(heatmaps.float())

    assert keypoints.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(keypoints, expected, rtol=0, atol=1e-3)  # numpy sums in another order
    assert torch.equal(scores, expected_scores)


@pytest.mark.parametrize(("alignment", "decoding"), WAYS)
def test_autocast_and_channels_last_change_nothing(alignment: Alignment, decoding: Decoding) -> None:
    """A reduced-precision context round the decoding, and another memory order, are harmless."""
    heatmaps = torch.rand(2, 17, 64, 48) + 0.1
    expected = codec(decoding, alignment).locate(heatmaps)[0]

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = codec(decoding, alignment).locate(heatmaps.to(memory_format=torch.channels_last))[0]

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_ours_steps_only_to_a_near_maximum() -> None:
    """A dent and a far extremum leave the highest cell; the published step has no such bound."""
    x, y = torch.arange(48) - 30, torch.arange(64)[:, None] - 20
    dent = torch.where((x * x + y * y > 4) & (x * x + y * y < 36), 0.8 + 0.01 * x, 0.1)[None, None]
    dent[0, 0, 20, 30] = 1  # one high cell in the middle of a ring: blurred, it lies lowest
    noise = torch.rand(50, 17, 64, 48)
    for decoding in ("dark", "udp"):
        assert codec(decoding).locate(dent)[0].tolist() == [[[30.0, 20.0]]]
        cell = codec("argmax").locate(noise)[0]
        assert (codec(decoding).locate(noise)[0] - cell).abs().max() <= 1.5
        assert (codec(decoding, "edge").locate(noise)[0] - cell).abs().max() > 1.5


@pytest.mark.parametrize(
    ("peak", "ours", "published"),
    [
        ((3, 3), [0.25, -0.25], [0.25, -0.25]),
        ((1, 3), [0.25, -0.25], [0.0, 0.0]),
        ((0, 3), [0.0, -0.25], [0.0, 0.0]),
        ((6, 3), [0.0, -0.25], [0.0, 0.0]),
        ((0, 0), [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_the_quarter_step_goes_to_the_higher_neighbor(
    peak: tuple[int, int], ours: list[float], published: list[float]
) -> None:
    """Right and up are higher; the border holds the step back, in the published code on both axes."""
    x, y = peak
    heatmaps = torch.zeros(1, 1, 7, 7)
    heatmaps[0, 0, y, x] = 1
    heatmaps[0, 0, y, min(x + 1, 6)] = max(0.5, float(x == 6))
    heatmaps[0, 0, max(y - 1, 0), x] = max(0.5, float(y == 0))
    peaks = find_peaks(heatmaps)

    assert quarter_step(heatmaps, peaks, published=False)[0, 0].tolist() == ours
    assert quarter_step(heatmaps, peaks, published=True)[0, 0].tolist() == published


def test_equal_neighbors_take_no_quarter() -> None:
    """The sign of nothing is nothing."""
    heatmaps = one_map([[0.0] * 5] * 2 + [[0.0, 0.2, 1.0, 0.2, 0.0]] + [[0.0] * 5] * 2)

    assert not quarter_step(heatmaps, find_peaks(heatmaps), published=False).any()


def test_soft_argmax_is_the_mean_of_the_window() -> None:
    """Hand-computed: three cells round the peak; what is negative or outside the window has no weight."""
    heatmaps = one_map([[9.0] * 5, [0, -5, 0, 0, 9], [0, 2, 10, 4, 9], [0, 0, 4, 0, 9], [9.0] * 5])
    place = soft_argmax(heatmaps, find_peaks(heatmaps), 3)

    torch.testing.assert_close(place[0, 0], torch.tensor([2 + (4 - 2) / 20, 2 + 4 / 20], dtype=torch.float64))


def test_soft_argmax_has_a_gradient() -> None:
    """Its derivative by the heatmap is the analytic one."""
    heatmaps = (torch.rand(1, 2, 8, 8, dtype=torch.float64) + 0.1).requires_grad_()
    peaks = find_peaks(heatmaps)

    assert torch.autograd.gradcheck(lambda maps: soft_argmax(maps, peaks, 5), [heatmaps], atol=1e-8)


def calm_error(found: Tensor, expected: Any, cells: Any) -> tuple[float, float]:  # noqa: ANN401 - reference arrays
    """Largest difference where the reference stepped at most one cell, and elsewhere."""
    difference = np.abs(found.numpy() - expected).max(axis=-1)
    calm = np.abs(expected - cells).max(axis=-1) <= 1
    return difference[calm].max(), difference[~calm].max(initial=0.0)


@pytest.mark.parametrize("name", SIZES)
def test_published_peaks_and_quarter_steps(golden: Golden, name: str) -> None:
    """Highest cells, scores and quarter offsets are the reference's exactly, image places to a thousandth."""
    reference, size = golden("decode"), SIZES[name]
    heatmaps = torch.from_numpy(reference[f"in_heatmaps_{name}"].astype(np.float32))
    extents = reference[f"in_scale_{name}"].astype(np.float64) * 200
    crop = Crops.from_windows(reference[f"in_center_{name}"], extents, size, alignment="edge")
    for kind, ours in (("nopost", codec("argmax", "edge", size)), ("quarter", codec("quarter", "edge", size))):
        places, scores = ours.locate(heatmaps)

        np.testing.assert_array_equal(places, reference[f"out_{kind}_xy_hm_{name}"])
        np.testing.assert_array_equal(scores, reference[f"out_maxvals_{name}"][..., 0])
        image = crop.inverse(ours.to_crop(places).double().numpy())
        np.testing.assert_allclose(image, reference[f"out_{kind}_xy_img_{name}"], rtol=0, atol=1e-3)
    np.testing.assert_array_equal(codec("argmax", "edge", size).locate(heatmaps)[0], reference[f"out_argmax_xy_{name}"])


@pytest.mark.parametrize(("name", "kernel"), [("64x48", 11), ("96x72", 11), ("96x72", 17)])
def test_published_dark_steps(golden: Golden, name: str, kernel: int) -> None:
    """DARK's places are the reference's on every kind of map, noise and ties included."""
    reference, size = golden("decode"), SIZES[name]
    heatmaps = torch.from_numpy(reference[f"in_heatmaps_{name}"].astype(np.float32))
    ours = codec("dark", "edge", size, blur_kernel=kernel)
    places, _ = ours.locate(heatmaps)

    calm, wild = calm_error(places, reference[f"out_dark{kernel}_xy_hm_{name}"], reference[f"out_argmax_xy_{name}"])

    assert calm < 1e-3
    assert wild < 5e-2
    extents = reference[f"in_scale_{name}"].astype(np.float64) * 200
    crop = Crops.from_windows(reference[f"in_center_{name}"], extents, size, alignment="edge")
    image = crop.inverse(ours.to_crop(places).double().numpy())
    np.testing.assert_allclose(image, reference[f"out_dark{kernel}_xy_img_hrnet_{name}"], rtol=0, atol=2e-2)


@pytest.mark.parametrize(("name", "kernel"), [("64x48", 11), ("96x72", 17)])
def test_published_udp_steps(golden: Golden, name: str, kernel: int) -> None:
    """UDP's places are the reference's wherever the maximum is positive."""
    reference = golden("decode")
    heatmaps = torch.from_numpy(reference[f"in_heatmaps_{name}"].astype(np.float32))
    places, scores = codec("udp", "edge", SIZES[name], blur_kernel=kernel).locate(heatmaps)
    positive = scores.numpy() > 0

    np.testing.assert_allclose(
        places.numpy()[positive], reference[f"out_udp{kernel}_xy_hm_{name}"][positive], rtol=0, atol=1e-3
    )
