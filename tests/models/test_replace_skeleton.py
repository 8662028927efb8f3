"""A trained model with other keypoints: what is shared stays, what is new starts small."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration
from pcrpose.keypoints.skeleton import COCO_17, LSP_14, Skeleton
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.replace_skeleton import replace_skeleton
from pcrpose.models.simple_baseline import SimpleBaselineConfig

SIZE = Size(width=32, height=64)
TWO_LEVELS = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), num_decoders=2, se_norm="none", input_size=SIZE)
CONFIGS: dict[str, PoseConfig] = {
    "PCR": TWO_LEVELS,
    "PCR, probability": replace(TWO_LEVELS, heatmaps="probability", auxiliary=False, num_decoders=1),
    "SimpleBaseline": SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE),
    "HighResolutionPose": HighResolutionPoseConfig(input_size=SIZE),
}
FACE = Skeleton("face", ["chin", "right_eye", "nose", "left_eye"], [(1, 3)], [(1, 2), (2, 3)], [0.03] * 4)
STRANGER = Skeleton("cart", ["wheel", "handle"], [], [], [0.1] * 2)


def awake(config: PoseConfig) -> PoseModel[Any]:
    """Build a model whose heads' rows all differ, biases too, as if it had been trained."""
    model = build_model(config).eval()
    for name, tensor in model.named_parameters():
        if "head" in name or "final" in name:
            nn.init.normal_(tensor, std=0.5)
    return model


def crops() -> Tensor:
    """Draw two random crops."""
    return torch.randn(2, 3, SIZE.height, SIZE.width, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("skeleton", [FACE, LSP_14], ids=lambda skeleton: skeleton.name)
def test_shared_keypoints_are_found_as_before(name: str, skeleton: Skeleton) -> None:
    """Every head's maps of the keypoints in common are the very same, in their new places."""
    model = awake(CONFIGS[name])
    changed = replace_skeleton(model, skeleton)
    old, new = COCO_17.shared_with(skeleton)
    assert len(new) in {3, 12}
    for training in (False, True):
        with torch.inference_mode():
            before, after = (network.train(training)(crops()) for network in (model, changed))
        assert after.final.shape[1] == skeleton.num_keypoints
        assert len(after.auxiliary) == len(before.auxiliary)
        for first, second in zip((before.final, *before.auxiliary), (after.final, *after.auxiliary), strict=True):
            assert torch.equal(first[:, old], second[:, new])


@pytest.mark.parametrize("name", ["MultiStagePose", "CascadedPyramid", "StackedHourglass", "DeepPose"])
def test_another_order_of_keypoints_changes_nothing_else(name: str, tiny_system: Callable[[str], PoseConfig]) -> None:
    """Rows of heads, norms behind them, columns of what reads heatmaps, and pairs of coordinates move together."""
    order = torch.randperm(17, generator=torch.Generator().manual_seed(3))
    turned = Skeleton("turned", [COCO_17.keypoints[index] for index in order], [], [], [0.1] * 17)
    model = build_model(tiny_system(name)).eval()
    for tensor in model.state_dict().values():
        if tensor.shape[:1] == (17,):
            tensor.uniform_(0.5, 1.5)
    changed = replace_skeleton(model, turned)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        before, after = (network(images).final for network in (model, changed))
    assert not torch.equal(before, after)
    torch.testing.assert_close(before[:, order], after)


def test_new_keypoints_start_as_fresh_heads_do() -> None:
    """Their weights are small and random, their biases zero; the generator's seed decides."""
    many = Skeleton("many", [*(f"point_{index}" for index in range(400)), "nose"], [], [], [0.1] * 401)
    model = awake(TWO_LEVELS)
    rows = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        tensors = replace_skeleton(model, many).state_dict()
        rows.append(tensors["heads.1.weight"][:400])
        assert rows[-1].std() == pytest.approx(0.001, rel=0.1)
        assert rows[-1].mean().abs() < 1e-4
        assert not tensors["heads.1.bias"][:400].any()
        assert tensors["heads.1.bias"][400] == model.state_dict()["heads.1.bias"][0]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_everything_but_the_heads_is_kept(tiny_model: PCR) -> None:
    """Encoder, decoders and their statistics are copied, for a skeleton with nothing in common too."""
    changed = replace_skeleton(tiny_model, STRANGER)
    before, after = tiny_model.state_dict(), changed.state_dict()
    kept = [name for name in before if "heads" not in name]
    assert list(before) == list(after)
    assert len(kept) < len(before)
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert {after[name].shape[0] for name in after if name not in kept} == {2}


def test_the_configuration_says_what_the_model_is(tiny_model: PCR) -> None:
    """Skeleton, size and spread are the new ones, the rest is the model's; it is ready to predict."""
    size = Size(width=64, height=96)
    changed = replace_skeleton(tiny_model.train(), FACE, input_size=size, sigma=4.0)
    tiny_model.eval()
    assert type(changed) is PCR
    assert changed.config == replace(tiny_model.config, skeleton=FACE, input_size=size, sigma=4.0)
    assert replace_skeleton(tiny_model, FACE).config == replace(tiny_model.config, skeleton=FACE)
    assert not changed.training
    assert changed(torch.zeros(1, 3, 96, 64)).final.shape == (1, 4, 24, 16)


def test_the_original_is_left_alone(same_tensors: Callable[[nn.Module, nn.Module], bool]) -> None:
    """Training the new model does not touch the old one, not even where all keypoints are the same."""
    model = PCR(TWO_LEVELS)
    changed = replace_skeleton(model, COCO_17)
    assert same_tensors(model, changed)
    assert model.training
    with torch.no_grad():
        for tensor in changed.state_dict().values():
            tensor.add_(1)
    assert not any(torch.equal(old, new) for old, new in zip(model.parameters(), changed.parameters(), strict=True))


def test_precision_is_kept(tiny_model: PCR) -> None:
    """A model in float64 stays in float64."""
    changed = replace_skeleton(PCR(tiny_model.config).double(), FACE)
    assert {parameter.dtype for parameter in changed.parameters()} == {torch.float64}


def test_a_size_that_does_not_fit_is_refused(tiny_model: PCR) -> None:
    """The configuration's own checks hold."""
    with pytest.raises(ValueError, match="multiples of 32"):
        replace_skeleton(tiny_model, FACE, input_size=Size(width=50, height=64))


@pytest.mark.parametrize("skeleton", [FACE, COCO_17], ids=lambda skeleton: skeleton.name)
def test_a_calibration_is_dropped(skeleton: Skeleton) -> None:
    """It was fitted for other heads; the model that was given keeps it."""
    calibration = Calibration(keypoints=COCO_17.keypoints, input_size=SIZE)
    model = build_model(replace(TWO_LEVELS, calibration=calibration))

    assert replace_skeleton(model, skeleton).config.calibration is None
    assert model.config.calibration == calibration
