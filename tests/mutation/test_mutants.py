"""The table of planted bugs still fits the sources."""

import ast
from pathlib import Path

import mutate
import pytest
from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
NAMES = [mutant.name for mutant in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_every_row_fits_its_file(mutant: Mutant) -> None:
    """The old text occurs exactly once, the new one is Python, and there are tests."""
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutate.mutated(text, mutant)
    ast.parse(changed)

    assert changed != text
    assert mutate.find_tests(ROOT, mutant)


def test_names_are_different() -> None:
    """A name stands for one row."""
    assert len(NAMES) == len(set(NAMES))


def test_the_table_is_long_enough() -> None:
    """Thirty bugs are of the review; at least fifteen more are in training and labelling."""
    review = [name for name in NAMES if name.startswith("review-")]
    trained = [
        mutant.name
        for mutant in MUTANTS
        if mutant.file.startswith(("training/", "labelling/")) and mutant.name not in review
    ]

    assert [f"review-{number:02}" for number in range(1, 31)] == sorted(name[:9] for name in review)
    assert len(trained) >= 15


def test_a_text_that_comes_twice_is_no_row() -> None:
    """Otherwise nobody would know which one was changed."""
    mutant = Mutant("twice", "twice.py", "a", "b")

    with pytest.raises(ValueError, match=r"expected 'a' once in src/pcrpose/twice.py, found it 2 times"):
        mutate.mutated("a a", mutant)


def test_a_survivor_and_a_catch(tmp_path: Path) -> None:
    """A bug that a test sees is caught by that test; another one survives; the file is as it was."""
    source = tmp_path / "src" / "pcrpose" / "halves.py"
    source.parent.mkdir(parents=True)
    source.write_text("def half(x):\n    return x // 2\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_halves.py").write_text(
        "import halves\n\ndef test_four():\n    assert halves.half(4) == 2\n"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src/pcrpose"]\n')
    outcomes = [mutate.judge(tmp_path, Mutant("one", "halves.py", "x // 2", new)) for new in ("x / 2", "x * 2", "x %")]

    found = [(outcome.outcome, outcome.by) for outcome in outcomes]

    assert found == [("survived", ""), ("caught", "tests/test_halves.py::test_four"), ("broken", "")]
    assert source.read_text() == "def half(x):\n    return x // 2\n"
