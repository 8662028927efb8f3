"""``pcrpose mine``: what it writes, what it says, and that no review label is lost."""

import argparse
import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from pcrpose.cli import mine
from pcrpose.data.readers.negatives import NegativesFile, read_negatives
from pcrpose.data.synthetic import write_synthetic_coco

CORNERS = ([0, 0, 6, 8], [0, 12, 6, 8], [3, 1, 5, 7])  # left of everybody who is drawn


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Draw three people, and detect them and some corners where they are not; give the annotations."""
    monkeypatch.chdir(tmp_path)
    annotations = write_synthetic_coco(tmp_path / "drawn", 3)
    content: dict[str, Any] = json.loads(annotations.read_text())
    for annotation in content["annotations"]:
        annotation["bbox"] = [20, 20, 30, 30]
    persons = [{**each, "score": 0.9} for each in content["annotations"]]
    corners = [
        {"image_id": image["id"], "category_id": 1, "bbox": box, "score": 0.8 - index / 10}
        for image in content["images"]
        for index, box in enumerate(CORNERS)
    ]
    (tmp_path / "found.json").write_text(json.dumps([*persons, *corners]))
    write_annotations(content)
    return content


def write_annotations(content: dict[str, Any]) -> None:
    """Write the annotations that the command reads."""
    Path("people.json").write_text(json.dumps(content))


def run(*arguments: str) -> int:
    """Run the command with the files of the fixture."""
    parser = argparse.ArgumentParser()
    mine.add_arguments(parser)
    return mine.run(parser.parse_args(["people.json", "found.json", "--out", "negatives.json", *arguments]))


@pytest.mark.usefixtures("drawn")
def test_boxes_and_sheets(capsys: pytest.CaptureFixture[str]) -> None:
    """The corners are mined, persons and duplicates are counted, and a page shows what was mined."""
    assert run("--images", "drawn/images", "--sheets", "sheets", "--duplicate-iou", "0.3") == 0

    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert told[0] == ["12", "detections,", "3", "images"]
    assert ["3", "touching", "a", "person"] in told
    assert ["3", "much", "like", "a", "better-scored", "one"] in told
    assert ["6", "hard", "negatives,", "in", "3", "images"] in told
    assert "3 do not say" in " ".join(map(" ".join, told))
    assert [sample.box_xyxy.tolist() for sample in read_negatives("negatives.json", "")[:3]] == [[0, 0, 6, 8]] * 3
    assert len(list(Path("sheets").iterdir())) == 1
    with PIL.Image.open("sheets/sheet_000.png") as page:
        assert page.width > 1000


@pytest.mark.usefixtures("drawn")
def test_the_file_says_how_it_was_made() -> None:
    """Names and marks of the files, rules and counts; no folder of the machine."""
    run("--min-score", "0.65", "--limit", "2")

    source = NegativesFile.read("negatives.json").source
    assert source["detections"]["file"] == "found.json"
    assert len(source["annotations"]["sha256"]) == 12
    assert (source["rules"]["min_score"], source["rules"]["limit"]) == (0.65, 2)
    assert source["detections_read"] == 12
    assert (source["dropped"]["score"], source["dropped"]["limit"]) == (3, 4)


@pytest.mark.usefixtures("drawn")
def test_review_labels_are_noted_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """What was rejected is never read, the others are verified; the file is then safe from a plain run."""
    run()
    assert run("--rejected", "0,3-4") == 0
    assert "6  of them verified, 3 rejected" in capsys.readouterr().out

    review_labels = [negative.verified for negative in NegativesFile.read("negatives.json").negatives]
    assert review_labels == [False, True, True, False, False, True, True, True, True]
    assert len(read_negatives("negatives.json", "", verified_only=True)) == 6
    with pytest.raises(ValueError, match=r"negatives\.json: holds review labels; choose"):
        run()
    assert run("--rejected", "") == 0
    assert all(negative.verified for negative in NegativesFile.read("negatives.json").negatives)


@pytest.mark.usefixtures("drawn")
def test_review_labels_on_other_boxes_are_refused() -> None:
    """Indices belong to the boxes of one set of rules."""
    with pytest.raises(ValueError, match="no such file; --rejected needs the one"):
        run("--rejected", "1")
    run()
    with pytest.raises(ValueError, match="lists 9 other boxes than these rules give"):
        run("--rejected", "1", "--min-score", "0.7")
    with pytest.raises(ValueError, match="expected indices from 0 to 8, found 9"):
        run("--rejected", "9")
    assert {negative.verified for negative in NegativesFile.read("negatives.json").negatives} == {None}


def test_incomplete_images(drawn: dict[str, Any]) -> None:
    """Passed over by default, used on request; with --complete-only nothing else is used."""
    for image, complete in zip(drawn["images"], (True, False, None), strict=True):
        image["annotations_complete"] = complete
    write_annotations(drawn)

    def images(*arguments: str) -> set[int]:
        run(*arguments)
        return {negative.image_id for negative in NegativesFile.read("negatives.json").negatives}

    first, second, third = (image["id"] for image in drawn["images"])
    assert images() == {first, third}
    assert images("--incomplete") == {first, second, third}
    assert images("--complete-only") == {first}


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sheets", "sheets"], "--sheets: expected --images"),
        (["--sheets", "sheets", "--images", "nowhere"], "--images nowhere: expected the folder of the images"),
        (["--incomplete", "--complete-only"], "contradict each other"),
        (["--duplicate-iou", "0"], "duplicate_iou: expected a number above 0"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    """Named before anything is written."""
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(*arguments)
    assert not Path("negatives.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("", ()), ("3", (3,)), ("3, 17,25-27", (3, 17, 25, 26, 27)), ("4-4", (4,))]
)
def test_numbers(text: str, expected: tuple[int, ...]) -> None:
    """Whole numbers and ranges."""
    assert mine.numbers(text) == expected


@pytest.mark.parametrize("text", ["a", "1-", "5-3", "-2", "1-2-3", "1.5"])
def test_other_texts_are_no_numbers(text: str) -> None:
    """The part that is wrong is shown."""
    with pytest.raises(argparse.ArgumentTypeError, match="expected numbers and ranges such as 3,17,25-30"):
        mine.numbers(text)
