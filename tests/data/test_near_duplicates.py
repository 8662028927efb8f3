"""Near-duplicates: copies of an image are found however they were made over, other images are not."""

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pcrpose.data.images import ImageError, open_image
from pcrpose.data.near_duplicates import (
    HASH_BITS,
    MAX_DISTANCE,
    EvaluationImages,
    NearDuplicate,
    hash_distances,
    perceptual_hash,
)
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size

DRAWN = SyntheticPoses(count=12, size=Size(width=320, height=240), max_persons=3)


@functools.cache
def drawn(index: int) -> PIL.Image.Image:
    """Draw an image."""
    return PIL.Image.fromarray(open_image(DRAWN.image(index)[0].image))


def encoded(whole: PIL.Image.Image, quality: int) -> Image:
    """Write as JPEG and read again."""
    stream = io.BytesIO()
    whole.save(stream, "JPEG", quality=quality)
    return open_image(stream.getvalue())


def halved(whole: PIL.Image.Image) -> PIL.Image.Image:
    """Shrink to half the size."""
    return whole.resize((whole.width // 2, whole.height // 2))


def trimmed(whole: PIL.Image.Image, left: float, top: float, right: float, bottom: float) -> Image:
    """Cut shares of the sides off."""
    width, height = whole.size
    return np.asarray(whole.crop((int(width * left), int(height * top), width * (1 - right), height * (1 - bottom))))


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Write six drawn images."""
    for index in range(6):
        drawn(index).save(tmp_path / f"{index}.png")
    return [(f"{index}.png", tmp_path / f"{index}.png") for index in range(6)]


@pytest.fixture
def guarded(files: list[tuple[str, Path]]) -> EvaluationImages:
    """Guard them."""
    return EvaluationImages(files)


def test_hash_ignores_size_and_color() -> None:
    """The hash is of the coarse brightness alone."""
    whole = drawn(0)
    own = perceptual_hash(np.asarray(whole))

    assert own.shape == (HASH_BITS,)
    assert own.dtype == np.bool_
    for other in (whole.resize((500, 300)), whole.convert("L").convert("RGB")):
        assert hash_distances(own[None], perceptual_hash(np.asarray(other))[None]).item() <= 20


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
def test_copies_are_found(guarded: EvaluationImages, index: int) -> None:
    """An image itself, encoded again, shrunk, shrunk and encoded, and brightened."""
    whole = drawn(index)
    name = f"{index}.png"

    assert guarded.find(np.asarray(whole)) == NearDuplicate(file_name=name, distance=0)
    bright = np.clip(np.asarray(whole).astype(np.int64) * 5 // 4, 0, 255).astype(np.uint8)
    for copy in (encoded(whole, 40), np.asarray(halved(whole)), encoded(halved(whole), 40), bright):
        copy_of = guarded.find(copy)
        assert copy_of is not None
        assert copy_of.file_name == name


@pytest.mark.parametrize("cut", [(0.02, 0.02, 0.02, 0.02), (0.05, 0.0, 0.0, 0.0), (0.03, 0.04, 0.0, 0.0), (0.05,) * 4])
def test_trimmed_copies_are_found(guarded: EvaluationImages, cut: tuple[float, float, float, float]) -> None:
    """Up to a twentieth may be missing on each side."""
    copy_of = guarded.find(trimmed(drawn(1), *cut))

    assert copy_of is not None
    assert copy_of.file_name == "1.png"


def test_other_images_and_small_parts_are_none(guarded: EvaluationImages) -> None:
    """Neither an image of the same kind nor the left half of a guarded one is a copy."""
    assert [guarded.find(np.asarray(drawn(index))) for index in range(6, 12)] == [None] * 6
    assert guarded.find(trimmed(drawn(1), 0.0, 0.0, 0.5, 0.0)) is None


def test_mirrored_copies_only_on_request(files: list[tuple[str, Path]], guarded: EvaluationImages) -> None:
    """Mirroring makes another image unless one asks."""
    mirrored = np.asarray(drawn(2))[:, ::-1]

    assert guarded.find(mirrored) is None
    copy_of = EvaluationImages(files, mirrored=True).find(mirrored)
    assert copy_of is not None
    assert (copy_of.file_name, copy_of.distance <= 5) == ("2.png", True)


def test_distance_is_the_limit(files: list[tuple[str, Path]]) -> None:
    """The limit itself still counts as alike."""
    copy = trimmed(drawn(1), 0.02, 0.02, 0.02, 0.02)
    copy_of = EvaluationImages(files, max_distance=HASH_BITS).find(copy)
    assert copy_of is not None

    assert EvaluationImages(files, max_distance=copy_of.distance).find(copy) == copy_of
    assert EvaluationImages(files, max_distance=copy_of.distance - 1).find(copy) is None


def test_description_tells_checks_apart(files: list[tuple[str, Path]]) -> None:
    """The order of the files does not count; what is in them, the limit and mirroring do."""
    plain = EvaluationImages(files).describe()

    assert plain == EvaluationImages(files[::-1]).describe()
    assert (plain["images"], plain["max_distance"], plain["mirrored"]) == (6, MAX_DISTANCE, False)
    others = [
        EvaluationImages(files[1:]),
        EvaluationImages(files, max_distance=9),
        EvaluationImages(files, mirrored=True),
        EvaluationImages([("0.png", files[1][1]), *files[1:]]),
    ]
    assert all(other.describe() != plain for other in others)


def test_holes_are_refused(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    """No image, a broken one and a missing one are errors, for a check with holes is none."""
    (tmp_path / "broken.jpg").write_bytes(b"no image")

    with pytest.raises(ValueError, match="expected evaluation images, found none"):
        EvaluationImages([])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        EvaluationImages([*files, ("broken.jpg", tmp_path / "broken.jpg")])
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        EvaluationImages([("gone.jpg", tmp_path / "gone.jpg")])
    with pytest.raises(ValueError, match="max_distance: expected 0 to 255 bits, found 256"):
        EvaluationImages(files, max_distance=256)


def test_photographs(shared_data: Callable[[str], Path]) -> None:
    """Every small, badly encoded copy is found among photographs, and no photograph is taken for another."""
    paths = sorted(shared_data("coco/val").glob("*.jpg"))[:40]
    guarded = EvaluationImages([(path.name, path) for path in paths])

    for path in paths:
        copy_of = guarded.find(encoded(halved(PIL.Image.fromarray(open_image(path))), 40))
        assert copy_of is not None
        assert (copy_of.file_name, copy_of.distance < 20) == (path.name, True)
    others = sorted(shared_data("coco/train").glob("*.jpg"))[:80]
    assert len(others) == 80
    assert [path.name for path in others if guarded.find(open_image(path)) is not None] == []
