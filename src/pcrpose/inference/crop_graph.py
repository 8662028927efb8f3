"""The ONNX graph of a crop: from the image and its boxes to the crops' pixels, equal to `CropSpec.cut`.

Positions are float64, as there. Windows are computed for all persons at once; the pixels in a loop, one person at a
time, so that memory grows with the part of the image under the largest window and not with the number of persons.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcrpose.inference.onnx_builder import GraphBuilder
from pcrpose.keypoints.crop import CropSpec

_FLOAT, _UINT8, _INT64, _BOOL, _DOUBLE = 1, 2, 7, 9, 11  # onnx.TensorProto's numbers
_SLACK = 1e-6  # pixels, as in `pcrpose.keypoints.warp`
_FIXED = 2.0**22  # Pillow's weights are whole multiples of its inverse
_LONGEST = 23  # bits of a region's length, in which `pcrpose.keypoints.warp` looks for a grid
_SAMPLE_REACH = 3  # pixels round what is sampled bilinearly
_UNIT_BOX = np.array([[0.0, 0.0, 1.0, 1.0]])


class CropValues(NamedTuple):
    """Names of values in the graph.

    Attributes:
        pixels: ``(N, 3, h, w)`` uint8 crops.
        zoom: ``(N, 2)`` float64, crop pixels per image pixel on each axis.
        offset: ``(N, 2)`` float64: ``crop = zoom * image + offset``.
        usable: ``(N,)`` bool: boxes that `check_boxes` accepts; of the others, the crop is of the image's corner.
    """

    pixels: str
    zoom: str
    offset: str
    usable: str


class _Window(NamedTuple):
    """Windows of all persons, x then y, ``(N, 2)`` float64 each."""

    zoom: str
    offset: str


class _Region(NamedTuple):
    """What of one axis of the image a person's crop is made of; names in the loop's body.

    Attributes:
        start: first pixel of the image, int64 ``(1,)``.
        stop: behind the last pixel, int64 ``(1,)``.
        weights: ``(length, stop - start)`` float64, of a crop's pixel in whole multiples of ``1 / _FIXED``.
    """

    start: str
    stop: str
    weights: str


def add_crops(graph: GraphBuilder, spec: CropSpec, image: str, boxes: str) -> CropValues:
    """Add the crops of an image to a graph.

    Args:
        graph: to add to.
        spec: of the crops.
        image: ``(H, W, 3)`` uint8.
        boxes: ``(N, 4)`` float32, left, top, right, bottom.
    """
    limits = _limits(graph, image)
    wide = graph("Cast", boxes, to=_DOUBLE)
    usable = _usable(graph, wide, limits)
    wide = graph("Where", graph("Unsqueeze", usable, _int(1)), wide, _UNIT_BOX)
    window = _windows(graph, spec, wide)
    body = GraphBuilder("crop")
    person = "crop/person"
    pixels = (
        _resized(graph, body, spec, image, limits, window, person)
        if spec.alignment == "center"
        else _sampled(graph, body, spec, image, limits, window, person)
    )
    if spec.blackout is not None:
        pixels = _blacked_out(
            body, spec, pixels, _row(body, _grown(graph, wide, spec.blackout), person), window, person
        )
    size = spec.input_size
    body.rename(body("Cast", pixels, to=_UINT8), "crop/pixels")
    body.rename("crop/go_on", "crop/still")
    loop = body.proto(
        {"crop/person": (np.int64, []), "crop/go_on": (np.bool_, [])},
        {"crop/still": (np.bool_, []), "crop/pixels": (np.uint8, [3, size.height, size.width])},
    )
    count = graph("Gather", graph("Shape", boxes), np.array(0))
    crops = graph("Loop", count, np.array(True), body=loop)
    return CropValues(crops, window.zoom, window.offset, usable)


def _int(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _row(body: GraphBuilder, values: str, person: str) -> str:
    return body("Gather", values, person, axis=0)


def _limits(graph: GraphBuilder, image: str) -> str:
    """Return width and height of the image, ``(2,)`` float64."""
    shape = graph("Gather", graph("Shape", image), _int(1, 0))
    return graph("Cast", shape, to=_DOUBLE)


def _columns(graph: GraphBuilder, boxes: str, start: int, stop: int) -> str:
    return graph("Slice", boxes, _int(start), _int(stop), _int(1))


def _usable(graph: GraphBuilder, boxes: str, limits: str) -> str:
    """Return ``(N,)`` bool, as `croppable` does."""
    start, end = _columns(graph, boxes, 0, 2), _columns(graph, boxes, 2, 4)
    tests = [
        graph("Less", start, end),  # not a number is never less
        graph("GreaterOrEqual", end, 0.0),
        graph("LessOrEqual", start, graph("Sub", limits, 1.0)),
        graph("Less", end, np.inf),
        graph("Less", -np.inf, start),
    ]
    joined = graph("Cast", graph("Concat", *tests, axis=1), to=_FLOAT)
    return graph("Cast", graph("ReduceMin", joined, _int(1), keepdims=0), to=_BOOL)


def _windows(graph: GraphBuilder, spec: CropSpec, boxes: str) -> _Window:
    """Return the similarity of each crop, as `Crops.from_windows` does."""
    size = spec.input_size
    start, extent = _columns(graph, boxes, 0, 2), _extents(graph, boxes)
    center = graph("Add", start, graph("Div", extent, 2.0))
    sides = graph("Mul", extent, np.array([1.0, size.aspect]))
    width = graph("Mul", graph("ReduceMax", sides, _int(1), keepdims=1), float(spec.padding))
    pixels = np.array([size.width, size.height], dtype=np.float64)
    shrink = (pixels - 1) / pixels if spec.alignment == "udp" else np.ones(2)
    zoom = graph("Mul", graph("Div", float(size.width), width), shrink)
    middle = (pixels - (spec.alignment != "edge")) / 2
    return _Window(zoom, graph("Sub", middle, graph("Mul", zoom, center)))


def _extents(graph: GraphBuilder, boxes: str) -> str:
    return graph("Sub", _columns(graph, boxes, 2, 4), _columns(graph, boxes, 0, 2))


def _grown(graph: GraphBuilder, boxes: str, factor: float) -> str:
    """Return ``(N, 4)`` boxes grown about their centers, as `grow_boxes` does."""
    outwards = graph("Div", graph("Mul", _extents(graph, boxes), float(factor - 1)), 2.0)
    start = graph("Sub", _columns(graph, boxes, 0, 2), outwards)
    return graph("Concat", start, graph("Add", _columns(graph, boxes, 2, 4), outwards), axis=1)


def _lengths(spec: CropSpec) -> npt.NDArray[np.float64]:
    return np.array([spec.input_size.width, spec.input_size.height], dtype=np.float64)


def _resized(
    graph: GraphBuilder, body: GraphBuilder, spec: CropSpec, image: str, limits: str, window: _Window, person: str
) -> str:
    """Return ``(3, h, w)`` float64 pixels of one crop, as a resize with a widening filter gives them."""
    layout = _layout(graph, spec, limits, window)
    across, down = (_region(body, layout, axis, int(_lengths(spec)[axis]), person) for axis in range(2))
    patch = _patch(body, image, across, down)
    lines = _rounded(body, body("MatMul", patch, body("Transpose", across.weights, perm=[1, 0])))
    return _rounded(body, body("MatMul", down.weights, lines))


def _patch(body: GraphBuilder, image: str, across: _Region, down: _Region) -> str:
    """Return ``(3, rows, columns)`` float64 pixels of the image."""
    start = body("Concat", down.start, across.start, axis=0)
    stop = body("Concat", down.stop, across.stop, axis=0)
    patch = body("Slice", image, start, stop, _int(0, 1))
    return body("Cast", body("Transpose", patch, perm=[2, 0, 1]), to=_DOUBLE)


def _rounded(body: GraphBuilder, sums: str) -> str:
    """Divide what the weights have multiplied, to whole numbers, halves upwards."""
    return body("Floor", body("Add", body("Mul", sums, 1 / _FIXED), 0.5))


class _Layout(NamedTuple):
    """The numbers of `pcrpose.keypoints.warp`, for all persons, x then y, ``(N, 2)`` float64 each.

    Attributes:
        first: crop pixel that sees anything of the image.
        last: behind the last such.
        low: first image pixel that a filter reaches, perhaps beyond the border.
        left: edge of the crop's pixel ``first``, counted from ``low``.
        step: image pixels per crop pixel.
        begin: first image pixel whose weight counts in a sum that one inside the image is part of.
        end: behind the last such.
        start: first of these inside the image.
        stop: behind the last such.
    """

    first: str
    last: str
    low: str
    left: str
    step: str
    begin: str
    end: str
    start: str
    stop: str


def _layout(graph: GraphBuilder, spec: CropSpec, limits: str, window: _Window) -> _Layout:
    zoom, offset = window
    step = graph("Div", 1.0, zoom)
    edge = graph("Add", graph("Mul", graph("Sub", -0.5, offset), step), 0.5)  # counted from the image's edge
    reach = graph("Max", step, 1.0)
    seen = graph("Mul", graph("Sub", graph("Neg", reach), edge), zoom)
    first = graph("Max", 0.0, graph("Floor", graph("Sub", seen, 0.5 + _SLACK)))
    seen = graph("Mul", graph("Sub", graph("Add", limits, reach), edge), zoom)
    last = graph("Min", _lengths(spec), graph("Ceil", graph("Add", seen, 0.5 + _SLACK)))
    box = [graph("Add", edge, graph("Mul", end, step)) for end in (first, last)]
    low = graph("Floor", graph("Sub", box[0], graph("Add", reach, _SLACK)))
    high = graph("Ceil", graph("Add", box[1], graph("Add", reach, _SLACK)))
    left, right = _on_grid(graph, box, low, high)
    margin = graph("Add", graph("Ceil", graph("Mul", reach, 2.0)), 1.0)
    begin = graph("Max", low, graph("Neg", margin))
    end = graph("Min", high, graph("Add", limits, margin))
    start = graph("Max", graph("Min", begin, graph("Sub", limits, 1.0)), 0.0)
    stop = graph("Max", graph("Min", end, limits), graph("Add", start, 1.0))
    exact = graph("Div", graph("Sub", right, left), graph("Sub", last, first))
    return _Layout(first, last, low, left, exact, begin, end, start, stop)


def _on_grid(graph: GraphBuilder, box: list[str], low: str, high: str) -> list[str]:
    """Return both edges, counted from ``low``, rounded as `pcrpose.keypoints.warp` does for Pillow's float32."""
    length = graph("Unsqueeze", graph("Sub", high, low), _int(2))
    powers = 2.0 ** np.arange(_LONGEST)
    bits = graph("Cast", graph("GreaterOrEqual", length, powers), to=_DOUBLE)
    grid = graph("Pow", 2.0, graph("Sub", float(_LONGEST), graph("ReduceSum", bits, _int(2), keepdims=0)))
    edges = [graph("Div", graph("Round", graph("Mul", graph("Sub", edge, low), grid)), grid) for edge in box]
    return [edges[0], graph("Max", edges[1], graph("Add", edges[0], graph("Div", 1.0, grid)))]


def _region(body: GraphBuilder, layout: _Layout, axis: int, length: int, person: str) -> _Region:
    """Return one axis of one person's crop: which pixels of the image, and their weights."""
    at = _Layout(*(body("Gather", _row(body, value, person), np.array([axis])) for value in layout))
    begin, start, stop = (body("Cast", value, to=_INT64) for value in (at.begin, at.start, at.stop))
    scalars = [body("Squeeze", value, _int(0)) for value in (at.begin, at.end)]
    taps = body("Add", body("Range", *scalars, 1.0), body("Sub", 0.5, at.low))  # middles of pixels, from low
    cells = np.arange(length, dtype=np.float64)[:, None]
    centers = body("Add", at.left, body("Mul", body("Add", body("Sub", cells, at.first), 0.5), at.step))
    narrow = body("Div", 1.0, body("Max", at.step, 1.0))
    weights = body("Max", body("Sub", 1.0, body("Mul", body("Abs", body("Sub", taps, centers)), narrow)), 0.0)
    total = body("Max", body("ReduceSum", weights, _int(1), keepdims=1), 1e-9)
    fixed = body("Floor", body("Add", body("Mul", body("Div", weights, total), _FIXED), 0.5))
    inside = body("Slice", fixed, body("Sub", start, begin), body("Sub", stop, begin), _int(1))
    seen = body("And", body("GreaterOrEqual", cells, at.first), body("Less", cells, at.last))
    return _Region(start, stop, body("Where", seen, inside, 0.0))


def _sampled(
    graph: GraphBuilder, body: GraphBuilder, spec: CropSpec, image: str, limits: str, window: _Window, person: str
) -> str:
    """Return ``(3, h, w)`` pixels of one crop, sampled between four pixels of the image."""
    step = graph("Div", 1.0, window.zoom)
    shift = graph("Neg", graph("Mul", step, window.offset))
    last = graph("Add", graph("Mul", step, _lengths(spec) - 1), shift)
    reach = float(_SAMPLE_REACH)
    low = graph("Max", graph("Sub", graph("Floor", shift), reach), -reach)
    high = graph("Min", graph("Add", graph("Ceil", last), 1 + reach), graph("Add", limits, reach))
    span = graph("Sub", high, low)
    slope = graph("Div", graph("Mul", step, 2.0), span)
    start = graph("Sub", graph("Div", graph("Mul", graph("Add", graph("Sub", shift, low), 0.5), 2.0), span), 1.0)
    region = _padded(graph, body, image, limits, low, high, person)
    slopes, starts = (_row(body, value, person) for value in (slope, start))
    axes = []
    for axis, length in enumerate((spec.input_size.width, spec.input_size.height)):
        at = np.array([axis])
        cells = np.arange(length, dtype=np.float64).reshape((1, -1) if axis == 0 else (-1, 1))
        line = body("Add", body("Mul", body("Gather", slopes, at), cells), body("Gather", starts, at))
        shape = _int(1, spec.input_size.height, spec.input_size.width, 1)
        axes.append(body("Expand", body("Unsqueeze", body("Cast", line, to=_FLOAT), _int(0, 3)), shape))
    grid = body("Concat", *axes, axis=3)
    sampled = body("GridSample", region, grid, mode="linear", padding_mode="zeros", align_corners=0)
    return body("Cast", body("Round", body("Squeeze", sampled, _int(0))), to=_DOUBLE)


def _padded(graph: GraphBuilder, body: GraphBuilder, image: str, limits: str, low: str, high: str, person: str) -> str:
    """Return a ``(1, 3, rows, columns)`` float32 rectangle that may leave the image; zeros outside."""
    start = graph("Max", graph("Min", low, graph("Sub", limits, 1.0)), 0.0)
    stop = graph("Max", graph("Min", high, limits), graph("Add", start, 1.0))
    before = graph("Max", graph("Neg", low), 0.0)
    after = graph("Max", graph("Sub", high, limits), 0.0)
    y_x = _int(1, 0)
    ends = [
        body("Cast", body("Gather", _row(body, value, person), y_x), to=_INT64)
        for value in (start, stop, before, after)
    ]
    patch = body("Cast", body("Slice", image, ends[0], ends[1], _int(0, 1)), to=_FLOAT)
    padded = body("Pad", patch, body("Concat", ends[2], ends[3], axis=0), "", _int(0, 1))
    return body("Unsqueeze", body("Transpose", padded, perm=[2, 0, 1]), _int(0))


def _blacked_out(body: GraphBuilder, spec: CropSpec, pixels: str, box: str, window: _Window, person: str) -> str:
    """Blacken what lies outside a box of the image, as `Crops.black_out` does."""
    zoom, offset = (_row(body, value, person) for value in window)
    step = body("Div", 1.0, zoom)
    shift = body("Neg", body("Mul", step, offset))
    size, visible = spec.input_size, []
    for axis, shape in enumerate(((1, size.width), (size.height, 1))):
        at, far = np.array([axis]), np.array([axis + 2])
        cells = np.arange(max(shape), dtype=np.float64).reshape(shape)
        line = body("Add", body("Mul", body("Gather", step, at), cells), body("Gather", shift, at))
        inside = body("GreaterOrEqual", line, body("Gather", box, at))
        visible.append(body("And", inside, body("LessOrEqual", line, body("Gather", box, far))))
    return body("Where", body("And", *visible), pixels, 0.0)
