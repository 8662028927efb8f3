"""The reference page of the command line is written by the commands' own parsers.

After a change of a command's options: ``python tests/house/test_cli_reference.py``.
"""

import argparse
import re
from pathlib import Path

from pcrpose.cli.main import COMMANDS, GROUPS, Parser, load_command

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/cli.md"
MARKED = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->\n)", re.DOTALL)
COMMON = {"-h, --help"}  # said once, above the commands


def reference() -> str:
    """Write every command, in the order of ``pcrpose --help``."""
    names = [name for group in GROUPS.values() for name in group if name in COMMANDS]
    names += [name for name in COMMANDS if name not in names]
    return "".join(section(name, COMMANDS[name], command_parser(name)) for name in names)


def command_parser(name: str) -> argparse.ArgumentParser:
    """Build the parser of one command."""
    parser = Parser(prog=f"pcrpose {name}")
    load_command(name).add_arguments(parser)
    return parser


def section(name: str, summary: str, parser: argparse.ArgumentParser) -> str:
    """Write one command: usage, options, examples, notes, exit codes."""
    rows = [row(action, group.title or "") for group in parser._action_groups for action in group._group_actions]
    table = "| argument | default | what | group |\n|---|---|---|---|\n" + "".join(filter(None, rows))
    examples, notes, exit_codes = epilog(parser.epilog or "")
    line = f"{summary[0].upper()}{summary[1:]}."
    return f"\n## {name}\n\n{escape(line)}\n\n{examples}\n{table}\n{notes}{exit_codes}"


def row(action: argparse.Action, group: str) -> str:
    """Write one argument; nothing for those of every command."""
    names = ", ".join(action.option_strings)
    if names in COMMON or action.help == argparse.SUPPRESS:
        return ""
    default = default_of(action)
    text = argparse.HelpFormatter("pcrpose")._expand_help(action)
    text = re.sub(rf" \({re.escape(default)}\)(?=$|;)", "", text) if default else text
    if action.choices and (action.metavar or not action.option_strings):
        text += f"; one of {', '.join(map(str, action.choices))}"
    group = "" if group in {"options", "positional arguments"} else group
    shown = "required" if action.required and action.nargs not in {"?", "*"} else f"`{default}`" * bool(default)
    cells = (f"`{spelling(action).replace('|', chr(92) + '|')}`", shown, escape(text), group)
    return f"| {' | '.join(cells)} |\n"


def spelling(action: argparse.Action) -> str:
    """Return how an argument is typed, with the names of its values."""
    formatter = argparse.HelpFormatter("pcrpose")
    if not action.option_strings:
        return formatter._format_args(action, str(action.metavar or action.dest))
    values = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    return " ".join(filter(None, (", ".join(action.option_strings), values)))


def default_of(action: argparse.Action) -> str:
    """Return what is taken where an option is not given: the parser's default, or what the help says in brackets."""
    if isinstance(action.default, list):
        return ", ".join(map(str, action.default))
    if action.default is not None and not isinstance(action.default, bool) and action.default != argparse.SUPPRESS:
        return str(action.default)
    said = re.search(r" \(([\w.-]+)\)(?=$|;)", action.help or "")
    return said[1] if said else ""


def epilog(text: str) -> tuple[str, str, str]:
    """Split what stands below the options into examples, notes and exit codes, as Markdown."""
    examples, notes, exit_codes = "", "", ""
    for block in text.strip().split("\n\n"):
        head, _, rest = block.partition(":\n")
        if block.startswith("exit codes: "):
            _, _, codes = " ".join(block.split()).partition(": ")
            exit_codes = "Exit codes:\n\n" + "".join(f"- {escape(code)}\n" for code in codes.split("; "))
        elif rest.startswith("  "):
            indented = "\n".join(line.removeprefix("  ") for line in rest.splitlines())
            fence = f"```text\n{indented}\n```\n"
            examples, notes = (fence, notes) if head == "examples" else (examples, f"{notes}{head}:\n\n{fence}\n")
        else:
            notes += f"{escape(' '.join(block.split()))}\n\n"
    return examples, notes, exit_codes


def escape(text: str) -> str:
    """Keep Markdown and tables from reading signs of the text as their own."""
    return re.sub(r"([|*<])", r"\\\1", text)


def test_reference_is_that_of_the_parsers() -> None:
    """What the page says of each command is what the command's parser says."""
    assert MARKED.findall(PAGE.read_text(encoding="utf-8")) == [reference()]


def test_section_shows_options_defaults_examples_and_exit_codes() -> None:
    """A small command, written by hand."""
    parser = argparse.ArgumentParser(prog="pcrpose tiny", add_help=False)
    parser.epilog = "examples:\n  pcrpose tiny a*b\n\nTwo\nlines.\n\nexit codes: 0 well; 2 a\nmistake\n"
    parser.add_argument("file", metavar="FILE", nargs="+", help="what to read")
    group = parser.add_argument_group("size")
    group.add_argument("--kind", choices=("a", "b"), default="a", help="of file (a)")
    group.add_argument("--most", metavar="N", help="at once (16); more is slower")
    group.add_argument("--out", metavar="DIR", required=True, help="folder")

    expected = """
## tiny

Make a\\|b.

```text
pcrpose tiny a*b
```

| argument | default | what | group |
|---|---|---|---|
| `FILE [FILE ...]` | required | what to read |  |
| `--kind {a,b}` | `a` | of file | size |
| `--most N` | `16` | at once; more is slower | size |
| `--out DIR` | required | folder | size |

Two lines.

Exit codes:

- 0 well
- 2 a mistake
"""
    assert section("tiny", "make a|b", parser) == expected


if __name__ == "__main__":
    PAGE.write_text(MARKED.sub(lambda _: reference(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
