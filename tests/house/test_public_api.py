"""The public names and their signatures, guarded by a checked-in text.

A change on purpose: ``python tests/house/test_public_api.py`` writes the text again, and the difference is reviewed.
"""

import ast
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pcrpose

RECORD = Path(__file__).with_name("public_api.txt")
RETURNED = (
    "pcrpose.data.samples.AnnotatedPersons",
    "pcrpose.evaluation.bootstrap.Interval",
    "pcrpose.models.encoder_weights.LoadedEncoder",
    "pcrpose.training.events.Step",
    "pcrpose.training.events.Validated",
    "pcrpose.training.events.Saved",
)
SHOWN_METHODS = {"__init__", "__call__", "__len__", "__getitem__", "__iter__"}


def public_api() -> str:
    """Describe every public name, and the values that users get from them, as their source declares them."""
    named = [(name, getattr(pcrpose, name)) for name in sorted(pcrpose.__all__)]
    for path in RETURNED:
        module, _, name = path.rpartition(".")
        named.append((name, getattr(import_module(module), name)))
    return "\n".join(describe(name, value) for name, value in named)


def describe(name: str, value: Any) -> str:  # noqa: ANN401 - anything may be public
    """Describe one name: a class with its fields and methods, a function, or a constant."""
    if inspect.isclass(value):
        return "\n".join([class_line(value), *members(value).values()]) + "\n"
    if inspect.isfunction(value):
        return signature(syntax(value)) + "\n"
    return f"{name}: {type(value).__name__}\n"


def syntax(value: Any) -> Any:  # noqa: ANN401 - a class or function and its node
    """Parse the source of one class or function."""
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def class_line(value: type) -> str:
    """Return a class with its decorators and bases."""
    node: ast.ClassDef = syntax(value)
    decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
    bases = ", ".join(map(ast.unparse, node.bases))
    return f"{decorators}class {node.name}" + (f"({bases})" if bases else "")


def members(value: type) -> dict[str, str]:
    """List the public fields and methods that the class or a base of this library declares, bases first."""
    found: dict[str, str] = {}
    for base in reversed(value.__mro__):
        if not base.__module__.startswith("pcrpose"):
            continue
        for node in syntax(base).body:
            if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
                found[ast.unparse(node.target)] = f"    {ast.unparse(node)}"
            elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name in SHOWN_METHODS):
                decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
                found[node.name] = f"    {decorators}{signature(node)}"
    return found


def signature(node: ast.FunctionDef) -> str:
    """Return a function's head."""
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){returned}"


def test_public_api_is_as_recorded() -> None:
    """A public name or signature that changes shows in review."""
    assert public_api() == RECORD.read_text(encoding="utf-8")


def test_public_signatures_hide_nothing() -> None:
    """No public function takes ``**kwargs``."""
    assert re.search(r"\*\*\w", public_api()) is None


if __name__ == "__main__":
    RECORD.write_text(public_api(), encoding="utf-8")
