"""Configurations: what they refuse, and the way through JSON and back."""

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, LSP_14, Skeleton
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.resnet import RESNETS
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig, config_text
from pcrpose.models.simple_baseline import SimpleBaselineConfig

STICK = Skeleton("stick", ["tip", "left_end", "right_end"], [("left_end", "right_end")], [(0, 1)], [0.1, 0.2, 0.3])
positive = st.floats(0.001, 1000)
sizes = st.builds(Size, width=st.integers(1, 40).map(lambda n: 32 * n), height=st.integers(1, 40).map(lambda n: 32 * n))
common = {
    "skeleton": st.sampled_from([COCO_17, AIC_14, LSP_14, STICK]),
    "input_size": sizes,
    "pixel_mean": st.tuples(*[st.floats(-10, 300)] * 3),
    "pixel_std": st.tuples(*[positive] * 3),
    "sigma": positive,
    "alignment": st.sampled_from(["center", "edge", "udp"]),
    "heatmaps": st.sampled_from(["gaussian", "probability"]),
    "padding": positive,
    "blackout": st.none() | positive,
    "channel_order": st.sampled_from(["rgb", "bgr"]),
}
widths = st.lists(st.integers(1, 100).map(lambda n: 4 * n), min_size=3, max_size=6).map(tuple)
configs = st.one_of(
    st.builds(
        PCRConfig,
        encoder=st.sampled_from(list(ENCODERS)),
        channels=widths,
        num_decoders=st.integers(1, 5),
        se=st.booleans(),
        hdc=st.booleans(),
        residual=st.booleans(),
        auxiliary=st.booleans(),
        se_norm=st.sampled_from(["batch", "none"]),
        output_relu=st.sampled_from([None, False, True]),
        **common,
    ),
    st.builds(
        SimpleBaselineConfig,
        encoder=st.sampled_from(list(RESNETS)),
        channels=st.tuples(*[st.integers(1, 512)] * 3),
        **common,
    ),
    st.builds(HighResolutionPoseConfig, encoder=st.sampled_from(["hrnet_w32", "hrnet_w48"]), **common),
)


@given(configs)
def test_configurations_survive_json(config: PoseConfig) -> None:
    """Written as text and read again, every configuration is the same value, and its text the same text."""
    text = config_text("Whatever", config)
    values = json.loads(text)
    assert values.pop("architecture") == "Whatever"
    rebuilt = type(config).from_dict(values)
    assert rebuilt == config
    assert hash(rebuilt) == hash(config)
    assert config_text("Whatever", rebuilt) == text


@given(configs)
def test_dictionaries_need_no_json(config: PoseConfig) -> None:
    """What `to_dict` gives is read back directly too."""
    assert type(config).from_dict(config.to_dict()) == config


def test_the_text_is_stable() -> None:
    """Fields stand in the order of their declaration, so the same configuration gives the same file."""
    values = json.loads(config_text("PCR", PCRConfig()))
    fields = [field.name for field in dataclasses.fields(PCRConfig)]
    assert list(values) == ["architecture", *(name for name in fields if name != "calibration")]
    assert values["input_size"] == "256x192"
    assert values["channels"] == [256, 256, 256]
    assert values["output_relu"] is None
    assert config_text("PCR", PCRConfig()).endswith("\n}\n")


def test_a_calibration_is_saved_and_loaded() -> None:
    """It comes back from text; without one there is no key, so that earlier versions read the file."""
    calibration = Calibration(keypoints=COCO_17.keypoints, input_size=Size(width=192, height=256))
    config = PCRConfig(calibration=calibration)
    values = json.loads(config_text("PCR", config))
    values.pop("architecture")

    assert PCRConfig.from_dict(values) == config
    assert PCRConfig.from_dict({**values, "calibration": None}) == PCRConfig()
    assert "calibration" not in PCRConfig().to_dict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"skeleton": LSP_14.to_dict()}, "calibration: expected one fitted for the keypoints .*'head_top'.*found"),
        ({"input_size": "128x96"}, "calibration: expected one fitted for the input size 128x96, found 256x192"),
        ({"calibration": {"decoding": "dark"}}, "config key 'calibration': calibration: expected the keys"),
        ({"calibration": "fitted"}, "calibration: expected .*Calibration.*found 'fitted'"),
    ],
)
def test_a_calibration_of_another_model_is_refused(values: dict[str, Any], message: str) -> None:
    """Maps of other keypoints or crops would return wrong numbers without an error."""
    calibration = Calibration(keypoints=COCO_17.keypoints, input_size=Size(width=192, height=256))

    with pytest.raises(ValueError, match=message):
        PCRConfig.from_dict({"calibration": calibration.to_dict(), **values})


def test_keys_left_out_take_their_defaults() -> None:
    """An empty dictionary is the default configuration."""
    assert PCRConfig.from_dict({}) == PCRConfig()
    assert PCRConfig.from_dict({"num_decoders": 2}) == PCRConfig(num_decoders=2)


def test_whole_numbers_are_numbers() -> None:
    """JSON writers drop the point of 8.0; that is not an error."""
    assert PCRConfig.from_dict({"sigma": 6, "pixel_std": [1, 1, 1]}).sigma == 6


def test_configurations_are_frozen_values() -> None:
    """They cannot be changed, and equal ones are one key."""
    config = PCRConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.sigma = 3.0  # type: ignore[misc] # what is tested
    assert {config: "found"}[PCRConfig()] == "found"
    assert config != PCRConfig(num_decoders=2)
    with pytest.raises(TypeError, match="positional"):
        PCRConfig(COCO_17)  # type: ignore[call-arg] # what is tested


def test_the_codec_is_the_configurations() -> None:
    """Size, spread and alignment reach the codec, at the stride of the final heatmaps."""
    config = PCRConfig(input_size=Size(width=288, height=384), sigma=12.0, alignment="edge")
    codec = config.codec()
    assert (codec.input_size, codec.sigma, codec.alignment, codec.stride) == (config.input_size, 12.0, "edge", 4)


@pytest.mark.parametrize("kind", [PCRConfig, SimpleBaselineConfig, HighResolutionPoseConfig])
def test_unknown_keys_are_refused(kind: type[PoseConfig]) -> None:
    """Each is named, beside the known ones."""
    with pytest.raises(ValueError, match=rf"{kind.__name__}: unknown config keys \['a', 'z'\]; known are \[.*'sigma'"):
        kind.from_dict({"z": 1, "sigma": 8.0, "a": 2})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma": "8"}, "sigma: expected float, found '8'"),
        ({"sigma": True}, "sigma: expected float, found True"),
        ({"sigma": None}, "sigma: expected float, found None"),
        ({"sigma": math.nan}, "sigma: expected float, found nan"),
        ({"padding": math.inf}, "padding: expected float, found inf"),
        ({"sigma": 0}, "sigma: expected a positive number, found 0"),
        ({"padding": -1.25}, r"padding: expected a positive number, found -1\.25"),
        ({"blackout": 0}, "blackout: expected a positive number, found 0"),
        ({"blackout": "1.15"}, r"blackout: expected float \| None, found '1\.15'"),
        ({"pixel_std": [0.2, 0.0, 0.2]}, r"pixel_std: expected a positive number, found 0\.0"),
        ({"pixel_std": [0.2, 0.2]}, r"pixel_std: expected tuple\[float, float, float\], found \(0\.2, 0\.2\)"),
        ({"pixel_mean": [0.2, 0.2, "0.2"]}, "pixel_mean: expected tuple"),
        ({"pixel_mean": 0.5}, "pixel_mean: expected tuple"),
        ({"input_size": [256, 192]}, r"input_size: expected Size, found \(256, 192\)"),
        ({"input_size": "256"}, "config key 'input_size': expected HEIGHTxWIDTH"),
        ({"input_size": "0x32"}, "config key 'input_size': expected a positive whole"),
        ({"input_size": "250x192"}, "input_size: expected multiples of 32, found 250x192"),
        ({"input_size": "256x200"}, "input_size: expected multiples of 32, found 256x200"),
        ({"alignment": "middle"}, r"alignment: expected one of \['center', 'edge', 'udp'\], found 'middle'"),
        ({"alignment": ["center"]}, "alignment: expected one of"),
        ({"heatmaps": "softmax"}, r"heatmaps: expected one of \['gaussian', 'probability'\], found 'softmax'"),
        ({"skeleton": "COCO_17"}, "skeleton: expected Skeleton, found 'COCO_17'"),
        ({"skeleton": {"name": "x"}}, "config key 'skeleton': skeleton: expected the keys"),
        ({"skeleton": COCO_17.to_dict() | {"keypoints": 17}}, "config key 'skeleton': 'int' object is not iterable"),
        ({"skeleton": COCO_17.to_dict() | {"sigmas": [1.0]}}, "config key 'skeleton': .*expected 17 positive sigmas"),
        ({"encoder": "resnet51"}, r"encoder: expected one of \['resnet_nano', .*\], found 'resnet51'"),
        ({"encoder": 50}, "encoder: expected str, found 50"),
        ({"channels": "256"}, r"channels: expected tuple\[int, \.\.\.\], found '256'"),
        ({"channels": [256, 256, 256.0]}, "channels: expected tuple"),
        ({"channels": [256, 256, True]}, "channels: expected tuple"),
        ({"channels": [8, 8, 6]}, r"channels: expected positive multiples of 4, found \[8, 8, 6\]"),
        ({"channels": [8, 8, 0]}, r"channels: expected positive multiples of 4, found \[8, 8, 0\]"),
        ({"channels": [8, 8]}, "channels: resnet50 needs at least 3 modules per decoder, found 2"),
        ({"channels": []}, "channels: resnet50 needs at least 3 modules per decoder, found 0"),
        ({"encoder": "hrnet_w32", "channels": []}, "channels: hrnet_w32 needs at least 1 modules per decoder, found 0"),
        ({"num_decoders": 0}, "num_decoders: expected at least 1, found 0"),
        ({"num_decoders": 1.5}, r"num_decoders: expected int, found 1\.5"),
        ({"se": 1}, "se: expected bool, found 1"),
        ({"se_norm": "layer"}, r"se_norm: expected one of \['batch', 'none'\], found 'layer'"),
        ({"se_norm": None}, "se_norm: expected one of"),
        ({"output_relu": "yes"}, r"output_relu: expected bool \| None, found 'yes'"),
    ],
)
def test_what_means_nothing_is_refused(values: dict[str, Any], message: str) -> None:
    """A wrong type or value is named with what was expected, when it is read and not when the network is built."""
    with pytest.raises(ValueError, match=message):
        PCRConfig.from_dict(values)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (SimpleBaselineConfig, {"encoder": "hrnet_w32"}, r"encoder: expected one of \['resnet_nano'.*'hrnet_w32'"),
        (SimpleBaselineConfig, {"channels": [256, 256]}, r"channels: expected tuple\[int, int, int\]"),
        (
            SimpleBaselineConfig,
            {"channels": [256, 0, 256]},
            r"channels: expected positive widths, found \[256, 0, 256\]",
        ),
        (HighResolutionPoseConfig, {"encoder": "resnet50"}, r"encoder: expected one of \['hrnet_w32', 'hrnet_w48'\]"),
    ],
)
def test_rivals_refuse_it_too(kind: type[PoseConfig], values: dict[str, Any], message: str) -> None:
    """The rivals' configurations check what is theirs."""
    with pytest.raises(ValueError, match=message):
        kind.from_dict(values)


def test_python_values_are_checked_like_json() -> None:
    """A list where a tuple belongs could not be hashed; it is an error at once."""
    with pytest.raises(ValueError, match=r"channels: expected tuple\[int, \.\.\.\], found \[256, 256, 256\]"):
        PCRConfig(channels=[256, 256, 256])  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize(
    ("encoder", "channels", "modules", "upsamplings"),
    [("resnet50", (256, 256, 256), 3, 3), ("resnet152", (128, 96, 64, 64), 4, 3), ("hrnet_w48", (48,), 1, 0)],
)
def test_k_and_the_way_back_to_a_quarter(
    encoder: str, channels: tuple[int, ...], modules: int, upsamplings: int
) -> None:
    """K is the number of widths; a stride of 32 needs three doublings to reach a quarter, a stride of 4 none."""
    config = PCRConfig(encoder=encoder, channels=channels)
    assert (config.modules_per_decoder, config.num_upsamplings) == (modules, upsamplings)


def test_the_spelling_of_0_1_0_still_loads() -> None:
    """What the first version saved as ``"centre"`` is read as ``"center"``."""
    assert PCRConfig.from_dict({"alignment": "centre"}) == PCRConfig(alignment="center")


def test_networks_that_read_blue_first() -> None:
    """Channels are reversed before anything else: mean and deviation belong to the channels as the network has them."""
    config = PoseConfig(channel_order="bgr", pixel_mean=(0.2, 0.4, 0.6), pixel_std=(1.0, 2.0, 4.0))
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)

    assert config.normalize(red).flatten().tolist() == pytest.approx([-0.2, -0.2, (1 - 0.6) / 4])
    usual = dataclasses.replace(config, channel_order="rgb")
    assert usual.normalize(red).flatten().tolist() == pytest.approx([1 - 0.2, -0.2, -0.6 / 4])
    with pytest.raises(ValueError, match=r"channel_order: expected one of \['rgb', 'bgr'\], found 'gbr'"):
        PoseConfig(channel_order="gbr")  # type: ignore[arg-type] # that is the point
