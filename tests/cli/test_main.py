"""The command line as a whole: help, exit codes, messages, logging."""

import argparse
import io
import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from pcrpose.cli import main as command_line
from pcrpose.cli import zoo
from pcrpose.cli.main import COMMANDS, GROUPS, load_command, main
from pcrpose.cli.shared.progress import ProgressLine

HEAVY = {"torch", "numpy", "scipy", "PIL", "pycocotools", "huggingface_hub", "accelerate", "onnxruntime"}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let ``pcrpose zoo`` end with an exception."""

    def break_with(error: BaseException) -> None:
        def run(_: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr(zoo, "run", run)

    return break_with


def test_help_is_quick() -> None:
    """The overview, the version and the zoo load no heavy package."""
    code = f"""
import json, sys
from pcrpose.cli.main import main
codes = [main([]), main(["--help"]), main(["--version"]), main(["zoo"]), main(["zoo", "--help"]), main(["unknown"])]
print(json.dumps([codes, sorted({HEAVY} & {{name.split(".")[0] for name in sys.modules}})]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own code

    assert json.loads(done.stdout.splitlines()[-1]) == [[2, 0, 0, 0, 0, 2], []]


def test_module_and_script(tmp_path: Path) -> None:
    """``python -m pcrpose`` and the installed script are the same command line."""
    script = shutil.which("pcrpose", path=str(Path(sys.executable).parent))
    for command in ([sys.executable, "-m", "pcrpose"], [script] if script else []):
        if command:
            done = subprocess.run([*command, "zoo", "none"], check=False, capture_output=True, text=True, cwd=tmp_path)  # noqa: S603 - our own code

            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("pcrpose zoo: expected one of pcr-small, pcr-nano")


def test_reader_that_leaves(tmp_path: Path) -> None:
    """Output that nobody reads to its end is no error worth a message."""
    code = """
import os, sys
from pcrpose.cli.main import main
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, sys.stdout.fileno())
sys.exit(main(["zoo"]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)  # noqa: S603 - our own code

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command explains itself with examples and exit codes, under the line that the overview has."""
    assert main([name, "--help"]) == 0

    text = capsys.readouterr().out
    assert f"pcrpose {name} " in text.split("options:")[1]
    assert "exit code" in text.lower()


@pytest.mark.parametrize(("name", "line"), COMMANDS.items())
def test_a_command_in_a_line(name: str, line: str) -> None:
    """The overview's line is no sentence: it begins small and has no full stop, and its command exists."""
    assert line[0].islower()
    assert not line.endswith(".")
    assert callable(load_command(name).run)


def test_overview(capsys: pytest.CaptureFixture[str]) -> None:
    """The overview names every command; without a command it is shown as a mistake."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"\n  {name}\s", text)] == []
    assert re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE) == [*GROUPS, "options", "examples"]
    assert text.startswith("usage: pcrpose [-h] [--version] COMMAND ...\n")
    assert text.count(COMMANDS["predict"]) == 1

    assert main([]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", text)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is the package's."""
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"pcrpose {version('pcrpose')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zoo", "--unknown", "-x"], "pcrpose zoo: error: unknown arguments: --unknown -x"),
        (["zoo", "a", "b"], "pcrpose zoo: error: unknown argument: b"),
        (["doctor"], "pcrpose doctor: error: the following arguments are required: FILE"),
        (["train", "x", "y"], "pcrpose train: error: argument ANNOTATIONS.json: x: expected a file, found none"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake is one line that says where to read on, not a dozen lines of usage."""
    assert main(arguments) == 2

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f'{message}; "pcrpose {arguments[0]} --help" shows how\n')


@pytest.mark.parametrize(
    ("name", "offer"),
    [
        ("banana", ""),
        ("pedict", "; did you mean 'predict'?"),
        ("Train", "; did you mean 'train'?"),
        ("photo.jpg", '; "pcrpose predict photo.jpg" finds people in images'),
    ],
)
def test_unknown_commands(
    name: str, offer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The known ones are listed; only what is near is offered, and for a file the command that takes files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()

    assert main([name]) == 2

    listed = ", ".join(COMMANDS)
    said = f"pcrpose: error: expected one of {listed}, found {name!r}{offer}"
    assert capsys.readouterr().err == f'{said}; "pcrpose --help" shows how\n'


@pytest.mark.parametrize(
    "arguments", [["a" * 300], ["predict", "x.jpg", "--out", "a" * 300], ["doctor", "a" * 300, "."]]
)
def test_paths_that_the_system_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line, as for any other mistake."""
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "name too long" in line.lower()


def test_options_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Options of a command come behind it."""
    assert main(["-v", "zoo"]) == 2
    assert "unknown argument: -v; options stand behind the command;" in capsys.readouterr().err
    assert main(["--unknown"]) == 2
    assert "pcrpose: error: the following arguments are required: COMMAND;" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, ImportError, FloatingPointError])
def test_expected_errors(
    kind: type[Exception], broken: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user can fix is one line, and a traceback only on request."""
    broken(kind("expected this,\n  found that"))

    assert main(["zoo"]) == 2
    assert capsys.readouterr().err == "pcrpose zoo: expected this, found that\n"
    assert main(["zoo", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_errors_without_words(broken: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    """An error without a message is named by its kind."""
    broken(ValueError())

    assert main(["zoo"]) == 2

    assert capsys.readouterr().err == "pcrpose zoo: ValueError\n"


def test_errors_of_the_system(broken: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    """They name the file first, and no number."""
    broken(OSError(28, "the disk is full", "runs/mine"))

    assert main(["zoo"]) == 2

    assert capsys.readouterr().err == "pcrpose zoo: runs/mine: the disk is full\n"


def test_mistakes_of_ours_show_where(broken: Callable[[BaseException], None]) -> None:
    """An error that no user can fix is not dressed up."""
    broken(ZeroDivisionError("ours"))

    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["zoo"])


def test_interrupt(broken: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with the shell's code for it, without a traceback."""
    broken(KeyboardInterrupt())

    assert main(["zoo"]) == 130

    assert capsys.readouterr().err == "\npcrpose: stopped\n"


def test_arguments_of_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Called without arguments it takes those the process was started with."""
    monkeypatch.setattr(sys, "argv", ["pcrpose", "--version"])

    assert main() == 0

    assert "pcrpose" in capsys.readouterr().out


@pytest.mark.parametrize(("flags", "shown"), [([], ["warning"]), (["-v"], ["info", "warning"])])
def test_logging(
    flags: list[str], shown: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the library logs comes out as one line each, and only while a command runs."""
    logger = logging.getLogger("pcrpose.somewhere")

    def run(_: argparse.Namespace) -> int:
        logger.info("one\n of %d", 2)
        logger.warning("one\n of %d", 2)
        return 1

    monkeypatch.setattr(zoo, "run", run)

    assert main(["zoo", *flags]) == 1
    assert capsys.readouterr().err == "".join(f"{level}: one of 2\n" for level in shown)
    logger.warning("nobody asked")
    assert capsys.readouterr().err == ""
    assert logging.getLogger("pcrpose").handlers == []


def test_messages_stand_above_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the bar makes way for a message and is shown again below it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "60")

    with command_line.logging_to_stderr(verbose=False), ProgressLine(4) as progress:
        logging.getLogger("pcrpose").warning("short")
        progress.advance()

    shown = [text for text in stream.getvalue().split("\r") if text.strip()]
    assert "0/4" in shown[0]
    assert shown[1] == "warning: short\n"
    assert "0/4" in shown[2]


def test_messages_are_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal a message is a line, and nothing more."""
    with command_line.logging_to_stderr(verbose=False):
        progress = ProgressLine(4)
        logging.getLogger("pcrpose").warning("short")
        progress.advance()

    assert capsys.readouterr().err == "warning: short\n"
