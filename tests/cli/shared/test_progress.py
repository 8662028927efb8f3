"""Progress on a terminal and in a log file."""

import io
import re
import sys
import time

import pytest

from pcrpose.cli.shared.progress import ProgressLine, counted


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Make time stand still."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sees a bar, which goes away, and then the line that a log file has."""
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressLine(4, label="poses: ") as progress:
        clock.now += 30
        progress.advance(persons=3)
        clock.now += 30
        progress.advance(images=2, persons=3)

    shown = [text for text in stream.getvalue().split("\r") if text.strip()]
    assert re.match(r"poses:   0%\|.*\| 0/4 \[", shown[0])
    assert shown[-1] == "poses: 3/4 images, 6 persons, 0.1 persons/s, 01:00\n"


def test_log_file(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere there is one line, at the end, without control characters; after an error too."""

    def work() -> None:
        with ProgressLine(1, label="x: ") as progress:
            clock.now += 3723
            progress.advance(persons=1)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        work()

    assert capsys.readouterr().err == "x: 1/1 image, 1 person, 0.0 persons/s, 1:02:03\n"


def test_no_time(clock: Clock) -> None:
    """Before any time has passed there is no rate."""
    assert clock.now == 100
    assert ProgressLine(1).rate == 0


def test_counted() -> None:
    """One is not many."""
    assert [counted(number, "person") for number in (0, 1, 2)] == ["0 persons", "1 person", "2 persons"]
