"""``pcrpose export`` and ``pcrpose verify``: a file that is as its model, or one line and no file."""

from pathlib import Path

import pytest
import torch

from pcrpose.cli.main import main
from pcrpose.inference.exported import ExportedModel
from pcrpose.keypoints.boxes import Size
from pcrpose.models.vitpose import ViTPose, ViTPoseConfig

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CHEAP = ("--crops", "--no-flip", "--decoding", "argmax")  # little for torch's exporter to go through


@pytest.fixture
def vitpose(here: Path) -> ViTPose:
    """Save the network with the fewest nodes as ``tiny``, in the folder where commands run."""
    config = ViTPoseConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        mlp_ratio=1,
        decoder="simple",
        input_size=Size(width=64, height=64),
    )
    model = ViTPose(config).eval()
    model.save_pretrained(here / "tiny")
    return model


@pytest.mark.usefixtures("vitpose")
def test_a_model_becomes_a_file_that_is_verified(vitpose: ViTPose, capsys: pytest.CaptureFixture[str]) -> None:
    """Both commands print the largest differences; another network's are too large, exit code 1."""
    assert main(["export", "./tiny", "--to", "onnx", "--out", "new/pose.onnx", *CHEAP]) == 0
    written = capsys.readouterr().out
    assert main(["verify", "new/pose.onnx", "--against", "./tiny"]) == 0
    verified = capsys.readouterr().out
    with torch.no_grad():
        for parameter in vitpose.parameters():
            parameter.add_(0.1)
    vitpose.save_pretrained("other")
    assert main(["verify", "new/pose.onnx", "--against", "./other"]) == 1
    refused = capsys.readouterr().out

    assert written.startswith("new/pose.onnx: ")
    assert "largest differences\n  heatmaps, same crops: " in written
    assert written.endswith(verified)
    assert "too large: heatmaps: expected differences of at most 0.0001, found " in refused
    assert [path.name for path in Path("new").iterdir()] == ["pose.onnx"]
    assert ExportedModel("new/pose.onnx").config == vitpose.config


@pytest.mark.usefixtures("vitpose")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "onnx", "--out", "pose.xml"], "pose.xml: expected the suffix .onnx for onnx"),
        (["--to", "openvino", "--out", "pose.xml"], "openvino: expected crops=True (--crops)"),
        (["--to", "tflite", "--out", "pose.tflite"], "argument --to: invalid choice: 'tflite'"),
        (["--out", "pose.onnx", "--decoding", "drak"], "argument --decoding: invalid choice: 'drak'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, nothing on stdout, no file."""
    assert main(["export", "./tiny", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["tiny"]


@pytest.mark.usefixtures("vitpose")
@pytest.mark.parametrize(("name", "found"), [("cut.onnx", "expected "), ("none.onnx", "no such exported file")])
def test_what_is_no_exported_file_is_one_line(name: str, found: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, the file named."""
    Path("cut.onnx").write_bytes(b"\x08\x0a\x12")

    assert main(["verify", name, "--against", "./tiny"]) == 2

    err = capsys.readouterr().err
    assert err.startswith(f"pcrpose verify: {name}: {found}")
    assert len(err.splitlines()) == 1
