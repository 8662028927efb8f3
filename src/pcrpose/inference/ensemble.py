"""Several models as one: the mean of their heatmaps."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel


class Ensemble(nn.Module):
    """The mean of several models' heatmaps, each weighing the same: a `HeatmapModel` to predict with.

    It is neither trained nor saved: that is for its members.

    Members see the same crops, so they have to agree in ``input_size``, ``padding``, ``alignment`` and the names and
    order of their keypoints. They may differ in everything else: architecture, encoder, the mean and deviation that
    images are normalized with, the spread of their targets, and the kind of their heatmaps. ``"gaussian"`` and
    ``"probability"`` heatmaps are both scaled so that a prediction equal to its target peaks at 1, so they are
    averaged as they are. Peaks of members that disagree do not add up: a mean is lower there, and so is its score.

    Args:
        models: two or more, or one, which then predicts as it does alone. They are not copied, and are put into
            evaluation mode.

    Attributes:
        config: the first member's. Crops are to be normalized as it says; other members' normalization is made of that.
        members: the models, in order.

    Raises:
        TypeError: if one of them is not a model, a name for example.
        ValueError: if there is none, or they do not agree; also in precision or device.

    Source:
        Section 3.2 calls two networks together PCR+, without saying how they are merged; the mean is ours.

    Examples:
        >>> import torch
        >>> from pcrpose.models.pcr import PCRConfig
        >>> from pcrpose.models.pcr import PCR
        >>> small = PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), se_norm="none")
        >>> both = Ensemble([PCR(small), PCR(small)])
        >>> both(torch.zeros(1, 3, 256, 192)).final.shape
        torch.Size([1, 17, 64, 48])
    """

    def __init__(self, models: Sequence[PoseModel[Any]]) -> None:
        if isinstance(models, PoseModel) or not isinstance(models, Iterable):
            raise TypeError(f"models: expected several models in a list, found {type(models).__name__}")
        given = list(models)
        for model in given:
            if not isinstance(model, PoseModel):
                raise TypeError(f"models: expected those of load_model or PCR.from_pretrained, found {model!r:.60}")
        if not given:
            raise ValueError("models: expected one at least, found none")
        for number, model in enumerate(given[1:], start=2):
            _check_agreement(given[0], model, number)
        super().__init__()
        self.config: PoseConfig = given[0].config
        self.members = nn.ModuleList(given)
        self._configs = [model.config for model in given]
        self.eval()

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps, in evaluation mode.

        Args:
            crops: ``(B, 3, H, W)`` float, normalized as ``config`` says.

        Returns:
            ``final`` alone: ``(B, J, H/4, W/4)``, the mean of the members'.

        Raises:
            ValueError: if ``crops`` has another shape.
        """
        if any(member.training for member in self.members):  # somebody has trained one since
            self.eval()
        pairs = zip(self.members, self._configs, strict=True)
        first, *others = (member(_renormalized(crops, self.config, config)).final for member, config in pairs)
        return HeatmapOutput(sum(others, start=first) / len(self.members))


def _to_agree_in(model: PoseModel[Any]) -> dict[str, object]:
    """Return which pixels a cell covers, what the keypoints are, and where and how the weights are held."""
    config, parameter = model.config, next(model.parameters())
    return {
        "input size": config.input_size,
        "padding": config.padding,
        "alignment": config.alignment,
        "blackout": config.blackout,
        "keypoints": list(config.skeleton.keypoints),
        "flip partners": config.skeleton.flip_indices.tolist(),
        "precision": parameter.dtype,
        "device": parameter.device,
    }


def _check_agreement(first: PoseModel[Any], other: PoseModel[Any], number: int) -> None:
    found = _to_agree_in(other)
    for name, expected in _to_agree_in(first).items():
        if found[name] != expected:
            raise ValueError(f"models: expected the {name} of the first, {expected}; model {number} has {found[name]}")


def _renormalized(crops: Tensor, given: PoseConfig, wanted: PoseConfig) -> Tensor:
    """Convert crops normalized for one model to the normalization of another; the same tensor where they agree."""
    if (given.pixel_mean, given.pixel_std) == (wanted.pixel_mean, wanted.pixel_std):
        return crops
    mean, std, other_mean, other_std = (
        crops.new_tensor(values).view(3, 1, 1)
        for values in (given.pixel_mean, given.pixel_std, wanted.pixel_mean, wanted.pixel_std)
    )
    return crops * (std / other_std) + (mean - other_mean) / other_std
