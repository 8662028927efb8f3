"""The line on the terminal."""

import io

import pytest

from pcrpose.training.engine.progress import ProgressLine


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def test_the_line_tells_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of 32 persons a second; 96 of 100 steps are left after four. A narrow terminal shows its beginning."""
    monkeypatch.setenv("COLUMNS", "120")
    stream, clock = Terminal(), Clock()
    line = ProgressLine(100, 32, stream=stream, clock=clock)
    line.show(0)
    clock.now, line.loss, line.validation, line.data_wait = 2.0, 2.3456789, 0.4123, 0.024
    line.show(4)

    expected = "step 4/100, loss 2.346, validation 0.412, 64 persons/s, 0:00:48 left, 2% waiting"
    assert stream.getvalue() == expected
    line.clear()
    assert stream.getvalue() == f"{expected}\r{' ' * len(expected)}\r"

    monkeypatch.setenv("COLUMNS", "21")
    clock.now = 3.0
    line.show(5)
    assert stream.getvalue().endswith("\rstep 5/100, loss 2.3")


def test_the_line_is_not_rewritten_all_the_time() -> None:
    """Steps that follow at once are left out; the last one is not."""
    stream, clock = Terminal(), Clock()
    line = ProgressLine(3, 1, stream=stream, clock=clock)
    line.show(0)
    clock.now = 0.01
    line.show(1)
    line.show(2)
    assert stream.getvalue() == ""
    clock.now = 0.02
    line.show(3)
    assert stream.getvalue().startswith("step 3/3")


def test_nothing_is_written_elsewhere() -> None:
    """A file or a pipe gets log lines instead."""
    stream = io.StringIO()
    line = ProgressLine(1, 1, stream=stream, clock=Clock())
    line.show(0)
    line.show(1)
    line.clear()
    assert stream.getvalue() == ""
