"""Published checkpoints become models of ours: names, shapes, channels, and the published numbers through it all."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcrpose.cli.main import main
from pcrpose.keypoints.boxes import Size
from pcrpose.models import convert
from pcrpose.models.checkpoints.networks import NETWORKS
from pcrpose.models.checkpoints.original import to_published
from pcrpose.models.convert import MisfitError, convert_checkpoint
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

if TYPE_CHECKING:
    from tests.models.conftest import PublishedNetwork

    from pcrpose.models.pose_config import ChannelOrder, PoseConfig

SIZE = Size(width=32, height=64)
TINY = SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE)
WIDE = replace(TINY, channels=(8, 8, 16))
OURS = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), se_norm="none", input_size=SIZE)
Network = tuple[str, dict[str, Tensor]]


@pytest.fixture
def baseline(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Let small networks be known, and return the tensors of one by their original names."""
    small: Mapping[str, PoseConfig] = {"tiny-64x32": TINY, "wide-64x32": WIDE, "pcr-64x32": OURS}
    monkeypatch.setattr(convert, "NETWORKS", small)
    torch.manual_seed(5)
    return to_published(SimpleBaseline(TINY).state_dict())


def as_mmpose(tensors: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """Name tensors as mmpose does: the encoder's under ``backbone``, the others under the head of its version."""
    decoder = ("deconv_layers.", "final_layer.")
    return {
        (f"{head}." if name.startswith(decoder) else "backbone.") + name: tensor for name, tensor in tensors.items()
    }


@pytest.mark.parametrize(
    ("head", "family", "channels"),
    [("", "original", "bgr"), ("keypoint_head", "mmpose 0.x", "rgb"), ("head", "mmpose 1.x", "rgb")],
)
def test_each_familys_names_are_known(
    baseline: dict[str, Tensor], head: str, family: str, channels: "ChannelOrder", tmp_path: Path
) -> None:
    """The same tensors arrive; the original Simple Baselines read blue first, as OpenCV did for them."""
    named = as_mmpose(baseline, head) if head else baseline
    torch.save({"state_dict": named, "meta": {"epoch": 210}}, tmp_path / "weights.pth")

    converted = convert_checkpoint(tmp_path / "weights.pth", "tiny-64x32")

    assert converted.family.name == family
    assert converted.model.config == replace(TINY, channel_order=channels)
    assert not converted.model.training
    found = to_published(converted.model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in baseline.items())
    assert list(found) == list(baseline)


def test_wrappings_and_missing_counters(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    """DataParallel's prefix under ``model``, and no counters of batches: files of 2018."""
    old = {f"module.{name}": tensor for name, tensor in baseline.items() if not name.endswith("num_batches_tracked")}
    torch.save({"model": old}, tmp_path / "weights.pth.tar")

    model = convert_checkpoint(tmp_path / "weights.pth.tar", "tiny-64x32").model

    assert torch.equal(model.state_dict()["final_layer.weight"], baseline["final_layer.weight"])


def test_the_channel_order_can_be_stated(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    """Who trained with original names on RGB images says so."""
    torch.save(baseline, tmp_path / "weights.pth")

    model = convert_checkpoint(tmp_path / "weights.pth", "tiny-64x32", channel_order="rgb").model

    assert model.config.channel_order == "rgb"


@pytest.mark.usefixtures("baseline")
def test_our_own_names(tmp_path: Path) -> None:
    """A state dict of a PCR that was saved without its configuration is at home."""
    torch.manual_seed(6)
    own = PCR(OURS).state_dict()
    torch.save(own, tmp_path / "weights.pt")

    converted = convert_checkpoint(tmp_path / "weights.pt", "pcr-64x32")

    assert converted.family.name == "pcrpose"
    assert all(torch.equal(tensor, own[name]) for name, tensor in converted.model.state_dict().items())


def test_five_problems_and_their_count(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    """Strange names first as they are in the file, then what is missing; all of them travel with the error."""
    strange = {f"tower.{index}.weight": torch.zeros(1) for index in range(6)}
    del baseline["final_layer.bias"]
    torch.save(baseline | strange, tmp_path / "weights.pth")

    with pytest.raises(MisfitError) as caught:
        convert_checkpoint(tmp_path / "weights.pth", "tiny-64x32")

    message = str(caught.value)
    assert "weights.pth: 7 tensors do not fit tiny-64x32: " in message
    assert message.count("unexpected") == 5
    assert "; and 2 more" in message
    assert caught.value.problems[-1] == "missing final_layer.bias"
    assert len(caught.value.problems) == 7


def test_another_network_is_recognized(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    """Shapes are compared, and the network that fits is offered."""
    torch.save(baseline, tmp_path / "weights.pth")

    with pytest.raises(
        MisfitError,
        match=r"layers\.6\.weight: expected shape \(8, 16, 4, 4\), found \(8, 8, 4, 4\); .*; it fits tiny-64x32$",
    ):
        convert_checkpoint(tmp_path / "weights.pth", "wide-64x32")


def test_an_encoder_alone_is_no_pose_network(baseline: dict[str, Tensor], tmp_path: Path) -> None:
    """ImageNet's weights belong elsewhere, and the error says where."""
    encoder = {name: tensor for name, tensor in baseline.items() if not name.startswith(("deconv_", "final_"))}
    torch.save(encoder | {"fc.weight": torch.zeros(1000, 192)}, tmp_path / "weights.pth")

    with pytest.raises(ValueError, match=r"found an encoder with its classifier; load_encoder"):
        convert_checkpoint(tmp_path / "weights.pth", "tiny-64x32")


@pytest.mark.usefixtures("baseline")
def test_no_tensors_at_all(tmp_path: Path) -> None:
    """An empty state dict is missing everything."""
    torch.save({}, tmp_path / "weights.pth")

    with pytest.raises(MisfitError, match=r"missing encoder\.conv1\.weight"):
        convert_checkpoint(tmp_path / "weights.pth", "tiny-64x32")


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("pose_resnet_50_256x192_caffe.pth", "simple-baseline-r50-256x192", "stride in their first convolution"),
        ("hrnet_w32_coco_256x192_udp-aba0be42.pth", "hrnet-w32-256x192", "pixel convention"),
        ("pose_hrnet_w32_384x288.pth", "hrnet-w32-256x192", "the file's name says 384x288, found hrnet-w32-256x192"),
        ("x.pth", "hrnet-w32", "did you mean hrnet-w32-256x192 or hrnet-w32-384x288"),
        ("x.pth", "hrnet-w84-256x192", "did you mean hrnet-w48-256x192"),
    ],
)
def test_what_names_alone_can_tell(file: str, name: str, message: str, tmp_path: Path) -> None:
    """Where tensors fit two networks, the name of the file is read, before the file."""
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tmp_path / file, name)


def test_networks_read_what_they_were_trained_on() -> None:
    """Sizes in the names are those of the configurations; sigma is 2 cells at the small size and 3 at the large."""
    sigmas = {"256x192": 8.0, "384x288": 12.0}
    for name, config in NETWORKS.items():
        assert name.endswith(f"-{config.input_size}")
        assert config.sigma == sigmas[str(config.input_size)]
        assert config.alignment == ("center" if name.startswith("pcr-") else "edge")


def golden_through_convert(network: "PublishedNetwork", name: str, head: str, folder: Path) -> Tensor:
    """Write a reference network's tensors as its authors would, convert them on the command line, load and run it."""
    tensors = to_published(network.model.state_dict())
    torch.save({"state_dict": as_mmpose(tensors, head) if head else tensors}, folder / "golden.pth")
    code = main(["convert", str(folder / "golden.pth"), "--as", name, "--out", str(folder / "out")])
    assert code == 0
    crops = network.crops
    with torch.no_grad():
        heatmaps: Tensor = load_model(folder / "out")(crops).final
    return heatmaps


def test_the_published_numbers_come_through(
    published: "Callable[[str], PublishedNetwork]",
    golden: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """File, command, folder, model: every cell of every heatmap equals the reference's."""
    monkeypatch.setattr(convert, "NETWORKS", {"r18": SimpleBaselineConfig(encoder="resnet18")})
    network = published("poseresnet_18_256x192")

    heatmaps = golden_through_convert(network, "r18", "", tmp_path)

    expected = golden("models/model_outputs")["poseresnet_18_256x192"]
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=network.facts["tolerance_float32_abs"])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["", "keypoint_head", "head"])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("poseresnet_50_256x192", "simple-baseline-r50-256x192"),
        ("poseresnet_152_256x192", "simple-baseline-r152-256x192"),
        ("hrnet_w32_256x192", "hrnet-w32-256x192"),
        ("hrnet_w32_384x288", "hrnet-w32-384x288"),
        ("hrnet_w48_256x192", "hrnet-w48-256x192"),
    ],
)
def test_the_published_numbers_of_every_network(
    key: str,
    name: str,
    head: str,
    published: "Callable[[str], PublishedNetwork]",
    golden: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    """Likewise for the networks that users convert, in the names of each family."""
    network = published(key)

    heatmaps = golden_through_convert(network, name, head, tmp_path)

    expected = golden("models/model_outputs")[key]
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=network.facts["tolerance_float32_abs"])
