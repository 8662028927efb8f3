"""Where results may go, and the folder of results."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.cli.main import main
from pcrpose.cli.shared.inputs import ImageFile
from pcrpose.cli.shared.results import SETTINGS_FILE, ResultsFolder, free_names, is_drawing, new_file, new_folder
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.poses import Poses

IMAGE = np.zeros((4, 6, 3), dtype=np.uint8)
POSES = Poses.empty()


@pytest.fixture
def files(here: Path) -> list[ImageFile]:
    """Give two image files."""
    (here / "in").mkdir()
    found = [ImageFile(path=Path("in", f"{name}.png"), name=name) for name in ("a", "b")]
    for file in found:
        PIL.Image.fromarray(IMAGE).save(file.path)
    return found


def results(
    folder: str = "out", *, suffix: str | None = "png", overwrite: bool = False, flip: bool = True
) -> ResultsFolder:
    """Describe a folder."""
    return ResultsFolder(folder=Path(folder), settings={"flip": flip}, suffix=suffix, overwrite=overwrite)


def save(folder: ResultsFolder, file: ImageFile) -> None:
    """Write results of an image without persons."""
    folder.save(file, Size.of(IMAGE), POSES, POSES.draw(IMAGE) if folder.suffix else None)


def test_save(files: list[ImageFile], listing: Callable[[str], list[str]]) -> None:
    """An image gets a drawing and a record, from which the poses and the image are found again."""
    save(results(), files[0])

    assert listing("out") == ["a.json", "a.png", SETTINGS_FILE]
    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    assert Path("out", record["image"]).samefile(files[0].path)
    assert (record["width"], record["height"]) == (6, 4)
    assert len(Poses.from_dict(record["poses"])) == 0
    with PIL.Image.open("out/a.png") as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (6, 4))


def test_done(files: list[ImageFile]) -> None:
    """What has a record and all its files is done; with the first image comes the folder."""
    folder = results()
    assert folder.left_to_do(files) == files
    assert not folder.folder.exists()

    save(folder, files[0])

    assert folder.left_to_do(files) == files[1:]
    assert folder.left_to_do(files, again=True) == files
    assert results(overwrite=True, flip=False).left_to_do(files) == files


@pytest.mark.parametrize("lost", ["out/a.json", "out/a.png"])
def test_a_part_is_missing(files: list[ImageFile], lost: str) -> None:
    """An image is done again if a file of its results is gone."""
    save(results(), files[0])
    Path(lost).unlink()

    assert results().left_to_do(files) == files


def test_changed_images(files: list[ImageFile]) -> None:
    """An image that is newer than its record is done again."""
    save(results(), files[0])
    later = Path("out/a.json").stat().st_mtime + 10
    os.utime(files[0].path, (later, later))

    assert results().left_to_do(files) == files


def test_other_settings(files: list[ImageFile]) -> None:
    """What was made with other settings is done again, and what differs is said, image by image."""
    for file in files:
        save(results(), file)
    other = results(flip=False)

    assert other.left_to_do(files) == files
    assert other.made_otherwise(files) == 2
    assert other.changes() == ["flip was True, is False"]
    save(other, files[0])
    assert other.left_to_do(files) == files[1:]
    assert other.changes() == []
    assert (other.made_otherwise(files), results().made_otherwise(files)) == (1, 1)


def test_another_image_of_the_name(files: list[ImageFile]) -> None:
    """Results of one image never replace those of another: they get a number, the same every time."""
    save(results(), files[0])
    stranger = ImageFile(path=files[1].path, name="a")

    (named,) = free_names([stranger], Path("out"), suffix="png")
    assert (named.path, named.name) == (stranger.path, "a-2")
    save(results(), named)
    assert free_names([stranger], Path("out"), suffix="png") == [named]
    third = ImageFile(path=Path("in", "c.png"), name="a")
    assert free_names([third, ImageFile(path=Path("in", "d.png"), name="a-3")], Path("out"), suffix="png") == [
        replace(third, name="a-4"),
        ImageFile(path=Path("in", "d.png"), name="a-3"),
    ]


@pytest.mark.parametrize("name", ["out/a.json", "out/a.png"])
def test_files_of_others(files: list[ImageFile], name: str) -> None:
    """What something else has made stays."""
    Path("out").mkdir()
    Path(name).write_text("[]", encoding="utf-8")

    assert [file.name for file in free_names(files, Path("out"), suffix="png")] == ["a-2", "b"]
    assert free_names(files, Path("out"), suffix="png", overwrite=True) == files


def test_damaged_records(files: list[ImageFile]) -> None:
    """A record that is none is not touched, and neither is a file of settings that is none."""
    save(results(), files[0])
    Path("out/a.json").write_text("{", encoding="utf-8")
    assert [file.name for file in free_names(files, Path("out"), suffix="png")] == ["a-2", "b"]

    Path("out", SETTINGS_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"out.predict.json is there, and not made by pcrpose predict; choose"):
        results().left_to_do(files)
    assert results(overwrite=True).left_to_do(files) == files


@pytest.mark.parametrize("overwrite", [False, True])
def test_images_are_safe(files: list[ImageFile], *, overwrite: bool) -> None:
    """No image is ever replaced by its drawing, on no request."""
    names = {
        suffix: [file.name for file in free_names(files, Path("in"), suffix=suffix, overwrite=overwrite)]
        for suffix in ("png", "jpg", None)
    }

    assert names == {"png": ["a-2", "b-2"], "jpg": ["a", "b"], None: ["a", "b"]}


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_drawings_are_known(files: list[ImageFile], suffix: str) -> None:
    """A drawing with its record is no image to predict; without, its name is still free, another image's is not."""
    folder = results(suffix=suffix)
    save(folder, files[0])
    drawing = Path("out", f"a.{suffix}")

    assert is_drawing(drawing)
    assert not is_drawing(files[0].path)
    Path("out/a.json").unlink()
    assert not is_drawing(drawing)
    assert free_names(files, Path("out"), suffix=suffix) == files
    PIL.Image.fromarray(IMAGE).save(drawing)
    assert [file.name for file in free_names(files, Path("out"), suffix=suffix)] == ["a-2", "b"]


def test_a_record_of_its_own_image(files: list[ImageFile]) -> None:
    """An image beside its own record, as --out of the images' folder leaves it, stays an image."""
    save(results("in", suffix=None), files[0])

    assert Path("in/a.json").exists()
    assert not is_drawing(files[0].path)


def test_a_folder_moves(files: list[ImageFile], here: Path) -> None:
    """Images and results that are moved together still know each other."""
    save(results(), files[0])
    (here / "new").mkdir()
    for name in ("in", "out"):
        (here / name).rename(here / "new" / name)

    moved = [ImageFile(path=Path("new") / file.path, name=file.name) for file in files]
    assert results("new/out").left_to_do(moved) == moved[1:]


def test_no_common_drive(files: list[ImageFile], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no relative path, the record names the image by its whole path."""

    def refuse(path: str, start: str) -> str:
        raise ValueError(f"path is on mount {path!r}, start on mount {start!r}")

    monkeypatch.setattr(os.path, "relpath", refuse)
    save(results(), files[0])

    record = json.loads(Path("out/a.json").read_text(encoding="utf-8"))
    assert record["image"] == files[0].path.resolve().as_posix()
    assert results().left_to_do(files) == files[1:]


def test_what_can_be_written(here: Path) -> None:
    """Files and folders that are there or can be made; ``~`` is the home folder."""
    (here / "old.json").touch()
    (here / "old").mkdir()

    assert [new_file(name) for name in ("old.json", "new.json", "a/b/c.json")] == [
        Path("old.json"),
        Path("new.json"),
        Path("a/b/c.json"),
    ]
    assert [new_folder(name) for name in ("old", "new", "a/b")] == [Path("old"), Path("new"), Path("a/b")]
    assert new_folder("~") == Path.home()
    assert sorted(path.name for path in here.iterdir()) == ["old", "old.json"]


def test_what_cannot_be_written(here: Path) -> None:
    """A folder in the place of a file, a file in the place of a folder, however far up."""
    (here / "folder").mkdir()
    (here / "file").touch()

    with pytest.raises(argparse.ArgumentTypeError, match=r"^folder: expected the name of a file"):
        new_file("folder")
    for target, name in ((new_file, "file/a.json"), (new_folder, "file"), (new_folder, "file/deep/deeper")):
        with pytest.raises(argparse.ArgumentTypeError, match=rf"^{name}: expected a folder .*, found the file .*file$"):
            target(name)


def test_what_is_locked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which nothing may be made."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(argparse.ArgumentTypeError, match=f"^a/b: nothing can be written into {here}$"):
        new_folder("a/b")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "photo.jpg", "--out", "file"],
        ["evaluate", "file", "--json", "folder"],
        ["evaluate", "file", "--results", "folder"],
        ["mine", "file", "file", "--out", "folder"],
        ["mine", "file", "file", "--out", "n.json", "--sheets", "file"],
    ],
)
def test_commands_ask_first(arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result without a place stops a command before it reads anything."""
    (here / "folder").mkdir()
    (here / "file").touch()

    assert main(arguments) == 2

    assert f"error: argument {arguments[-2]}: {arguments[-1]}: expected" in capsys.readouterr().err
