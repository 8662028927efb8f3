"""Where to look: images and what belongs to them, one by one."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.inference.places import check_many, given_places, open_named, paired

IMAGES = [np.zeros((2, 3, 3), dtype=np.uint8), np.ones((2, 3, 3), dtype=np.uint8)]


def test_each_image_gets_its_own() -> None:
    """Entries go with images in order; nothing at all is fine too."""
    assert [other for _, other in paired(iter(IMAGES), ["a", "b"], "boxes")] == ["a", "b"]
    assert list(paired(iter([]), [], "boxes")) == []


@pytest.mark.parametrize(
    ("others", "message"), [([], "none for image 0"), (["a"], "none for image 1"), (["a", "b", "c"], "2 images")]
)
def test_entries_that_end_early_or_late_are_refused(others: list[str], message: str) -> None:
    """The error says which image has none, or that there are too many."""
    with pytest.raises(ValueError, match=f"detections: .*{message}"):
        list(paired(iter(IMAGES), others, "detections"))


def test_a_stack_of_images_is_many() -> None:
    """One array of several images is taken; one image is not."""
    check_many(np.stack(IMAGES))
    with pytest.raises(TypeError, match="several images"):
        check_many(IMAGES[0])


def test_errors_name_the_image_where_there_are_several(tmp_path: Path) -> None:
    """By its path or its number; an image alone, and one that nobody counts, needs no name."""
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (3, 2)).save(path)

    names = [name for name, _ in open_named([IMAGES[0], path, str(path)], "rgb")]
    assert names == ["image 0", str(path), str(path)]
    assert [name for name, _ in open_named([path], "rgb")] == [""]
    assert [name for name, _ in open_named(iter([path]), "rgb")] == [str(path)]
    for name, message in (("", "^box: expected"), ("a.png", "^a.png: box: expected")):
        with pytest.raises(ValueError, match=message):
            given_places(IMAGES[0], [[2, 2, 1, 1]], name)
