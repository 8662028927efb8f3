"""Weights of timm and torchvision: every name of theirs is known, and their numbers come out.

The lists of names in ``published`` and the features below were made once with timm 1.0.31 and torchvision 0.29.1, in
double precision, from tensors that are a function of their names. Neither is needed here.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from pcrpose.keypoints.boxes import Size
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.mobilenet_v2 import MobileNetV2
from pcrpose.models.pcr import PCR, PCRConfig

Shapes = dict[str, tuple[int, ...]]
Tensors = Callable[[str], dict[str, Tensor]]
SHIFTED = "stride 2 pad"


class Features(NamedTuple):
    """Features of the generated crop: the mean, and three channels at the first and the last cell."""

    mean: float
    first: tuple[float, float, float]
    last: tuple[float, float, float]


# With the padding of the encoder: timm's MobileNetV2 with pad_type="same", torchvision's padded by hand before strides.
RECORDED = {
    "timm_efficientnet_lite0": Features(
        -0.063186696, (-0.898590, 3.447809, -1.586555), (3.069330, -1.893593, -5.828893)
    ),
    "timm_efficientnet_b0": Features(0.000526914, (-0.051988, 0.029819, 0.092805), (0.089500, 0.034255, -0.159779)),
    "torchvision_efficientnet_b0": Features(
        0.006641326, (-0.054042, 0.099711, -0.003129), (-0.006026, -0.129015, 0.013926)
    ),
    "timm_mobilenetv2_100, fine": Features(
        0.573514827, (0.465009, -0.942747, 3.938033), (-6.599389, 5.526798, -2.737716)
    ),
    "timm_mobilenetv2_100, coarse": Features(1.392075252, (6.0, 0.0, 1.138595), (0.0, 0.0, 3.485609)),
    "torchvision_mobilenet_v2, fine": Features(
        -0.220005056, (-1.136244, 5.302832, -1.629830), (-1.073276, 1.742678, 3.732154)
    ),
    "torchvision_mobilenet_v2, coarse": Features(1.434471306, (0.0, 2.646527, 0.0), (0.0, 1.974912, 6.0)),
}


def small(encoder: str, **changes: Any) -> PCR:  # noqa: ANN401 - any field
    """Build a network with that encoder, narrow decoders and a small crop."""
    size = Size(width=32, height=64)
    return PCR(PCRConfig(encoder=encoder, channels=(8, 8, 8), se_norm="none", input_size=size, **changes)).eval()


def check(found: Tensor, name: str) -> None:
    """Compare ``(1, C, H, W)`` features with what is recorded."""
    recorded = RECORDED[name]
    assert found.mean().item() == pytest.approx(recorded.mean, abs=1e-5)
    assert found[0, :3, 0, 0].tolist() == pytest.approx(recorded.first, rel=1e-4, abs=1e-5)
    assert found[0, -3:, -1, -1].tolist() == pytest.approx(recorded.last, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "encoder", "last"),
    [
        ("timm_efficientnet_lite0", "efficientnet_lite0", ("conv_head", "bn2", "classifier")),
        ("timm_efficientnet_b0", "efficientnet_b0", ("conv_head", "bn2", "classifier")),
        ("torchvision_efficientnet_b0", "efficientnet_b0", ("features.8.0", "features.8.1", "classifier.1")),
    ],
)
def test_efficientnets_give_the_published_features(
    name: str, encoder: str, last: tuple[str, ...], published_tensors: Tensors, published_crops: Tensor, tmp_path: Path
) -> None:
    """Lite's norms have another epsilon, which the weights make up for; the classifier and what feeds it stay out."""
    tensors = published_tensors(name)
    save_file(tensors, tmp_path / "weights.safetensors")
    model = small(encoder)

    report = load_encoder(model, tmp_path / "weights.safetensors")

    assert set(report.left_out) == {key for key in tensors if key.rpartition(".")[0] in last}
    assert report.differences == ()
    with torch.no_grad():
        check(model.double().encoder(published_crops), name)


@pytest.mark.parametrize("name", ["timm_mobilenetv2_100", "torchvision_mobilenet_v2"])
def test_mobilenet_v2_gives_the_published_features_but_for_padding(
    name: str, published_tensors: Tensors, published_crops: Tensor, tmp_path: Path
) -> None:
    """With norms folded: the numbers of their network if it padded as TensorFlow does, and a note that it does not."""
    torch.save(published_tensors(name), tmp_path / "weights.pth")
    model = small("mobilenet_v2")

    report = load_encoder(model, tmp_path / "weights.pth")

    assert set(report.left_out) == {key for key in published_tensors(name) if key.startswith("classifier")}
    assert set(report.copied) == set(model.encoder.state_dict())
    assert [SHIFTED in difference for difference in report.differences] == [True]
    network = model.double().encoder
    assert isinstance(network, MobileNetV2)
    with torch.no_grad():
        fine, enlarged = network(published_crops).split([96, 1280], dim=1)
        coarse = functional.relu6(network.last(network.blocks(functional.relu6(network.stem(published_crops)))))
    check(fine, f"{name}, fine")
    check(coarse, f"{name}, coarse")
    torch.testing.assert_close(enlarged, functional.interpolate(coarse, scale_factor=2, mode="bilinear"))


def test_resnets_names_are_ours(published_shapes: Callable[[str], Shapes], tmp_path: Path) -> None:
    """Those of timm and torchvision, which are the same; the published network's numbers are checked elsewhere."""
    tensors = {name: torch.full(shape, 0.5) for name, shape in published_shapes("timm_resnet50").items()}
    save_file(tensors, tmp_path / "resnet50.safetensors")
    model = small("resnet50")

    report = load_encoder(model, tmp_path / "resnet50.safetensors")

    assert set(report.left_out) == {"fc.weight", "fc.bias"}
    assert set(report.copied) == set(tensors) - set(report.left_out)
    assert bool((model.encoder.state_dict()["layer3.5.conv2.weight"] == 0.5).all())


def test_hrnets_names_are_ours(
    published_shapes: Callable[[str], Shapes], golden_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """The recorded encoder of the pose network; around it, what timm's classifying network has is left out by name."""
    listed = json.loads(golden_file("models/state_dict_hrnet_w32.json").read_text())["tensors"]
    encoder = {name: tuple(shape) for name, shape, _ in listed if not name.startswith("final_") and shape}
    around = published_shapes("timm_hrnet_w32_beyond")
    tensors = {name: torch.full(shape, 0.5) for name, shape in {**encoder, **around}.items()}
    save_file(tensors, tmp_path / "hrnet.safetensors")

    report = load_encoder(small("hrnet_w32"), tmp_path / "hrnet.safetensors")

    assert set(report.left_out) == set(around)
    assert set(report.copied) == set(encoder)


def with_configuration(folder: Path, tensors: dict[str, Tensor], architecture: str, mean: float = 0.5) -> Path:
    """Write a folder as timm's repositories are."""
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    about = {"mean": [mean] * 3, "std": [0.5] * 3}
    text = json.dumps({"architecture": architecture, "num_classes": 1000, "pretrained_cfg": about})
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize("source", ["folder", "file"])
def test_tensorflows_weights_are_told_apart(source: str, published_tensors: Tensors, tmp_path: Path) -> None:
    """The same tensors under TensorFlow's name, in a configuration or a file's name, keep epsilon and pad otherwise."""
    tensors = published_tensors("timm_efficientnet_lite0")
    path = with_configuration(tmp_path / "downloaded", tensors, "tf_efficientnet_lite0")
    if source == "file":
        path = (path / "model.safetensors").rename(tmp_path / "tf_efficientnet_lite0-0aa007d2.safetensors")
    model = small("efficientnet_nano", pixel_mean=(0.5, 0.5, 0.5), pixel_std=(0.5, 0.5, 0.5))

    report = load_encoder(model, path)

    assert torch.equal(model.encoder.state_dict()["stem.norm.weight"], tensors["bn1.weight"])
    assert [SHIFTED in difference for difference in report.differences] == [True]
    assert "blocks.5.3.conv_pwl.weight" in report.left_out
    assert "blocks.6.0.conv_dw.weight" in report.left_out


def test_gated_and_plain_networks_are_told_apart(published_tensors: Tensors, tmp_path: Path) -> None:
    """EfficientNet-B0 and its Lite form have the same convolutions; the gates make the difference."""
    save_file(published_tensors("timm_efficientnet_b0"), tmp_path / "b0.safetensors")
    save_file(published_tensors("timm_efficientnet_lite0"), tmp_path / "lite.safetensors")

    with pytest.raises(ValueError, match=r"Lite weights, found 'blocks\.0\.0\.se\.conv_\w+\.\w+' too"):
        load_encoder(small("efficientnet_lite0"), tmp_path / "b0.safetensors")
    with pytest.raises(ValueError, match=r"B0 weights, found no tensor 'blocks\.0\.0\.se\.conv_reduce\.weight'"):
        load_encoder(small("efficientnet_b0"), tmp_path / "lite.safetensors")


def test_another_normalization_is_said(
    published_tensors: Tensors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who trains on with other means than the weights know is warned."""
    tensors = published_tensors("timm_efficientnet_lite0")
    folder = with_configuration(tmp_path / "downloaded", tensors, "efficientnet_lite0", mean=0.25)
    model = small("efficientnet_lite0", pixel_std=(0.5, 0.5, 0.5))

    report = load_encoder(model, folder)

    said = "it was trained with pixel_mean [0.25, 0.25, 0.25], the model has [0.485, 0.456, 0.406]"
    assert report.differences == (said,)
    assert said in caplog.text


def test_a_network_that_only_looks_alike_is_refused(tmp_path: Path) -> None:
    """Blurred pooling has no tensors, so that only the configuration tells."""
    model = small("resnet18")
    folder = with_configuration(tmp_path / "downloaded", model.encoder.state_dict(), "resnetblur18")

    with pytest.raises(ValueError, match="expected the weights of resnet18, found those of resnetblur18"):
        load_encoder(model, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.2.0.conv_dw.weight": None}, r"MobileNetV2 weights, found no tensor 'blocks\.2\.0\.conv_dw\.weight'"),
        ({"blocks.2.0.se.conv_reduce.bias": (8,)}, r"found 'blocks\.2\.0\.se\.conv_reduce\.bias' too"),
        ({"blocks.7.0.conv_pw.weight": (8, 8, 1, 1)}, r"found 'blocks\.7\.0\.conv_pw\.weight' too"),
        ({"conv_stem.weight": (48, 3, 3, 3)}, r"stem: expected a norm of 48 channels, found 32"),
        ({"conv_stem.weight": (32, 1, 3, 3)}, r"stem\.weight: expected shape \(32, 3, 3, 3\), found \(32, 1, 3, 3\)"),
    ],
)
def test_mobilenets_that_are_others(
    change: dict[str, tuple[int, ...] | None], message: str, published_tensors: Tensors, tmp_path: Path
) -> None:
    """A missing, strange or misshapen tensor is named by its published name, and nothing is loaded."""
    tensors = published_tensors("timm_mobilenetv2_100")
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape is not None:
            tensors[name] = torch.ones(shape)
    save_file(tensors, tmp_path / "odd.safetensors")
    model = small("mobilenet_v2")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(ValueError, match=message):
        load_encoder(model, tmp_path / "odd.safetensors")

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_each_row_names_whose_weights_it_takes() -> None:
    """All encoders but ours take somebody's; each of those is told by a tensor."""
    assert [name for name, row in ENCODERS.items() if not row.published] == ["resnet_nano"]
    assert all(published.holds for row in ENCODERS.values() for published in row.published.values())
