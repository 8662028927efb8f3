"""Downloading from a Hub and pushing to it, by the Hub's own client."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import hf_hub_download
from torch import nn

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.models import download
from pcrpose.models import hub as hub_module
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR
from pcrpose.models.vitpose import ViTPose
from pcrpose.models.zoo import PUBLISHED

if TYPE_CHECKING:
    from tests.models.hub.conftest import HubServer

Compare = Callable[[nn.Module, nn.Module], bool]
FILES = ("config.json", "model.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    """Read what a repository would hold."""
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("name", ["", "../x", "/nowhere/x", "~/x", "a/b/c", "nothing"])
def test_what_cannot_be_a_hub_repository_is_not_asked_for(
    name: str, hub: "HubServer", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that are no ``owner/name`` are refused before anything is sent, even while the zoo is empty."""
    monkeypatch.setattr(hub_module, "ZOO", {})
    with pytest.raises(ValueError, match=r"no Hub repository \(owner/name\)$"):
        PCR.from_pretrained(name)
    assert hub.requests == []


def test_a_path_is_never_a_hub_repository(hub: "HubServer", saved: Path) -> None:
    """A `Path` that is no folder, or the weight file instead of its folder, is a missing folder."""
    for wrong in (Path("owner/name"), saved / "model.safetensors", str(saved / "model.safetensors")):
        with pytest.raises(FileNotFoundError, match="expected a folder"):
            PCR.from_pretrained(wrong)
    assert hub.requests == []


def test_a_repository_is_downloaded_once_and_then_found(
    hub: "HubServer", tiny_model: PCR, saved: Path, tmp_path: Path, same_tensors: Compare
) -> None:
    """The Hub's own client downloads both files; afterwards they load with the Hub out of reach."""
    hub.create("someone/tiny").commit(contents(saved))
    cache = tmp_path / "cache"
    assert same_tensors(tiny_model, PCR.from_pretrained("someone/tiny", cache_dir=cache))
    resolved = {request.rsplit("/", 1)[-1] for request in hub.requests if "/resolve/" in request}
    assert sorted(resolved) == sorted(FILES)
    assert not (tmp_path / "default-cache").exists()
    asked = len(hub.requests)
    loaded = PCR.from_pretrained("someone/tiny", cache_dir=cache, local_files_only=True)
    assert same_tensors(tiny_model, loaded)
    assert len(hub.requests) == asked


def test_a_revision_is_a_branch_or_a_commit(
    hub: "HubServer", tiny_model: PCR, saved: Path, tmp_path: Path, same_tensors: Compare
) -> None:
    """Each revision gives the weights of that revision."""
    repository = hub.create("someone/tiny")
    first = repository.commit(contents(saved))
    other = PCR(tiny_model.config)
    other.save_pretrained(tmp_path / "other")
    repository.commit(contents(tmp_path / "other"), branch="newer")
    assert same_tensors(other, PCR.from_pretrained("someone/tiny", revision="newer", cache_dir=tmp_path / "cache"))
    assert same_tensors(tiny_model, PCR.from_pretrained("someone/tiny", revision=first, cache_dir=tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="someone/tiny: the repository has no revision 'nowhere'"):
        PCR.from_pretrained("someone/tiny", revision="nowhere", cache_dir=tmp_path / "cache")


def test_both_files_are_of_one_commit(
    hub: "HubServer",
    tiny_model: PCR,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_tensors: Compare,
) -> None:
    """A push between the two downloads does not mix an old configuration with new weights."""
    repository = hub.create("someone/tiny")
    repository.commit(contents(saved))
    other = PCR(tiny_model.config)
    other.save_pretrained(tmp_path / "other")

    def download_then_push(*given: Any, **settings: Any) -> str:  # noqa: ANN401 - whatever the client takes
        path: str = hf_hub_download(*given, **settings)
        repository.commit(contents(tmp_path / "other"))
        return path

    monkeypatch.setattr(download, "hf_hub_download", download_then_push)
    assert same_tensors(tiny_model, PCR.from_pretrained("someone/tiny", cache_dir=tmp_path / "cache"))


def test_a_private_repository_needs_its_token(
    hub: "HubServer", tiny_model: PCR, saved: Path, tmp_path: Path, same_tensors: Compare
) -> None:
    """With the token it loads; without, it does not exist."""
    hub.create("someone/private", token="hf_secret").commit(contents(saved))  # noqa: S106 - of the local server
    with pytest.raises(FileNotFoundError, match="no repository 'someone/private' on the Hub, or no access to it"):
        PCR.from_pretrained("someone/private", cache_dir=tmp_path)
    loaded = PCR.from_pretrained("someone/private", cache_dir=tmp_path, token="hf_secret")  # noqa: S106 - as above
    assert same_tensors(tiny_model, loaded)


def test_a_missing_repository_is_named(hub: "HubServer", tmp_path: Path) -> None:
    """A repository that does not exist gives one clear error."""
    with pytest.raises(FileNotFoundError, match="no repository 'nobody/nothing' on the Hub"):
        PCR.from_pretrained("nobody/nothing", cache_dir=tmp_path)
    assert len(hub.requests) == 1


@pytest.mark.parametrize("missing", FILES)
def test_a_repository_without_one_file_is_refused(missing: str, hub: "HubServer", saved: Path, tmp_path: Path) -> None:
    """Pickled weights do not stand in for the safetensors file, and are not even asked for."""
    files = contents(saved)
    del files[missing]
    hub.create("someone/partial").commit(files | {"pytorch_model.bin": b"pickle"})
    with pytest.raises(FileNotFoundError, match=r"someone/partial: the repository lacks .*pickled weights are never"):
        PCR.from_pretrained("someone/partial", cache_dir=tmp_path)
    assert not any("bin" in request for request in hub.requests)


def test_an_empty_cache_is_named(hub: "HubServer", tmp_path: Path) -> None:
    """Without a download nothing is found, and nothing is asked."""
    with pytest.raises(FileNotFoundError, match="someone/tiny: not in the cache"):
        PCR.from_pretrained("someone/tiny", cache_dir=tmp_path, local_files_only=True)
    assert hub.requests == []


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub client's own upload of large files
def test_a_pushed_model_comes_back(hub: "HubServer", tiny_model: PCR, tmp_path: Path, same_tensors: Compare) -> None:
    """`push_to_hub` uploads weights, configuration and card in one commit, from which the same model loads."""
    tiny_model.push_to_hub("someone/pushed", token="hf_writer")  # noqa: S106 - of the local server
    repository = hub.repositories["someone/pushed"]
    assert len(repository.commits) == 1
    (files,) = repository.commits.values()
    assert set(files) == {*FILES, "README.md"}
    assert b"library_name: pcrpose" in files["README.md"]
    loaded = PCR.from_pretrained("someone/pushed", cache_dir=tmp_path)
    assert same_tensors(tiny_model, loaded)
    assert loaded.config == tiny_model.config


def test_a_downloaded_model_is_checked_like_a_folder(hub: "HubServer", saved: Path, tmp_path: Path) -> None:
    """What comes from the Hub passes the same checks."""
    files = contents(saved)
    hub.create("someone/broken").commit(files | {"model.safetensors": files["model.safetensors"][:100]})
    with pytest.raises(ValueError, match="damaged"):
        PCR.from_pretrained("someone/broken", cache_dir=tmp_path)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub client's own upload of large files
def test_an_ensemble_pushes_itself(hub: "HubServer", tiny_model: PCR, tmp_path: Path, same_tensors: Compare) -> None:
    """One commit on the branch that was asked for, from which the same ensemble loads."""
    pair = Ensemble([Member(model=tiny_model, padding=1.5), "pcr-nano"], weights=[2, 1])

    address = pair.push("someone/pair", revision="best", token="hf_writer")  # noqa: S106 - of the local server

    repository = hub.repositories["someone/pair"]
    assert address == f"{hub.url}/someone/pair/commit/{repository.branches['best']}"
    (files,) = repository.commits.values()
    assert set(files) == {"ensemble.json", *(f"member-1/{name}" for name in FILES)}
    loaded = Ensemble.load("someone/pair", revision="best", cache_dir=tmp_path)
    assert (loaded.weights, loaded.crop_specs) == ([2, 1], pair.crop_specs)
    assert same_tensors(loaded, pair)


def test_who_may_not_write_is_told(hub: "HubServer", tiny_model: PCR) -> None:
    """Without a token, or with a wrong one, one line says what is needed."""
    hub.writers = {"hf_writer"}

    for token in (False, "hf_other"):
        with pytest.raises(PermissionError, match=r"^someone/pair: expected a token with the right to write: hf auth"):
            Ensemble([tiny_model]).push("someone/pair", token=token)
    assert hub.repositories == {}


@pytest.mark.parametrize("links", [True, False])
def test_a_file_of_another_digest_is_refused(
    hub: "HubServer", saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """It is not kept, on file systems with links and without; once the Hub says the truth, it loads."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_SYMLINKS", not links)
    repository = hub.create("someone/tiny")
    repository.commit(contents(saved))
    repository.announced = "0" * 64

    with pytest.raises(ValueError, match=r"^someone/tiny: model\.safetensors: expected the SHA-256 0{64}, as the Hub"):
        PCR.from_pretrained("someone/tiny", cache_dir=tmp_path / "cache")

    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name in ("model.safetensors", "0" * 64)]
    repository.announced = None
    PCR.from_pretrained("someone/tiny", cache_dir=tmp_path / "cache")
    assert [path.is_symlink() for path in (tmp_path / "cache").rglob("model.safetensors")] == [links]


def test_a_download_that_begins_anew_time_and_again_ends() -> None:
    """The client itself would go on for ever where the server knows no ranges."""
    bar = download._Bar(total=10, disable=True)  # type: ignore[no-untyped-call] # the Hub client's
    bar.update(5)
    bar.update(-5)

    with pytest.raises(OSError, match="the download was cut, time and again"):
        bar.update(-5)


def test_a_published_revision_is_pinned(
    hub: "HubServer",
    tiny_model: PCR,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_tensors: Compare,
) -> None:
    """Of a repository that the zoo pins, the pinned commit is loaded, another one where it is asked for."""
    repository = hub.create("someone/tiny")
    first = repository.commit(contents(saved))
    other = PCR(tiny_model.config)
    other.save_pretrained(tmp_path / "other")
    repository.commit(contents(tmp_path / "other"))
    entry = replace(next(iter(PUBLISHED.values())), repository="someone/tiny", revision=first)
    monkeypatch.setattr(hub_module, "PUBLISHED", {"someone/tiny": entry})

    assert same_tensors(tiny_model, load_model("someone/tiny", cache_dir=tmp_path / "cache"))
    assert same_tensors(other, load_model("someone/tiny", revision="main", cache_dir=tmp_path / "cache"))


def test_a_repository_of_transformers_is_loaded(hub: "HubServer", tmp_path: Path) -> None:
    """Its configuration and tensors pass through the same two downloads, and become a `ViTPose`."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation  # noqa: PLC0415 - slow

    backbone = VitPoseBackboneConfig(hidden_size=24, num_attention_heads=3, num_hidden_layers=1, out_indices=[1])
    network = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17))
    network.save_pretrained(tmp_path / "theirs")
    hub.create("usyd-community/vitpose-tiny-simple").commit(contents(tmp_path / "theirs"))
    crops = torch.randn(1, 3, 256, 192)

    model = load_model("usyd-community/vitpose-tiny-simple", cache_dir=tmp_path / "cache")

    assert type(model) is ViTPose
    with torch.no_grad():
        torch.testing.assert_close(model(crops).final, network.eval()(crops).heatmaps, rtol=0, atol=1e-5)
