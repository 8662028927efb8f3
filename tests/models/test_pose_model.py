"""What every architecture has in common: checks, normalized heatmaps, copies."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import mirror_heatmaps
from pcrpose.keypoints.skeleton import COCO_17, LSP_14
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapModel, HeatmapOutput, PoseModel, prediction_head

PROBABILITY = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), se_norm="none", heatmaps="probability", sigma=6.0)


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 1, 64, 64), (1, 64, 64, 3), (1, 3, 48, 64), (1, 3, 64, 33), (1, 3, 0, 64), ()]
)
def test_what_is_no_batch_of_crops_is_refused(shape: tuple[int, ...], tiny_model: PCR) -> None:
    """The error says what was expected and what was found."""
    with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\) with H and W multiples of 32, found") as caught:
        tiny_model(torch.zeros(shape))
    assert str(shape) in str(caught.value)


def test_crops_that_are_not_normalized_are_refused(tiny_model: PCR) -> None:
    """Whole numbers are images, not what the network reads."""
    with pytest.raises(ValueError, match=r"expected floating point from config\.normalize, found torch\.uint8"):
        tiny_model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_crops_are_left_alone(tiny_model: PCR) -> None:
    """The network does not write into its input, though its ReLUs work in place."""
    crops = torch.randn(2, 3, 64, 32)
    before = crops.clone()
    tiny_model(crops)
    assert torch.equal(crops, before)


@given(x=st.floats(48, 143), y=st.floats(48, 207))
def test_a_perfect_prediction_peaks_at_one(x: float, y: float) -> None:
    """Where the network's distribution is the target's, the finished map is the target: near one at the keypoint."""
    model = PoseModel(PROBABILITY)
    targets, _ = PROBABILITY.codec().encode(torch.tensor([[[x, y]]]), torch.ones(1, 1))
    finished = model.finish(targets.log().clamp_min(-80))
    torch.testing.assert_close(finished, targets, rtol=1e-3, atol=1e-3)
    _, scores = PROBABILITY.codec().decode(finished)
    assert 0.89 < scores.item() < 1.001  # half a cell off a center each way costs a tenth


def test_a_perfect_prediction_at_a_cell_scores_one() -> None:
    """With the keypoint at a cell's center the finished map's peak is 1."""
    model = PoseModel(PROBABILITY)
    targets, _ = PROBABILITY.codec().encode(torch.tensor([[[97.5, 129.5]]]), torch.ones(1, 1))
    finished = model.finish(targets.log().clamp_min(-80))
    assert finished.amax().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("cell", [(0, 0), (0, 20), (63, 47), (1, 1), (30, 0)])
def test_a_perfect_prediction_at_the_border_scores_one(cell: tuple[int, int]) -> None:
    """Where the target Gaussian is cut off by the border, its peak still is 1 and its shape is kept."""
    model, (row, column) = PoseModel(PROBABILITY), cell
    keypoint = torch.tensor([[[4 * column + 1.5, 4 * row + 1.5]]])
    targets, _ = PROBABILITY.codec().encode(keypoint, torch.ones(1, 1))
    finished = model.finish(targets.log().clamp_min(-80))
    torch.testing.assert_close(finished, targets, rtol=1e-4, atol=1e-4)


def test_finished_maps_are_distributions() -> None:
    """Every map is a softmax times what of the target lies on it, in whatever precision."""
    logits = torch.randn(2, 17, 16, 12) * 3
    logits[:, :, 8, 6] = 50.0  # a peak in the middle: nearly the whole Gaussian lies on the map
    finished = PoseModel(PROBABILITY).finish(logits)
    mass = 2 * torch.pi * (6.0 / 4) ** 2
    torch.testing.assert_close(finished.sum(dim=(2, 3)), torch.full((2, 17), mass), rtol=1e-3, atol=0)
    assert finished.min() >= 0
    doubled = PoseModel(PROBABILITY).finish(logits.double())
    assert doubled.dtype is torch.float64
    torch.testing.assert_close(doubled.float(), finished)


def test_finishing_commutes_with_mirroring() -> None:
    """A mirrored map finishes to the mirrored finished map."""
    model = PoseModel(PROBABILITY)
    logits = torch.randn(2, 17, 16, 12, dtype=torch.float64)
    mirrored = mirror_heatmaps(logits, COCO_17.flip_indices)
    expected = mirror_heatmaps(model.finish(logits), COCO_17.flip_indices)
    torch.testing.assert_close(model.finish(mirrored), expected)


def test_training_mode_leaves_the_maps_raw() -> None:
    """The loss sees raw outputs; only evaluation mode normalizes."""
    model = PCR(PROBABILITY)
    raw: list[Tensor] = []
    model.heads[0].register_forward_hook(lambda _module, _inputs, output: raw.append(output))
    crops = torch.randn(2, 3, 64, 64)
    assert model(crops).final is raw[0]
    assert torch.equal(model.eval()(crops).final, model.finish(raw[1]))


def test_gaussian_maps_are_not_touched() -> None:
    """Heatmaps trained by squared error are the network's own output."""
    logits = torch.randn(1, 17, 4, 4)
    assert PoseModel(PoseConfig()).finish(logits) is logits


def test_heads_start_near_zero() -> None:
    """The published baselines draw a head's weights with a spread of 0.001, and no bias."""
    head = prediction_head(256, 17)
    assert head.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert head.bias is not None
    assert not head.bias.any()


def test_the_skeleton_decides_how_many_maps() -> None:
    """A model of 14 keypoints has 14 heatmaps at every head."""
    config = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), se_norm="none", skeleton=LSP_14)
    output = PCR(config)(torch.randn(2, 3, 64, 64))
    assert [heatmaps.shape[1] for heatmaps in (output.final, *output.auxiliary)] == [14, 14]


def test_copies_are_whole(tiny_model: PCR) -> None:
    """A deep copy and a pickled copy, as averaging and worker processes make them, predict the same."""
    crops = torch.randn(1, 3, 64, 32)
    expected = tiny_model(crops).final
    for copied in (copy.deepcopy(tiny_model), pickle.loads(pickle.dumps(tiny_model))):  # noqa: S301 - our own
        assert copied.config == tiny_model.config
        assert torch.equal(copied(crops).final, expected)


def test_an_architecture_says_how_it_predicts() -> None:
    """The class they share predicts nothing."""
    with pytest.raises(NotImplementedError):
        PoseModel(PoseConfig())(torch.zeros(1, 3, 64, 64))


def test_an_output_is_a_pair() -> None:
    """Heatmaps unpack as final and auxiliary, and there need be none of the latter."""
    maps = torch.zeros(1)
    final, auxiliary = HeatmapOutput(maps)
    assert final is maps
    assert auxiliary == ()


def test_normalized_crops_are_what_the_configuration_says(tiny_model: PCR) -> None:
    """Mean color becomes zero, one deviation above it one, at any size the network takes."""
    config = tiny_model.config
    assert config.input_size == Size(width=32, height=64)
    mean = torch.tensor(config.pixel_mean).view(1, 3, 1, 1)
    std = torch.tensor(config.pixel_std).view(1, 3, 1, 1)
    crops = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8)
    torch.testing.assert_close(config.normalize(crops) * std + mean, crops / 255)
    assert config.normalize(crops, torch.float64).dtype is torch.float64
    black = config.normalize(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(black, torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))


class Constant:
    """No network at all: the same heatmaps whatever the crops."""

    config = PROBABILITY

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Answer with a zero in every cell."""
        return HeatmapOutput(crops.new_zeros(len(crops), 17, 64, 48))


@pytest.mark.parametrize(("found", "expected"), [(Constant(), True), ("pcr-nano", False), (torch.nn.Identity(), False)])
def test_a_heatmap_model_is_told_by_what_it_has(found: object, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """A configuration and a call are enough, whatever the class; a name or a bare module is no model."""
    assert isinstance(found, HeatmapModel) is expected


def test_every_pose_model_is_a_heatmap_model(tiny_model: PCR) -> None:
    """The protocol holds for the networks, for the type checker and at run time."""
    model: HeatmapModel = tiny_model

    assert isinstance(model, HeatmapModel)
    assert model(torch.zeros(1, 3, 64, 32)).final.shape == (1, 17, 16, 8)
