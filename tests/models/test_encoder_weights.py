"""Pretrained encoders: published names are recognized, nothing is missed, nothing unsafe is run."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.skeleton import AIC_14
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.hrnet_pose import HighResolutionPose, HighResolutionPoseConfig
from pcrpose.models.load import build_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

SIZE = Size(width=32, height=64)


def small(encoder: str = "resnet18") -> PCR:
    """Build a network with a real encoder and narrow decoders."""
    return PCR(PCRConfig(encoder=encoder, channels=(8, 8, 8), se_norm="none", input_size=SIZE))


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Draw a tensor of each shape; variances are positive."""
    return {name: torch.rand(shape) + 0.5 for name, shape in shapes.items()}


@pytest.fixture
def imagenet(golden_file: Callable[[str], Path]) -> dict[str, Tensor]:
    """Return ResNet-18's tensors by their published names, as old as the first files: without counters."""
    listed = json.loads(golden_file("models/state_dict_poseresnet_18.json").read_text())["tensors"]
    shapes = {name: tuple(shape) for name, shape, _ in listed if not name.startswith(("deconv_", "final_"))}
    shapes = {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    return drawn(shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)})


def untouched(before: dict[str, Tensor], model: nn.Module, *, prefix: str = "") -> bool:
    """Return whether the tensors whose names begin so, or not with ``encoder.``, are as they were."""
    names = [name for name in before if name.startswith(prefix) and (prefix or not name.startswith("encoder."))]
    return bool(names) and all(torch.equal(before[name], model.state_dict()[name]) for name in names)


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's tensors."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_published_resnet_becomes_the_encoder(imagenet: dict[str, Tensor], suffix: str, tmp_path: Path) -> None:
    """Every tensor arrives, the classifier is left out, decoders and heads stay as they were."""
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(imagenet, path)
    else:
        save_file(imagenet, path)
    model = small()
    before = copied(model)

    report = load_encoder(model, path)

    assert set(report.left_out) == {"fc.weight", "fc.bias"}
    assert set(report.copied) == set(imagenet) - set(report.left_out)
    encoder = model.encoder.state_dict()
    assert all(torch.equal(encoder[name], imagenet[name]) for name in report.copied)
    assert untouched(before, model)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_what_training_scripts_wrap_around_is_taken_off(imagenet: dict[str, Tensor], key: str, tmp_path: Path) -> None:
    """A state dict under a key, with the names of several GPUs, is the same file."""
    wrapped = {key: {f"module.{name}": tensor for name, tensor in imagenet.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "checkpoint.pth")
    model = small()

    load_encoder(model, tmp_path / "checkpoint.pth")

    assert torch.equal(model.encoder.state_dict()["layer4.1.conv2.weight"], imagenet["layer4.1.conv2.weight"])


def test_half_precision_is_raised(imagenet: dict[str, Tensor], tmp_path: Path) -> None:
    """Weights that were stored small train in single precision."""
    save_file({name: tensor.half() for name, tensor in imagenet.items()}, tmp_path / "half.safetensors")
    model = small()

    load_encoder(model, tmp_path / "half.safetensors")

    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.encoder.state_dict()["conv1.weight"], imagenet["conv1.weight"].half().float())


def test_a_published_pose_network_gives_its_encoder(imagenet: dict[str, Tensor], tmp_path: Path) -> None:
    """Simple Baselines' own decoder and head are left out."""
    extra = drawn({"deconv_layers.0.weight": (512, 256, 4, 4), "final_layer.bias": (17,)})
    save_file({**imagenet, **extra}, tmp_path / "pose.safetensors")

    report = load_encoder(small(), tmp_path / "pose.safetensors")

    assert set(extra) < set(report.left_out)
    assert report.differences == ("it was trained with channel_order bgr, the model has rgb",)


def test_mmposes_backbone_is_an_encoder(imagenet: dict[str, Tensor], tmp_path: Path) -> None:
    """Its head is left out; its images were RGB."""
    named = {f"backbone.{name}": tensor for name, tensor in imagenet.items() if not name.startswith("fc.")}
    head = drawn({"head.deconv_layers.0.weight": (512, 256, 4, 4), "head.final_layer.bias": (17,)})
    torch.save({"state_dict": {**named, **head}, "meta": {}}, tmp_path / "mmpose.pth")
    model = small()

    report = load_encoder(model, tmp_path / "mmpose.pth")

    assert set(report.left_out) == set(head)
    assert report.differences == ()
    assert torch.equal(model.encoder.state_dict()["bn1.running_var"], imagenet["bn1.running_var"])


def test_hrnets_imagenet_weights_fit(tmp_path: Path) -> None:
    """What the classifying network has beyond the quarter resolution is left out, and nothing else."""
    model = HighResolutionPose(HighResolutionPoseConfig(input_size=SIZE))
    tensors = {name: torch.full_like(tensor, 0.25) for name, tensor in model.encoder.state_dict().items()}
    around = drawn(
        {
            "stage4.2.fuse_layers.1.0.0.0.weight": (64, 32, 3, 3),
            "stage4.2.fuse_layers.3.2.0.1.running_var": (256,),
            "incre_modules.0.0.conv1.weight": (32, 32, 1, 1),
            "downsamp_modules.0.0.bias": (256,),
            "final_layer.0.weight": (8, 8, 1, 1),
            "classifier.weight": (1000, 8),
        }
    )
    save_file({**tensors, **around}, tmp_path / "hrnet.safetensors")

    report = load_encoder(model, tmp_path / "hrnet.safetensors")

    assert set(report.left_out) == set(around)
    assert all(bool((tensor == tensors[name]).all()) for name, tensor in model.encoder.state_dict().items())


def lite(model: PCR) -> dict[str, Tensor]:
    """Name the tensors of a whole EfficientNet-Lite encoder as its ports do, with a classifier."""
    names = {"stem.conv": "_conv_stem", "stem.norm": "_bn0"}
    for place in range(16):
        parts = ("expand", "depthwise", "project") if place else ("depthwise", "project")
        for number, part in enumerate(parts, 3 - len(parts)):
            names[f"blocks.{place}.{part}.conv"] = f"_blocks.{place}._{part}_conv"
            names[f"blocks.{place}.{part}.norm"] = f"_blocks.{place}._bn{number}"
    shapes = {}
    for name, tensor in model.encoder.state_dict().items():
        module, _, field = name.rpartition(".")
        if field != "num_batches_tracked":
            shapes[f"{names[module]}.{field}"] = tuple(tensor.shape)
    return drawn(shapes | {"_conv_head.weight": (8, 320, 1, 1), "_bn1.weight": (8,), "_fc.bias": (10,)})


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "efficientnet_nano"])
def test_an_efficientnet_lite_is_renamed(encoder: str, tmp_path: Path) -> None:
    """The ports' names are known; a shorter encoder leaves blocks out."""
    published = lite(small("efficientnet_lite0"))
    torch.save(published, tmp_path / "lite.pth")
    model = small(encoder)

    report = load_encoder(model, tmp_path / "lite.pth")

    assert torch.equal(model.encoder.state_dict()["stem.conv.weight"], published["_conv_stem.weight"])
    assert {"_conv_head.weight", "_bn1.weight", "_fc.bias"} <= set(report.left_out)
    assert ("_blocks.15._project_conv.weight" in report.left_out) == (encoder == "efficientnet_nano")
    assert len(report.copied) == len(model.encoder.state_dict())


def test_an_efficientnet_that_is_another_is_refused(tmp_path: Path) -> None:
    """A missing tensor, or one that no Lite network has, is named with the file."""
    published = lite(small("efficientnet_lite0"))
    torch.save(published | {"_blocks_se.weight": torch.zeros(1)}, tmp_path / "squeezed.pth")
    with pytest.raises(ValueError, match=r"squeezed\.pth.*_blocks_se"):
        load_encoder(small("efficientnet_lite0"), tmp_path / "squeezed.pth")

    del published["_blocks.3._bn1.bias"]
    torch.save(published, tmp_path / "cut.pth")
    with pytest.raises(ValueError, match=r"cut\.pth.*_blocks\.3\._bn1\.bias"):
        load_encoder(small("efficientnet_lite0"), tmp_path / "cut.pth")


def test_our_own_model_gives_its_encoder(tiny_model: PCR, saved: Path) -> None:
    """From a saved folder or its file, into another architecture with other keypoints."""
    for path in (saved, saved / "model.safetensors"):
        config = SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE, skeleton=AIC_14)
        model = SimpleBaseline(config)
        before = copied(model)

        report = load_encoder(model, path)

        own = tiny_model.encoder.state_dict()
        assert all(torch.equal(tensor, own[name]) for name, tensor in model.encoder.state_dict().items())
        assert set(report.copied) == set(own)
        assert all(name.startswith(("decoders.", "heads.", "auxiliary_heads.")) for name in report.left_out)
        assert untouched(before, model)
        assert report.differences == ()


def test_our_own_models_normalization_is_said(saved: Path) -> None:
    """A folder says what its network was trained with."""
    config = SimpleBaselineConfig(
        encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE, pixel_std=(0.5, 0.5, 0.5), channel_order="bgr"
    )

    report = load_encoder(SimpleBaseline(config), saved)

    assert report.differences == (
        "it was trained with pixel_std [0.229, 0.224, 0.225], the model has [0.5, 0.5, 0.5]",
        "it was trained with channel_order rgb, the model has bgr",
    )


def test_the_log_says_what_was_left_out(
    imagenet: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who follows the log sees how much arrived."""
    save_file(imagenet, tmp_path / "resnet18.safetensors")
    with caplog.at_level(logging.INFO, logger="pcrpose"):
        report = load_encoder(small(), tmp_path / "resnet18.safetensors")
    assert f"{len(report.copied)} tensors" in caplog.text
    assert "fc.weight" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer1.0.conv1.weight": None}, r"missing layer1\.0\.conv1\.weight"),
        ({"head.weight": torch.zeros(2)}, r"unexpected head\.weight"),
        ({"bn1.bias": torch.zeros(3)}, r"bn1\.bias: expected shape \(64,\), found \(3,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    imagenet: dict[str, Tensor], change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    """Missing, strange and misshapen tensors are errors, and the model stays as it was."""
    tensors = {name: tensor for name, tensor in {**imagenet, **change}.items() if tensor is not None}
    save_file(tensors, tmp_path / "odd.safetensors")
    model = small()
    before = copied(model)

    with pytest.raises(ValueError, match=message):
        load_encoder(model, tmp_path / "odd.safetensors")

    assert untouched(before, model, prefix="encoder.")


def test_another_networks_weights_are_refused(saved: Path) -> None:
    """An encoder of another width does not slip in."""
    with pytest.raises(ValueError, match="do not fit"):
        load_encoder(small(), saved)


class Trap:
    """Something that would run when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return Path.touch, (Path("trapped"),)  # type: ignore[return-value] # a method and its self


def test_pickled_objects_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that holds more than tensors is refused before anything happens."""
    monkeypatch.chdir(tmp_path)
    Path("trap.pth").write_bytes(pickle.dumps(Trap(), protocol=2))

    with pytest.raises(ValueError, match="never run"):
        load_encoder(small(), "trap.pth")

    assert not Path("trapped").exists()


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    """A download that broke off is one clear error."""
    (tmp_path / name).write_bytes(b"half a file")
    with pytest.raises(ValueError, match=rf"{name}: .*damaged"):
        load_encoder(small(), tmp_path / name)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    """Numbers beside tensors, or a bare tensor, are not guessed about."""
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "numbers.pth")
    with pytest.raises(ValueError, match="found a dict of epoch, lr"):
        load_encoder(small(), tmp_path / "numbers.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match="found a Tensor"):
        load_encoder(small(), tmp_path / "tensor.pth")


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """Neither a missing file nor an unknown ending is guessed about."""
    with pytest.raises(FileNotFoundError, match="gone"):
        load_encoder(small(), tmp_path / "gone.pth")
    (tmp_path / "weights.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"found '\.onnx'"):
        load_encoder(small(), tmp_path / "weights.onnx")


@pytest.mark.parametrize("name", ["MultiStagePose", "StackedHourglass"])
def test_a_network_without_an_encoder_is_refused(
    name: str, tiny_system: Callable[[str], PoseConfig], tmp_path: Path
) -> None:
    """Where encoder and decoder alternate there is none to load, whatever the file is."""
    model = build_model(tiny_system(name))
    with pytest.raises(ValueError, match=rf"^encoder: expected a network with one of .*, found a {name}$"):
        load_encoder(model, tmp_path / "resnet50.pth")
