"""Any architecture from its configuration, fresh or saved."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pcrpose.keypoints.boxes import Size
from pcrpose.models.cpn import CascadedPyramidConfig
from pcrpose.models.deeppose import DeepPoseConfig
from pcrpose.models.hourglass import StackedHourglassConfig
from pcrpose.models.load import ARCHITECTURES, build_model, load_model
from pcrpose.models.mspn import MultiStagePoseConfig
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.simple_baseline import SimpleBaseline, SimpleBaselineConfig

SIZE = Size(width=32, height=64)
STAGES: dict[str, Any] = {"num_stages": 2, "blocks": (1, 1, 2, 1), "stem_channels": 4, "channels": 8}
STACKS: dict[str, Any] = {"num_stacks": 2, "depth": 3, "channels": 8, "stem_channels": (4, 6, 8)}
CONFIGS: dict[str, PoseConfig] = {
    "PCR": PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE),
    "SimpleBaseline": SimpleBaselineConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=SIZE),
    "MultiStagePose": MultiStagePoseConfig(input_size=SIZE, hardest=5, **STAGES),
    "CascadedPyramid": CascadedPyramidConfig(input_size=SIZE, encoder="resnet_nano", channels=6, hardest=None),
    "StackedHourglass": StackedHourglassConfig(input_size=SIZE, **STACKS),
    "DeepPose": DeepPoseConfig(input_size=SIZE, encoder="mobilenet_v2"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_any_architecture_is_built_saved_and_loaded(
    name: str, tmp_path: Path, same_tensors: Callable[[nn.Module, nn.Module], bool]
) -> None:
    """The class comes from the folder; configuration and weights are the saved ones, ready to predict."""
    model = build_model(CONFIGS[name])
    assert type(model) is ARCHITECTURES[name]
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.config == CONFIGS[name]
    assert same_tensors(model, loaded)
    assert not loaded.training


def test_the_dictionary_names_classes_by_their_own_names() -> None:
    """A saved folder names its class, and every class has a configuration of its own."""
    assert all(name == architecture.__name__ for name, architecture in ARCHITECTURES.items())
    kinds = [architecture.config_class for architecture in ARCHITECTURES.values()]
    assert len(set(kinds)) == len(kinds)
    assert PoseConfig not in kinds


def test_an_unknown_architecture_is_refused(saved: Path) -> None:
    """A folder of a later version names a class that does not exist here."""
    values = json.loads((saved / "config.json").read_text()) | {"architecture": "PCRPlus"}
    (saved / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"expected one of \['PCR', .*\], found the architecture 'PCRPlus'"):
        load_model(saved)


def test_the_architecture_is_read_before_the_weights(saved: Path) -> None:
    """A folder of an unknown architecture is refused as such, whatever its weights are."""
    (saved / "config.json").write_text('{"architecture": "PCRPlus"}')
    (saved / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="PCRPlus"):
        load_model(saved)


def test_loading_checks_what_from_pretrained_checks(saved: Path) -> None:
    """Damage and missing files give the same errors through either door."""
    (saved / "model.safetensors").unlink()
    for load in (load_model, PCR.from_pretrained):
        with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing"):
            load(saved)


def test_an_unknown_name_is_refused() -> None:
    """A name that is nothing is an error, not a download."""
    with pytest.raises(ValueError, match="is no folder, no pretrained model and no Hub repository"):
        load_model("no-such-model")


def test_only_known_configurations_are_built() -> None:
    """The configuration decides the class exactly; one that no class takes is refused."""

    @dataclass(frozen=True, kw_only=True)
    class OtherConfig(SimpleBaselineConfig):
        """A configuration of somebody else's network."""

    with pytest.raises(ValueError, match=r"expected one of \['PCRConfig', .*\], found OtherConfig"):
        build_model(OtherConfig())
    with pytest.raises(ValueError, match="found PoseConfig"):
        build_model(PoseConfig())


def test_every_class_loads_only_its_own(saved: Path) -> None:
    """`from_pretrained` of the wrong class points to `load_model`."""
    wrong: list[type[PoseModel[Any]]] = [SimpleBaseline, PoseModel]
    for kind in wrong:
        with pytest.raises(ValueError, match=f"expected a {kind.__name__}, found a PCR; use load_model"):
            kind.from_pretrained(saved)


def test_a_checkpoint_is_no_model(tmp_path: Path, saved: Path) -> None:
    """A published file, whether it is there or not, is answered with the command that makes a folder of it."""
    (tmp_path / "here.pth").touch()
    for name in (tmp_path / "here.pth", str(tmp_path / "here.pth"), "none.pth", "none/none.safetensors"):
        with pytest.raises(FileNotFoundError, match=f"pcrpose convert {name} --as NAME --out FOLDER$"):
            load_model(name)
    with pytest.raises(FileNotFoundError, match=f"found a file in one: {saved}$"):
        load_model(saved / "model.safetensors")
