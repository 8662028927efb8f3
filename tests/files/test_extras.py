"""How what is missing is installed, by where the package came from."""

import json
from pathlib import Path

import pytest

from pcrpose.files import extras
from pcrpose.files.extras import install_command


class Installed:
    """A distribution that says where it came from."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def read_text(self, name: str) -> str | None:
        """Return what pip writes for an installation that is not from an index."""
        assert name == "direct_url.json"
        return None if self.url is None else json.dumps({"url": self.url, "dir_info": {}})


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the module lie in a folder of installed packages, not in a clone."""
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "a" / "b" / "c" / "extras.py"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the clone its folder is a dot; elsewhere it has a path."""
    module = tmp_path / "src" / "pcrpose" / "files" / "extras.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(extras, "__file__", str(module))

    monkeypatch.chdir(tmp_path)
    assert install_command("train") == "pip install '.[train]'"
    monkeypatch.chdir(tmp_path / "src")
    assert install_command("train") == f"pip install '{tmp_path.resolve()}[train]'"


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (None, "pcrpose"),
        ("https://example.org/pcrpose.whl", "pcrpose"),
        ("file:///nowhere/pcrpose", "pcrpose"),
        ("file://{folder}/my%20clone", "{folder}/my clone"),
    ],
)
def test_installed(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, source: str) -> None:
    """What pip noted is named where it is still there; what came from an index has a name."""
    (elsewhere / "my clone").mkdir()
    monkeypatch.setattr(extras, "distribution", lambda _: Installed(url and url.format(folder=elsewhere)))

    assert install_command("train") == f"pip install '{source.format(folder=elsewhere)}[train]'"
