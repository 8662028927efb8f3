"""Distillation: learn the heatmaps of a frozen teacher, beside labels or without any."""

import copy
import hashlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.loss import squared_error
from pcrpose.models.pose_config import HeatmapKind, PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.training.config import TrainConfig
from pcrpose.training.engine.step import autocast


class Teacher:
    """A frozen copy of a model, and the loss between a student's heatmaps and its own.

    The teacher sees the student's crops, normalized by its own configuration, in evaluation mode and in the precision
    of the training. Its encoder may be another.

    Attributes:
        sha256: of its weights, for the record of the run.

    Args:
        model: copied, so the caller's stays as it is.
        student: configuration of the model that learns.
        config: ``teacher_weight``, ``teacher_temperature`` and ``precision`` of the training.
        device: of the student.

    Raises:
        ValueError: if the teacher predicts other keypoints than the student, heatmaps of another kind, spread or
            stride, or from other crops; or if a temperature is asked for with ``"gaussian"`` heatmaps.
    """

    def __init__(
        self, model: PoseModel[Any], student: PoseConfig, config: TrainConfig, device: torch.device | str = "cpu"
    ) -> None:
        check_teacher(model.config, student)
        if student.heatmaps == "gaussian" and config.teacher_temperature != 1:
            raise ValueError(
                f"teacher_temperature: expected 1 with 'gaussian' heatmaps, found {config.teacher_temperature}"
            )
        self.config = config
        self.sha256 = weights_sha256(model)
        frozen = copy.deepcopy(model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: PoseModel[Any] = frozen.eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def heatmaps(self, crops: Tensor) -> Tensor:
        """Predict from ``(B, 3, H, W)`` uint8 RGB crops: ``(B, J, H/4, W/4)``, ready to decode."""
        normalized = self.model.config.normalize(crops).contiguous(memory_format=torch.channels_last)
        with autocast(self.config.precision, crops.device):
            output: Tensor = self.model(normalized).final
        return output

    def loss(self, student: Tensor, crops: Tensor, is_background: Tensor | None = None) -> Tensor:
        """Compute the weighted `distillation_loss` of one batch; arguments as there and in `heatmaps`."""
        loss = distillation_loss(
            student,
            self.heatmaps(crops),
            kind=self.model.config.heatmaps,
            is_background=is_background,
            temperature=self.config.teacher_temperature,
        )
        return self.config.teacher_weight * loss


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    kind: HeatmapKind,
    is_background: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Compare a student's final heatmaps with its teacher's; every keypoint counts, labelled or not.

    For ``"probability"`` heatmaps it is the cross-entropy of the student's softmax over the cells of a map against the
    teacher's map normalized to one, less the teacher's own entropy, so that a student equal to its teacher has a loss
    of zero. For ``"gaussian"`` ones it is half the mean squared error.

    Args:
        student: ``(B, J, H, W)`` float, raw output of a head, as in training mode.
        teacher: same shape, heatmaps ready to decode, as in evaluation mode; no gradient flows into them.
        kind: of both models' heatmaps.
        is_background: ``(B,)`` bool: crops without a person, which the labels know better than a teacher. They add
            nothing, yet count in the mean's divisor.
        temperature: divides the logarithms of both models' probabilities, and the loss is multiplied by its square.

    Returns:
        Scalar float32, the mean over crops and keypoints.

    Raises:
        ValueError: if the shapes differ.

    Source:
        Hinton et al., *Distilling the knowledge in a neural network*, 2015, per map over its cells (ours).
    """
    if student.shape != teacher.shape:
        raise ValueError(f"teacher: expected heatmaps {tuple(student.shape)}, found {tuple(teacher.shape)}")
    student, teacher = student.float(), teacher.detach().float()
    weights = torch.ones(student.shape[:2], device=student.device)
    if is_background is not None:
        weights = torch.where(is_background[:, None], 0.0, weights)
    if kind == "gaussian":
        return squared_error(student, teacher, weights)
    logarithms = teacher.clamp_min(torch.finfo(torch.float32).tiny).log()
    learnt, taught = (logits.flatten(2).div(temperature).log_softmax(dim=2) for logits in (student, logarithms))
    divergence = functional.kl_div(learnt, taught, reduction="none", log_target=True).sum(dim=2)
    return (divergence * weights).mean() * temperature**2


def check_teacher(teacher: PoseConfig, student: PoseConfig) -> None:
    """Raise ValueError unless both models turn the same crops into heatmaps of the same kind."""
    for who, config in (("teacher", teacher), ("student", student)):
        require_heatmaps(config, who)
    for what, expected, found in (
        ("keypoints", student.skeleton.keypoints, teacher.skeleton.keypoints),
        ("heatmap stride", student.codec().stride, teacher.codec().stride),
        *(
            (name, getattr(student, name), getattr(teacher, name))
            for name in ("input_size", "padding", "alignment", "blackout", "heatmaps", "sigma")
        ),
    ):
        if expected != found:
            raise ValueError(f"teacher: expected the student's {what} {expected}, found {found}")


def weights_sha256(model: PoseModel[Any]) -> str:
    """Return the SHA-256 of a model's tensors and their names, whatever device they are on."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
