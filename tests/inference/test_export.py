"""Exported files beside the library: the same keypoints; and one error for what is no such file."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.data.images import open_image
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.inference import network_graph, pose_graph
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.export import export_model
from pcrpose.inference.exported import ExportedModel
from pcrpose.inference.exported_file import open_exported
from pcrpose.inference.pose_graph import CROPS_AT_ONCE
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.verify_export import ExportDifferences, verify_export
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration, PassCalibration
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.probability import KeypointCalibration
from pcrpose.keypoints.skeleton import COCO_17
from pcrpose.models.deeppose import DeepPose, DeepPoseConfig
from pcrpose.models.pose_model import HeatmapModel
from pcrpose.models.vitpose import ViTPose, ViTPoseConfig

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/run_exported.py"
BOXES = np.array([[20, 15, 90, 140], [100.5, 30.25, 190, 120], [-10, -5, 60, 80], [150, 90, 260, 220]], np.float32)


def small_vitpose(**changes: Any) -> ViTPose:  # noqa: ANN401 - any field of the configuration
    """Build the network with the fewest nodes, its heatmaps far from flat; it has a calibration."""
    maps = KeypointCalibration(
        weights=(1.0, 2.0, -1.0, -0.5), slopes=(0.8,) * 17, intercepts=(0.1,) * 17, counts=(300,) * 17, sigma=2.0
    )
    size = Size(width=64, height=96)
    calibration = Calibration(
        keypoints=COCO_17.keypoints, input_size=size, mirrored=PassCalibration(probabilities=maps)
    )
    small: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 1}
    config = ViTPoseConfig(
        **{
            "input_size": size,
            "decoder": "simple",
            "alignment": "center",
            "calibration": calibration,
            **small,
            **changes,
        }
    )
    torch.manual_seed(2)
    model = ViTPose(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 4 and parameter.shape[0] == 17:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="module")
def model() -> ViTPose:
    """Give the network that the files are made of."""
    return small_vitpose()


@pytest.fixture(scope="module", autouse=True)
def _traced_once(model: ViTPose) -> Iterator[None]:
    """Let torch's exporter, which is slow, go through the network and each decoder once."""
    with pytest.MonkeyPatch.context() as patch:
        real = network_graph.network_graph
        known = cache(lambda: real(model))
        patch.setattr(pose_graph, "network_graph", lambda given: known() if given is model else real(given))
        patch.setattr(pose_graph, "decoder_graph", cache(network_graph.decoder_graph))
        yield


@pytest.fixture(scope="module")
def exported(model: ViTPose, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportDifferences]:
    """Export to ONNX."""
    path = tmp_path_factory.mktemp("exported") / "pose.onnx"
    return path, export_model(model, path)


@pytest.fixture
def file(exported: tuple[Path, ExportDifferences]) -> Path:
    """Give the exported file."""
    return exported[0]


def scene(count: int) -> tuple[Image, Floats]:
    """Draw persons, and make up boxes."""
    drawn = SyntheticPoses(count=3, seed=5, size=Size(width=253, height=207), max_persons=4).image(1)[0].image
    moved = BOXES[np.arange(count) % len(BOXES)] + np.arange(count)[:, None] % 7
    return open_image(drawn), moved.astype(np.float32)


def agree(found: Poses, expected: Poses, *, tolerance: float = 1e-2) -> None:
    """Assert that two predictions have the same keypoints and numbers."""
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=tolerance)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-5)
    assert found.keypoint_probabilities is not None
    assert expected.keypoint_probabilities is not None
    np.testing.assert_allclose(found.keypoint_probabilities, expected.keypoint_probabilities, atol=1e-3)


def test_export_says_how_much_the_file_differs(exported: tuple[Path, ExportDifferences]) -> None:
    """Within every limit; most keypoints are clear, so that the comparison says something."""
    _, differences = exported

    assert differences.problems == []
    assert differences.exceptions == 0
    assert differences.clear_keypoints > 50
    assert differences.heatmaps < 1e-5
    assert differences.keypoint_probabilities is not None


def test_file_has_the_promised_inputs_and_outputs(file: Path) -> None:
    """Names, types and what is left open, in the promised order."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    inputs = [(value.name, value.type, value.shape) for value in session.get_inputs()]
    outputs = [(value.name, value.type, value.shape) for value in session.get_outputs()]
    assert inputs == [
        ("image", "tensor(uint8)", ["height", "width", 3]),
        ("boxes_xyxy", "tensor(float)", ["persons", 4]),
    ]
    assert outputs == [
        ("keypoints", "tensor(float)", ["persons", 17, 2]),
        ("keypoint_scores", "tensor(float)", ["persons", 17]),
        ("keypoint_probabilities", "tensor(float)", ["persons", 17]),
    ]


@pytest.mark.parametrize("count", [0, 1, 4, CROPS_AT_ONCE + 3])
def test_file_finds_what_the_predictor_finds(model: ViTPose, file: Path, count: int) -> None:
    """Any number of persons, none and more than go through the network at once too."""
    image, boxes = scene(count)
    expected = PosePredictor(model).predict(image, boxes)

    keypoints, scores, probabilities = open_exported(file, threads=1).whole()({"image": image, "boxes_xyxy": boxes})

    assert keypoints.shape == (count, 17, 2)
    agree(
        replace(expected, keypoints=keypoints, keypoint_scores=scores, keypoint_probabilities=probabilities), expected
    )


def test_boxes_that_cannot_be_cropped_give_nan_and_spare_the_others(file: Path) -> None:
    """Where the library raises, a file cannot; nobody takes these for poses."""
    image, boxes = scene(3)
    run = open_exported(file, threads=1).whole()
    alone = run({"image": image, "boxes_xyxy": boxes[[0, 2]]})
    boxes[1] = [50, 50, 40, 60]

    found = run({"image": image, "boxes_xyxy": boxes})

    assert np.isnan(found[0][1]).all()
    assert not found[1][1].any()
    assert not found[2][1].any()
    for values, expected in zip(found, alone, strict=True):
        np.testing.assert_array_equal(values[[0, 2]], expected)


def test_example_needs_neither_torch_nor_this_library(model: ViTPose, file: Path, tmp_path: Path) -> None:
    """The documented program, in a process of its own, prints the predictor's keypoints."""
    image, boxes = scene(2)
    np.save(tmp_path / "image.npy", image)
    program = (
        f"import runpy, sys; runpy.run_path({str(EXAMPLE)!r}); "
        "assert not {'torch', 'pcrpose', 'onnx'} & set(sys.modules), 'imported more than it says'"
    )
    arguments = [str(file), str(tmp_path / "image.npy"), *map(str, boxes.ravel().tolist())]

    result = subprocess.run(  # noqa: S603 - our own example
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True
    )

    poses = PosePredictor(model).predict(image, boxes)
    lines = result.stdout.splitlines()
    assert len(lines) == 2 * 17
    x, y = poses.keypoints[1, 3]
    score = poses.keypoint_scores[1, 3]
    assert lines[17 + 3].startswith("person 1, keypoint 3: x ")
    numbers = [float(word.strip(",")) for word in lines[17 + 3].split()[5::2]]
    np.testing.assert_allclose(numbers, [x, y, score], atol=0.02)


@pytest.mark.parametrize("flip", [False, True])
def test_exported_model_runs_behind_the_predictor(model: ViTPose, file: Path, *, flip: bool) -> None:
    """The predictor's own options hold, whatever the file does by itself."""
    image, boxes = scene(4)
    network = ExportedModel(file, threads=1)

    found = PosePredictor(network, flip=flip).predict(image, boxes)

    assert isinstance(network, HeatmapModel)
    expected = PosePredictor(model, flip=flip).predict(image, boxes)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-5)


def test_exported_model_and_detector_are_one_pipeline(model: ViTPose, file: Path) -> None:
    """Detections are rescored and suppressed as with the model itself."""
    image, boxes = scene(4)

    def detector(_image: Image) -> Detections:
        return Detections(boxes.astype(np.float64), np.array([0.9, 0.8, 0.7, 0.6]))

    found = PosePredictor(ExportedModel(file, threads=1), detector=detector).predict(image)

    expected = PosePredictor(model, detector=detector).predict(image)
    agree(found, expected, tolerance=1e-3)
    np.testing.assert_allclose(found.pose_scores, expected.pose_scores, atol=1e-5)


def test_exported_model_refuses_other_crops_and_takes_none(file: Path) -> None:
    """The size is fixed in the file; an empty batch gives empty heatmaps."""
    network = ExportedModel(file, threads=1)

    assert network(torch.zeros(0, 3, 96, 64)).final.shape == (0, 17, 24, 16)
    with pytest.raises(ValueError, match=r"expected \(B, 3, 96, 64\), which the file was exported for, found"):
        network(torch.zeros(1, 3, 64, 64))


def test_crops_are_read_where_asked_for(model: ViTPose, tmp_path: Path) -> None:
    """Keypoints are in pixels of the crop; the image's follow by the crop's own inverse."""
    path = tmp_path / "crops.onnx"
    image, boxes = scene(4)
    crops, pixels = model.config.crop_spec.cut(image, boxes)

    differences = export_model(model, path, crops=True)
    found = open_exported(path, threads=1).whole()({"crops": pixels})

    expected = PosePredictor(model).predict(image, boxes)
    assert differences.problems == []
    np.testing.assert_allclose(crops.inverse(found[0]), expected.keypoints, atol=1e-2)


def test_openvino_file_is_as_the_model(model: ViTPose, tmp_path: Path) -> None:
    """Both files are there, and run behind the predictor; half of the second is refused."""
    pytest.importorskip("openvino")
    path = tmp_path / "pose.xml"
    image, boxes = scene(4)
    crops, pixels = model.config.crop_spec.cut(image, boxes)
    expected = PosePredictor(model).predict(image, boxes)

    differences = export_model(model, path, format="openvino", crops=True)

    assert differences.problems == []
    assert differences.clear_keypoints > 50
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pose.bin", "pose.xml"]
    agree(PosePredictor(ExportedModel(path, threads=1)).predict(image, boxes), expected)
    whole = open_exported(path, threads=1).whole()
    np.testing.assert_allclose(crops.inverse(whole({"crops": pixels})[0]), expected.keypoints, atol=1e-2)
    assert [each.shape for each in whole({"crops": pixels[:0]})] == [(0, 17, 2), (0, 17), (0, 17)]
    weights = tmp_path / "pose.bin"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"pose\.xml: expected an OpenVINO file"):
        ExportedModel(path)


def test_file_of_other_weights_is_found_out(model: ViTPose, file: Path) -> None:
    """Same configuration, another network: verification says what differs, and by how much."""
    other = small_vitpose()
    with torch.no_grad():
        next(other.parameters()).mul_(1.1)

    differences = verify_export(file, other)

    assert differences.heatmaps > 1e-4
    assert any(problem.startswith("heatmaps: expected differences of at most") for problem in differences.problems)
    assert verify_export(file, model).problems == []


def test_file_that_differs_is_not_left_behind(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there before stays as it was."""
    other = small_vitpose()
    with torch.no_grad():
        next(other.parameters()).mul_(1.1)
    proto = onnx.load(file)
    monkeypatch.setattr("pcrpose.inference.export.pose_model_proto", lambda *_, **__: proto)
    path = tmp_path / "pose.onnx"
    path.write_text("before")

    with pytest.raises(ValueError, match=r"pose\.onnx: not written, as it differs from the model: heatmaps: expected"):
        export_model(other, path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["pose.onnx"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("scores", [0.5, float("nan")])
def test_other_scores_are_a_problem(exported: tuple[Path, ExportDifferences], scores: float) -> None:
    """Right keypoints with wrong scores are not as the model; nor are scores that are no number."""
    differences = replace(exported[1], keypoint_scores=scores)

    assert differences.problems == [f"keypoint_scores: expected differences of at most 0.001, found {scores:.2g}"]


def test_file_of_another_configuration_is_refused(file: Path) -> None:
    """Before anything is run."""
    other = small_vitpose(padding=1.5)

    with pytest.raises(ValueError, match=r"found another configuration, of ViTPose \(differs in padding\)$"):
        verify_export(file, other)


@pytest.mark.parametrize("kind", ["truncated", "foreign", "text", "suffix", "folder", "missing", "xml"])
def test_what_is_no_exported_file_gives_one_error(file: Path, tmp_path: Path, kind: str) -> None:
    """The message names the file, and says what was expected."""
    path = tmp_path / "pose.onnx"
    expected = "pose.onnx: expected "
    match kind:
        case "truncated":
            path.write_bytes(file.read_bytes()[:20_000])
        case "foreign":
            proto = onnx.load(file)
            del proto.metadata_props[:]
            onnx.save(proto, path)
            expected += "the metadata of a file that pcrpose exported, found none of"
        case "text":
            path.write_text("not a model")
        case "suffix":
            path, expected = tmp_path / "pose.pt", "pose.pt: expected an exported file, .onnx or .xml"
        case "folder":
            path.mkdir()
        case "missing":
            expected = "pose.onnx: no such exported file"
        case "xml":
            pytest.importorskip("openvino")
            path, expected = tmp_path / "pose.xml", "pose.xml: expected an OpenVINO file"
            path.write_text("<net")

    with pytest.raises((ValueError, FileNotFoundError), match=expected) as found:
        ExportedModel(path)

    assert "\n" not in str(found.value)


def test_what_cannot_be_exported_is_refused_at_once(model: ViTPose, tmp_path: Path) -> None:
    """A model without heatmaps, several at once, a suffix that says something else, a folder in the way."""
    path = tmp_path / "pose.onnx"
    coordinates = DeepPose(DeepPoseConfig(encoder="resnet_nano", input_size=Size(width=64, height=64)))
    ensemble: Any = Ensemble([model])

    with pytest.raises(ValueError, match="export: expected a model that predicts heatmaps, not coordinates"):
        export_model(coordinates, path)
    with pytest.raises(TypeError, match="model: expected one from load_model, found Ensemble"):
        export_model(ensemble, path)
    with pytest.raises(ValueError, match=r"expected the suffix \.onnx for onnx"):
        export_model(model, tmp_path / "pose.xml")
    with pytest.raises(ValueError, match="openvino: expected crops=True"):
        export_model(model, tmp_path / "pose.xml", format="openvino")
    path.mkdir()
    with pytest.raises(ValueError, match="expected a file to write, found a folder"):
        export_model(model, path)


def test_missing_package_is_named_before_any_work(
    model: ViTPose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else object())

    with pytest.raises(ImportError, match=r"openvino files need openvino: pip install '.+\[openvino\]'"):
        export_model(model, tmp_path / "pose.xml", format="openvino", crops=True)


def test_bfloat16_is_openvino_s_alone(file: Path) -> None:
    """The other runtime computes in what the file holds."""
    with pytest.raises(ValueError, match="expected float32, which onnxruntime computes in, found bfloat16"):
        ExportedModel(file, dtype=torch.bfloat16)
