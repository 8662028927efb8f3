"""Losses: the reference's numbers, unlabelled keypoints, and targets of every head's own resolution."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.models.loss import LossKind, PoseLoss, cross_entropy, squared_error
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.models.supervision import HeadSupervision, Supervision

CODEC = HeatmapCodec(input_size=Size(width=48, height=64), sigma=8.0)
LOSSES: dict[LossKind, Callable[..., Tensor]] = {"squared_error": squared_error, "cross_entropy": cross_entropy}
KINDS: list[LossKind] = ["squared_error", "cross_entropy"]


def reference(arrays: dict[str, Any], case: str, weights: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return heatmaps, targets and our weights of a recorded case: the reference squares its weights, we do not."""
    heatmaps, targets = (
        torch.from_numpy(arrays[f"in_{name}_{case}"].astype(np.float64)) for name in ("output", "target")
    )
    if weights == "none":
        return heatmaps, targets, None
    return heatmaps, targets, torch.from_numpy(arrays[f"in_{weights}_{case}"].astype(np.float64)[..., 0]).square()


@pytest.mark.parametrize("weights", ["none", "weight01", "weightj"])
@pytest.mark.parametrize("case", ["a", "b", "c"])
@pytest.mark.parametrize(("name", "hardest"), [("mse", None), ("ohkm8", 8)])
def test_squared_error_is_the_references(
    name: str, hardest: int | None, case: str, weights: str, golden: Callable[[str], Any]
) -> None:
    """All keypoints or each sample's eight hardest, with and without weights, to 1e-12 and in floats to 1e-6."""
    arrays = golden("loss")
    expected = float(arrays[f"out_{name}_{weights}_{case}_f64"])
    heatmaps, targets, ours = reference(arrays, case, weights)
    found = squared_error(heatmaps, targets, ours, hardest=hardest).item()
    single = squared_error(
        heatmaps.float(), targets.float(), None if ours is None else ours.float(), hardest=hardest
    ).item()
    if math.isnan(expected):  # the reference fails for one sample without weights; weights of one mean the same
        expected = squared_error(heatmaps, targets, torch.ones(heatmaps.shape[:2]), hardest=hardest).item()
    else:
        assert single == pytest.approx(float(arrays[f"out_{name}_{weights}_{case}_f32"]), abs=1e-6)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", ["none", "weight01", "weightj"])
def test_its_gradient_is_the_references(weights: str, golden: Callable[[str], Any]) -> None:
    """The derivative for every cell, to 1e-9."""
    arrays = golden("loss")
    heatmaps, targets, ours = reference(arrays, "a", weights)
    heatmaps.requires_grad_()
    (found,) = torch.autograd.grad(squared_error(heatmaps, targets, ours), heatmaps)
    np.testing.assert_allclose(found, arrays[f"out_mse_grad_{weights}_a"], rtol=0, atol=1e-9)


def test_squared_error_by_hand() -> None:
    """Half the squared difference, times the weight once, over all cells of all keypoints."""
    heatmaps, targets = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    heatmaps[0, 0, 0, 0], targets[0, 1, 1, 1] = 2.0, 4.0
    assert squared_error(heatmaps, targets).item() == (4 + 16) / 2 / 8
    assert squared_error(heatmaps, targets, torch.tensor([[1.0, 0.5]])).item() == (4 + 8) / 2 / 8
    assert squared_error(heatmaps, targets, torch.tensor([[1.0, 0.0]])).item() == 4 / 2 / 8
    assert squared_error(heatmaps, targets, hardest=1).item() == 16 / 2 / 4


def cross_entropy_by_hand(logits: Tensor, targets: Tensor) -> float:
    """Sum ``p log(p / q)`` over the cells of one map in plain Python."""
    values, masses = logits.flatten().tolist(), targets.flatten().tolist()
    total, mass = sum(map(math.exp, values)), sum(masses)
    shares = [value / mass if mass else 1 / len(masses) for value in masses]
    return sum(p * math.log(p / (math.exp(q) / total)) for p, q in zip(shares, values, strict=True) if p)


def test_cross_entropy_by_hand() -> None:
    """The divergence of each map, averaged by weight; an empty target asks for the uniform distribution."""
    logits = torch.randn(1, 3, 3, 2, dtype=torch.float64)
    targets = torch.rand(1, 3, 3, 2, dtype=torch.float64)
    targets[0, 1, 0, 0] = 0.0
    targets[0, 2] = 0.0
    each = [cross_entropy_by_hand(logits[0, j], targets[0, j]) for j in range(3)]
    assert cross_entropy(logits, targets).item() == pytest.approx(sum(each) / 3, rel=1e-9)
    weights = torch.tensor([[0.2, 0.0, 0.4]], dtype=torch.float64)
    expected = (0.2 * each[0] + 0.4 * each[2]) / 0.6
    assert cross_entropy(logits, targets, weights).item() == pytest.approx(expected, rel=1e-9)


def test_cross_entropy_is_least_at_the_target() -> None:
    """At the target's own distribution loss and gradient vanish; any step away costs something."""
    targets, weights = CODEC.encode(torch.tensor([[[20.2, 31.7], [5.0, 60.0]]]), torch.ones(1, 2))
    logits = targets.double().log().clamp_min(-200).requires_grad_()
    loss = cross_entropy(logits, targets.double(), weights.double())
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-12
    moved = logits.detach() + 0.1 * torch.randn_like(logits)
    assert cross_entropy(moved, targets.double(), weights.double()).item() > 1e-6
    assert cross_entropy(torch.zeros(1, 1, 8, 6), torch.zeros(1, 1, 8, 6)).item() == pytest.approx(0.0, abs=1e-7)


def test_cross_entropy_ignores_a_constant() -> None:
    """Only differences between cells count."""
    logits, targets = torch.randn(2, 3, 8, 6), torch.rand(2, 3, 8, 6)
    torch.testing.assert_close(cross_entropy(logits + 7, targets), cross_entropy(logits, targets))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_outputs_are_compared_in_single(kind: LossKind) -> None:
    """A bfloat16 head gives the loss of its rounded values, not a rounded loss."""
    logits, targets = torch.randn(2, 3, 8, 6).bfloat16(), torch.rand(2, 3, 8, 6)
    loss = LOSSES[kind](logits, targets)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, LOSSES[kind](logits.float(), targets))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rubbish", [3.0, math.inf, -math.inf, math.nan])
@given(seed=st.integers(0, 2**31), labelled=st.lists(st.booleans(), min_size=4, max_size=4))
def test_unlabelled_keypoints_never_count(kind: LossKind, rubbish: float, seed: int, labelled: list[bool]) -> None:
    """Whatever is predicted for a keypoint of weight zero, NaN and infinity too, changes no loss and no gradient."""
    generator = torch.Generator().manual_seed(seed)
    heatmaps, targets = (torch.rand(2, 2, 4, 3, generator=generator) for _ in range(2))
    weights = torch.tensor(labelled).float().view(2, 2) * torch.rand(2, 2, generator=generator)
    spoilt = torch.where(weights[..., None, None] > 0, heatmaps, rubbish)
    results = []
    for outputs in (heatmaps, spoilt):
        outputs.requires_grad_()
        loss = LOSSES[kind](outputs, targets, weights)
        (gradient,) = torch.autograd.grad(loss, outputs)
        results.append((loss.detach(), gradient))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[1][1][weights == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_labelled_costs_nothing(kind: LossKind) -> None:
    """A batch without any label has the loss zero and moves nothing."""
    outputs = torch.full((1, 2, 4, 3), math.nan, requires_grad=True)
    loss = LOSSES[kind](outputs, torch.zeros(1, 2, 4, 3), torch.zeros(1, 2))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("kind", KINDS)
def test_misfitting_shapes_are_refused(kind: LossKind) -> None:
    """Shapes that would broadcast to nonsense are named instead."""
    maps = torch.zeros(1, 17, 4, 3)
    with pytest.raises(ValueError, match=r"keypoint_weights: expected shape \(1, 17\), found \(1, 17, 1\)"):
        LOSSES[kind](maps, maps, torch.zeros(1, 17, 1))
    with pytest.raises(ValueError, match=r"one shape \(B, J, H, W\), found \(1, 17, 4, 3\) and \(1, 1, 4, 3\)"):
        LOSSES[kind](maps, maps[:, :1])
    with pytest.raises(ValueError, match="one shape"):
        LOSSES[kind](maps[0], maps[0])


@pytest.mark.parametrize("hardest", [0, -1, 18])
def test_an_impossible_number_of_hardest_keypoints_is_refused(hardest: int) -> None:
    """There are 1 to J of them."""
    with pytest.raises(ValueError, match=f"hardest: expected 1 to 17 keypoints, found {hardest}"):
        squared_error(torch.zeros(1, 17, 2, 2), torch.zeros(1, 17, 2, 2), hardest=hardest)


def outputs_of(*strides: int) -> HeatmapOutput:
    """Make random outputs of two crops: auxiliary heads of the given strides and a final one of stride 4."""
    maps = [torch.randn(2, 3, 64 // stride, 48 // stride, requires_grad=True) for stride in (*strides, 4)]
    return HeatmapOutput(maps[-1], tuple(maps[:-1]))


KEYPOINTS = torch.tensor([[[10.0, 12.0], [30.5, 40.0], [5.0, 60.0]], [[1.0, 2.0], [20.0, 33.3], [47.0, 0.0]]])
WEIGHTS = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("auxiliary_weight", [0.0, 0.5, 1.0])
def test_every_head_has_targets_of_its_own_stride(kind: LossKind, auxiliary_weight: float) -> None:
    """The total is the final head's loss plus the weighted ones of the others, each against its own targets."""
    output = outputs_of(8, 4, 8)
    loss = PoseLoss(codec=CODEC, kind=kind, auxiliary_weight=auxiliary_weight)(output, KEYPOINTS, WEIGHTS)
    expected = LOSSES[kind](output.final, *CODEC.encode(KEYPOINTS, WEIGHTS))
    for stride, heatmaps in zip((8, 4, 8), output.auxiliary, strict=True):
        targets = CODEC.encode(KEYPOINTS, WEIGHTS, stride=stride)
        expected = expected + auxiliary_weight * LOSSES[kind](heatmaps, *targets)
    torch.testing.assert_close(loss, expected)


def test_every_head_is_trained() -> None:
    """By default the gradient reaches each head, an unlabelled keypoint's maps excepted."""
    output = outputs_of(8, 4)
    loss = PoseLoss(codec=CODEC)(output, KEYPOINTS, WEIGHTS)
    for gradient in torch.autograd.grad(loss, (output.final, *output.auxiliary)):
        assert torch.equal(gradient.abs().sum(dim=(2, 3)) > 0, WEIGHTS > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_background_crops_have_zero_targets_with_weight_one(kind: LossKind) -> None:
    """A hard negative teaches every keypoint that it is not there, unlike a keypoint that is not labelled."""
    output = outputs_of(8)
    background = torch.tensor([False, True])
    loss = PoseLoss(codec=CODEC, kind=kind)(output, KEYPOINTS, WEIGHTS, background)
    expected = torch.zeros(())
    for stride, heatmaps in ((4, output.final), (8, output.auxiliary[0])):
        targets, weights = CODEC.encode(KEYPOINTS, WEIGHTS, stride=stride)
        targets, weights = targets.clone(), weights.clone()
        targets[1], weights[1] = 0.0, 1.0
        expected = expected + LOSSES[kind](heatmaps, targets, weights)
    torch.testing.assert_close(loss, expected)
    nobody = PoseLoss(codec=CODEC, kind=kind)(output, KEYPOINTS, WEIGHTS, torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(nobody, PoseLoss(codec=CODEC, kind=kind)(output, KEYPOINTS, WEIGHTS))


@pytest.mark.parametrize("background_weight", [0.0, 0.25, 3.0])
def test_background_crops_can_weigh_more_or_less(background_weight: float) -> None:
    """The weight multiplies a background crop's squared error, whatever its labels say; persons keep theirs."""
    output, background = outputs_of(8), torch.tensor([False, True])
    loss = PoseLoss(codec=CODEC, background_weight=background_weight)(output, KEYPOINTS, WEIGHTS, background)
    persons = PoseLoss(codec=CODEC)(output, KEYPOINTS, WEIGHTS * torch.tensor([[1.0], [0.0]]))
    empty = sum(heatmaps[1].square().mean() / 4 for heatmaps in (output.final, *output.auxiliary))
    torch.testing.assert_close(loss, persons + background_weight * empty)


@pytest.mark.parametrize("background_weight", [-1.0, math.nan, math.inf])
def test_a_background_weight_without_meaning_is_refused(background_weight: float) -> None:
    """It is finite and not negative."""
    with pytest.raises(ValueError, match="background_weight: expected a finite number from 0 up"):
        PoseLoss(codec=CODEC, background_weight=background_weight)


def test_crops_of_another_size_are_refused() -> None:
    """Heatmaps that are not the codec's would get the targets of another stride; they are an error instead."""
    with pytest.raises(ValueError, match="expected final heatmaps of 16x12 cells, found 8x6"):
        PoseLoss(codec=CODEC)(HeatmapOutput(torch.zeros(2, 3, 8, 6)), KEYPOINTS, WEIGHTS)


def test_every_head_is_supervised_in_its_own_way() -> None:
    """Its own spread, weight and number of hard keypoints, and the auxiliary weight on top of all but the final one."""
    output = outputs_of(8, 4)
    supervision = Supervision(
        final=HeadSupervision(sigma=5.0, weight=2.0, hardest=1),
        auxiliary=(HeadSupervision(sigma=12.0), HeadSupervision(weight=0.25, hardest=2)),
    )
    loss = PoseLoss(codec=CODEC, auxiliary_weight=0.5, supervision=supervision)(output, KEYPOINTS, WEIGHTS)
    narrow, wide = (replace(CODEC, sigma=sigma) for sigma in (5.0, 12.0))
    expected = 2.0 * squared_error(output.final, *narrow.encode(KEYPOINTS, WEIGHTS), hardest=1)
    expected = expected + 0.5 * squared_error(output.auxiliary[0], *wide.encode(KEYPOINTS, WEIGHTS, stride=8))
    expected = expected + 0.125 * squared_error(output.auxiliary[1], *CODEC.encode(KEYPOINTS, WEIGHTS), hardest=2)
    torch.testing.assert_close(loss, expected)


def test_heads_are_as_many_as_the_supervision_says() -> None:
    """A model in evaluation mode, or another one, is an error; and only squared error mines keypoints."""
    supervision = Supervision(auxiliary=(HeadSupervision(), HeadSupervision(hardest=2)))
    with pytest.raises(ValueError, match="auxiliary: expected 2 heads of a model in training mode, found 1"):
        PoseLoss(codec=CODEC, supervision=supervision)(outputs_of(8), KEYPOINTS, WEIGHTS)
    with pytest.raises(ValueError, match="hardest: expected the loss 'squared_error', found 'cross_entropy'"):
        PoseLoss(codec=CODEC, kind="cross_entropy", supervision=supervision)


def test_an_unknown_loss_is_refused() -> None:
    """The error lists the two kinds."""
    with pytest.raises(ValueError, match=r"kind: expected one of \['squared_error', 'cross_entropy'\], found 'mse'"):
        PoseLoss(codec=CODEC, kind="mse")  # type: ignore[arg-type] # what is tested
