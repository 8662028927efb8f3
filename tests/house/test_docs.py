"""The pages of the site: their code runs, and the reference leaves no module and no public name out."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import pcrpose

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(DOCS.rglob("*.md"))
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
WITH_CODE = [page for page in PAGES if "```python\n" in page.read_text(encoding="utf-8")]
MOST_MODULES = 7  # on a page of the reference
WHOLE_ROOMS = {"cli.md"}  # a page that shows a room as a list, because its reference is elsewhere
HIDDEN = """    options:
      filters: ["!^_[^_]", "!^(NAMES)$"]
"""
BLOCK = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def name_of(path: Path) -> str:
    """Return the name of a module."""
    parts = path.relative_to(REPOSITORY / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def has_public_names(path: Path) -> bool:
    """Tell whether a module defines a class, a function or a constant that does not begin with an underscore."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return any(not name.startswith("_") for name in names)


MODULES = {name_of(path) for path in SOURCES if path.parent.name != "pcrpose"}
PUBLIC_MODULES = {name_of(path) for path in SOURCES if path.parent.name != "pcrpose" and has_public_names(path)}
PUBLIC_NAMES = {f"{home}.{name}" for name, home in pcrpose._HOMES.items()}
BLOCKS = {page: BLOCK.findall(page.read_text(encoding="utf-8")) for page in sorted(REFERENCE.rglob("*.md"))}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_python_fences_run_in_order(page: Path, run_fences: Callable[[Path], int]) -> None:
    """A reader who pastes a page's code from top to bottom gets no error."""
    assert run_fences(page) > 0


def test_reference_shows_every_module_once() -> None:
    """Each module with public names, and each public name, is on exactly one page."""
    shown = sorted(block for blocks in BLOCKS.values() for block in blocks)

    assert shown == sorted(PUBLIC_MODULES | PUBLIC_NAMES)


@pytest.mark.parametrize("page", BLOCKS, ids=lambda page: page.relative_to(REFERENCE).as_posix())
def test_public_names_come_first(page: Path) -> None:
    """A page begins with what is imported from ``pcrpose``, goes on with a few modules, and shows nothing twice."""
    names = [block for block in BLOCKS[page] if block in PUBLIC_NAMES]
    modules = [block for block in BLOCKS[page] if block in MODULES]
    text = page.read_text(encoding="utf-8")

    assert BLOCKS[page] == names + modules
    assert len(modules) <= MOST_MODULES or page.name in WHOLE_ROOMS
    for module in modules:
        own = sorted(name.removeprefix(f"{module}.") for name in names if name.rpartition(".")[0] == module)
        hidden = re.findall(rf"::: {module}\n" + re.escape(HIDDEN).replace("NAMES", "(.+)"), text)

        assert sorted("|".join(hidden).split("|")) == (own or [""])


def test_index_lists_every_public_name() -> None:
    """The first page of the reference leads to each name of the front door."""
    text = (REFERENCE / "index.md").read_text(encoding="utf-8")

    assert set(re.findall(r"\]\[([\w.]+)\]", text)) == PUBLIC_NAMES


def test_navigation_has_every_page() -> None:
    """No page of the site is out of a reader's reach."""
    listed = re.findall(r": ([\w/-]+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY / "src").as_posix())
def test_docstring_examples_are_rendered(path: Path) -> None:
    """The section is called "Examples:", one or many; as "Example:" its code would be shown as quoted text."""
    assert re.findall(r"^ *Example:$", path.read_text(encoding="utf-8"), re.MULTILINE) == []
