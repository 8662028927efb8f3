"""The ONNX graph of a crop beside the library's crops, pixel by pixel."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest

from pcrpose.inference.crop_graph import add_crops
from pcrpose.inference.onnx_builder import OPSET, GraphBuilder
from pcrpose.keypoints.arrays import Bools, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, CropSpec

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

Cut = Callable[[Image, npt.ArrayLike], tuple[Image, Bools]]


def cutter(spec: CropSpec) -> Cut:
    """Return the function that a graph of crops alone computes: ``(N, h, w, 3)`` crops, and which boxes it takes."""
    graph = GraphBuilder("test")
    values = add_crops(graph, spec, "image", "boxes_xyxy")
    graph.rename(values.pixels, "pixels")
    graph.rename(values.usable, "usable")
    size = spec.input_size
    proto = onnx.helper.make_model(
        graph.proto(
            {"image": (np.uint8, ["height", "width", 3]), "boxes_xyxy": (np.float32, ["persons", 4])},
            {"pixels": (np.uint8, ["persons", 3, size.height, size.width]), "usable": (np.bool_, ["persons"])},
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=10,
    )
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def cut(image: Image, boxes: npt.ArrayLike) -> tuple[Image, Bools]:
        given = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        pixels, usable = session.run(None, {"image": image, "boxes_xyxy": given})
        return pixels.transpose(0, 2, 3, 1), usable

    return cut


def random_boxes(rng: np.random.Generator, size: Size, count: int) -> npt.NDArray[np.float32]:
    """Make up boxes that touch an image, from a pixel to more than all of it."""
    sides = np.array([size.width, size.height])
    extents = rng.uniform(1, 1.5, (count, 2)) * sides ** rng.uniform(0, 1, (count, 2))
    centers = rng.uniform(0, 1, (count, 2)) * (sides - 1)
    return np.concatenate([centers - extents / 2, centers + extents / 2], axis=1).astype(np.float32)


@pytest.mark.parametrize("blackout", [None, 1.1])
@pytest.mark.parametrize("alignment", get_args(Alignment))
def test_pixels_are_the_library_s(alignment: Alignment, blackout: float | None) -> None:
    """All pixels where the resize is Pillow's; between float32 samples one in ten thousand may round the other way."""
    spec = CropSpec(input_size=Size(width=36, height=48), alignment=alignment, blackout=blackout)
    cut, rng = cutter(spec), np.random.default_rng(0)
    wrong = total = 0
    for width, height in ((133, 97), (640, 480), (17, 31), (901, 1203)):
        size = Size(width=width, height=height)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        boxes = random_boxes(rng, size, 10)
        boxes[:4] = [
            [0, 0, width - 1, height - 1],
            [width - 1, height - 1, width + 40, height + 40],  # the last pixel and what is not there
            [-1000, -1000, 3000, 3000],  # a window far larger than the image
            [-20, -20, 0, 0],
        ]
        found, usable = cut(image, boxes)
        expected = spec.cut(image, boxes.astype(np.float64))[1]
        difference = np.abs(found.astype(int) - expected)
        wrong, total = wrong + int((difference > 0).sum()), total + difference.size

        assert usable.all()
        assert difference.max() <= 1
    assert wrong <= (0 if alignment == "center" else 1e-4 * total)


def test_no_boxes_give_no_crops() -> None:
    """The loop runs not once, and the result still has its shape."""
    cut = cutter(CropSpec(input_size=Size(width=32, height=64)))

    pixels, usable = cut(np.zeros((20, 30, 3), np.uint8), [])

    assert pixels.shape == (0, 64, 32, 3)
    assert usable.shape == (0,)


def test_boxes_that_the_library_refuses_are_told_apart() -> None:
    """As `check_boxes` says: not finite, inverted, empty, outside; a box on the border is none of them."""
    cut = cutter(CropSpec(input_size=Size(width=32, height=64)))
    boxes: list[list[float]] = [
        [np.nan, 0, 1, 1],
        [5, 5, 5, 9],
        [9, 5, 5, 9],
        [30, 0, 40, 10],
        [0, -9, 10, -1],
        [0, 0, np.inf, 5],
        [-np.inf, 0, 3, 3],
        [29, 19, 40, 40],
        [-5, -5, 0, 0],
    ]

    usable = cut(np.zeros((20, 30, 3), np.uint8), boxes)[1]

    assert usable.tolist() == [False] * 7 + [True] * 2
