"""Heatmap losses: squared error or spatial cross-entropy, over every supervised head."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.models.pose_model import HeatmapOutput
from pcrpose.models.supervision import HeadSupervision, Supervision

LossKind = Literal["squared_error", "cross_entropy"]


def squared_error(
    heatmaps: Tensor, targets: Tensor, keypoint_weights: Tensor | None = None, *, hardest: int | None = None
) -> Tensor:
    """Compute half the mean squared error, each keypoint's error multiplied by its weight once.

    Args:
        heatmaps: ``(B, J, H, W)`` float, predicted.
        targets: same shape.
        keypoint_weights: ``(B, J)`` float, not negative; weight zero takes a keypoint out, yet it still counts in
            the mean's divisor, as in the published code. None weighs all alike.
        hardest: average only over the so many worst keypoints per sample (online hard keypoint mining).

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes do not fit or there are no ``hardest`` keypoints.

    Source:
        The loss of Simple Baselines and HRNet. They multiply prediction and target by the weight before squaring, so
        their weights act squared; ours act once.
    """
    _check_shapes(heatmaps, targets, keypoint_weights)
    if hardest is not None and not 0 < hardest <= heatmaps.shape[1]:
        raise ValueError(f"hardest: expected 1 to {heatmaps.shape[1]} keypoints, found {hardest}")
    difference = heatmaps - targets
    if keypoint_weights is None:
        error = 0.5 * difference.square()
    else:
        weights = keypoint_weights[..., None, None]
        # masked before squaring: an unlabelled keypoint's NaN must leak neither forwards nor backwards
        error = 0.5 * torch.where(weights > 0, difference, 0.0).square() * weights
    if hardest is None:
        return error.mean()
    return error.mean(dim=(2, 3)).topk(hardest, dim=1).values.mean()


def cross_entropy(logits: Tensor, targets: Tensor, keypoint_weights: Tensor | None = None) -> Tensor:
    """Compute the cross-entropy between the softmax over a map's cells and the target map normalized to one.

    A target map without any mass asks for the uniform distribution: no peak anywhere.

    Args:
        logits: ``(B, J, H, W)`` float, raw outputs of a head.
        targets: same shape, not negative.
        keypoint_weights: ``(B, J)`` float, not negative; the mean is over the weight.

    Returns:
        Scalar; its least possible value is zero, the targets' own entropy being subtracted. Zero if nothing has a
        weight.

    Raises:
        ValueError: if the shapes do not fit.

    Source:
        Ours as an option: learns much faster from scratch than squared error.
    """
    _check_shapes(logits, targets, keypoint_weights)
    if keypoint_weights is not None:
        # masked before the softmax, whose gradient would spread an unlabelled keypoint's NaN
        logits = torch.where(keypoint_weights[..., None, None] > 0, logits, 0.0)
    precision = torch.promote_types(logits.dtype, torch.float32)
    log_probability = functional.log_softmax(logits.flatten(2).to(precision), dim=2)
    mass = targets.flatten(2).to(precision)
    total = mass.sum(dim=2, keepdim=True)
    tiny = torch.finfo(precision).tiny
    uniform = torch.full_like(mass, 1 / mass.shape[2])
    probability = torch.where(total > 0, mass / total.clamp_min(tiny), uniform)
    divergence = functional.kl_div(log_probability, probability, reduction="none").sum(dim=2)
    if keypoint_weights is None:
        return divergence.mean()
    return (divergence * keypoint_weights).sum() / keypoint_weights.sum().clamp_min(tiny)


def _check_shapes(heatmaps: Tensor, targets: Tensor, keypoint_weights: Tensor | None) -> None:
    if heatmaps.dim() != 4 or heatmaps.shape != targets.shape:  # noqa: PLR2004 - (B, J, H, W)
        raise ValueError(
            f"expected heatmaps and targets of one shape (B, J, H, W), "
            f"found {tuple(heatmaps.shape)} and {tuple(targets.shape)}"
        )
    if keypoint_weights is not None and keypoint_weights.shape != heatmaps.shape[:2]:
        expected, found = tuple(heatmaps.shape[:2]), tuple(keypoint_weights.shape)
        raise ValueError(f"keypoint_weights: expected shape {expected}, found {found}")


@dataclass(frozen=True, kw_only=True)
class PoseLoss:
    """The sum of the losses of the final and the auxiliary heads, each against targets of its own resolution.

    Attributes:
        codec: makes the targets.
        kind: `squared_error` or `cross_entropy`.
        auxiliary_weight: factor of every head but the final one, the lower levels' own predictions included
            (the paper gives none; 1 is ours).
        background_weight: of every keypoint in a crop without a person, beside 1 for a labelled keypoint (the paper
            gives none; 1 is ours).
        supervision: what differs between heads; a configuration's ``supervision()``.

    Raises:
        ValueError: for an unknown kind, a background weight that is negative or not finite, or hard keypoints to be
            mined by cross-entropy, whose mean is over keypoint weights.

    Source:
        Section 2.2: every level is supervised; the auxiliary task follows the last module but one.
    """

    codec: HeatmapCodec
    kind: LossKind = "squared_error"
    auxiliary_weight: float = 1.0
    background_weight: float = 1.0
    supervision: Supervision = field(default_factory=Supervision)

    def __post_init__(self) -> None:
        if self.kind not in get_args(LossKind):
            raise ValueError(f"kind: expected one of {list(get_args(LossKind))}, found {self.kind!r}")
        if not 0 <= self.background_weight < math.inf:
            raise ValueError(f"background_weight: expected a finite number from 0 up, found {self.background_weight}")
        if self.kind != "squared_error" and self.supervision.mines_keypoints:
            raise ValueError(f"hardest: expected the loss 'squared_error', found {self.kind!r}; set it to None")

    def __call__(
        self,
        output: HeatmapOutput,
        keypoints_crop: Tensor,
        keypoint_weights: Tensor,
        is_background: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of heatmaps against keypoints.

        Args:
            output: of a model in training mode.
            keypoints_crop: ``(B, J, 2)`` float, crop pixels.
            keypoint_weights: ``(B, J)`` float; zero where not labelled.
            is_background: ``(B,)`` bool: crops without a person, whose targets are zero with ``background_weight``.

        Returns:
            Scalar.

        Raises:
            ValueError: if the final heatmaps are not of the codec's size: the crops were of another one; or if there
                are not as many auxiliary heads as the supervision says.
        """
        size, found = self.codec.heatmap_size(), tuple(output.final.shape[-2:])
        if found != (size.height, size.width):
            raise ValueError(f"expected final heatmaps of {size} cells, found {found[0]}x{found[1]}")
        labels = (keypoints_crop, keypoint_weights, is_background)
        total = self._head(output.final, self.supervision.final, *labels)
        for heatmaps, head in zip(output.auxiliary, self._auxiliary(len(output.auxiliary)), strict=True):
            total = total + self.auxiliary_weight * self._head(heatmaps, head, *labels)
        return total

    def _auxiliary(self, count: int) -> tuple[HeadSupervision, ...]:
        heads = self.supervision.auxiliary
        if heads is None:
            return (HeadSupervision(),) * count
        if len(heads) != count:
            raise ValueError(f"auxiliary: expected {len(heads)} heads of a model in training mode, found {count}")
        return heads

    def _head(
        self,
        heatmaps: Tensor,
        head: HeadSupervision,
        keypoints: Tensor,
        weights: Tensor,
        is_background: Tensor | None,
    ) -> Tensor:
        codec = self.codec if head.sigma is None else replace(self.codec, sigma=head.sigma)
        stride = codec.input_size.width // heatmaps.shape[-1]
        targets, target_weights = codec.encode(keypoints, weights, stride=stride)
        if is_background is not None:
            targets = torch.where(is_background[:, None, None, None], 0.0, targets)
            target_weights = torch.where(is_background[:, None], self.background_weight, target_weights)
        if self.kind == "cross_entropy":
            return head.weight * cross_entropy(heatmaps, targets, target_weights)
        return head.weight * squared_error(heatmaps, targets, target_weights, hardest=head.hardest)
