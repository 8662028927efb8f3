"""``pcrpose reproduce`` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pcrpose.cli.main import main
from pcrpose.models.pcr import PCRConfig
from pcrpose.publishing import reproduce
from pcrpose.publishing.ledger import describe, listing, page
from pcrpose.publishing.reproduce import ROWS, TableRow, Training


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], listing),
        (["--page"], page),
        (["table4/achu-ch"], lambda: describe(ROWS["table4/achu-ch"])),
    ],
)
def test_what_is_printed(arguments: list[str], expected: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> None:
    """The list, the page, or one row."""
    assert main(["reproduce", *arguments]) == 0

    assert capsys.readouterr().out == expected()


def test_a_check_says_that_it_is_no_result(
    tiny_config: Callable[..., PCRConfig],
    coco_part: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In what is printed and beside the results; no metric is printed."""
    training = Training(name="tiny", model=tiny_config(), parameters=0, gmacs=0.0)
    row = TableRow(name="table9/tiny", label="tiny", split="val2017", published={"AP": 1.0}, trainings=(training,))
    monkeypatch.setattr(reproduce, "ROWS", {row.name: row})

    assert main(["reproduce", "table9/tiny", "--subset", str(coco_part), "--out", str(tmp_path / "runs")]) == 0

    results = tmp_path / "runs/table9-tiny-check/results.json"
    said = capsys.readouterr().out
    assert said == f"pipeline check, not a result: table9/tiny, 16 poses in {results}\n"
    assert json.loads((results.parent / "check.json").read_text())["note"] == "pipeline check, not a result"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["table3/pcr-r5"], "table3/pcr-r5: expected a row of the paper's tables"),
        (["table3/pcr-r50", "--run"], "--coco: expected the folder of COCO's files"),
        (["table3/pcr-r50", "--subset", "nowhere"], "nowhere: expected annotations/person_keypoints_train2017.json"),
        (["table1/megvii-plus-external", "--subset", "nowhere"], "expected a row that can be run"),
        (["table3/pcr-r50", "--page"], "--page: expected no name"),
        (["--run"], "expected the name of a row before --run"),
        (["table3/pcr-r50", "--run", "--page"], "not allowed with"),
    ],
)
def test_mistakes(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, exit code 2, and nothing written."""
    monkeypatch.chdir(tmp_path)

    assert main(["reproduce", *arguments]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert list(tmp_path.iterdir()) == []
