"""The bar on the terminal."""

import io
import sys
import threading

import pytest

from pcrpose.training.engine import progress as module
from pcrpose.training.engine.progress import ProgressLine


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stand for stderr, wide enough, refreshed at every step; pytest sets its own between fixtures and the test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(module, "_REFRESH_SECONDS", 0)
    return stream


def test_the_bar_says_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step, loss, validation, speed and waiting; the bar begins at the step from which the run goes on."""
    stream = terminal(monkeypatch)
    line = ProgressLine(100, 32)
    line.show(40)
    begun = stream.getvalue()
    line.loss, line.validation, line.data_wait = 2.3456789, 0.4123, 0.024
    line.show(44)
    line.show(45)
    shown = stream.getvalue().split("\r")[-1]
    line.close()

    assert "40/100" in begun
    assert "loss" not in begun
    assert "45/100" in shown
    assert "loss 2.346, validation 0.412, " in shown
    assert "persons/s, 2% waiting" in shown


def test_the_bar_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while, so that something else can be written there, and at the end for good."""
    stream = terminal(monkeypatch)
    line = ProgressLine(3, 1)
    line.clear()
    line.show(0)
    for leave in (line.clear, line.close):
        line.show(1)
        leave()

        assert stream.getvalue().endswith("\r")
        assert stream.getvalue().split("\r")[-2].strip() == ""
    line.close()
    assert "\n" not in stream.getvalue()


def test_nothing_is_written_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """A file or a pipe gets log lines instead; and there is no thread of a bar."""
    line = ProgressLine(1, 1)
    threads = threading.active_count()
    line.show(0)
    line.loss = 1.0
    line.show(1)
    line.clear()
    line.close()

    assert capsys.readouterr().err == ""
    assert threading.active_count() == threads
