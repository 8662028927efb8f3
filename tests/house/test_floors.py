"""The house keeps its shape: imports go down, files and functions stay small."""

import ast
import graphlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FLOORS = {
    "files": 0,
    "keypoints": 1,
    "models": 2,
    "data": 2,
    "evaluation": 2,
    "inference": 3,
    "training": 4,
    "labelling": 4,
    "publishing": 5,
    "cli": 7,
}
DRAWERS = {"utils", "util", "common", "misc", "helpers", "helper", "base"}
MAX_FILE_LINES = 450
MAX_BODY_LINES = 60
MAX_MEDIAN_LINES = 12
TABLES = {"pcrpose/models/encoders/__init__.py"}
LARGER_FILES: dict[str, int] = {}  # a backbone may need more; none does so far
FILES = sorted((SOURCE / "pcrpose").rglob("*.py"))
PATHS = [path.relative_to(SOURCE).as_posix() for path in FILES]


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One import: from a module of the library to another, by name."""

    importer: str
    imported: str
    typing_only: bool

    @property
    def allowed(self) -> bool:
        """Tell whether it goes down, or stays in its room."""
        here, there = (name.split(".")[1] if "." in name else "" for name in (self.importer, self.imported))
        return here == there or (bool(there) and FLOORS[there] < FLOORS[here])


def module_name(path: Path) -> str:
    """Name a source file as Python does."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, *, typing_only: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield every imported name, functions' own imports included, and whether only a type checker sees it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{'.' * node.level}{node.module}.{alias.name}", typing_only) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(node.body, []), typing_only=True)
            yield from imports(ast.Module(node.orelse, []), typing_only=typing_only)
        else:
            yield from imports(node, typing_only=typing_only)


def arrows(path: Path, modules: set[str]) -> Iterator[Arrow]:
    """Yield the imports of one file that stay in the library, each with the module it reaches."""
    for name, typing_only in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if name.split(".")[0] == "pcrpose":
            reached = name if name in modules else name.rpartition(".")[0]
            yield Arrow(importer=module_name(path), imported=reached, typing_only=typing_only)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from a function's first statement after its docstring to its end."""
    has_docstring = ast.get_docstring(function, clean=False) is not None
    statements = function.body[1:] if has_docstring else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(scope="module")
def every_arrow() -> list[Arrow]:
    """Collect the imports of all rooms; the front door may open every room."""
    modules = {module_name(path) for path in FILES}
    return [arrow for path in FILES if path.parent.name != "pcrpose" for arrow in arrows(path, modules)]


def test_every_room_has_a_floor() -> None:
    """A new folder needs a place in the house; only the front door stands outside the rooms."""
    rooms = {path.split("/")[1] for path in PATHS if path.count("/") > 1}

    assert rooms - set(FLOORS) == set()
    assert [path for path in PATHS if path.count("/") == 1] == ["pcrpose/__init__.py", "pcrpose/__main__.py"]


def test_imports_go_down(every_arrow: list[Arrow]) -> None:
    """No room knows a room above it or beside it, and none goes back out through the front door."""
    assert len(every_arrow) > len(FILES)
    assert [arrow for arrow in every_arrow if not arrow.allowed] == []


def test_the_doctor_is_nobodys_dependency(every_arrow: list[Arrow]) -> None:
    """What reads and trains knows nothing of what examines files; only commands call it."""
    doctor = "pcrpose.data.doctor"
    callers = {arrow.importer for arrow in every_arrow if arrow.imported.startswith(doctor)}

    assert [name for name in callers if not name.startswith((doctor, "pcrpose.cli."))] == []


def test_modules_do_not_wait_for_each_other(every_arrow: list[Arrow]) -> None:
    """Within a room, too, what runs at import time has an order."""
    graph: dict[str, set[str]] = {}
    for arrow in every_arrow:
        if not arrow.typing_only:
            graph.setdefault(arrow.importer, set()).add(arrow.imported)

    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", PATHS)
def test_imports_are_spelt_out(path: str) -> None:
    """No relative import and no import by a computed name, both of which would escape these tests."""
    tree = ast.parse((SOURCE / path).read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert [name for name, _ in imports(tree) if name.startswith(".")] == []
    if path != "pcrpose/__init__.py":
        assert called & {"importlib.import_module", "import_module", "__import__", "exec", "eval"} == set()


@pytest.mark.parametrize("path", [path for path in PATHS if path.endswith("/__init__.py") and path.count("/") > 1])
def test_rooms_export_nothing(path: str) -> None:
    """A room's ``__init__`` is its docstring; one that is a table says so by its name in `TABLES`."""
    tree = ast.parse((SOURCE / path).read_text(encoding="utf-8"))

    assert ast.get_docstring(tree)
    assert path in TABLES or len(tree.body) == 1


def test_no_junk_drawers() -> None:
    """A file is named after what it holds."""
    names = {part for path in PATHS for part in Path(path).with_suffix("").parts}

    assert names & DRAWERS == set()


@pytest.mark.parametrize("path", PATHS)
def test_files_stay_small(path: str) -> None:
    """A file that outgrows the guide value has two subjects."""
    assert len((SOURCE / path).read_text(encoding="utf-8").splitlines()) <= LARGER_FILES.get(path, MAX_FILE_LINES)


@pytest.mark.parametrize("path", PATHS)
def test_functions_stay_small(path: str) -> None:
    """No function is longer than a page."""
    long = {node.name: body_lines(node) for node in functions(SOURCE / path) if body_lines(node) > MAX_BODY_LINES}

    assert long == {}


def test_the_median_function_is_short() -> None:
    """Most functions do one thing."""
    assert statistics.median(body_lines(node) for path in FILES for node in functions(path)) <= MAX_MEDIAN_LINES
