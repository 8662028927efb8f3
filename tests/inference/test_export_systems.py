"""Every system, encoder and pixel convention, exported and verified: minutes, as torch's exporter is slow."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pcrpose.inference.export import export_model
from pcrpose.inference.exported_file import ExportFormat
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.decoding import Decoding
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.load import build_model, load_model
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig
from pcrpose.models.vitpose import ViTPoseConfig

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow

SMALL = Size(width=64, height=96)
CONFIGS: dict[str, tuple[PoseConfig, Decoding]] = {
    "simple baseline, edge, blackout": (
        SimpleBaselineConfig(
            encoder="resnet_nano", channels=(16, 16, 16), alignment="edge", blackout=1.1, input_size=SMALL
        ),
        "quarter",
    ),
    "vitpose, udp, classic": (
        ViTPoseConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, alignment="udp", input_size=SMALL
        ),
        "udp",
    ),
    "hrnet": (HighResolutionPoseConfig(input_size=SMALL), "dark"),
    "pcr, probability, bgr": (
        PCRConfig(
            encoder="resnet_nano",
            channels=(16, 16, 16),
            num_decoders=2,
            heatmaps="probability",
            channel_order="bgr",
            input_size=SMALL,
        ),
        "soft_argmax",
    ),
}


def verified(config: PoseConfig, decoding: Decoding, path: Path) -> None:
    """Export a network with random weights, its heads further from flat, and assert that its file is as itself."""
    torch.manual_seed(3)
    model = build_model(config).eval()
    for parameter in model.parameters():
        if parameter.dim() == 4 and parameter.shape[0] == config.skeleton.num_keypoints:
            torch.nn.init.normal_(parameter, std=0.5)

    differences = export_model(model, path, decoding=decoding)

    assert differences.problems == []


@pytest.mark.parametrize("name", CONFIGS)
def test_file_of_each_convention_is_as_its_model(name: str, tmp_path: Path) -> None:
    """Alignments, channel orders, kinds of heatmaps and a blackout."""
    verified(*CONFIGS[name], tmp_path / "pose.onnx")


@pytest.mark.parametrize("architecture", ["MultiStagePose", "CascadedPyramid", "StackedHourglass"])
def test_file_of_each_system_is_as_its_model(
    tiny_system: Callable[[str], PoseConfig], architecture: str, tmp_path: Path
) -> None:
    """The systems beside the paper's."""
    verified(tiny_system(architecture), "dark", tmp_path / "pose.onnx")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_file_of_each_encoder_is_as_its_model(encoder: str, tmp_path: Path) -> None:
    """The paper's network on each of them; as many modules as it needs."""
    width = 16
    for modules in range(1, 4):
        try:
            config = PCRConfig(encoder=encoder, channels=(width,) * modules, se_norm="none", input_size=SMALL)
        except ValueError:
            continue
        break
    verified(config, "argmax", tmp_path / "pose.onnx")


@pytest.mark.parametrize("export_format", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["pcr-nano", "pcr-small"])
def test_file_of_each_shipped_model_is_as_its_model(name: str, export_format: ExportFormat, tmp_path: Path) -> None:
    """Weights that find people."""
    if export_format == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / ("pose.xml" if export_format == "openvino" else "pose.onnx")

    differences = export_model(load_model(name), path, format=export_format, crops=export_format == "openvino")

    assert differences.problems == []
    assert differences.exceptions == 0
    assert differences.clear_keypoints > 50
