"""People's boxes from YOLOX models, tiny ones built here and a real one."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.models.pcr import PCR

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

HEADER = '<ir_version: 8, opset_import: ["" : 13]> yolox '
CELLS = 64 + 16 + 4  # of an input of 64x64
FIXED = "float[1,3,64,64]"
BLACK = np.zeros((64, 64, 3), dtype=np.uint8)

# Finds the red square (the third channel of BGR) and answers with its edges in the input's pixels.
FINDER = """(float[1,3,64,64] images) => (float[1,84,6] output) {
    red = Gather<axis=1>(images, two)
    seen = Greater(red, middle)
    mask = Cast<to=1>(seen)
    columns = ReduceMax<axes=[1]>(mask)
    upright = ReduceMax<axes=[2]>(mask)
    rows = Transpose<perm=[0,2,1]>(upright)
    both = Concat<axis=1>(columns, rows)
    ends = Mul(both, rising)
    end = ReduceMax<axes=[2], keepdims=0>(ends)
    starts = Mul(both, falling)
    distance = ReduceMax<axes=[2], keepdims=0>(starts)
    start = Sub(side, distance)
    sum = Add(start, end)
    center = Mul(sum, half)
    extent = Sub(end, start)
    row = Concat<axis=1>(center, extent, sure)
    first = Unsqueeze(row, axis)
    output = Concat<axis=1>(first, rest)
}"""
FINDER_VALUES = {
    "two": np.array(2),
    "middle": np.float32(128),
    "half": np.float32(0.5),
    "side": np.float32(64),
    "rising": np.arange(1, 65, dtype=np.float32),
    "falling": np.arange(64, 0, -1, dtype=np.float32),
    "sure": np.ones((1, 2), np.float32),
    "axis": np.array([1]),
    "rest": np.zeros((1, 83, 6), np.float32),
}

# Answers with one box whose three classes are the means of the input's channels.
MEANS = """(float[1,3,64,64] images) => (float[1,84,8] output) {
    mean = ReduceMean<axes=[2,3], keepdims=0>(images)
    probability = Div(mean, white)
    row = Concat<axis=1>(box, probability)
    first = Unsqueeze(row, axis)
    output = Concat<axis=1>(first, rest)
}"""
MEANS_VALUES = {
    "white": np.float32(255),
    "box": np.array([[32, 32, 20, 20, 1]], np.float32),
    "axis": np.array([1]),
    "rest": np.zeros((1, 83, 8), np.float32),
}


def save(folder: Path, graph: str, values: dict[str, Any]) -> Path:
    """Write a model from its text and its constants."""
    model = onnx.parser.parse_model(HEADER + graph)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in values.items())
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def answering(folder: Path, rows: npt.ArrayLike, *, inputs: str = FIXED) -> Path:
    """Write a model that gives the same output for every image."""
    answer = np.asarray(rows, dtype=np.float32)
    shape = ",".join(str(length) for length in answer.shape)
    graph = f"({inputs} images) => (float[{shape}] output) {{ output = Identity(answer) }}"
    return save(folder, graph, {"answer": answer})


def rows(entries: dict[int, list[float]], *, cells: int = CELLS) -> Floats:
    """Give ``(1, cells, 7)`` zeros but for the cells named: center, extent, objectness, two classes."""
    output = np.zeros((1, cells, 7))
    for cell, values in entries.items():
        output[0, cell] = values
    return output


def test_cells_are_decoded_as_by_hand(tmp_path: Path) -> None:
    """A cell's corner plus the offset, times the stride; extents are exponents; half a pixel to our frame."""
    output = rows(
        {
            10: [
                0.5,
                0.25,
                math.log(2),
                math.log(3),
                0.8,
                0.5,
                0.1,
            ],  # stride 8, column 2, row 1: center (20, 10), 16 x 24
            71: [0.0, 0.0, 0.0, 0.0, 1.0, 0.9, 0.0],  # stride 16, column 3, row 1: center (48, 16), 16 x 16
            82: [
                0.5,
                0.5,
                math.log(0.5),
                math.log(0.25),
                0.5,
                1.0,
                0.0,
            ],  # stride 32, column 0, row 1: (16, 48), 16 x 8
        }
    )

    detector = YoloxDetector(answering(tmp_path, output))
    found = detector(BLACK)

    assert not detector.decoded
    np.testing.assert_allclose(
        found.boxes_xyxy, [[39.5, 7.5, 55.5, 23.5], [7.5, 43.5, 23.5, 51.5], [11.5, 0, 27.5, 21.5]], atol=1e-5
    )
    np.testing.assert_allclose(found.scores, [0.9, 0.5, 0.4], rtol=1e-6)


def test_oblong_inputs_have_oblong_grids(tmp_path: Path) -> None:
    """Cells are counted along the width first."""
    output = rows({11: [0.5, 0.5, 0.0, 0.0, 1.0, 1.0, 0.0]}, cells=32 + 8 + 2)  # column 3, row 1 of a grid 8 wide

    detector = YoloxDetector(answering(tmp_path, output, inputs="float[1,3,32,64]"))

    assert str(detector.input_size) == "32x64"
    np.testing.assert_allclose(detector(BLACK[:32]).boxes_xyxy, [[23.5, 7.5, 31.5, 15.5]], atol=1e-5)


def test_files_that_decode_themselves_are_recognized(tmp_path: Path) -> None:
    """Centers that follow the grid are pixels already; the option overrules what was seen."""
    output = rows({})
    corners = [
        (column, row, stride) for stride in (8, 16, 32) for row, column in np.ndindex(64 // stride, 64 // stride)
    ]
    output[0, :, :2] = [((column + 0.7) * stride, (row + 0.2) * stride) for column, row, stride in corners]
    output[0, :, 2:4] = 10.0
    output[0, 10, 4:6] = 1.0
    path = answering(tmp_path, output)

    detector = YoloxDetector(path)

    assert detector.decoded
    np.testing.assert_allclose(detector(BLACK).boxes_xyxy, [[16.1, 4.1, 26.1, 14.1]], atol=1e-5)
    assert not YoloxDetector(path, decoded=False).decoded


@pytest.mark.parametrize(
    ("size", "square", "expected"),
    [
        ((64, 64), (10, 20, 30, 25), (9.5, 19.5, 29.5, 24.5)),
        ((64, 64), (0, 0, 64, 64), (0, 0, 63, 63)),
        ((128, 64), (100, 40, 128, 64), (99.5, 39.5, 127, 63)),  # wide, halved
        ((64, 256), (0, 200, 12, 256), (0, 199.5, 11.5, 255)),  # tall, to a quarter
        ((32, 16), (4, 6, 9, 16), (3.5, 5.5, 8.5, 15)),  # doubled
        ((2, 1), (1, 0, 2, 1), None),  # a row of pixels has no height
    ],
)
def test_boxes_come_back_to_the_pixels_they_came_from(
    tmp_path: Path, size: tuple[int, int], square: tuple[int, int, int, int], expected: tuple[float, ...] | None
) -> None:
    """A red square is found where it was drawn, up to the corners, whatever the image's shape; a blue one is not."""
    image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    left, top, right, bottom = square
    image[top:bottom, left:right, 0] = 255
    detector = YoloxDetector(save(tmp_path, FINDER, FINDER_VALUES), decoded=True)

    found = detector(image)
    nothing = detector(image[:, :, ::-1])

    np.testing.assert_allclose(found.boxes_xyxy, np.reshape(expected or (), (-1, 4)), atol=1e-9)
    assert len(nothing) == 0


def test_models_see_blue_first_and_whole_values(tmp_path: Path) -> None:
    """Channels are BGR, 0 to 255, and the class asked for is the one that scores."""
    image = np.full((64, 64, 3), (10, 20, 30), dtype=np.uint8)
    path = save(tmp_path, MEANS, MEANS_VALUES)

    detectors = [YoloxDetector(path, class_id=which, score_threshold=0.0, decoded=True) for which in range(3)]

    assert [detector(image).scores[0] * 255 for detector in detectors] == pytest.approx([30, 20, 10])
    assert detectors[0].num_classes == 3


def test_thresholds_and_padding_decide_what_is_left(tmp_path: Path) -> None:
    """The lowest score allowed counts; worse, overlapped, senseless and outlying boxes are left out."""
    output = rows(
        {
            0: [20, 16, 20, 20, 0.5, 0.5, 0.0],
            1: [20, 16, 20, 20, 1.0, 0.75, 0.0],
            2: [50, 16, 8, 8, 0.5, 0.5, 1.0],
            3: [50, 10, 8, 8, 0.49, 0.5, 1.0],
            4: [32, 48, 8, 8, 1.0, 1.0, 0.0],  # in the gray below the image
            5: [32, 16, 8, 8, math.nan, 1.0, 0.0],
            6: [math.nan, 16, 8, 8, 1.0, 1.0, 0.0],
            7: [10, 10, 0, 5, 1.0, 1.0, 0.0],
        }
    )
    path = answering(tmp_path, output)

    found = YoloxDetector(path, score_threshold=0.25, decoded=True)(BLACK[:32])

    np.testing.assert_allclose(found.boxes_xyxy, [[9.5, 5.5, 29.5, 25.5], [45.5, 11.5, 53.5, 19.5]])
    assert found.scores.tolist() == [0.75, 0.25]
    assert len(YoloxDetector(path, score_threshold=0.25, nms_threshold=1.0, decoded=True)(BLACK[:32])) == 3


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (1, 700), (700, 1), (3, 2)])
@pytest.mark.parametrize("objectness", [0.0, 1.0])
def test_nobody_there(tmp_path: Path, size: tuple[int, int], objectness: float) -> None:
    """No detections are no rows of the right shape; a single row or column of pixels has no room for a box."""
    path = answering(tmp_path, rows({0: [32, 32, 64, 64, objectness, 1, 0]}))

    found = YoloxDetector(path, decoded=True)(np.zeros((*size, 3), dtype=np.uint8))

    count = int(objectness and min(size) > 1)
    assert (found.boxes_xyxy.shape, found.scores.shape) == ((count, 4), (count,))


def test_image_files_are_opened(tmp_path: Path) -> None:
    """A path gives what its pixels give; what is no image is refused."""
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[8:40, 16:32, 0] = 255
    PIL.Image.fromarray(image).save(tmp_path / "red.png")
    detector = YoloxDetector(save(tmp_path, FINDER, FINDER_VALUES), decoded=True)

    np.testing.assert_array_equal(detector(tmp_path / "red.png").boxes_xyxy, [[15.5, 7.5, 31.5, 39.5]])
    with pytest.raises(ValueError, match="uint8"):
        detector(image.astype(np.float32))
    with pytest.raises(FileNotFoundError):
        detector("missing.png")


def test_threads_are_passed_on(tmp_path: Path) -> None:
    """The number reaches the runtime, where 0 means all cores."""
    path = answering(tmp_path, rows({}))

    detectors = [YoloxDetector(path, num_threads=count) for count in (None, 1, 3)]

    assert [d._session.get_session_options().intra_op_num_threads for d in detectors] == [0, 1, 3]


def test_a_predictor_takes_it(tmp_path: Path, model: PCR, photo: Image) -> None:
    """Detected persons become poses with the detector's scores, the two that nearly coincide one."""
    scale = 64 / photo.shape[1]
    centers = [(50 * scale, 70 * scale), (150 * scale, 75 * scale)]
    output = rows({cell: [x, y, 20, 30, 0.9 - 0.2 * cell, 1, 0] for cell, (x, y) in enumerate(centers)})
    detector = YoloxDetector(answering(tmp_path, output), decoded=True)

    poses = PosePredictor(model, detector=detector).predict(photo)

    assert sorted(poses.box_scores.tolist()) == pytest.approx([0.7, 0.9])
    assert (poses.pose_scores <= poses.box_scores).all()
