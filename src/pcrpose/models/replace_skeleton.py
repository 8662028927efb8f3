"""Replace the skeleton of a trained model: everything but its heads' rows is kept."""

import logging
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import Skeleton
from pcrpose.models.pose_model import PoseModel

logger = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=PoseModel[Any])


def replace_skeleton(
    model: ModelT, skeleton: Skeleton, *, input_size: Size | None = None, sigma: float | None = None
) -> ModelT:
    """Return a copy of a model with heads for another skeleton.

    A keypoint that both skeletons name keeps its row of weights and its bias in every head, the auxiliary ones
    included, wherever it stands in the new order; where a network reads its own heatmaps, its column too. The others
    start as fresh heads do: weights from normal(0, 0.001) of torch's global generator, bias 0. Where ``heatmaps`` is
    ``"probability"`` a bias adds the same to every cell and softmax takes it out again: neither kept nor new biases
    play a part there.

    Args:
        model: any architecture; not changed.
        skeleton: what the new model predicts.
        input_size: of the new model's crops; the model's own by default.
        sigma: of the new model's target Gaussians, crop pixels; the model's own by default.

    Returns:
        A model of the same class, precision and device, in evaluation mode; it shares no tensor with ``model``, and has
        no calibration.

    Raises:
        ValueError: if the new size or sigma is not valid, or the model has weights for its own size alone.

    Examples:
        >>> from pcrpose import PCR, PCRConfig
        >>> face = Skeleton("face", ["nose", "left_eye", "right_eye", "chin"], [(1, 2)], [], [0.03] * 4)
        >>> model = PCR(PCRConfig(encoder="resnet_nano", channels=(16, 16, 16)))
        >>> replace_skeleton(model, face).heads[0].weight.shape
        torch.Size([4, 16, 1, 1])
    """
    old = model.config
    config = replace(
        old,
        skeleton=skeleton,
        input_size=old.input_size if input_size is None else input_size,
        sigma=old.sigma if sigma is None else sigma,
        calibration=None,
    )
    fresh = type(model)(config).to(next(model.parameters()))
    before, after = map(torch.from_numpy, old.skeleton.shared_with(skeleton))
    axes = _keypoint_axes(model)
    tensors = fresh.state_dict()
    for name, tensor in model.state_dict().items():
        if name in axes:
            rows = _by_keypoint(tensors[name], axes[name], skeleton.num_keypoints)
            rows[after] = _by_keypoint(tensor, axes[name], old.skeleton.num_keypoints)[before]
        elif tensors[name].shape != tensor.shape:  # positions of patches, for example
            raise ValueError(f"input_size: expected {old.input_size}, for which {name} was learnt, found {input_size}")
        else:
            tensors[name] = tensor
    fresh.load_state_dict(tensors)
    logger.info("%s: %d of %d keypoints keep their weights", skeleton.name, len(after), skeleton.num_keypoints)
    return fresh.eval()


def _keypoint_axes(model: PoseModel[Any]) -> dict[str, int]:
    """Return the axis of every tensor that grows with the skeleton, in any architecture."""
    names = model.config.skeleton.keypoints
    longer = Skeleton("longer", [*names, "".join(names) + "_"], [], [], [1.0] * (len(names) + 1))
    with torch.device("meta"):  # shapes alone: no memory, no random draws
        probe = type(model)(replace(model.config, skeleton=longer, calibration=None)).state_dict()
    return {
        name: axis
        for name, tensor in model.state_dict().items()
        for axis, (length, longer_length) in enumerate(zip(tensor.shape, probe[name].shape, strict=True))
        if length != longer_length
    }


def _by_keypoint(tensor: Tensor, axis: int, count: int) -> Tensor:
    """View a tensor with the keypoints first, each with all that is its own: x and y, where there are coordinates."""
    shape = tensor.shape
    return tensor.view(*shape[:axis], count, -1, *shape[axis + 1 :]).movedim(axis, 0)
