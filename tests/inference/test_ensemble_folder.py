"""Saved ensembles: what comes back, what lies in the folder, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcrpose.inference import ensemble_folder
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.ensemble_folder import Member
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.models.hub import write_folder
from pcrpose.models.load import load_model
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.zoo import pretrained_folder

BOXES = [[20.0, 15.0, 90.0, 140.0]]


@pytest.fixture(scope="module")
def mixed() -> Ensemble:
    """Put a tiny model, a view of it and a model of the zoo together; nobody changes them."""
    torch.manual_seed(1)
    size = Size(width=64, height=96)
    tiny = PCR(PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), se_norm="none", input_size=size))
    members = [Member(model=tiny, weight=2.0), Member(model=tiny, padding=1.5, input_size=Size(width=96, height=128))]
    return Ensemble([*members, "pcr-nano"], mirrored=True)


@pytest.fixture(scope="module")
def written(mixed: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save it once."""
    folder = tmp_path_factory.mktemp("written") / "both"
    mixed.save(folder)
    return folder


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    """Copy the saved one, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "both"))


def layout(folder: Path) -> list[str]:
    """List the files below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_saved_comes_back(mixed: Ensemble, photo: Image, tmp_path: Path) -> None:
    """The same poses, weights and crops; one subfolder for a model that has two views, a name for the zoo's."""
    mixed.save(tmp_path / "both")

    assert layout(tmp_path) == [f"both/{name}" for name in FILES]
    loaded = Ensemble.load(tmp_path / "both")
    assert (loaded.weights, loaded.crop_specs, loaded.mirrored) == ([2.0, 1.0, 1.0], mixed.crop_specs, True)
    assert loaded.members[0] is loaded.members[1]
    ours, theirs = (PosePredictor(each).predict(photo, BOXES) for each in (mixed, loaded))
    np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
    loaded.save(tmp_path / "again")
    assert [(tmp_path / "again" / name).read_bytes() for name in FILES] == [
        (tmp_path / "both" / name).read_bytes() for name in FILES
    ]


FILES = ["ensemble.json", "member-1/config.json", "member-1/model.safetensors"]


def test_the_zoo_by_name_only_as_it_is(tmp_path: Path) -> None:
    """A model of the zoo in half precision is still it; one that was trained further is saved with its weights."""
    both = Ensemble(["pcr-nano"])
    both.half().save(tmp_path / "half")
    assert layout(tmp_path / "half") == ["ensemble.json"]
    with torch.no_grad():
        next(both.members[0].parameters()).add_(0.01)

    both.save(tmp_path / "changed")

    assert layout(tmp_path / "changed") == FILES


def test_another_takes_its_place(mixed: Ensemble, make_model: Callable[[], PCR], tmp_path: Path) -> None:
    """Whole: old members are gone, the card stays; a folder of anything else is left alone."""
    mixed.save(tmp_path / "both")
    (tmp_path / "both" / "README.md").write_text("mine")

    Ensemble(["pcr-nano"]).save(tmp_path / "both")

    assert layout(tmp_path) == ["both/README.md", "both/ensemble.json"]
    assert (tmp_path / "both" / "README.md").read_text() == "mine"
    (tmp_path / "other").mkdir()
    Ensemble([make_model()]).save(tmp_path / "other")
    (tmp_path / "other" / "ensemble.json").unlink()
    with pytest.raises(FileExistsError, match=r"other: expected a new or empty folder, or one with ensemble\.json"):
        mixed.save(tmp_path / "other")
    assert layout(tmp_path / "other") == FILES[1:]


def test_a_failure_leaves_what_was_there(
    mixed: Ensemble, make_model: Callable[[], PCR], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while the second member is written: no new folder, and an old one stays as it was."""
    Ensemble(["pcr-nano"]).save(tmp_path / "old")

    def write(folder: Path, *given: Any) -> None:  # noqa: ANN401 - as the function's
        if folder.name == "member-2":
            raise OSError("disk full")
        write_folder(folder, *given)

    monkeypatch.setattr(ensemble_folder, "write_folder", write)
    two = Ensemble([make_model(), mixed.members[0], make_model()])  # type: ignore[list-item]
    for name in ("old", "new"):
        with pytest.raises(OSError, match="disk full"):
            two.save(tmp_path / name)

    assert layout(tmp_path) == ["old/ensemble.json"]


def rewrite(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the content of the file that lists the members."""
    content = json.loads((folder / "ensemble.json").read_text())
    change(content)
    (folder / "ensemble.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it.update(extra=1), "ensemble.json: expected 'mirrored', true or false, and 'members', found"),
        (lambda it: it.update(mirrored="yes"), "expected 'mirrored', true or false"),
        (lambda it: it.update(members=[]), "members: expected one at least, found none"),
        (lambda it: it["members"][0].pop("weight"), "member 1: expected the keys"),
        (
            lambda it: it["members"][0].update(name="pcr-nano"),
            "expected a name or a folder, found 'pcr-nano'",
        ),
        (lambda it: it["members"][0].update(folder="../member-1"), "folder: expected a name of letters and digits"),
        (lambda it: it["members"][1].update(sha256="0" * 64), "model.safetensors: expected the SHA-256 0000"),
        (lambda it: it["members"][1].update(sha256="?"), "sha256: expected 64 hexadecimal digits, found '\\?'"),
        (lambda it: it["members"][1].update(weight=-1), "weight: expected a positive number, found -1"),
        (lambda it: it["members"][1].update(input_size="wide"), "member 2: "),
        (lambda it: it["members"][1].update(input_size=3), "input_size: expected a text"),
        (lambda it: it["members"][1].update(padding=0), "padding: expected a positive number, found 0"),
        (lambda it: it["members"][2].update(name="pcr-huge"), r"member 3: expected one of \['pcr-small', 'pcr-nano'"),
        (lambda it: it["members"][2].update(sha256="0" * 64), "pcr-nano/model.safetensors: expected the SHA-256 0000"),
    ],
)
def test_a_changed_file_is_refused(change: Callable[[Any], object], message: str, saved: Path) -> None:
    """Every key and value is checked; the error is one line that says where."""
    rewrite(saved, change)

    with pytest.raises(ValueError, match=message) as raised:
        Ensemble.load(saved)
    assert "\n" not in str(raised.value)


def test_missing_files(saved: Path) -> None:
    """A member's weights; the list itself; and each kind of folder loaded as the other kind."""
    with pytest.raises(ValueError, match=r"both: expected one model, found an ensemble; use Ensemble\.load"):
        load_model(saved)
    with pytest.raises(ValueError, match=r"pcr-nano: expected an ensemble, found no ensemble\.json; use load_model"):
        Ensemble.load("pcr-nano")
    (saved / "member-1" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: expected the weights of a member, found none"):
        Ensemble.load(saved)


def test_the_zoo_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name means the weights that it had when it was saved."""
    Ensemble(["pcr-nano"]).save(tmp_path / "one")
    monkeypatch.setattr(ensemble_folder, "pretrained_folder", lambda _name: pretrained_folder("pcr-small"))

    with pytest.raises(ValueError, match="other weights than were saved"):
        Ensemble.load(tmp_path / "one")
