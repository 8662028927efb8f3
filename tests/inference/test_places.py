"""Where to look: pictures and what belongs to them, one by one."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.inference.places import check_many, given_places, open_named, paired

PICTURES = [np.zeros((2, 3, 3), dtype=np.uint8), np.ones((2, 3, 3), dtype=np.uint8)]


def test_each_picture_gets_its_own() -> None:
    """Entries go with pictures in order; nothing at all is fine too."""
    assert [other for _, other in paired(iter(PICTURES), ["a", "b"], "boxes")] == ["a", "b"]
    assert list(paired(iter([]), [], "boxes")) == []


@pytest.mark.parametrize(
    ("others", "message"), [([], "none for picture 0"), (["a"], "none for picture 1"), (["a", "b", "c"], "2 pictures")]
)
def test_entries_that_end_early_or_late_are_refused(others: list[str], message: str) -> None:
    """The error says which picture has none, or that there are too many."""
    with pytest.raises(ValueError, match=f"detections: .*{message}"):
        list(paired(iter(PICTURES), others, "detections"))


def test_a_stack_of_pictures_is_many() -> None:
    """One array of several pictures is taken; one picture is not."""
    check_many(np.stack(PICTURES))
    with pytest.raises(TypeError, match="several pictures"):
        check_many(PICTURES[0])


def test_errors_name_the_picture_where_there_are_several(tmp_path: Path) -> None:
    """By its path or its number; a picture alone, and one that nobody counts, needs no name."""
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (3, 2)).save(path)

    names = [name for name, _ in open_named([PICTURES[0], path, str(path)], "rgb")]
    assert names == ["picture 0", str(path), str(path)]
    assert [name for name, _ in open_named([path], "rgb")] == [""]
    assert [name for name, _ in open_named(iter([path]), "rgb")] == [str(path)]
    for name, message in (("", "^box: expected"), ("a.png", "^a.png: box: expected")):
        with pytest.raises(ValueError, match=message):
            given_places(PICTURES[0], [[2, 2, 1, 1]], name)
