"""From what was typed to images and their names."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pcrpose.cli.image_files import find_images

OUT = Path("out")


@pytest.fixture
def tree(here: Path) -> Path:
    """Lay out files whose content does not matter."""
    for name in (
        *("p/a.jpg", "p/B.PNG", "p/c.tiff", "p/notes.txt", "p/.hidden.jpg", "p/deep/a.jpg", "p/.cache/x.jpg"),
        *("q/a.jpg", "q/[1].jpg", "odd"),
    ):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (here / "empty").mkdir()
    return here


def found(
    *arguments: str, recursive: bool = False, outside: Path = OUT, reserved: Sequence[str] = ()
) -> dict[str, str]:
    """Give the name of each image by its path."""
    images = find_images(arguments, recursive=recursive, outside=outside, reserved=reserved)
    return {image.path.as_posix(): image.name for image in images}


@pytest.mark.usefixtures("tree")
def test_folder() -> None:
    """A folder's images come sorted, without hidden files, other files and, unless asked for, deeper ones."""
    flat = {"p/B.PNG": "B", "p/a.jpg": "a", "p/c.tiff": "c"}

    assert list(found("p").items()) == list(flat.items())
    assert found("p", recursive=True) == flat | {"p/deep/a.jpg": "deep/a"}


@pytest.mark.usefixtures("tree")
def test_file() -> None:
    """A file is taken whatever it is called, and once."""
    assert found("p/a.jpg") == {"p/a.jpg": "a"}
    assert found("p/notes.txt", "p/notes.txt", "p/../p/notes.txt") == {"p/notes.txt": "notes"}
    assert found("odd") == {"odd": "odd"}


@pytest.mark.usefixtures("tree")
def test_several_places() -> None:
    """Names are relative to what holds everything, so that images of one name stay apart."""
    assert found("p", "q/a.jpg") == {
        "p/B.PNG": "p/B",
        "p/a.jpg": "p/a",
        "p/c.tiff": "p/c",
        "q/a.jpg": "q/a",
    }


@pytest.mark.usefixtures("tree")
def test_patterns() -> None:
    """Patterns find images only, also in folders that they match, and names do not depend on what they find."""
    assert found("p/*.jpg") == {"p/a.jpg": "a"}
    assert found("p/**/a.jpg") == {"p/a.jpg": "a", "p/deep/a.jpg": "deep/a"}
    assert found("p/d*/a.*") == {"p/deep/a.jpg": "deep/a"}
    assert found("p/*") == found("p") | {"p/deep/a.jpg": "deep/a"}
    assert found("q/[1].jpg") == {"q/[1].jpg": "[1]"}


@pytest.mark.usefixtures("tree")
def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder, in patterns too."""
    home = Path("q").resolve()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))

    assert set(found("~/a.jpg").values()) == {"a"}
    assert set(found("~/*.jpg").values()) == {"a", "[1]"}


@pytest.mark.usefixtures("tree")
def test_results_are_no_images() -> None:
    """Files of the results folder come in by name alone."""
    assert "p/deep/a.jpg" not in found("p", recursive=True, outside=Path("p/deep"))
    assert found("p/deep/*.jpg", "p/a.jpg", outside=Path("p/deep")) == {"p/a.jpg": "a"}
    assert found("p/deep/a.jpg", outside=Path("p/deep")) == {"p/deep/a.jpg": "a"}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["x.jpg", "x.png", "y.png"], ["x.jpg", "x.png", "y"]),
        (["X.jpg", "x.png"], ["X.jpg", "x.png"]),
        (["x.jpg", "x.png", "x.jpg.tif"], ["x.jpg", "x.jpg.tif", "x.png"]),
        (["x.y.jpg", "x.jpg"], ["x", "x.y"]),
        (["mine.jpg", "Mine.old.jpg"], ["Mine.old", "mine.jpg"]),
    ],
)
def test_names_never_meet(here: Path, files: list[str], names: list[str]) -> None:
    """Images that would share a name keep their suffix; nobody takes a reserved name."""
    for file in files:
        (here / file).touch()

    assert sorted(found(str(here), reserved=["mine"]).values()) == names


@pytest.mark.usefixtures("tree")
def test_nothing_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """On several drives the whole path becomes the name."""

    def refuse(paths: Sequence[Path]) -> str:
        raise ValueError(f"no common path of {paths}")

    monkeypatch.setattr(os.path, "commonpath", refuse)

    expected = Path("p/a").resolve().as_posix().replace(":", "").lstrip("/")
    assert found("p/a.jpg") == {"p/a.jpg": expected}


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("empty", "expected images in empty, found none; --recursive"),
        ("nothing.jpg", "nothing.jpg: no such file or folder"),
        ("p/*.bmp", r"p/\*.bmp: expected images that match"),
        ("p/*.txt", "expected images that match"),
    ],
)
def test_nothing_to_do(argument: str, said: str) -> None:
    """What leads to no image is an error that names it."""
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        found(argument)


@pytest.mark.usefixtures("tree")
def test_folders_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the system refuses is an error, not an empty folder."""

    def refuse(path: str | Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(PermissionError, match="Permission denied"):
        found("p")
