"""The pages of the site: their code runs, and they leave no module out."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
WITH_CODE = [page for page in PAGES if "```python\n" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_python_fences_run_in_order(page: Path, run_fences: Callable[[Path], int]) -> None:
    """A reader who pastes a page's code from top to bottom gets no error."""
    assert run_fences(page) > 0


def test_reference_shows_every_room(repository: Path) -> None:
    """Each room has a page, which shows all its modules, and a place in the navigation."""
    rooms = sorted(path.parent.name for path in (repository / "src" / "pcrpose").glob("*/__init__.py"))
    shown = {
        page.stem: page.read_text(encoding="utf-8").strip() for page in (repository / "docs" / "reference").glob("*.md")
    }
    navigation = re.findall(r"reference/(\w+)\.md", (repository / "mkdocs.yml").read_text(encoding="utf-8"))

    assert shown == {room: f"::: pcrpose.{room}" for room in rooms}
    assert sorted(navigation) == rooms


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY / "src").as_posix())
def test_docstring_examples_are_rendered(path: Path) -> None:
    """The section is called "Examples:", one or many; as "Example:" its code would be shown as quoted text."""
    assert re.findall(r"^ *Example:$", path.read_text(encoding="utf-8"), re.MULTILINE) == []
