"""What becomes of images on their way into crops: no copies of the whole, and JPEG files decoded small."""

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pcrpose.data.augment import Augmentation, CropWindow
from pcrpose.data.dataset import Item, KeypointDataset
from pcrpose.data.images import REDUCTIONS
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.sampler import SampleKey
from pcrpose.data.samples import Sample
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, CropSpec
from pcrpose.keypoints.skeleton import COCO_17

SIZE = Size(width=24, height=32)
TURNED = Augmentation(rotation_probability=1.0, color_jitter=0.2)
PERSON, SMALL = (100.0, 80.0, 460.0, 640.0), (10.0, 10.0, 22.0, 26.0)


def persons(image: Path | Image, count: int = 1, box: tuple[float, ...] = PERSON) -> list[Sample]:
    """Persons of one image in the same place, each with keypoints of its own."""
    corners = np.array(box)
    return [
        Sample(
            image=image,
            image_id=1,
            box_xyxy=corners,
            keypoints=np.random.default_rng(number).uniform(corners[:2], corners[2:], (17, 2)),
            visibility=np.arange(17) % 3,
            area=900.0,
        )
        for number in range(count)
    ]


def dataset(samples: list[Sample], **options: Any) -> KeypointDataset:  # noqa: ANN401 - of a dataset
    """A data set of COCO persons."""
    return KeypointDataset(samples, source_skeleton=COCO_17, **{"crop": CropSpec(input_size=SIZE), **options})


def gentle(path: Path) -> Path:
    """An image of 640 x 800 pixels with nothing in it that a crop could not show."""
    coarse = np.random.default_rng(0).integers(60, 200, (5, 4, 3), dtype=np.uint8)
    PIL.Image.fromarray(coarse).resize((640, 800), PIL.Image.Resampling.BICUBIC).save(path)
    return path


def figures(item: Item) -> list[list[float]]:
    """All of an item but its pixels."""
    tensors = (item["keypoints_crop"], item["keypoint_weights"], item["is_background"], item["index"])
    return [tensor.double().ravel().tolist() for tensor in tensors]


@pytest.mark.parametrize("turned", [False, True])
def test_samples_share_a_image_in_memory(turned: bool) -> None:  # noqa: FBT001 - a parameter
    """Persons of one image crop the very same pixels, and it is sent to a worker process once."""
    image = np.zeros((900, 800, 3), dtype=np.uint8)
    people = dataset(
        persons(image[:, :, ::-1] if turned else image, 20, box=(10.0, 15.0, 45.0, 70.0)), augmentation=TURNED
    )
    tracemalloc.start()
    try:
        for index in range(20):
            people[index]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sent = pickle.dumps(people)
    there = pickle.loads(sent)  # noqa: S301 - our own bytes

    assert all(np.shares_memory(np.asarray(person.image), image) for person in people.samples)
    assert peak < image.nbytes / 4
    assert len(sent) < 1.1 * image.nbytes
    assert all(person.image is there.samples[0].image for person in there.samples)


def test_cached_images_are_not_sent_or_copied(tmp_path: Path) -> None:
    """Twenty persons of a cached image keep one array of it; a worker process gets none."""
    PIL.Image.new("RGB", (800, 900)).save(tmp_path / "one.png")
    people = dataset(persons(tmp_path / "one.png", 20), cache="decoded")
    tracemalloc.start()
    try:
        people.preload()
        for index in range(20):
            people[index]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 800 * 900 * 3 <= held < 1.1 * 800 * 900 * 3
    assert len(pickle.dumps(people)) < 50_000
    assert len(pickle.dumps(MixedDataset([people]))) < 50_000


@pytest.mark.parametrize("augmentation", [None, TURNED])
def test_reduced_jpegs_give_the_same_persons(augmentation: Augmentation | None, tmp_path: Path) -> None:
    """Keypoints and weights are the very same; a pixel's color is, but for a few gray levels."""
    people = persons(gentle(tmp_path / "person.jpg"), 4)
    whole = dataset(people, augmentation=augmentation)
    reduced = dataset(people, augmentation=augmentation, cache="reduced")

    differences = []
    for index in reversed(range(4)):
        ours, theirs, again = (source[SampleKey(1, index)] for source in (reduced, whole, reduced))
        assert figures(ours) == figures(theirs) == figures(again)
        assert torch.equal(ours["crop"], again["crop"])
        differences.append(float((ours["crop"].int() - theirs["crop"].int()).abs().float().mean()))
    assert 0 < max(differences) < 1.5


@example(high=51.2, wide=38.4)  # shrunk to a half
@example(high=51.1, wide=1.0)
@example(high=102.4, wide=76.8)  # to a quarter
@example(high=204.8, wide=1.0)  # to an eighth
@given(high=st.floats(1, 5000), wide=st.floats(1, 5000))
def test_a_reduced_image_is_as_fine_as_the_crop(high: float, wide: float) -> None:
    """It is reduced as far as that goes, and no further."""
    nowhere = np.zeros((1, 1, 3), dtype=np.uint8)
    people = dataset(persons(nowhere, box=(0.0, 0.0, wide, high)), cache="reduced")
    window = CropWindow(*(values[0] for values in people._windows))
    shrinks = window.extent[1] / SIZE.height

    reduction = people._reduction(window)

    assert reduction in REDUCTIONS
    assert reduction <= max(1.0, shrinks * (1 + 1e-9))
    assert reduction == 8 or 2 * reduction > shrinks * (1 - 1e-9)


def test_nothing_else_is_reduced(tmp_path: Path) -> None:
    """Files of other kinds, images in memory and small persons give the crops that they always gave."""
    jpeg = gentle(tmp_path / "person.jpg")
    with PIL.Image.open(jpeg) as image:
        image.save(tmp_path / "person.png")
        pixels = np.array(image)
    people = [*persons(tmp_path / "person.png", 3), *persons(pixels, 3), *persons(jpeg, 3, box=SMALL)]
    whole, reduced = (dataset(people, augmentation=TURNED, cache=cache) for cache in ("none", "reduced"))
    assert all(torch.equal(whole[index]["crop"], reduced[index]["crop"]) for index in range(9))


@pytest.mark.parametrize("alignment", ["edge", "udp"])
def test_published_crops_are_not_reduced(alignment: Alignment) -> None:
    """They are made from whole images."""
    with pytest.raises(ValueError, match=f"expected cache='reduced' or alignment='{alignment}', found both"):
        dataset([], cache="reduced", crop=CropSpec(input_size=SIZE, alignment=alignment))


def test_an_unknown_cache_is_refused() -> None:
    """The message lists what there is."""
    with pytest.raises(ValueError, match=r"cache: expected one of \['none', 'decoded', 'reduced'\], found True"):
        dataset([], cache=True)
