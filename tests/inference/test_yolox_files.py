"""YOLOX files: the real one against boxes recorded from it, files of other layouts, and wrong arguments."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcrpose.data.images import open_image
from pcrpose.data.readers.coco import read_detections
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.boxes import Size, intersection_areas

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IMAGES = (3934, 75612, 105912, 439180)
OPEN_INPUT = "float[batch,3,height,width]"


def save(folder: Path, inputs: str = "float[1,3,64,64]", cells: int = 84, columns: int = 7) -> Path:
    """Write a model that sees nobody in an image of the given input."""
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(text(inputs, f"1,{cells},{columns}")), path)
    return path


def text(inputs: str, shape: str) -> str:
    """Spell a model whose output is all zeros."""
    axes = len(shape.split(","))
    return f"""<ir_version: 8, opset_import: ["" : 13]>
        yolox ({inputs} images) => (float[{shape}] output) <int64[{axes}] shape = {{{shape}}}> {{
            output = ConstantOfShape(shape)
        }}"""


def overlaps(boxes_a: Floats, boxes_b: Floats) -> Floats:
    """``(A, B)`` intersection over union."""
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (boxes_a, boxes_b))
    shared = intersection_areas(boxes_a, boxes_b)
    union: Floats = area_a[:, None] + area_b - shared
    return np.asarray(shared / union)


@pytest.fixture
def images(shared_data: Callable[[str], Path]) -> dict[int, Path]:
    """Find four real images of several people, whose sides fit the model without rounding."""
    return {image_id: shared_data(f"coco/val/{image_id:012d}.jpg") for image_id in IMAGES}


def test_the_real_model_finds_what_was_recorded(shared_data: Callable[[str], Path], images: dict[int, Path]) -> None:
    """Another program's boxes and scores from the same file are found again, half a pixel up and to the left.

    That program measured from the image's border, the keypoints' frame measures from the first pixel's middle.
    """
    detector = YoloxDetector(shared_data("detector/yolox_nano.onnx"), nms_threshold=0.65, num_threads=1)
    recorded = read_detections(shared_data("coco/annotations/person_detections_val.json"), score_threshold=0.3)
    offsets = []
    for image_id, path in images.items():
        expected = recorded[image_id]

        answer = detector(path)

        overlap = overlaps(expected.boxes_xyxy - 0.5, answer.boxes_xyxy)
        found = overlap.argmax(axis=1)
        assert len(set(found)) == len(expected.scores)
        assert overlap.max(axis=1).min() > 0.9
        np.testing.assert_allclose(answer.scores[found], expected.scores, atol=0.05)
        assert (np.diff(answer.scores) <= 0).all()
        offsets.append(answer.boxes_xyxy[found] - expected.boxes_xyxy)
    assert len(np.concatenate(offsets)) > 30
    np.testing.assert_allclose(np.median(np.concatenate(offsets), axis=0), -0.5, atol=0.1)


def test_the_real_model_with_decoding_built_in(
    tmp_path: Path, shared_data: Callable[[str], Path], images: dict[int, Path]
) -> None:
    """A copy that does the last step itself is recognized and finds the same."""
    path = shared_data("detector/yolox_nano.onnx")
    raw = YoloxDetector(path)
    model = onnx.load(path)
    constants = {"corners": raw._corners, "strides": raw._strides}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()
    )
    node = onnx.helper.make_node
    model.graph.node.extend(
        [
            node("Split", ["output"], ["offset", "exponent", "rest"], axis=2, split=[2, 2, 81]),
            node("Add", ["offset", "corners"], ["place"]),
            node("Mul", ["place", "strides"], ["center"]),
            node("Exp", ["exponent"], ["cells"]),
            node("Mul", ["cells", "strides"], ["extent"]),
            node("Concat", ["center", "extent", "rest"], ["pixels"], axis=2),
        ]
    )
    model.graph.output[0].name = "pixels"
    onnx.save(model, tmp_path / "decoded.onnx")

    decoded = YoloxDetector(tmp_path / "decoded.onnx")

    assert (raw.decoded, decoded.decoded) == (False, True)
    for image in map(open_image, images.values()):
        np.testing.assert_allclose(decoded(image).boxes_xyxy, raw(image).boxes_xyxy, atol=1e-3)


def test_open_sizes_are_filled_in(tmp_path: Path) -> None:
    """Where the file leaves batch and size open, the size is 640x640 or what is asked for."""
    default = YoloxDetector(save(tmp_path, OPEN_INPUT, cells=80 * 80 + 40 * 40 + 20 * 20))
    given = YoloxDetector(save(tmp_path, OPEN_INPUT), input_size=Size(width=64, height=64))
    half = YoloxDetector(save(tmp_path, "float[1,3,height,64]"), input_size=Size(width=64, height=64))

    assert [str(detector.input_size) for detector in (default, given, half)] == ["640x640", "64x64", "64x64"]
    assert len(given(np.zeros((5, 5, 3), dtype=np.uint8))) == 0


@pytest.mark.parametrize(
    ("inputs", "shape", "message"),
    [
        ("float16[1,3,64,64]", "1,84,7", r"\[1, 3, H, W\] tensor\(float\), found .*float16"),
        ("float[1,1,64,64]", "1,84,7", r"found \[1, 1, 64, 64\]"),
        ("float[8,3,64,64]", "1,84,7", r"found \[8, 3, 64, 64\]"),
        ("float[1,64,64]", "1,84,7", r"found \[1, 64, 64\]"),
        ("float[1,3,64,64] other, float[1,3,64,64]", "1,84,7", "expected one input"),
        ("float[1,3,64,60]", "1,84,7", "multiples of 32, found 64x60"),
        ("float[1,3,64,64]", "1,80,7", r"\(1, 84, 5 \+ classes\) .* 64x64, found \(1, 80, 7\)"),
        ("float[1,3,64,64]", "1,84,5", r"found \(1, 84, 5\)"),
        ("float[1,3,64,64]", "1,1000", r"found \(1, 1000\)"),
        ("float[1,3,64,64]", "84,7", r"found \(84, 7\)"),
        (OPEN_INPUT, "1,84,7", r"\(1, 8400, 5 \+ classes\) .* 640x640, found \(1, 84, 7\)"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, inputs: str, shape: str, message: str) -> None:
    """The error names the file, what was expected and what was found."""
    path = tmp_path / "other.onnx"
    onnx.save(onnx.parser.parse_model(text(inputs, shape)), path)

    with pytest.raises(ValueError, match=f"other.onnx: .*{message}"):
        YoloxDetector(path)


def test_models_that_cannot_run_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An open size that the network does not bear is an error of the file, with the runtime's reason and no noise."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
        yolox (float[1,3,height,width] images) => (float[1,84,7] output) <int64[3] shape = {1, 84, 7}> {
            output = Reshape(images, shape)
        }""")
    onnx.save(model, tmp_path / "model.onnx")

    with pytest.raises(ValueError, match=r"model.onnx: expected an output .*, found .*[Rr]eshape"):
        YoloxDetector(tmp_path / "model.onnx")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1", b"\x89PNG\r\n\x1a\n" * 9])
def test_files_that_are_no_models_are_refused(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Empty files, texts and images are named in the error, and nothing is written on stderr."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"model.onnx: expected an ONNX model, found"):
        YoloxDetector(path)
    assert capfd.readouterr().err == ""


def test_missing_files_and_folders(tmp_path: Path) -> None:
    """What is not there is a missing file; a folder is something else."""
    with pytest.raises(FileNotFoundError, match=r"absent.onnx: no such detector file"):
        YoloxDetector(str(tmp_path / "absent.onnx"))
    with pytest.raises(ValueError, match="found a folder"):
        YoloxDetector(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 1.5}, "score_threshold: expected a number from 0 to 1, found 1.5"),
        ({"nms_threshold": -0.1}, "nms_threshold: expected a number from 0 to 1, found -0.1"),
        ({"num_threads": 0}, "num_threads: expected at least 1, found 0"),
        ({"class_id": 2}, "class_id: expected 0 to 1 for .*model.onnx, found 2"),
        ({"class_id": -1}, "class_id: .* found -1"),
        ({"input_size": Size(width=96, height=64)}, r"input_size: expected 64x64 .*model.onnx asks for, found 64x96"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Each is refused by name when the detector is made."""
    with pytest.raises(ValueError, match=message):
        YoloxDetector(save(tmp_path), **options)


def test_without_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ImportError, match=r"pip install '.+\[detector\]'"):
        YoloxDetector(save(tmp_path))
