"""From a name to checked weights: folders, a Hub, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from torch import nn

from pcrpose.models import hub as hub_module
from pcrpose.models.hub import find_folder, is_local, load_strictly, read_config, read_folder, write_folder
from pcrpose.models.pcr import PCR
from pcrpose.models.simple_baseline import SimpleBaseline
from pcrpose.models.zoo import ZooEntry

Compare = Callable[[nn.Module, nn.Module], bool]
FILES = ("config.json", "model.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    """Read what a repository would hold."""
    return {name: (folder / name).read_bytes() for name in FILES}


def rewrite_config(folder: Path, **changes: object) -> None:
    """Change keys of a saved configuration; None removes one."""
    values = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def test_saving_and_loading_gives_the_same_model(tiny_model: PCR, saved: Path, same_tensors: Compare) -> None:
    """What is read back equals what was saved, is of the same configuration, and is ready to predict."""
    loaded = PCR.from_pretrained(saved)
    assert same_tensors(tiny_model, loaded)
    assert loaded.config == tiny_model.config
    assert not loaded.training
    crops = torch.randn(1, 3, 64, 32)
    assert torch.equal(tiny_model(crops).final, loaded(crops).final)


def test_a_folder_may_be_named_by_text(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder name works, with a slash in it too, and no Hub is asked."""
    monkeypatch.chdir(saved.parent.parent)
    assert find_folder(str(saved.relative_to(saved.parent.parent))) == Path(saved.parent.name, "saved")


def test_half_precision_files_are_raised_to_single(tiny_model: PCR, saved: Path) -> None:
    """A file of 16-bit floats loads into 32-bit tensors with exactly its values; counters stay whole."""
    halved = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(saved / "model.safetensors").items()
    }
    save_file(halved, saved / "model.safetensors")
    loaded = PCR.from_pretrained(saved).state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in halved.items())
    assert any(not torch.equal(loaded[name], tensor) for name, tensor in tiny_model.state_dict().items())


def test_the_card_says_what_it_can(saved: Path) -> None:
    """A card with the library's metadata stands beside the weights."""
    data = ModelCard.load(saved / "README.md").data
    assert data.library_name == "pcrpose"
    assert data.pipeline_tag == "keypoint-detection"
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_an_existing_card_is_kept(tiny_model: PCR, saved: Path) -> None:
    """Saving again replaces the weights, not a card that somebody wrote."""
    (saved / "README.md").write_text("mine")
    tiny_model.save_pretrained(saved)
    assert (saved / "README.md").read_text() == "mine"


@pytest.mark.parametrize("method", ["write_folder", "save_pretrained"])
@pytest.mark.parametrize("broken", ["save_file", "write"])
def test_a_failed_save_leaves_no_half_model(
    broken: str, method: str, tiny_model: PCR, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails midway the old files are still whole, and nothing else is left behind."""
    before = contents(saved)

    def fail(*_args: object, **_keywords: object) -> None:
        raise OSError("disk full")

    if broken == "save_file":
        monkeypatch.setattr(hub_module, "save_file", fail)
    else:
        monkeypatch.setattr(Path, "write_text", fail)
    saves: dict[str, Callable[[], object]] = {
        "write_folder": lambda: write_folder(saved, "{}", tiny_model.state_dict()),
        "save_pretrained": lambda: tiny_model.save_pretrained(saved),
    }
    with pytest.raises(OSError, match="disk full"):
        saves[method]()
    assert contents(saved) == before
    assert len(list(saved.iterdir())) == 3


def test_an_interrupted_rename_leaves_no_wrong_pair(
    tiny_model: PCR, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New weights never stand beside an old configuration: the pair is refused instead."""
    replace = Path.replace

    def fail_at_config(self: Path, target: Path) -> Path:
        if target.name == "config.json":
            raise OSError("killed")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_config)
    with pytest.raises(OSError, match="killed"):
        write_folder(saved, "{}", tiny_model.state_dict())
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        read_folder(saved)


def test_saving_does_not_depend_on_memory_layout(tiny_model: PCR, tmp_path: Path, same_tensors: Compare) -> None:
    """A channels-last copy of the model is saved like the model itself."""
    reordered = PCR(tiny_model.config).eval()
    reordered.load_state_dict(tiny_model.state_dict())
    for parameter in reordered.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    reordered.save_pretrained(tmp_path / "reordered")
    assert same_tensors(tiny_model, PCR.from_pretrained(tmp_path / "reordered"))


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_named(missing: str, saved: Path) -> None:
    """The error says which of the two files is not there."""
    (saved / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"{missing} is missing"):
        PCR.from_pretrained(saved)


def test_pickled_weights_are_refused(tiny_model: PCR, saved: Path) -> None:
    """A folder with pickled weights only is not loaded, and the error says why."""
    (saved / "model.safetensors").unlink()
    torch.save(tiny_model.state_dict(), saved / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="pickled weights are never loaded"):
        PCR.from_pretrained(saved)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_damaged_weights_are_named(kept: int, saved: Path) -> None:
    """An empty, a truncated and a nearly whole weight file give one clear error."""
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged"):
        PCR.from_pretrained(saved)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"architecture": '])
def test_damaged_configurations_are_named(text: bytes, saved: Path) -> None:
    """A configuration that is no JSON gives one clear error."""
    (saved / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config\.json: expected JSON"):
        PCR.from_pretrained(saved)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"architecture": 3}', "null"])
def test_a_configuration_names_its_architecture(text: str, saved: Path) -> None:
    """JSON that is not a model's configuration is refused."""
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match="names its 'architecture'"):
        read_config(saved)


def test_an_unknown_configuration_key_is_refused(saved: Path) -> None:
    """A key of a later version or a typo is an error that lists the known ones."""
    rewrite_config(saved, chanels=[8, 8, 8])
    with pytest.raises(ValueError, match=r"unknown config keys \['chanels'\]; known are .*'channels'"):
        PCR.from_pretrained(saved)


def test_another_architecture_is_refused(saved: Path) -> None:
    """A class loads its own models only and points to the function that loads any."""
    with pytest.raises(ValueError, match="expected a SimpleBaseline, found a PCR; use load_model"):
        SimpleBaseline.from_pretrained(saved)


def test_weights_of_another_configuration_are_refused(saved: Path) -> None:
    """Missing, unexpected and misshapen tensors are named, the first five of them."""
    rewrite_config(saved, channels=[8, 8, 12, 8])
    with pytest.raises(ValueError, match=r"saved: the weights do not fit the configuration: missing .*and \d+ more"):
        PCR.from_pretrained(saved)


def test_every_misfit_of_a_tensor_is_named() -> None:
    """One sentence holds what is missing, unexpected, of another shape and of another kind."""
    module = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"here: the weights do not fit .*: missing bias; unexpected w$"):
        load_strictly(module, {"weight": torch.zeros(3, 2), "w": torch.zeros(1)}, "here")
    with pytest.raises(ValueError, match=r"weight: expected shape \(3, 2\), found \(2, 3\)$"):
        load_strictly(module, {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, "here")
    with pytest.raises(ValueError, match=r"bias: expected torch\.float32, found torch\.int64$"):
        load_strictly(module, {"weight": torch.zeros(3, 2), "bias": torch.zeros(3).long()}, "here")


def test_nothing_is_copied_when_something_does_not_fit() -> None:
    """A refused file leaves the module as it was."""
    module = nn.Linear(2, 3)
    before = module.weight.detach().clone()
    with pytest.raises(ValueError, match="missing bias"):
        load_strictly(module, {"weight": torch.zeros(3, 2)}, "here")
    assert torch.equal(module.weight, before)


def test_an_unknown_name_offers_the_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in a pretrained model's name is answered with the names it may have meant."""
    entries = {
        name: ZooEntry(
            name=name,
            architecture="PCR",
            recipe="C",
            summary="",
            input_size="64x32",
            parameters=1,
            gmacs=0.1,
            license="mit",
        )
        for name in ("pcr-nano", "pcr-r50", "other")
    }
    monkeypatch.setattr(hub_module, "ZOO", entries)
    with pytest.raises(ValueError, match=r"'pcr-nan' is no folder.*did you mean 'pcr-nano'( or 'pcr-r50')?\?$"):
        PCR.from_pretrained("pcr-nan")
    with pytest.raises(ValueError, match=r"; pretrained: pcr-nano, pcr-r50, other$"):
        PCR.from_pretrained("!!!")


def test_a_pretrained_name_is_found_in_the_package(
    tiny_model: PCR, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of the zoo leads to the folder that ships with the library."""
    entry = ZooEntry(
        name="saved",
        architecture="PCR",
        recipe="C",
        summary="",
        input_size="64x32",
        parameters=1,
        gmacs=0.1,
        license="mit",
    )
    monkeypatch.setattr(hub_module, "ZOO", {"saved": entry})
    monkeypatch.setattr(hub_module, "pretrained_folder", lambda name: saved.parent / name)
    assert PCR.from_pretrained("saved").config == tiny_model.config


def test_the_configuration_is_written_in_full(tiny_model: PCR, saved: Path) -> None:
    """Every field is in the file, so a later change of a default changes no saved model."""
    architecture, values = read_config(saved)
    assert architecture == "PCR"
    assert set(values) == set(tiny_model.config.to_dict())


def test_saved_files_are_as_readable_as_others(tiny_model: PCR, tmp_path: Path) -> None:
    """The weights have the permissions of the configuration beside them, not their owner's alone."""
    tiny_model.save_pretrained(tmp_path / "saved")

    modes = {(tmp_path / "saved" / name).stat().st_mode for name in ("config.json", "model.safetensors")}

    assert len(modes) == 1


def test_a_saved_card_claims_nothing(tiny_model: PCR, tmp_path: Path) -> None:
    """It names no license and does not say that the model was pushed anywhere."""
    tiny_model.save_pretrained(tmp_path / "saved")

    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")

    assert "license" not in card
    assert "pushed" not in card
    assert "load_model" in card


def test_which_names_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, from here, with a file's suffix, without a slash or with two, or in a folder that is here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    local = ["/x/y", "./x", "../x", "~/x", "owner/x.pth", "owner/x.safetensors", "owner/X.ONNX", "x", "a/b/c", "runs/x"]
    remote = ["owner/x", "owner/x-v1.5", "timm/resnet50.a1_in1k", "usyd-community/vitpose-base-simple"]

    assert [name for name in local if not is_local(name)] == []
    assert [name for name in remote if is_local(name)] == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("runs/mine", "runs/mine: no such file or folder; the Hub is not asked, because runs is a folder here"),
        (
            "x/y.onnx",
            r"x/y\.onnx: no such file or folder; the Hub is not asked, because \.onnx is the suffix of a file",
        ),
    ],
)
def test_a_local_name_that_leads_nowhere(name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why it was taken for a path, and nothing is asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(hub_module, "HubFiles", None)

    with pytest.raises(FileNotFoundError, match=f"^{why}$"):
        find_folder(name)
