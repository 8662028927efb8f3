"""Plant the bugs of `mutants` one at a time, and report which of them the tests do not catch.

    python tests/mutation/mutate.py                      # the whole table; writes result.json beside this file
    python tests/mutation/mutate.py --only NAME ...      # some rows; writes nothing
    python tests/mutation/mutate.py --jobs 2             # two at a time

Everything happens in copies of the checkout. The test that caught a bug the last time is asked first. The exit code is
1 if fewer than 95 of 100 bugs are caught, and 2 if a test that caught one fails without it too.
"""

import argparse
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
RESULT = Path(__file__).with_name("result.json")
COPIED = ("src", "tests", "examples", "benchmarks", "docs", "pyproject.toml", "README.md", "Makefile")
REQUIRED = 0.95
PATIENCE = 900  # seconds; whoever waits for ever has been caught
OK, FAILED = 0, 1  # exit codes of pytest; the others are errors outside of tests

Outcome = Literal["caught", "survived", "broken"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a planted bug; ``by`` is the first test that failed."""

    name: str
    file: str
    outcome: Outcome
    by: str = ""
    equivalent: str = ""


def main() -> int:
    """Read the arguments, plant, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows of the table; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    chosen = choose(options.only)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        checkouts = [copy_checkout(Path(folder, str(number))) for number in range(options.jobs)]
        results = plant_all(chosen, checkouts)
        proofs = sorted({result.by for result in results if "::" in result.by})
        code, output = run_tests(checkouts[0], proofs) if proofs else (OK, "")
    if code != OK:
        print(f"a test fails without any planted bug:\n{output}", file=sys.stderr)
        return 2
    counted = [result for result in results if not result.equivalent]
    caught = sum(result.outcome == "caught" for result in counted)
    for result in results:
        if result.outcome != "caught":
            print(f"{result.outcome}: {result.name} ({result.file}) {result.equivalent}")
    minutes = (time.monotonic() - begun) / 60
    print(f"{caught} of {len(counted)} planted bugs caught, {caught / max(1, len(counted)):.1%}; {minutes:.0f} minutes")
    if not options.only:
        summary = {"planted": len(counted), "caught": caught, "equivalent": len(results) - len(counted)}
        content = summary | {"mutants": [asdict(result) for result in results]}
        RESULT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if caught >= REQUIRED * len(counted) else 1


def choose(names: Sequence[str] | None) -> list[Mutant]:
    """Return the rows of these names; exits where one is none of the table."""
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in names or () if name not in known]:
        sys.exit(f"no row {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(MUTANTS)


def copy_checkout(folder: Path) -> Path:
    """Copy what the tests need, without what was compiled."""
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def find_tests(checkout: Path, mutant: Mutant) -> list[str]:
    """List the files and folders of tests of a row; raises ValueError if there are none."""
    found = sorted(path.relative_to(checkout).as_posix() for glob in mutant.patterns for path in checkout.glob(glob))
    if not found:
        raise ValueError(f"{mutant.name}: expected tests, found none that fit {mutant.patterns}")
    return found


def plant_all(mutants: Sequence[Mutant], checkouts: Sequence[Path]) -> list[Result]:
    """Plant every bug, as many at a time as there are copies of the checkout; results in the order of the table."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for checkout in checkouts:
        free.put(checkout)

    known = {row["name"]: row["by"] for row in json.loads(RESULT.read_bytes())["mutants"]} if RESULT.exists() else {}

    def one(mutant: Mutant) -> Result:
        checkout = free.get()
        begun = time.monotonic()
        try:
            result = judge(checkout, mutant, known.get(mutant.name, ""))
        finally:
            free.put(checkout)
        print(f"{result.outcome:9} {time.monotonic() - begun:4.0f} s  {result.name}  {result.by}", flush=True)
        return result

    with ThreadPoolExecutor(len(checkouts)) as pool:
        return list(pool.map(one, mutants))


def judge(checkout: Path, mutant: Mutant, first: str = "") -> Result:
    """Plant one bug, run its tests and take it out again; ``first`` names a test that may well catch it."""
    code, output = OK, ""
    with planted(checkout / mutant.path, mutant):
        try:
            if first:
                code, output = run_tests(checkout, [first])
            if code != FAILED:
                code, output = run_tests(checkout, find_tests(checkout, mutant))
        except subprocess.TimeoutExpired:
            code, output = FAILED, "FAILED by waiting for ever"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?::.+?|by .+?)(?: - .*)?$", output, re.MULTILINE)
    outcome: Outcome = "survived" if code == OK else "caught" if code == FAILED and failed else "broken"
    by = failed[1] if failed and outcome == "caught" else ""
    return Result(name=mutant.name, file=mutant.path, outcome=outcome, by=by, equivalent=mutant.equivalent)


@contextmanager
def planted(path: Path, mutant: Mutant) -> Iterator[None]:
    """Change a file for as long as this lasts."""
    text = path.read_text(encoding="utf-8")
    path.write_text(mutated(text, mutant), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def mutated(text: str, mutant: Mutant) -> str:
    """Return a file's text with the bug; raises ValueError unless the old text occurs exactly once."""
    if (count := text.count(mutant.old)) != 1:
        raise ValueError(f"{mutant.name}: expected {mutant.old!r} once in {mutant.path}, found it {count} times")
    return text.replace(mutant.old, mutant.new)


def run_tests(checkout: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests against a copy of the checkout up to the first failure; returns pytest's exit code and output."""
    # nothing compiled is kept: two versions of a file can be of one size and one second
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(  # noqa: S603 - our own tests
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
