"""The page of the ledger, and the steps of its rows."""

from pathlib import Path

import pytest

from pcrpose.cli.main import _parser, load_command
from pcrpose.publishing.ledger import describe, listing, page, steps
from pcrpose.publishing.reproduce import ROWS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reproduction.md"


def test_the_page_is_up_to_date() -> None:
    """After a change of the table: ``pcrpose reproduce --page > docs/reproduction.md``."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_the_page_has_every_row() -> None:
    """Each with its command, or the reason why there is none."""
    text = page()

    for row in ROWS.values():
        assert (f"`pcrpose reproduce {row.name} --run`" in text) == bool(row.trainings)
        assert f"| {row.label} |" in text
        assert not row.note or f"- `{row.name}`: {row.note}." in text


def test_the_listing_has_one_line_per_row() -> None:
    """Between a head and a hint."""
    lines = listing().splitlines()

    assert [line.split()[0] for line in lines[1:-1]] == list(ROWS)
    assert "illegible" in next(line for line in lines if line.startswith("table2/test-dev"))
    assert all(len(line) <= 100 for line in lines)


def test_a_row_says_what_it_takes() -> None:
    """Its metrics, networks, data, hours and steps."""
    text = describe(ROWS["table3/pcr-r50"])

    assert "paper: AP 73.8, AR 79.3\n" in text
    assert "measured: not yet run, because it needs the whole of COCO" in text
    assert "network: pcr-r50, 256x192, 33.4 M parameters, 6.0 GMACs; C 210 epochs, batch 128\n" in text
    assert "GPU hours: 170, an estimate: 220 h x crops x GMACs / (31.5 M x 7.645)" in text
    assert text.endswith("1. pcrpose reproduce table3/pcr-r50 --run --coco coco --out runs\n")


def test_a_row_that_cannot_be_run_has_no_steps() -> None:
    """It says why, and nothing of hours."""
    text = describe(ROWS["table1/megvii-plus-external"])

    assert "measured: cannot be run\nnote: a rival's ensemble" in text
    assert "GPU hours" not in text


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.trainings])
def test_steps_are_commands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is understood; every command but the uploads is one of ours."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco/annotations").mkdir(parents=True)
    for file in (
        "train_boxes.json",
        "unlabelled_boxes.json",
        "boxes.json",
        "coco/annotations/person_keypoints_train2017.json",
    ):
        (tmp_path / file).touch()

    for step in steps(ROWS[name]):
        program, command, *arguments = step.split()
        if program != "upload":
            options = _parser(command, load_command(command)).parse_args([command, *arguments])
            assert (program, options.command) == ("pcrpose", command)


def test_steps_make_what_later_ones_need() -> None:
    """Negatives and pseudo-labels come first, and the model that labels before them."""
    assert [step.split()[1] for step in steps(ROWS["table4/achu-ch"])] == [
        "mine",
        "reproduce",
        "pseudo-label",
        "reproduce",
    ]
    assert steps(ROWS["table2/test-dev"])[-2].count("--detections boxes.json") == 1
    assert steps(ROWS["table1/pcr-r152"])[-1].startswith("upload runs/table1-pcr-r152/person_keypoints_test-dev2017_")
