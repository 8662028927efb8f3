"""The script that the page on scaling out names."""

import importlib.util
from pathlib import Path

import pytest

from pcrpose.models.pcr import PCR

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "train.py"
PAGE = EXAMPLE.parents[1] / "docs" / "learn" / "scale-out.md"


def test_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the script that the page launches, and prints the folder of a model."""
    spec = importlib.util.spec_from_file_location("train_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    script.main(["--output", str(tmp_path), *["--count", "4", "--epochs", "1", "--batch-size", "4", "--workers", "0"]])

    folder = capsys.readouterr().out.strip()
    assert folder == str(tmp_path / "final")
    assert PCR.from_pretrained(folder).config.encoder == "resnet_nano"
    assert "examples/train.py --output" in PAGE.read_text(encoding="utf-8")
