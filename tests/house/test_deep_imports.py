"""What README, docs and examples use is behind the front door: few imports go deeper."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pcrpose

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = ("README.md", "docs", "examples")
ONE_IN = 7


def imported_names(repository: Path) -> Iterator[tuple[str, str]]:
    """Yield every name of the library that the shown code imports: the module it comes from, and the name."""
    for path in (path for shown in SHOWN for path in [repository / shown, *(repository / shown).rglob("*")]):
        if path.suffix not in {".md", ".py"}:
            continue
        text = path.read_text(encoding="utf-8")
        for source in FENCE.findall(text) if path.suffix == ".md" else [text]:
            yield from from_library(ast.parse(source))


def from_library(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that one piece of code imports from the library."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pcrpose":
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (("", alias.name) for alias in node.names if alias.name.split(".")[0] == "pcrpose")


def test_few_imports_go_past_the_front_door(repository: Path) -> None:
    """Fewer than one imported name in seven comes from a module instead of from ``pcrpose``."""
    names = list(imported_names(repository))
    deep = [f"{module}.{name}" for module, name in names if module not in {"", "pcrpose"} or "." in name]

    assert names
    assert len(deep) * ONE_IN < len(names), f"{len(deep)} of {len(names)}: {sorted(deep)}"


def test_public_names_are_not_fetched_from_their_modules(repository: Path) -> None:
    """Who reads the code that is shown learns the short way."""
    around = {(module, name) for module, name in imported_names(repository) if module != "pcrpose"}

    assert [(module, name) for module, name in sorted(around) if name in pcrpose.__all__] == []
