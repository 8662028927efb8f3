"""Files of weights from elsewhere: tensors are read, nothing is run."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pcrpose.models.checkpoints.read import read_tensors


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    """Make a state dict of two tensors."""
    return {"conv.weight": torch.rand(2, 3), "conv.bias": torch.rand(2)}


class Trap:
    """Something that would run when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (Path("trapped"),)


@pytest.mark.parametrize("name", ["a.pth", "a.pth.tar", "a.pt", "a.bin", "a.safetensors"])
def test_each_kind_of_file_is_read(name: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """The suffix says how; the tensors are the same."""
    save: Callable[[dict[str, Tensor], Path], object] = save_file if name.endswith(".safetensors") else torch.save
    save(tensors, tmp_path / name)

    found = read_tensors(tmp_path / name)

    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_files_of_old_versions_of_torch(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """Those of before 2020 are pickles without an archive around them."""
    torch.save({"state_dict": tensors}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    assert torch.equal(read_tensors(tmp_path / "old.pth")["conv.bias"], tensors["conv.bias"])


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_plain_pickle_never_runs(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error, whatever the protocol."""
    monkeypatch.chdir(tmp_path)
    Path("trap.pth").write_bytes(pickle.dumps(Trap(), protocol=protocol))

    with pytest.raises(ValueError, match=r"trap\.pth: expected tensors alone; .* never run"):
        read_tensors(Path("trap.pth"))

    assert not Path("trapped").exists()


def test_an_archive_with_a_trap_beside_tensors_never_runs(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one in the form of today that looks like a checkpoint."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": tensors, "hook": Trap()}, "trap.pth")
    assert zipfile.is_zipfile("trap.pth")

    with pytest.raises(ValueError, match="never run"):
        read_tensors(Path("trap.pth"))

    assert not Path("trapped").exists()
