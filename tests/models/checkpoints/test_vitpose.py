"""Folders that transformers' ``save_pretrained`` wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pcrpose.models.checkpoints.vitpose import config_of
from pcrpose.models.load import load_model
from pcrpose.models.vitpose import VARIANTS, ViTPose, ViTPoseConfig

LABELS = ["Nose"] + [
    f"{side}_{part}"
    for part in ("Eye", "Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
    for side in ("L", "R")
]
OF_THE_TRANSFORMER = {"hidden_act", "patch_size", "qkv_bias", "hidden_dropout_prob", "out_features"}
Write = Callable[..., tuple[Path, nn.Module]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a writer of a folder of a small network, by transformers itself."""

    def save(*, simple: bool = True, labels: list[str] = LABELS, **backbone: Any) -> tuple[Path, nn.Module]:  # noqa: ANN401 - any field of theirs
        from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation  # noqa: PLC0415 - slow
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415 - as above

        disable_progress_bar()
        sizes: dict[str, Any] = {
            "hidden_size": 24,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "out_indices": [2],
        }
        config = VitPoseConfig(
            backbone_config=VitPoseBackboneConfig(**{**sizes, "image_size": [64, 48], **backbone}),
            id2label=dict(enumerate(labels)),
            use_simple_decoder=simple,
        )
        network = VitPoseForPoseEstimation(config).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(std=0.2)
        network.save_pretrained(tmp_path / "theirs")
        return tmp_path / "theirs", network

    return save


@pytest.fixture
def folder(write: Write) -> Path:
    """Write one plain folder."""
    return write()[0]


def change(folder: Path, **values: Any) -> None:  # noqa: ANN401 - any value of JSON
    """Change values of a folder's configuration; those of the transformer where it has them."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name, value in values.items():
        (config["backbone_config"] if name in OF_THE_TRANSFORMER else config)[name] = value
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("simple", [True, False])
@pytest.mark.parametrize("experts", [1, 3])
def test_a_folder_of_transformers_loads_by_its_path(simple: bool, experts: int, write: Write) -> None:  # noqa: FBT001 - pytest passes by keyword
    """Either decoder, with and without experts: the heatmaps are theirs, COCO being their first data set."""
    path, network = write(simple=simple, num_experts=experts, part_features=6)
    crops = torch.randn(2, 3, 64, 48)

    model = load_model(path)

    with torch.no_grad():
        expected = network(crops, dataset_index=torch.zeros(2, dtype=torch.long)).heatmaps
        torch.testing.assert_close(model(crops).final, expected, rtol=0, atol=1e-5)
    assert isinstance(model, ViTPose)
    assert not model.training
    assert model.config == ViTPoseConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        input_size=model.config.input_size,
        layer_norm_eps=1e-12,
        decoder="simple" if simple else "classic",
    )
    assert str(model.config.input_size) == "64x48"


def test_a_loaded_network_is_saved_as_ours(folder: Path, tmp_path: Path) -> None:
    """Afterwards it is a model like any other, of the same weights."""
    model = ViTPose.from_pretrained(folder)
    model.save_pretrained(tmp_path / "ours")
    again = load_model(tmp_path / "ours")

    assert json.loads((tmp_path / "ours" / "config.json").read_text())["architecture"] == "ViTPose"
    assert again.config == model.config
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_the_published_configurations_are_read() -> None:
    """What they leave out has transformers' defaults, the sizes of B among it; numbers stand for names in old ones."""
    backbone = {"model_type": "vitpose_backbone", "out_features": ["stage12"], "out_indices": [12], "part_features": 0}
    labels = {str(index): f"LABEL_{index}" for index in range(17)}
    config = {"architectures": ["VitPoseForPoseEstimation"], "backbone_config": backbone, "id2label": labels}

    found = ViTPoseConfig.from_dict(config_of(config, "config.json"))

    assert found == ViTPoseConfig(**VARIANTS["B"], layer_norm_eps=1e-12, decoder="simple")


def test_every_tensor_is_expected_once(folder: Path) -> None:
    """Those that are missing, unexpected or of another shape are named in one error."""
    tensors = load_file(folder / "model.safetensors")
    tensors["backbone.cls_token"] = torch.zeros(1, 1, 24)
    del tensors["backbone.encoder.layer.1.attention.attention.key.bias"], tensors["head.conv.bias"]
    save_file(tensors, folder / "model.safetensors")

    with pytest.raises(ValueError, match="the weights do not fit the configuration: ") as raised:
        load_model(folder)

    message = str(raised.value)
    for problem in (
        "missing encoder.blocks.1.qkv.bias",
        "missing final_layer.bias",
        "unexpected backbone.cls_token",
        "unexpected backbone.encoder.layer.1.attention.attention.query.bias",
    ):
        assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architectures": ["ViTModel"]}, r"expected the architecture VitPoseForPoseEstimation, found \['ViTModel'\]"),
        ({"backbone_config": None}, "backbone_config: expected an object, found None"),
        ({"hidden_act": "relu"}, "hidden_act: expected gelu, found 'relu'"),
        ({"patch_size": [8, 8]}, r"patch_size: expected \[16, 16\], found \[8, 8\]"),
        ({"qkv_bias": False}, "qkv_bias: expected True, found False"),
        ({"hidden_dropout_prob": 0.1}, "hidden_dropout_prob: expected 0, found 0.1"),
        ({"out_features": ["stage1"]}, r"out_features: expected the last of 2 stages, found \['stage1'\]"),
        ({"scale_factor": 2}, "scale_factor: expected 4, found 2"),
        ({"id2label": {"0": "Tip", "1": "Throat"}}, "expected the 17 keypoints of COCO, found 2: Tip, Throat"),
        ({"id2label": None}, "expected the 17 keypoints of COCO, found 0: no names"),
    ],
)
def test_other_networks_are_refused(values: dict[str, Any], message: str, folder: Path) -> None:
    """Before the weights are read, in one line that names the file."""
    change(folder, **values)
    with pytest.raises(ValueError, match=rf"config\.json: .*{message}$"):
        load_model(folder)
