"""Fixtures of the house tests: the checkout, its modules, and the code that its pages show."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def repository() -> Path:
    """Give the root of the checkout."""
    return REPOSITORY


@pytest.fixture
def run_python_fences(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path], int]:
    """Give a function that runs a page's ``python`` fences in order, in an empty folder, and counts them."""

    def run(page: Path) -> int:
        folder = tmp_path / "reader"
        folder.mkdir()
        monkeypatch.chdir(folder)
        text, names = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
        fences = list(FENCE.finditer(text))
        for fence in fences:
            # Empty lines in front: a traceback then shows the page's own line number.
            source = "\n" * text.count("\n", 0, fence.start(1)) + fence[1]
            exec(compile(source, str(page), "exec"), names)  # noqa: S102 - the repository's own pages
        return len(fences)

    return run
