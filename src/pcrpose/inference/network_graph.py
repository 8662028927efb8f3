"""The ONNX graph of a network and of what follows it, as torch's exporter writes them."""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pcrpose.inference.onnx_builder import OPSET
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.keypoints.probability import KeypointCalibration
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel

_EXAMPLES = 3  # crops to trace with; neither 0 nor 1, which tracing would take for constants
_NOISY = "torch.onnx._internal.exporter._registration"  # warns of torchvision's absence


class _Network(nn.Module):
    """Normalized crops to heatmaps."""

    def __init__(self, model: PoseModel[Any]) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> Tensor:
        final: Tensor = self.model(crops).final
        return final


class _Decoder(nn.Module):
    """Heatmaps, and those of the mirrored crops, to keypoints, scores and, if calibrated, probabilities."""

    def __init__(self, config: PoseConfig, decoding: Decoding, calibration: KeypointCalibration | None) -> None:
        super().__init__()
        self.codec = replace(config.codec(), decoding=decoding)
        self.calibration = calibration
        self.register_buffer("flip_indices", torch.tensor(config.skeleton.flip_indices), persistent=False)
        self.flip_indices: Tensor

    def forward(self, heatmaps: Tensor, mirrored: Tensor | None = None) -> tuple[Tensor, ...]:
        if mirrored is not None:
            shift = self.codec.alignment == "edge"
            heatmaps = merge_mirrored(heatmaps, mirrored, self.flip_indices, shift=shift)
        decoded = self.codec.decode(heatmaps)
        return decoded if self.calibration is None else (*decoded, self.calibration(heatmaps))


def network_graph(model: PoseModel[Any]) -> Any:  # noqa: ANN401 - onnx has no types
    """Return the ``onnx.GraphProto`` from normalized crops, ``(B, 3, H, W)`` float32, to ``(B, J, h, w)`` heatmaps.

    The model is copied, to the processor, in float32 and evaluation mode.
    """
    size = model.config.input_size
    network = _Network(copy.deepcopy(model).to(device="cpu", dtype=torch.float32))
    return _traced(network, [torch.zeros(_EXAMPLES, 3, size.height, size.width)])


def decoder_graph(
    config: PoseConfig, *, decoding: Decoding, flip: bool, calibration: KeypointCalibration | None = None
) -> Any:  # noqa: ANN401 - onnx has no types
    """Return the ``onnx.GraphProto`` from heatmaps, ``(B, J, h, w)`` float32, to keypoints in pixels of the crop.

    Args:
        config: of the model.
        decoding: see `HeatmapCodec`.
        flip: whether a second input has the heatmaps of the mirrored crops.
        calibration: adds the third output.

    Returns:
        Outputs: ``(B, J, 2)`` keypoints, ``(B, J)`` scores and, with a calibration, ``(B, J)`` probabilities, float32.
    """
    cells = config.codec().heatmap_size()
    shape = (_EXAMPLES, config.skeleton.num_keypoints, cells.height, cells.width)
    return _traced(_Decoder(config, decoding, calibration), [torch.zeros(shape) for _ in range(1 + flip)])


def _traced(module: nn.Module, examples: Sequence[Tensor]) -> Any:  # noqa: ANN401 - onnx has no types
    """Export a module; the first axis of every input, and of every output, is left open."""
    persons = torch.export.Dim("persons")
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            tuple(examples),
            dynamo=True,
            dynamic_shapes=tuple({0: persons} for _ in examples),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    return program.model_proto.graph


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch's exporter says of itself."""
    logger = logging.getLogger(_NOISY)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            warnings.filterwarnings("ignore", message="# The axis name: persons will not be used")  # two inputs have it
            yield
    finally:
        logger.setLevel(before)
