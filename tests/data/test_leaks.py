"""Leaks: copies of a picture are found however they were made over, other pictures are not."""

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import ImageError, open_image
from pcrpose.data.leaks import (
    HASH_BITS,
    MAX_DISTANCE,
    GuardedPictures,
    Leak,
    find_leaks,
    hash_distances,
    picture_hash,
)
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size

DRAWN = SyntheticPoses(count=12, size=Size(width=320, height=240), max_persons=3)


@functools.cache
def drawn(index: int) -> PIL.Image.Image:
    """Draw a picture."""
    return PIL.Image.fromarray(open_image(DRAWN.picture(index)[0].image))


def encoded(picture: PIL.Image.Image, quality: int) -> Image:
    """Write as JPEG and read again."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return open_image(stream.getvalue())


def halved(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Shrink to half the size."""
    return picture.resize((picture.width // 2, picture.height // 2))


def trimmed(picture: PIL.Image.Image, left: float, top: float, right: float, bottom: float) -> Image:
    """Cut shares of the sides off."""
    width, height = picture.size
    return np.asarray(picture.crop((int(width * left), int(height * top), width * (1 - right), height * (1 - bottom))))


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Write six drawn pictures."""
    for index in range(6):
        drawn(index).save(tmp_path / f"{index}.png")
    return [(f"{index}.png", tmp_path / f"{index}.png") for index in range(6)]


@pytest.fixture
def guarded(files: list[tuple[str, Path]]) -> GuardedPictures:
    """Guard them."""
    return GuardedPictures(files)


def test_hash_ignores_size_and_colour() -> None:
    """The hash is of the coarse brightness alone."""
    picture = drawn(0)
    own = picture_hash(np.asarray(picture))

    assert own.shape == (HASH_BITS,)
    assert own.dtype == np.bool_
    for other in (picture.resize((500, 300)), picture.convert("L").convert("RGB")):
        assert hash_distances(own[None], picture_hash(np.asarray(other))[None]).item() <= 20


def test_distances_count_bits() -> None:
    """Each pair of hashes has its number of different bits."""
    rng = np.random.default_rng(0)
    first, second = rng.random((3, HASH_BITS)) < 0.5, rng.random((4, HASH_BITS)) < 0.5

    expected = [[int((a != b).sum()) for b in second] for a in first]
    assert hash_distances(first, second).tolist() == expected


@pytest.mark.parametrize("wrong", [np.zeros(HASH_BITS, dtype=bool), np.zeros((1, 64), dtype=bool), np.zeros((1, 255))])
def test_what_is_no_hash_is_refused(wrong: np.ndarray) -> None:
    """Hashes of other lengths, or of other values, would give numbers without meaning."""
    with pytest.raises(ValueError, match=r"expected hashes of shape \(N, 255\) and type bool, found"):
        hash_distances(wrong, np.zeros((1, HASH_BITS), dtype=bool))


@pytest.mark.parametrize("index", range(6))
def test_copies_are_found(guarded: GuardedPictures, index: int) -> None:
    """A picture itself, encoded again, shrunk, shrunk and encoded, and brightened."""
    picture = drawn(index)
    name = f"{index}.png"

    assert guarded.find(np.asarray(picture)) == Leak(file_name=name, distance=0)
    bright = np.clip(np.asarray(picture).astype(np.int64) * 5 // 4, 0, 255).astype(np.uint8)
    for copy in (encoded(picture, 40), np.asarray(halved(picture)), encoded(halved(picture), 40), bright):
        leak = guarded.find(copy)
        assert leak is not None
        assert leak.file_name == name


@pytest.mark.parametrize("cut", [(0.02, 0.02, 0.02, 0.02), (0.05, 0.0, 0.0, 0.0), (0.03, 0.04, 0.0, 0.0), (0.05,) * 4])
def test_trimmed_copies_are_found(guarded: GuardedPictures, cut: tuple[float, float, float, float]) -> None:
    """Up to a twentieth may be missing on each side."""
    leak = guarded.find(trimmed(drawn(1), *cut))

    assert leak is not None
    assert leak.file_name == "1.png"


def test_other_pictures_and_small_parts_are_none(guarded: GuardedPictures) -> None:
    """Neither a picture of the same kind nor the left half of a guarded one is a copy."""
    assert [guarded.find(np.asarray(drawn(index))) for index in range(6, 12)] == [None] * 6
    assert guarded.find(trimmed(drawn(1), 0.0, 0.0, 0.5, 0.0)) is None


def test_mirrored_copies_only_on_request(files: list[tuple[str, Path]], guarded: GuardedPictures) -> None:
    """Mirroring makes another picture unless one asks."""
    mirrored = np.asarray(drawn(2))[:, ::-1]

    assert guarded.find(mirrored) is None
    leak = GuardedPictures(files, mirrored=True).find(mirrored)
    assert leak is not None
    assert (leak.file_name, leak.distance <= 5) == ("2.png", True)


def test_distance_is_the_limit(files: list[tuple[str, Path]]) -> None:
    """The limit itself still counts as alike."""
    copy = trimmed(drawn(1), 0.02, 0.02, 0.02, 0.02)
    leak = GuardedPictures(files, max_distance=HASH_BITS).find(copy)
    assert leak is not None

    assert GuardedPictures(files, max_distance=leak.distance).find(copy) == leak
    assert GuardedPictures(files, max_distance=leak.distance - 1).find(copy) is None


def test_find_leaks(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    """Of picture files those that leak come out."""
    copy, other = tmp_path / "copy.jpg", tmp_path / "other.png"
    halved(drawn(3)).save(copy, quality=40)
    drawn(8).save(other)

    found = find_leaks([copy, other], GuardedPictures(files))

    assert {path.name: leak.file_name for path, leak in found.items()} == {"copy.jpg": "3.png"}


def test_description_tells_checks_apart(files: list[tuple[str, Path]]) -> None:
    """The order of the files does not count; what is in them, the limit and mirroring do."""
    plain = GuardedPictures(files).describe()

    assert plain == GuardedPictures(files[::-1]).describe()
    assert (plain["pictures"], plain["max_distance"], plain["mirrored"]) == (6, MAX_DISTANCE, False)
    others = [
        GuardedPictures(files[1:]),
        GuardedPictures(files, max_distance=9),
        GuardedPictures(files, mirrored=True),
        GuardedPictures([("0.png", files[1][1]), *files[1:]]),
    ]
    assert all(other.describe() != plain for other in others)


def test_holes_are_refused(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    """No picture, a broken one and a missing one are errors, for a check with holes is none."""
    (tmp_path / "broken.jpg").write_bytes(b"no picture")

    with pytest.raises(ValueError, match="expected pictures to guard, found none"):
        GuardedPictures([])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        GuardedPictures([*files, ("broken.jpg", tmp_path / "broken.jpg")])
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        GuardedPictures([("gone.jpg", tmp_path / "gone.jpg")])
    with pytest.raises(ValueError, match="max_distance: expected 0 to 255 bits, found 256"):
        GuardedPictures(files, max_distance=256)


def test_photographs(shared_data: Callable[[str], Path]) -> None:
    """Every small, badly encoded copy is found among photographs, and no photograph is taken for another."""
    paths = sorted(shared_data("coco/val").glob("*.jpg"))[:40]
    guarded = GuardedPictures([(path.name, path) for path in paths])

    for path in paths:
        leak = guarded.find(encoded(halved(PIL.Image.fromarray(open_image(path))), 40))
        assert leak is not None
        assert (leak.file_name, leak.distance < 20) == (path.name, True)
    assert find_leaks(sorted(shared_data("coco/train").glob("*.jpg"))[:80], guarded) == {}
