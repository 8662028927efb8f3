"""What ``train`` and ``train-recipe`` share: other lengths refused, and what is said in the end."""

import json
from pathlib import Path

import pytest

from pcrpose.cli.shared.training import (
    refuse_other_length,
    say_result,
    steps_done,
)
from pcrpose.training.engine.distributed import Processes


def stopped(folder: Path, *, step: int, epochs: int, best: float | None = None) -> None:
    """Leave what a training leaves that a test here looks at."""
    (folder / "last").mkdir(parents=True)
    (folder / "last/progress.json").write_text(json.dumps({"step": step, "best": best}))
    (folder / "train_config.json").write_text(json.dumps({"epochs": epochs}))


def test_another_length_is_refused(tmp_path: Path) -> None:
    """With what to do instead: the final model, or the last one of a run that was stopped, or what is named."""
    refuse_other_length(tmp_path / "none", 5)
    assert steps_done(tmp_path / "none") == 0
    run = tmp_path / "run"
    stopped(run, step=7, epochs=3)

    refuse_other_length(run, 3)
    assert steps_done(run) == 7
    with pytest.raises(ValueError, match=r"run: holds a training of 3 epochs, found 5; .* --start \S*run/last --out"):
        refuse_other_length(run, 5)
    (run / "final").mkdir()
    with pytest.raises(ValueError, match=r"Ask for 3 to go on .* --start \S*run/final --out"):
        refuse_other_length(run, 2)
    with pytest.raises(ValueError, match=r" --start other --out"):
        refuse_other_length(run, 2, newest=Path("other"))


def test_what_is_said_in_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best model where one was measured now, and what to do with a training that was finished before."""
    stopped(tmp_path, step=7, epochs=3, best=0.25)
    say_result(tmp_path, finished=None, val=None)
    assert capsys.readouterr().out.startswith(f"the model is in {tmp_path / 'final'}\n  pcrpose predict")

    say_result(tmp_path, finished=None, val=Path("val.json"))
    assert f"the model is in {tmp_path / 'final'}\n" in capsys.readouterr().out
    (tmp_path / "best").mkdir()
    say_result(tmp_path, finished="3 of 3 epochs", val=Path("val.json"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "this training is finished: 3 of 3 epochs; nothing was left to do",
        "best AP 0.250 on val.json, annotated boxes, no mirroring",
        f"the model is in {tmp_path / 'best'}",
    ]
    assert lines[-1] == f"to train it further, begin another run from it: --start {tmp_path / 'final'} --out ANOTHER"


def test_one_process_of_several_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are silent."""
    for rank in (1, 0):
        monkeypatch.setattr(Processes, "current", lambda rank=rank: Processes(rank, 2))
        say_result(tmp_path, finished=None, val=None)
        assert bool(capsys.readouterr().out) == (rank == 0)
