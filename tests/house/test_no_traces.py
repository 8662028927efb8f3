"""Nothing in the project depends on, or tells of, one particular machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MACHINE_PATH = re.compile(r"(?<![\w./:<-])/(?:work|farm|root|home|Users|tmp|opt|mnt)/\w")
REFERENCE_FOLDER = "../" + "shared"
TOO_LARGE = 20 << 20


@pytest.fixture
def project_files(repository: Path) -> list[Path]:
    """List the files that belong to the project: tracked, or new and not ignored."""
    git = shutil.which("git")
    if git is None or not (repository / ".git").exists():
        pytest.skip("this is no git checkout")
    command = [git, "-C", str(repository), "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no input from outside
    return [repository / name for name in listed.splitlines() if (repository / name).is_file()]


def test_no_machine_paths(project_files: list[Path], repository: Path) -> None:
    """No text names a folder of somebody's machine; reference data is looked for in one place only."""
    found = []
    for path in project_files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(repository).as_posix()
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
        if REFERENCE_FOLDER in text and name != "tests/conftest.py":
            found.append(f"{name}: {REFERENCE_FOLDER}")

    assert project_files
    assert found == []


def test_no_large_files(project_files: list[Path]) -> None:
    """A clone stays light: weights have at most 20 MiB per file."""
    assert [path for path in project_files if path.stat().st_size > TOO_LARGE] == []
