"""The command line: find the command, run it, and turn errors into one line and an exit code."""

# ruff: noqa: PLC0415 - a command's module is imported when that command is run: "pcrpose --help" needs none

import argparse
import contextlib
import difflib
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, Protocol, TextIO

USAGE, INTERRUPTED, READER_GONE = 2, 130, 141  # 0 and 1 are the commands' own
EXPECTED_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)

# Written here, not in the commands' modules, because importing all of them for their help would load torch.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "predict": "find the keypoints of the people in images: drawings and JSON files",
        "evaluate": "measure a model, or a results file, on annotations in COCO's form",
        "calibrate": "fit how likely a model's keypoints are right, and save the model with it",
        "train": "fine-tune a model on your annotations",
        "train-recipe": "train on several kinds of data, stage after stage, by a recipe of the paper",
        "doctor": "look through annotations for what spoils training and measuring",
        "mine": "mine hard negatives: boxes that a detector takes for persons where nobody is",
        "pseudo-label": "label unlabelled images with what a model is sure of, for training",
        "convert-data": "turn annotations, or what predict has found, into another format: coco, yolo",
        "convert": "make a model's folder of a published checkpoint, Simple Baselines' or HRNet's",
        "export": "write a model as one file for onnxruntime or OpenVINO",
        "verify": "compare an exported file with the model that it was made of",
        "reproduce": "list the rows of the paper's tables, print the steps of one, check it or run it",
        "zoo": "list the pretrained models, or print the card of one",
        "push": "publish a model or an ensemble, with its card, on the Hugging Face Hub",
        "info": "show what is installed here, or what a model is",
    }
)

# A command that stands in none of them is listed at the end.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "use": ("predict", "video", "demo"),
        "measure": ("evaluate", "calibrate", "reproduce"),
        "train": ("train", "train-recipe", "doctor"),
        "make labels": ("mine", "pseudo-label", "convert-data"),
        "models": ("zoo", "info", "convert", "export", "verify", "push"),
    }
)

EPILOG = """\
examples:
  pcrpose predict photo.jpg
  pcrpose predict photos --detector yolox-nano --out drawn

"pcrpose COMMAND --help" explains a command.

exit codes: 0 all is well; 1 done in part, or something was found (each command says what); 2 a mistake in what was
asked for, nothing or not everything done; 130 stopped by Ctrl-C
"""


class Command(Protocol):
    """What the module of a command has: its arguments, and the work itself."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe the arguments, examples included."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the work; the exit code."""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line: the usage, a dozen lines for some commands, would bury it."""

    def error(self, message: str) -> NoReturn:
        """Write what is wrong and where help is, and exit."""
        self.exit(USAGE, f'{self.prog}: error: {message}; "{self.prog} --help" shows how\n')


def load_command(name: str) -> Command:  # noqa: C901, PLR0912 - one case per command
    """Import the module of one command; the others, and what they need, stay unloaded."""
    command: Command
    match name:
        case "predict":
            from pcrpose.cli import predict as command
        case "evaluate":
            from pcrpose.cli import evaluate as command
        case "calibrate":
            from pcrpose.cli import calibrate as command
        case "train":
            from pcrpose.cli import train as command
        case "train-recipe":
            from pcrpose.cli import train_recipe as command
        case "doctor":
            from pcrpose.cli import doctor as command
        case "mine":
            from pcrpose.cli import mine as command
        case "pseudo-label":
            from pcrpose.cli import pseudo_label as command
        case "convert-data":
            from pcrpose.cli import convert_data as command
        case "convert":
            from pcrpose.cli import convert as command
        case "export":
            from pcrpose.cli import export as command
        case "verify":
            from pcrpose.cli import verify as command
        case "reproduce":
            from pcrpose.cli import reproduce as command
        case "zoo":
            from pcrpose.cli import zoo as command
        case "push":
            from pcrpose.cli import push as command
        case "info":
            from pcrpose.cli import info as command
        case _:
            raise ValueError(f"command: expected one of {list(COMMANDS)}, found {name!r}")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; by default the one the process was started with.

    Returns:
        The exit code: the command's own 0 or 1, 2 after a mistake of the user's, 130 after Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _main(given)
    except KeyboardInterrupt:
        sys.stderr.write("\npcrpose: stopped\n")
        return INTERRUPTED


def _main(given: list[str]) -> int:
    if not given:
        _parser(None).print_help(sys.stderr)
        return USAGE
    # The options before a command take no values, so this is the command.
    name = next((argument for argument in given if not argument.startswith("-")), None)
    command = load_command(name) if name is not None and name in COMMANDS else None
    try:
        options = _parse(given, name, command)
    except SystemExit as stop:  # argparse has reported a mistake, or written help
        return stop.code if isinstance(stop.code, int) else 0
    except OSError as error:  # a path that the system refuses
        sys.stderr.write(f"pcrpose: {_one_line(error)}\n")
        return USAGE
    if command is None:  # argparse refuses this before
        return USAGE
    with logging_to_stderr(verbose=options.verbose):
        return _run(command, options)


def _parse(given: list[str], name: str | None, command: Command | None) -> argparse.Namespace:
    parser = _parser(name, command)
    given = _joined(given)
    if name is not None and name not in COMMANDS and name == given[0]:
        parser.error(f"expected one of {', '.join(COMMANDS)}, found {name!r}{_offer(name)}")
    options, unknown = parser.parse_known_args(given)
    if unknown:
        parser.prog = f"{parser.prog} {options.command}"  # whose help lists what there is
        early = "; options stand behind the command" if given[0] in unknown else ""
        parser.error(f"unknown argument{'s' * (len(unknown) > 1)}: {' '.join(unknown)}{early}")
    return options


def _joined(given: Sequence[str]) -> list[str]:
    """Join an option with a list of numbers that begins below zero, which argparse would take for an option."""
    joined: list[str] = []
    for argument in given:
        if joined and joined[-1].startswith("--") and re.fullmatch(r"-[0-9.][^,]*(,[^,]*)+", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _offer(name: str) -> str:
    """Return a suggestion for an unknown command, or nothing where none is near."""
    if Path(name).exists():
        return f'; "pcrpose predict {name}" finds people in images'
    close = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _parser(name: str | None, command: Command | None = None) -> argparse.ArgumentParser:
    """Build the parser: every command by name, one of them with its arguments."""
    parser = Parser(
        prog="pcrpose",
        usage="pcrpose [-h] [--version] COMMAND ...",
        description=f"Find the keypoints of people in images, and train and measure models that do.\n\n{_listing()}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pcrpose {version('pcrpose')}")
    commands = parser.add_subparsers(
        prog="pcrpose", dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    for known, line in COMMANDS.items():
        sub = commands.add_parser(
            known,  # without help: argparse would list it, in one long group
            description=f"{line[0].upper()}{line[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if known == name and command is not None:
            command.add_arguments(sub)
        sub.add_argument("-v", "--verbose", action="store_true", help="say more about what happens, on stderr")
        sub.add_argument("--debug", action="store_true", help="show where in the code an error arose")
    return parser


def _listing() -> str:
    """List the commands in groups, one per line."""
    groups = {title: [name for name in names if name in COMMANDS] for title, names in GROUPS.items()}
    rest = [name for name in COMMANDS if not any(name in names for names in GROUPS.values())]
    width = max(map(len, COMMANDS))
    lines: list[str] = []
    for title, names in {**groups, "more": rest}.items():
        if names:
            lines += [f"{title}:", *(f"  {name:<{width}}  {COMMANDS[name]}" for name in names), ""]
    return "\n".join(lines).rstrip()


def _run(command: Command, options: argparse.Namespace) -> int:
    try:
        code = command.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output, "head" for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except EXPECTED_ERRORS as error:
        if options.debug:
            traceback.print_exc()
        sys.stderr.write(f"pcrpose {options.command}: {_one_line(error)}\n")
        return USAGE
    return code


def _one_line(error: Exception) -> str:
    """Write an error on one line; those of the system without their number, the file in front."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    return " ".join(message.split()) or type(error).__name__


class _LineFormatter(logging.Formatter):
    """One line per message."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {' '.join(record.getMessage().split())}"


class _AboveBars(logging.StreamHandler[TextIO]):
    """Write above a progress bar, where one is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


@contextlib.contextmanager
def logging_to_stderr(*, verbose: bool) -> Iterator[None]:
    """Show what the library logs, one line per message: warnings, and with ``verbose`` what it does as well."""
    logger = logging.getLogger("pcrpose")
    handler = _AboveBars(sys.stderr)
    handler.setFormatter(_LineFormatter())
    before = logger.level
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
