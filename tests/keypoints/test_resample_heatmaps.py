"""Heatmaps of one crop, read at the cells of another: where peaks go, and what is not shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.resample_heatmaps import HeatmapFrame, resample_heatmaps

BOXES = [[30.0, 20.0, 130.0, 210.0], [60.5, 40.25, 190.0, 160.0]]  # a tall person, and a wide one
POINTS = np.array([[[71.3, 88.8], [100.0, 150.5]], [[101.7, 90.2], [150.0, 120.0]]])  # image pixels
SPEC = CropSpec(input_size=Size(width=192, height=256))
OTHERS = {
    "the same": (SPEC, 4),
    "larger": (replace(SPEC, input_size=Size(width=288, height=384)), 4),
    "smaller": (replace(SPEC, input_size=Size(width=144, height=192)), 4),
    "square": (replace(SPEC, input_size=Size(width=256, height=256)), 4),
    "edge": (replace(SPEC, alignment="edge"), 4),
    "udp": (replace(SPEC, alignment="udp", input_size=Size(width=256, height=256)), 4),
    "wider": (replace(SPEC, padding=1.4), 4),
    "tighter": (replace(SPEC, padding=1.1), 4),
    "finer": (SPEC, 2),
    "coarser": (SPEC, 8),
    "everything": (CropSpec(input_size=Size(width=160, height=160), padding=1.5, alignment="edge"), 2),
}


def frame_of(spec: CropSpec, stride: int = 4) -> HeatmapFrame:
    """Lay cells on the two persons' crops."""
    codec = HeatmapCodec(input_size=spec.input_size, stride=stride, sigma=10.0, alignment=spec.alignment)
    return HeatmapFrame(codec, spec.crops(BOXES).matrices)


def drawn(frame: HeatmapFrame, spec: CropSpec) -> torch.Tensor:
    """Evaluate, at every cell, a bell round each point that is 12 image pixels wide: by hand, not by the codec."""
    size, stride = frame.codec.heatmap_size(), frame.codec.stride
    first = (stride - 1) / 2 if spec.alignment == "center" else 0.0
    x, y = stride * np.arange(size.width) + first, stride * np.arange(size.height)[:, None] + first
    if spec.alignment == "udp":  # from the first pixel's center to the last one's
        x = np.linspace(0, spec.input_size.width - 1, size.width)
        y = np.linspace(0, spec.input_size.height - 1, size.height)[:, None]
    maps = np.zeros((2, 2, size.height, size.width))
    for person, matrix in enumerate(frame.matrices):
        across, down = (x - matrix[0, 2]) / matrix[0, 0], (y - matrix[1, 2]) / matrix[1, 1]
        for index, (left, top) in enumerate(POINTS[person]):
            maps[person, index] = np.exp(((across - left) ** 2 + (down - top) ** 2) / (-2 * 12.0**2))
    return torch.from_numpy(maps)


@pytest.mark.parametrize("name", OTHERS)
def test_a_bell_stays_where_it_is_in_the_image(name: str) -> None:
    """What is drawn in another crop is, cell by cell, what is drawn in this one, where the other one shows it."""
    spec, stride = OTHERS[name]
    source, target = frame_of(spec, stride), frame_of(SPEC)

    moved, shown = resample_heatmaps(drawn(source, spec), source, target)

    difference = (moved - drawn(target, SPEC)) * shown
    assert difference.abs().max() < 0.02
    keypoints, scores = target.codec.decode(moved)
    image = SPEC.crops(BOXES).inverse(keypoints.numpy())
    np.testing.assert_allclose(image, POINTS, atol=0.15)
    np.testing.assert_allclose(scores, target.codec.decode(drawn(target, SPEC))[1], atol=0.01)


def test_the_same_cells_keep_their_values() -> None:
    """Nothing is smoothed where nothing moves, and parabolas survive any move."""
    frame = frame_of(SPEC)
    torch.manual_seed(3)
    noise = torch.randn(2, 3, 64, 48, dtype=torch.float64)

    moved, shown = resample_heatmaps(noise, frame, frame)

    torch.testing.assert_close(moved, noise, atol=1e-9, rtol=0)
    assert shown.min() == 1
    spec = replace(SPEC, padding=1.6)
    source = frame_of(spec)
    column = torch.arange(48, dtype=torch.float64)
    moved, _ = resample_heatmaps((0.01 * column**2 - 0.3 * column).expand(2, 1, 64, 48), source, frame)
    at = 1.25 / 1.6 * (column - 23.5) + 23.5  # both crops have the same middle
    torch.testing.assert_close(moved[0, 0, 30], 0.01 * at**2 - 0.3 * at, atol=1e-9, rtol=0)


def test_what_a_tighter_crop_shows() -> None:
    """Of a crop padded 1.25 times, one padded once shows the middle four fifths, and nothing is invented beyond."""
    source, target = frame_of(replace(SPEC, padding=1.0)), frame_of(SPEC)

    moved, shown = resample_heatmaps(torch.ones(2, 5, 64, 48), source, target)

    columns = (np.abs(np.arange(48) - 23.5) <= 0.8 * 24).astype(np.float32)
    rows = (np.abs(np.arange(64) - 31.5) <= 0.8 * 32).astype(np.float32)
    assert shown.shape == (2, 1, 64, 48)
    np.testing.assert_array_equal(shown[1, 0], rows[:, None] * columns)
    torch.testing.assert_close(moved, shown.expand(2, 5, 64, 48))


def test_nobody_and_what_does_not_fit() -> None:
    """No person gives no maps; other shapes and rotated crops are refused."""
    frame = frame_of(SPEC)
    nobody = HeatmapFrame(frame.codec, np.zeros((0, 2, 3)))

    assert resample_heatmaps(torch.zeros(0, 17, 64, 48), nobody, nobody).heatmaps.shape == (0, 17, 64, 48)
    for shape in ((2, 17, 48, 64), (1, 17, 64, 48)):
        with pytest.raises(ValueError, match="heatmaps: expected"):
            resample_heatmaps(torch.zeros(shape), frame, frame)
    turned = HeatmapFrame(frame.codec, np.array([[[0.8, 0.6, 0], [-0.6, 0.8, 0]]] * 2))
    with pytest.raises(ValueError, match="expected none that is rotated"):
        resample_heatmaps(torch.zeros(2, 17, 64, 48), frame, turned)
