"""The README keeps its promises."""

import re
from collections.abc import Callable
from pathlib import Path


def test_python_fences_run_in_order(repository: Path, run_fences: Callable[[Path], int]) -> None:
    """A reader who pastes the code from top to bottom gets no error."""
    assert run_fences(repository / "README.md") > 0


def test_links_lead_to_files(repository: Path) -> None:
    """Every relative link and image exists in the checkout."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", (repository / "README.md").read_text(encoding="utf-8"))

    assert targets
    assert [target for target in targets if not (repository / target).exists()] == []


def test_make_targets_exist(repository: Path) -> None:
    """Every ``make`` command that is shown is a target of the Makefile."""
    shown = set(re.findall(r"^make (\w+)", (repository / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert {"demo", "test"} <= shown
    assert shown - targets == set()
