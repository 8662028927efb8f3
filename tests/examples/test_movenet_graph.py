"""The whole of MoveNet rebuilt on the converted encoder: its feature pyramid, its heatmap head, its numbers.

What the original graphs give was recorded once from their own runtime, see the README of the golden files.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pcrpose.models.encoders.mobilenet_v2 import MOBILENETS, MobileNetV2

GRAPH = "StatefulPartitionedCall/"
PYRAMID = f"{GRAPH}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
HEAD = f"{GRAPH}kpt_heatmap_0/"
LATERALS = (9, 5, 2)  # the blocks whose outputs the pyramid adds, from stride 16 up to 4
CROPS = {"thunder": np.s_[::2, ::2], "lightning": np.s_[:384:2, 32:416:2]}  # of the photograph: 256x256, 192x192


class MoveNet:
    """The network up to the keypoint heatmaps, from the tensors of the package by their names in the graph."""

    def __init__(self, published: dict[str, np.ndarray[Any, Any]], encoder: MobileNetV2) -> None:
        self.published, self.encoder = published, encoder

    def __call__(self, crops: Tensor) -> dict[str, Tensor]:
        """Compute the features that were recorded, by their names in the golden files."""
        outputs = self.blocks(crops)
        fine, coarse = outputs[12], functional.relu6(self.encoder.last(outputs[-1]))
        found = {"fine": fine, "coarse": coarse}
        features = self.plain_conv(coarse, f"{PYRAMID}conv2d")
        for level, index in enumerate(LATERALS):
            upper = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            summed = upper + self.plain_conv(outputs[index], f"{PYRAMID}conv2d_{level + 1}")
            separable = PYRAMID + "separable_conv2d" + (f"_{level}" if level else "") + "/separable_conv2d"
            filtered = self.depthwise(summed, f"{separable}/ReadVariableOp")
            features = functional.relu(self.conv(filtered, f"{separable}_weights", f"{separable}_bn_offset"))
            found[f"pyramid_{16 >> level}"] = features
        separable = f"{HEAD}separable_conv2d_4/"
        filtered = self.depthwise(features, f"{separable}separable_conv2d/ReadVariableOp")
        kernel, bias = f"{separable}separable_conv2d/ReadVariableOp_1", f"{separable}BiasAdd/ReadVariableOp"
        hidden = functional.relu(self.conv(filtered, kernel, bias))
        return found | {"heatmaps": torch.sigmoid(self.plain_conv(hidden, f"{HEAD}conv2d_5"))}

    def blocks(self, crops: Tensor) -> list[Tensor]:
        """Return the output of every block of the encoder."""
        features = functional.relu6(self.encoder.stem(crops))
        outputs = []
        for block in self.encoder.blocks:
            features = block(features)
            outputs.append(features)
        return outputs

    def plain_conv(self, features: Tensor, name: str) -> Tensor:
        """Apply a 1x1 convolution whose bias the graph has not folded into another name."""
        return self.conv(features, f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp")

    def conv(self, features: Tensor, kernel: str, bias: str) -> Tensor:
        """Apply a 1x1 convolution with bias."""
        return functional.conv2d(features, self.tensor(kernel), self.tensor(bias))

    def depthwise(self, features: Tensor, name: str) -> Tensor:
        """Apply a 3x3 depthwise convolution without bias."""
        kernel = self.tensor(name).transpose(0, 1)  # (h, w, channel, 1)
        return functional.conv2d(features, kernel, padding=1, groups=features.shape[1])

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the package, kernels from (h, w, in, out) to (out, in, h, w)."""
        tensor = torch.from_numpy(self.published[name].astype(np.float32))
        return tensor if tensor.dim() == 1 else tensor.permute(3, 2, 0, 1)


@pytest.mark.parametrize(("model", "name"), [("thunder", "mobilenet_v2_175"), ("lightning", "mobilenet_v2")])
def test_movenet_gives_its_own_heatmaps(
    model: str, name: str, convert_movenet: ModuleType, movenet: Path, golden: Callable[[str], Any]
) -> None:
    """Encoder, feature pyramid and heatmaps are those of the original graph, to 1e-3 of each output's largest value."""
    data = pytest.importorskip("skimage.data")
    reference = golden(f"movenet/{model}")
    encoder = MobileNetV2(MOBILENETS[name]).eval()
    converted = convert_movenet.convert(model, movenet)
    encoder.load_state_dict({key.removeprefix("encoder."): tensor for key, tensor in converted.items()})
    stem = movenet / convert_movenet.SOURCES[model].stem
    graph, weights = json.loads(stem.with_suffix(".json").read_text()), stem.with_suffix(".bin").read_bytes()
    pixels = torch.from_numpy(data.astronaut()[CROPS[model]].copy()).permute(2, 0, 1)[None]

    with torch.no_grad():
        found = MoveNet(convert_movenet.read_tensors(graph, weights), encoder)(pixels / 127.5 - 1)

    assert float(found["heatmaps"].max()) > 0.7  # there is somebody to be found
    assert {f"out_{key}" for key in found} == set(reference)
    for key, features in found.items():
        expected = torch.from_numpy(reference[f"out_{key}"]).float().permute(0, 3, 1, 2)
        step = 1 if key == "heatmaps" else 4  # of the features every fourth row and column was recorded
        largest = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(features[..., ::step, ::step], expected, rtol=0, atol=1e-3 * largest, msg=key)
