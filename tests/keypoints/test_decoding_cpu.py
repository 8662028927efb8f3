"""Decoding by numpy gives what decoding by torch gives, at the border, on noise, for every alignment."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pcrpose.keypoints import decoding_cpu
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import HeatmapCodec, merge_mirrored, mirror_heatmaps


def codec(size: Size, **changes: str | int) -> HeatmapCodec:
    """Return a codec of crops of a size."""
    return replace(HeatmapCodec(input_size=size), **changes)  # type: ignore[arg-type]  # of any field


def by_torch(codec: HeatmapCodec, heatmaps: Tensor, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Locate without the fast path."""
    with monkeypatch.context() as patch:
        patch.setattr(decoding_cpu, "decodable", lambda *_: False)
        return codec.locate(heatmaps)


@pytest.mark.parametrize("alignment", ["center", "edge"])
@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark"])
@pytest.mark.parametrize("size", [Size(width=192, height=256), Size(width=40, height=20)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_are_equal(
    size: Size, decoding: Decoding, alignment: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peaks anywhere, the border and maps narrower than the blur included, with noise; some maps without a peak."""
    generator = torch.Generator().manual_seed(3)
    keypoints = torch.rand(40, 17, 2, generator=generator) * torch.tensor([size.width, size.height])
    heatmaps, _ = codec(size).encode(keypoints, torch.ones(40, 17))
    heatmaps = (heatmaps + 0.001 * torch.randn(heatmaps.shape, generator=generator)).to(dtype)
    heatmaps[0, :3] = torch.tensor([0.0, -1.0, 0.5])[:, None, None]
    measured = codec(size, alignment=alignment, decoding=decoding)

    found, scores = measured.locate(heatmaps)

    expected, expected_scores = by_torch(measured, heatmaps, monkeypatch)
    assert found.dtype == expected.dtype
    assert torch.equal(scores, expected_scores)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_values_at_the_floor_of_the_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published scale of the blurred map decides there, and is computed there."""
    heatmaps = torch.zeros(1, 2, 64, 48)
    heatmaps[0, 0, 30, 20], heatmaps[0, 0, 30, 21] = 1.0, 0.5  # zeros all round
    heatmaps[0, 1, 30, 20], heatmaps[0, 1, 29:32, 22:25] = 1.0, -1.0
    measured = codec(Size(width=192, height=256), alignment="edge", blur_kernel=3)

    found, _ = measured.locate(heatmaps)

    torch.testing.assert_close(found, by_torch(measured, heatmaps, monkeypatch)[0], rtol=0, atol=1e-4)


def test_gradients_take_the_other_way() -> None:
    """Keypoints stay differentiable with respect to heatmaps that ask for it."""
    heatmaps = torch.rand(1, 17, 64, 48, requires_grad=True)

    found, _ = codec(Size(width=192, height=256)).locate(heatmaps)

    assert found.requires_grad
    assert not decoding_cpu.decodable(heatmaps, "dark")
    assert decoding_cpu.decodable(heatmaps.detach(), "dark")


@pytest.mark.parametrize("shift", [False, True])
def test_many_persons_are_merged_part_by_part(shift: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Twenty persons, more than are merged at once: the mean of both, bit for bit."""
    heatmaps, mirrored = torch.rand(2, 20, 4, 8, 6).unbind()
    order = torch.tensor([1, 0, 2, 3])

    merged = merge_mirrored(heatmaps, mirrored, order, shift=shift)

    assert torch.equal(merged, (heatmaps + mirror_heatmaps(mirrored, order, shift=shift)) * 0.5)
