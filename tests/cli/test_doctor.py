"""``pcrpose doctor``: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from pcrpose.cli.main import main
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.keypoints.skeleton import COCO_17, LSP_14


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Write drawn people and their annotations."""
    return write_synthetic_coco(tmp_path / "drawn", 3)


def test_sound_data(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says that nothing was found."""
    assert main(["doctor", str(drawn), str(drawn.parent / "images")]) == 0

    assert capsys.readouterr().out == "3 images, 3 persons of 'person' (17 keypoints): nothing wrong found\n"


def test_images_that_were_not_looked_at(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without their folder nothing is said of the images, and that is said."""
    assert main(["doctor", str(drawn)]) == 0
    assert capsys.readouterr().out.endswith("nothing wrong found; the images were not looked at: give their folder\n")


@pytest.mark.parametrize(
    ("text", "reason"), [("[]", "is a list of 0"), ("null", "holds no object"), ("{", "is not JSON")]
)
def test_what_is_no_annotation_file(text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line counts nothing that could not be read; a folder is a mistake in what was asked for."""
    (tmp_path / "file.json").write_text(text)

    assert main(["doctor", str(tmp_path / "file.json")]) == 1
    finding, last = capsys.readouterr().out.splitlines()
    assert f"file.json {reason}" in finding
    assert last == "nothing could be read: 1 error"
    assert main(["doctor", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"pcrpose doctor: {tmp_path}: expected an annotation file, found a folder\n"


def test_errors_come_first(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding is one line; the last one counts them; an error makes the exit code 1."""
    content = json.loads(drawn.read_text())
    content["annotations"][0]["num_keypoints"] = 0
    for entry in content["annotations"]:
        del entry["category_id"]
    drawn.write_text(json.dumps(content))
    (drawn.parent / "images/000001.png").unlink()

    assert main(["doctor", str(drawn), str(drawn.parent / "images")]) == 1

    *findings, last = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in findings] == ["error", "error", "warning"]
    assert "(000001.png)" in findings[0]
    assert last == "3 images, 3 persons of 'person' (17 keypoints): 2 errors, 1 warning"


def test_warnings_alone_are_no_failure(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning can be meant so."""
    content = json.loads(drawn.read_text())
    for entry in content["annotations"]:
        del entry["area"]
    drawn.write_text(json.dumps(content))

    assert main(["doctor", str(drawn)]) == 0
    assert capsys.readouterr().out.endswith(": 1 warning; the images were not looked at: give their folder\n")


def test_against_another_file(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shared images are found by name without the folders, by content with both."""
    other = write_synthetic_coco(tmp_path / "other", 3, seed=5)

    assert main(["doctor", str(drawn), "--against", str(other)]) == 1
    assert "name and id" in capsys.readouterr().out
    folders = [str(path.parent / "images") for path in (drawn, other)]
    assert main(["doctor", str(drawn), folders[0], "--against", str(other), folders[1]]) == 0
    assert main(["doctor", str(drawn), folders[0], "--against", str(drawn), folders[0]]) == 1
    assert "images that the other file has too: 3" in capsys.readouterr().out


def test_another_skeleton(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names are held against those of a skeleton file."""
    skeleton = tmp_path / "skeleton.json"
    for value, code in ((COCO_17, 0), (LSP_14, 1)):
        skeleton.write_text(json.dumps(value.to_dict()))
        assert main(["doctor", str(drawn), "--skeleton", str(skeleton)]) == code
    assert "names that LSP_14 lacks: 5 of 17" in capsys.readouterr().out


def test_json(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the same findings as one object."""
    drawn.write_text(drawn.read_text()[:-1])

    assert main(["doctor", str(drawn), "--json"]) == 1

    content = json.loads(capsys.readouterr().out)
    assert content["summary"] == "nothing could be read"
    assert [(entry["severity"], entry["check"], entry["count"]) for entry in content["findings"]] == [
        ("error", "json", 1)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json"], "none.json: no such annotation file"),
        (["drawn/annotations.json", "--against", "a", "b", "c"], "expected FILE or FILE IMAGES, found a b c"),
        (["drawn/annotations.json", "--skeleton", "none.json"], "none.json: no such skeleton file"),
    ],
)
def test_mistakes(
    arguments: list[str],
    message: str,
    drawn: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was asked for wrongly is exit code 2."""
    monkeypatch.chdir(drawn.parent.parent)

    assert main(["doctor", *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
