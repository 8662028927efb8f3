"""A training that is killed at random moments ends as if nothing had happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("tiny_run.py")


@pytest.mark.slow  # test_trainer.py stops a run once, without a kill
@pytest.mark.parametrize("count", [2, 20])
def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path, count: int) -> None:
    """After so many SIGKILLs weights, optimizer, best model and log equal the undisturbed run's, byte for byte."""
    command = [sys.executable, str(PROGRAM), "kill", str(tmp_path), str(count)]

    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own program

    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert len(report["steps"]) == count
    assert report["ended"] >= 1
