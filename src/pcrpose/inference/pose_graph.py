"""One ONNX graph from an image and its boxes, or from crops, to keypoints.

Crops are made by one loop, and go through the network in a second one, some at a time, so that memory does not grow
with what the network needs for all of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcrpose.inference.crop_graph import CropValues, add_crops
from pcrpose.inference.export_facts import NETWORK, NETWORK_INPUT, NETWORK_OUTPUT, OUTPUTS, ExportFacts
from pcrpose.inference.network_graph import decoder_graph, network_graph
from pcrpose.inference.onnx_builder import OPSET, GraphBuilder, Shape
from pcrpose.keypoints.probability import KeypointCalibration
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel

IR_VERSION = 10  # of onnxruntime 1.18 and later
CROPS_AT_ONCE = 32

_FLOAT, _DOUBLE = 1, 11  # onnx.TensorProto's numbers


def pose_model_proto(
    model: PoseModel[Any], facts: ExportFacts, *, calibration: KeypointCalibration | None, batches: bool = True
) -> Any:  # noqa: ANN401 - onnx has no types
    """Return the ``onnx.ModelProto`` of a model and everything around it.

    Args:
        model: one that predicts heatmaps.
        facts: what is done inside.
        calibration: adds the output ``keypoint_probabilities``.
        batches: give the network `CROPS_AT_ONCE` crops at a time, which not every runtime can; without, all at once.
    """
    from onnx import checker, helper  # noqa: PLC0415 - an extra

    config, graph = model.config, GraphBuilder("pose")
    size, joints = config.input_size, config.skeleton.num_keypoints
    inputs: dict[str, tuple[Any, Shape]] = {"crops": (np.uint8, ["persons", size.height, size.width, 3])}
    if facts.reads == "image":
        inputs = {"image": (np.uint8, ["height", "width", 3]), "boxes_xyxy": (np.float32, ["persons", 4])}
    count = graph("Gather", graph("Shape", list(inputs)[-1]), np.array(0))
    crops = add_crops(graph, config.crop_spec, *inputs) if facts.reads == "image" else None
    pixels = graph("Transpose", "crops", perm=[0, 3, 1, 2]) if crops is None else crops.pixels
    decoder = decoder_graph(config, decoding=facts.decoding, flip=facts.flip, calibration=calibration)
    estimator = _Estimator(config=config, network=network_graph(model), decoder=decoder, flip=facts.flip)
    found = estimator.add_in_batches(graph, pixels, count) if batches else estimator.add_at_once(graph, pixels, count)
    if crops is not None:
        found = _in_image(graph, found, crops)
    shapes: list[Shape] = [["persons", joints, 2], ["persons", joints], ["persons", joints]]
    outputs = {name: (np.float32, shape) for name, shape, _ in zip(OUTPUTS, shapes, found, strict=False)}
    for value, name in zip(found, outputs, strict=True):
        graph.rename(value, name)
    opsets = [helper.make_opsetid("", OPSET)]
    written = graph.proto(inputs, outputs)
    proto = helper.make_model(written, opset_imports=opsets, ir_version=IR_VERSION, producer_name="pcrpose")
    helper.set_model_props(proto, facts.to_text())
    checker.check_model(proto)
    return proto


@dataclass(frozen=True, kw_only=True)
class _Estimator:
    """What makes keypoints of crops, to be put into a graph.

    Attributes:
        config: of the model.
        network: `network_graph` of it.
        decoder: `decoder_graph` of it.
        flip: whether the mirrored crops go through the network too.
    """

    config: PoseConfig
    network: Any
    decoder: Any
    flip: bool

    def add(self, graph: GraphBuilder, pixels: str) -> list[str]:
        """Add the nodes from ``(B, 3, h, w)`` uint8 crops to keypoints, in pixels of the crop, and the rest."""
        crops = _normalized(graph, self.config, pixels)
        if self.flip:
            mirrored = graph("Slice", crops, _int(-1), _int(np.iinfo(np.int64).min), _int(3), _int(-1))
            crops = graph("Concat", crops, mirrored, axis=0)
        graph.rename(crops, NETWORK_INPUT)
        (final,) = graph.insert(self.network, {self.network.input[0].name: NETWORK_INPUT}, NETWORK)
        graph.rename(final, NETWORK_OUTPUT)
        halves = [NETWORK_OUTPUT]
        if self.flip:
            halves = graph.many("Split", NETWORK_OUTPUT, count=2, axis=0, num_outputs=2)
        names = [value.name for value in self.decoder.input]
        return graph.insert(self.decoder, dict(zip(names, halves, strict=True)), "decoder/")

    def add_at_once(self, graph: GraphBuilder, pixels: str, count: str) -> list[str]:
        """Add them for all N crops; ``count`` is N, which a runtime may give as one crop too many where it is 0."""
        stop = graph("Unsqueeze", count, _int(0))
        return [graph("Slice", value, _int(0), stop, _int(0)) for value in self.add(graph, pixels)]

    def add_in_batches(self, graph: GraphBuilder, pixels: str, count: str) -> list[str]:
        """Add them as a loop over ``(N, 3, h, w)`` crops, `CROPS_AT_ONCE` at a time; ``count`` is N."""
        body = GraphBuilder("batch")
        start = body("Mul", "batch/index", np.array(CROPS_AT_ONCE))
        stop = body("Add", start, np.array(CROPS_AT_ONCE))
        batch = body("Slice", pixels, body("Unsqueeze", start, _int(0)), body("Unsqueeze", stop, _int(0)), _int(0))
        found = self.add(body, batch)
        joints = self.config.skeleton.num_keypoints
        before, after = (_carried(when, joints, len(found)) for when in ("before", "after"))
        for old, value, new in zip(before, found, after, strict=True):
            body.rename(body("Concat", old, value, axis=0), new)
        body.rename("batch/go_on", "batch/still")
        loop = body.proto(
            {"batch/index": (np.int64, []), "batch/go_on": (np.bool_, []), **before},
            {"batch/still": (np.bool_, []), **after},
        )
        trips = graph("Div", graph("Add", count, np.array(CROPS_AT_ONCE - 1)), np.array(CROPS_AT_ONCE))
        nothing = [np.zeros((0, *shape[1:]), dtype=np.float32) for _, shape in before.values()]
        return graph.many("Loop", trips, np.array(True), *nothing, count=len(found), body=loop)


def _carried(when: str, joints: int, count: int) -> dict[str, tuple[Any, tuple[str, *tuple[int, ...]]]]:
    """Return the names, types and shapes of what a loop over batches carries on."""
    shapes: list[list[int]] = [[joints, 2], [joints], [joints]]
    named = zip(OUTPUTS[:count], shapes, strict=False)
    return {f"batch/{name}_{when}": (np.float32, ("done", *shape)) for name, shape in named}


def _int(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _normalized(graph: GraphBuilder, config: PoseConfig, pixels: str) -> str:
    """Normalize ``(B, 3, h, w)`` uint8 crops as ``config.normalize`` does."""
    if config.channel_order == "bgr":
        pixels = graph("Gather", pixels, _int(2, 1, 0), axis=1)
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (config.pixel_mean, config.pixel_std))
    scaled = graph("Div", graph("Cast", pixels, to=_FLOAT), np.array(255, np.float32))
    return graph("Div", graph("Sub", scaled, mean), std)


def _in_image(graph: GraphBuilder, found: list[str], crops: CropValues) -> list[str]:
    """Map keypoints to pixels of the image; those of boxes that cannot be cropped are not a number, their scores 0."""
    step = graph("Unsqueeze", graph("Div", 1.0, crops.zoom), np.array([1]))
    shift = graph("Neg", graph("Mul", step, graph("Unsqueeze", crops.offset, np.array([1]))))
    keypoints = graph("Add", graph("Mul", graph("Cast", found[0], to=_DOUBLE), step), shift)
    usable = graph("Unsqueeze", crops.usable, np.array([1]))
    nan, nothing = np.array(np.nan, np.float32), np.array(0, np.float32)
    wide = graph("Unsqueeze", usable, np.array([2]))
    return [
        graph("Where", wide, graph("Cast", keypoints, to=_FLOAT), nan),
        *(graph("Where", usable, value, nothing) for value in found[1:]),
    ]
