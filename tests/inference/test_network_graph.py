"""What torch's exporter makes of the decoders: every decoding in every alignment beside the codec itself."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from pcrpose.inference.network_graph import decoder_graph
from pcrpose.inference.onnx_builder import OPSET
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.models.pcr import PCRConfig

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def blobs(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Make up heatmaps with one blob each, the border included, and a little noise; no two cells tie."""
    batch, joints, height, width = shape
    x, y = rng.uniform(-1, width, (batch, joints, 1, 1)), rng.uniform(-1, height, (batch, joints, 1, 1))
    down, across = np.arange(height)[:, None], np.arange(width)
    maps = np.exp(-((across - x) ** 2 + (down - y) ** 2) / 8) + rng.uniform(-0.02, 0.02, shape)
    return torch.from_numpy(maps).float()


@pytest.mark.slow
@pytest.mark.parametrize("alignment", get_args(Alignment))
@pytest.mark.parametrize("decoding", get_args(Decoding))
def test_decoder_is_the_codec(decoding: Decoding, alignment: Alignment) -> None:
    """Merged with the mirrored pass, for one, none and many crops."""
    config = PCRConfig(encoder="resnet_nano", alignment=alignment, input_size=Size(width=64, height=96))
    graph = decoder_graph(config, decoding=decoding, flip=True)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    codec, rng = replace(config.codec(), decoding=decoding), np.random.default_rng(0)
    for count in (1, 0, 40):
        plain, mirrored = (blobs(rng, (count, 17, 24, 16)) for _ in range(2))
        mirrored = (plain[:, config.skeleton.flip_indices].flip(3) + mirrored / 10).contiguous()
        merged = merge_mirrored(plain, mirrored, config.skeleton.flip_indices, shift=alignment == "edge")
        expected = codec.decode(merged)

        names = [value.name for value in session.get_inputs()]
        found = session.run(None, dict(zip(names, (plain.numpy(), mirrored.numpy()), strict=True)))

        assert len(found) == 2
        for values, tensor in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, tensor.numpy(), atol=1e-3)
