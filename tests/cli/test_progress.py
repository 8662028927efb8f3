"""The progress line on a terminal and in a log file."""

import io

import pytest

from pcrpose.cli.progress import ProgressLine, counted


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


def test_terminal(clock: Clock) -> None:
    """A terminal sees the line again and again, each time over the one before, and how long it will take."""
    stream = Terminal()
    with ProgressLine(4, stream=stream, clock=clock) as progress:
        clock.now += 30
        progress.advance(persons=3)
        progress.advance(persons=3)  # no time has passed: not shown
        clock.now += 30
        progress.advance(images=2)

    shown = [text for text in stream.getvalue().split("\r") if text.strip()]
    assert shown == [
        "1/4 images, 3 persons, 0.1 persons/s, 1:30 left",
        "4/4 images, 6 persons, 0.1 persons/s, 0:00 left",
        "4/4 images, 6 persons, 0.1 persons/s, 1:00\n",
    ]


def test_log_file(clock: Clock) -> None:
    """Elsewhere there is one line, at the end, without control characters; after an error too."""
    stream = io.StringIO()

    def work() -> None:
        with ProgressLine(1, label="x: ", stream=stream, clock=clock) as progress:
            clock.now += 3723
            progress.advance(persons=1)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        work()

    assert stream.getvalue() == "x: 1/1 image, 1 person, 0.0 persons/s, 1:02:03\n"


def test_no_time(clock: Clock) -> None:
    """Before any time has passed there is no rate."""
    assert ProgressLine(1, stream=io.StringIO(), clock=clock).rate == 0


def test_watch(clock: Clock) -> None:
    """Items are counted when the next one is asked for, with their persons."""
    progress = ProgressLine(3, stream=io.StringIO(), clock=clock)

    seen = [(item, progress.images, progress.persons) for item in progress.watch("abc", [2, 0, 5])]

    assert seen == [("a", 0, 0), ("b", 1, 2), ("c", 2, 2)]
    assert (progress.images, progress.persons) == (3, 7)


def test_counted() -> None:
    """One is not many."""
    assert [counted(number, "person") for number in (0, 1, 2)] == ["0 persons", "1 person", "2 persons"]
