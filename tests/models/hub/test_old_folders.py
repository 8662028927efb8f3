"""Folders of models that earlier versions shipped."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR

FOLDERS = json.loads((Path(__file__).parents[2] / "golden" / "pcr_nano_folders.json").read_text(encoding="utf-8"))
DTYPES = {"F16": torch.float16, "I64": torch.int64}


@pytest.mark.parametrize(("input_size", "encoder"), [("160x128", "resnet_nano"), ("192x144", "efficientnet_nano")])
def test_a_pcr_nano_that_was_saved_once_still_loads(input_size: str, encoder: str, tmp_path: Path) -> None:
    """Names of fields, their values and the names of tensors are those that 0.1.0 wrote; every tensor is used."""
    saved = FOLDERS[input_size]
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(shape, generator=generator).to(DTYPES[dtype])
        for name, (dtype, shape) in saved["tensors"].items()
    }
    (tmp_path / "config.json").write_text(json.dumps(saved["config"]), encoding="utf-8")
    save_file(tensors, tmp_path / "model.safetensors")

    model = load_model(tmp_path)

    assert isinstance(model, PCR)
    assert (str(model.config.input_size), model.config.encoder) == (input_size, encoder)
    assert model.config.alignment == "center"
    loaded = model.state_dict()
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in tensors.items())
