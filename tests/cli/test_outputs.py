"""The folder of results: what counts as done, and what is never overwritten."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.cli.outputs import SETTINGS_FILE, ResultsFolder
from pcrpose.cli.pictures import Picture
from pcrpose.keypoints.poses import Poses

IMAGE = np.zeros((4, 6, 3), dtype=np.uint8)
POSES = Poses.empty()


@pytest.fixture
def pictures(here: Path) -> list[Picture]:
    """Give two picture files."""
    (here / "in").mkdir()
    found = [Picture(path=Path("in", f"{name}.png"), name=name) for name in ("a", "b")]
    for picture in found:
        PIL.Image.fromarray(IMAGE).save(picture.path)
    return found


def results(
    folder: str = "out", *, suffix: str | None = "png", overwrite: bool = False, flip: bool = True
) -> ResultsFolder:
    """Describe a folder."""
    return ResultsFolder(folder=Path(folder), settings={"flip": flip}, suffix=suffix, overwrite=overwrite)


def save(folder: ResultsFolder, picture: Picture) -> None:
    """Write results of a picture without persons."""
    folder.save(picture, IMAGE, POSES, POSES.draw(IMAGE) if folder.suffix else None)


def test_save(pictures: list[Picture], listing: Callable[[str], list[str]]) -> None:
    """A picture gets a drawing and a record, from which the poses and the picture are found again."""
    save(results(), pictures[0])

    assert listing("out") == ["a.json", "a.png", SETTINGS_FILE]
    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    assert Path("out", record["image"]).samefile(pictures[0].path)
    assert (record["width"], record["height"]) == (6, 4)
    assert len(Poses.from_dict(record["poses"])) == 0
    with PIL.Image.open("out/a.png") as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (6, 4))


def test_done(pictures: list[Picture]) -> None:
    """What has a record and all its files is done; with the first picture comes the folder."""
    folder = results()
    assert folder.left_to_do(pictures) == pictures
    assert not folder.folder.exists()

    save(folder, pictures[0])

    assert folder.left_to_do(pictures) == pictures[1:]
    assert folder.left_to_do(pictures, again=True) == pictures
    assert results(overwrite=True, flip=False).left_to_do(pictures) == pictures


@pytest.mark.parametrize("lost", ["out/a.json", "out/a.png"])
def test_a_part_is_missing(pictures: list[Picture], lost: str) -> None:
    """A picture is done again if a file of its results is gone."""
    save(results(), pictures[0])
    Path(lost).unlink()

    assert results().left_to_do(pictures) == pictures


def test_changed_pictures(pictures: list[Picture]) -> None:
    """A picture that is newer than its record is done again."""
    save(results(), pictures[0])
    later = Path("out/a.json").stat().st_mtime + 10
    os.utime(pictures[0].path, (later, later))

    assert results().left_to_do(pictures) == pictures


def test_other_settings(pictures: list[Picture]) -> None:
    """Other settings are a mistake that names what differs; overwritten, what is left of the old is done again."""
    for picture in pictures:
        save(results(), picture)
    other = results(flip=False)

    with pytest.raises(ValueError, match=r"flip was True, is False.*--overwrite"):
        other.left_to_do(pictures)

    save(results(flip=False, overwrite=True), pictures[0])
    assert other.left_to_do(pictures) == pictures[1:]


def test_another_picture_of_the_name(pictures: list[Picture]) -> None:
    """Results of one picture never replace those of another."""
    save(results(), pictures[0])
    stranger = Picture(path=pictures[1].path, name="a")

    with pytest.raises(ValueError, match=r"a.json is not of .*b.png; choose another --out"):
        results().left_to_do([stranger])


@pytest.mark.parametrize("name", ["out/a.json", "out/a.png"])
def test_files_of_others(pictures: list[Picture], name: str) -> None:
    """What something else has made stays."""
    Path("out").mkdir()
    Path(name).write_text("[]", encoding="utf-8")

    with pytest.raises(ValueError, match=r"out.a\.\w+ is there, and not made by pcrpose predict"):
        results().left_to_do(pictures)
    assert results(overwrite=True).left_to_do(pictures) == pictures


def test_damaged_records(pictures: list[Picture]) -> None:
    """A record that is none is not touched, and settings that are none are other settings."""
    save(results(), pictures[0])
    Path("out/a.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a.json is not of"):
        results().left_to_do(pictures)

    Path("out", SETTINGS_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="flip was None, is True"):
        results().left_to_do(pictures)


@pytest.mark.parametrize("overwrite", [False, True])
def test_pictures_are_safe(pictures: list[Picture], *, overwrite: bool) -> None:
    """No picture is ever replaced by its drawing, on no request."""
    with pytest.raises(ValueError, match=r"in.a.png is one of the pictures; choose another --out or --format"):
        results("in", overwrite=overwrite).left_to_do(pictures)
    assert results("in", suffix=None).left_to_do(pictures) == pictures
    assert results("in", suffix="jpg").left_to_do(pictures) == pictures


def test_a_folder_moves(pictures: list[Picture], here: Path) -> None:
    """Pictures and results that are moved together still know each other."""
    save(results(), pictures[0])
    (here / "new").mkdir()
    for name in ("in", "out"):
        (here / name).rename(here / "new" / name)

    moved = [Picture(path=Path("new") / picture.path, name=picture.name) for picture in pictures]
    assert results("new/out").left_to_do(moved) == moved[1:]


def test_no_common_drive(pictures: list[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no relative path, the record names the picture by its whole path."""

    def refuse(path: str, start: str) -> str:
        raise ValueError(f"path is on mount {path!r}, start on mount {start!r}")

    monkeypatch.setattr(os.path, "relpath", refuse)
    save(results(), pictures[0])

    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    assert record["image"] == pictures[0].path.resolve().as_posix()
    assert results().left_to_do(pictures) == pictures[1:]
