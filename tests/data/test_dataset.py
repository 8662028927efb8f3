"""Crops as a function of seed, epoch and index; and the mixing of data sets."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pcrpose.data.augment import Augmentation
from pcrpose.data.dataset import Item, KeypointDataset
from pcrpose.data.images import ImageError
from pcrpose.data.mixed import MixedDataset
from pcrpose.data.sampler import EpochSampler, SampleKey
from pcrpose.data.samples import Sample
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, LSP_14, Skeleton

SIZE = Size(width=24, height=32)
CROP = CropSpec(input_size=SIZE)
WIDE = Augmentation(rotation_probability=1.0, color_jitter=0.2)


def sample(skeleton: Skeleton = COCO_17, seed: int = 0, **fields: Any) -> Sample:  # noqa: ANN401 - of a sample
    """A person in an image of noise; every third keypoint is not labelled."""
    rng = np.random.default_rng(seed)
    count = skeleton.num_keypoints
    values: dict[str, Any] = {
        "image": rng.integers(0, 256, (80, 60, 3), dtype=np.uint8),
        "image_id": seed,
        "box_xyxy": np.array([10.0, 15.0, 45.0, 70.0]),
        "keypoints": rng.uniform(12, 44, (count, 2)),
        "visibility": np.arange(count) % 3,
        "area": 900.0,
    }
    return Sample(**(values | fields))


def dataset(samples: Sequence[Sample] | None = None, **options: Any) -> KeypointDataset:  # noqa: ANN401 - of a dataset
    """A small data set of COCO persons."""
    chosen = [sample(seed=seed) for seed in range(5)] if samples is None else samples
    values: dict[str, Any] = {"source_skeleton": COCO_17, "crop": CROP}
    return KeypointDataset(chosen, **(values | options))


def same(first: Item, second: Item) -> bool:
    """Whether two items are equal in every field."""
    pairs = zip(first.values(), second.values(), strict=True)
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)


def on_disk(folder: Path, count: int = 5) -> list[Sample]:
    """Samples whose images are files."""
    samples = []
    for seed in range(count):
        made = sample(seed=seed)
        PIL.Image.fromarray(np.asarray(made.image)).save(folder / f"{seed}.png")
        samples.append(sample(seed=seed, image=folder / f"{seed}.png"))
    return samples


@pytest.mark.parametrize("augmentation", [None, WIDE])
def test_items_have_the_documented_types(augmentation: Augmentation | None) -> None:
    """Shapes, types and the sample's own index."""
    item = dataset(augmentation=augmentation)[3]

    assert (item["crop"].dtype, tuple(item["crop"].shape)) == (torch.uint8, (3, 32, 24))
    assert item["crop"].is_contiguous()
    assert (item["keypoints_crop"].dtype, tuple(item["keypoints_crop"].shape)) == (torch.float32, (17, 2))
    assert (item["keypoint_weights"].dtype, tuple(item["keypoint_weights"].shape)) == (torch.float32, (17,))
    assert (item["is_background"].dtype, bool(item["is_background"])) == (torch.bool, False)
    assert (item["index"].dtype, int(item["index"])) == (torch.int64, 3)


def test_the_box_fills_the_crop_as_configured() -> None:
    """Without augmentation the box's center is the crop's and the padded box is as high as the crop."""
    box = np.array([10.0, 10.0, 40.0, 50.0])  # of the crop's aspect ratio
    keypoints = np.zeros((17, 2))
    keypoints[0], keypoints[1], keypoints[2] = (25, 30), (10, 10), (40, 50)

    item = dataset([sample(box_xyxy=box, keypoints=keypoints)])[0]

    expected = [[11.5, 15.5], [11.5 - 15 * 24 / 37.5, 15.5 - 20 * 32 / 50], [11.5 + 9.6, 15.5 + 12.8]]
    np.testing.assert_allclose(item["keypoints_crop"][:3].numpy(), expected, atol=1e-5)


def test_weights_are_the_labels() -> None:
    """Hidden and visible keypoints weigh one, those without a label zero."""
    assert dataset()[0]["keypoint_weights"].tolist() == [float(j % 3 > 0) for j in range(17)]


def test_keypoints_stay_on_their_pixels() -> None:
    """However an image is turned and scaled, a keypoint stays on its spot; mirrored, left and right change places."""
    image = np.zeros((200, 160, 3), dtype=np.uint8)
    keypoints = np.zeros((17, 2))
    left_wrist, right_wrist, left_ankle, right_ankle = 9, 10, 15, 16
    visibility = np.zeros(17, dtype=int)
    for channel, (joint, x, y) in enumerate([(left_wrist, 60, 80), (right_wrist, 100, 90), (left_ankle, 75, 140)]):
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 255
        keypoints[joint], visibility[joint] = (x, y), 2
    box = np.array([50.0, 60.0, 110.0, 150.0])
    person = sample(image=image, keypoints=keypoints, visibility=visibility, box_xyxy=box)
    turned = dataset(
        [person], crop=CropSpec(input_size=Size(width=96, height=128)), augmentation=Augmentation(scale=0.1)
    )

    seen = set()
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")
    for epoch in range(12):
        item = turned[SampleKey(epoch, 0)]
        labelled = tuple(item["keypoint_weights"].nonzero().ravel().tolist())
        seen.add(labelled)
        mirrored = right_ankle in labelled
        joints = (right_wrist, left_wrist, right_ankle) if mirrored else (left_wrist, right_wrist, left_ankle)
        for channel, joint in enumerate(joints):
            mass = item["crop"][channel].double()
            middle = [float((mass * axis).sum() / mass.sum()) for axis in (columns, rows)]
            assert middle == pytest.approx(item["keypoints_crop"][joint].tolist(), abs=0.15)
    assert seen == {(9, 10, 15), (9, 10, 16)}


def test_an_item_is_a_function_of_seed_epoch_and_index() -> None:
    """Asked twice, in any order, the item is the same; another seed, epoch or index gives another."""
    one, again, other = dataset(augmentation=WIDE), dataset(augmentation=WIDE), dataset(augmentation=WIDE, seed=1)
    backwards = {index: again[SampleKey(2, index)] for index in reversed(range(5))}

    assert all(same(one[SampleKey(2, index)], backwards[index]) for index in range(5))
    assert same(one[1], one[SampleKey(0, 1)])
    assert not same(one[SampleKey(2, 1)], one[SampleKey(3, 1)])
    assert not same(one[SampleKey(2, 1)], other[SampleKey(2, 1)])


def test_erasing_changes_nothing_else() -> None:
    """Windows, colors and keypoints are those without it; so is a crop in which nothing is erased."""
    plain, erasing = (dataset(augmentation=replace(WIDE, erase_probability=p)) for p in (0.0, 0.5))
    same_pixels = []
    for epoch in range(6):
        for index in range(5):
            ours, theirs = erasing[SampleKey(epoch, index)], plain[SampleKey(epoch, index)]
            assert torch.equal(ours["keypoints_crop"], theirs["keypoints_crop"])
            assert torch.equal(ours["keypoint_weights"], theirs["keypoint_weights"])
            changed = (ours["crop"] != theirs["crop"]).any(dim=0)
            assert float(changed.float().mean()) < 0.25
            same_pixels.append(not changed.any())
    assert {True, False} == set(same_pixels)


def test_only_labelled_keypoints_are_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows where the others are."""
    seen: list[Floats] = []

    def note(_self: Augmentation, crop: Image, labelled_crop: Floats, _rng: object) -> Image:
        seen.append(labelled_crop)
        return crop

    monkeypatch.setattr(Augmentation, "erase", note)
    person = sample()
    item = dataset([person], augmentation=WIDE)[0]

    assert len(seen[0]) == np.count_nonzero(person.labelled) < 17
    assert np.array_equal(seen[0], item["keypoints_crop"][item["keypoint_weights"] > 0].numpy())


def test_background_samples() -> None:
    """Where nobody is, every keypoint is known to be absent: all weights one, and the crop is flagged."""
    nobody = sample(is_background=True, visibility=np.zeros(17, dtype=int))

    item = dataset([nobody], augmentation=WIDE)[0]

    assert bool(item["is_background"])
    assert item["keypoint_weights"].tolist() == [1.0] * 17


@given(order=st.permutations(range(14)), extra=st.integers(0, 3), kept=st.integers(1, 14))
def test_skeletons_are_matched_by_name(order: list[int], extra: int, kept: int) -> None:
    """Each keypoint goes where its name stands in the target; what has no partner weighs nothing."""
    names = [AIC_14.keypoints[place] for place in order][:kept] + [f"extra_{number}" for number in range(extra)]
    target = Skeleton("shuffled", names, [], [], [1.0] * len(names))
    person = sample(AIC_14, visibility=np.full(14, 2))
    options = {"source_skeleton": AIC_14, "crop": CROP}
    direct = KeypointDataset([person], source_skeleton=AIC_14, crop=CROP)[0]
    mapped = KeypointDataset([person], skeleton=target, **options)[0]  # type: ignore[arg-type]

    assert mapped["keypoint_weights"].tolist() == [1.0] * kept + [0.0] * extra
    torch.testing.assert_close(mapped["keypoints_crop"][:kept], direct["keypoints_crop"][order[:kept]])


def test_mirroring_after_mapping_keeps_sides() -> None:
    """A mirrored Leeds person has its left limbs under COCO's left names, face points never labelled."""
    person = sample(LSP_14, visibility=np.full(14, 2))
    options: dict[str, Any] = {"source_skeleton": LSP_14, "skeleton": COCO_17, "crop": CROP}
    still = dict.fromkeys(("scale", "rotation", "half_body_probability"), 0.0)
    plain = KeypointDataset([person], **options)[0]
    mirrored = KeypointDataset([person], augmentation=Augmentation(mirror_probability=1.0, **still), **options)[0]  # type: ignore[arg-type]

    assert mirrored["keypoint_weights"].tolist() == plain["keypoint_weights"].tolist() == [0.0] * 5 + [1.0] * 12
    expected = plain["keypoints_crop"][COCO_17.flip_indices.copy()]
    expected[:, 0] = 23 - expected[:, 0]
    torch.testing.assert_close(mirrored["keypoints_crop"][5:], expected[5:])
    torch.testing.assert_close(mirrored["crop"], plain["crop"].flip(-1))


def test_images_are_opened_and_cached(tmp_path: Path) -> None:
    """Files and arrays give the same crops; with a cache an image is read once, and pickling leaves it behind."""
    files = on_disk(tmp_path)
    cached = dataset(files, cache="decoded")
    assert all(same(dataset(files)[index], dataset()[index]) for index in range(5))
    cached.preload()
    for index in range(5):
        (tmp_path / f"{index}.png").unlink()

    assert all(same(cached[index], dataset()[index]) for index in range(5))
    with pytest.raises(ImageError, match=r"0\.png: no such image file"):
        pickle.loads(pickle.dumps(cached))[0]  # noqa: S301 - our own bytes
    with pytest.raises(ValueError, match="expected a data set built with cache='decoded', found 'none'"):
        dataset(files).preload()


def test_images_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    """A missing and a broken file are both an ImageError with the path."""
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    broken = dataset([sample(image=tmp_path / "missing.jpg"), sample(image=tmp_path / "broken.jpg")])

    with pytest.raises(ImageError, match=r"missing\.jpg"):
        broken[0]
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        broken[1]


@pytest.mark.parametrize("key", [-1, 5, SampleKey(1, 5), SampleKey(0, -1)])
def test_indices_outside_are_refused(key: SampleKey | int) -> None:
    """There is no counting from the end, in a data set as in a mixture."""
    for source in (dataset(), MixedDataset([dataset()])):
        with pytest.raises(IndexError, match=r"expected an index in 0\.\.4, found"):
            source[key]


def test_wrong_data_sets_are_refused() -> None:
    """Samples of another skeleton, skeletons without a common name and unlike parts are errors."""
    stick = Skeleton("stick", ["tip"], [], [], [1.0])
    with pytest.raises(ValueError, match=r"expected the 14 keypoints of LSP_14, found \[17\]"):
        dataset(source_skeleton=LSP_14)
    with pytest.raises(ValueError, match="COCO_17 and stick have no keypoint name in common"):
        dataset(skeleton=stick)
    with pytest.raises(ValueError, match="expected data sets of one skeleton and one kind of crop, found"):
        MixedDataset([dataset(), dataset(crop=CropSpec(input_size=Size(width=48, height=64)))])
    with pytest.raises(ValueError, match="expected data sets of one skeleton"):
        MixedDataset([dataset(), dataset([sample(LSP_14)], source_skeleton=LSP_14)])
    with pytest.raises(ValueError, match=r"expected data sets of one skeleton and one kind of crop, found \[\]"):
        MixedDataset([])


def test_empty_data_set() -> None:
    """No samples are a data set of length zero, alone and in a mixture."""
    assert len(dataset([])) == 0
    assert len(MixedDataset([dataset([]), dataset()])) == 5
    assert list(EpochSampler([0], batch_size=4)) == []


def test_mixture() -> None:
    """A common index runs through the parts, and the item is the part's under that index."""
    leeds = dataset([sample(LSP_14, seed=9)], source_skeleton=LSP_14, skeleton=COCO_17, augmentation=WIDE)
    parts = [dataset(augmentation=WIDE), dataset([]), leeds]
    mixed = MixedDataset(parts)

    assert len(mixed) == 6
    assert mixed.sizes == (5, 0, 1)
    assert mixed.skeleton == COCO_17
    assert [mixed.locate(index) for index in (0, 4, 5)] == [(0, 0), (0, 4), (2, 0)]
    assert same(mixed[SampleKey(3, 4)], parts[0][SampleKey(3, 4)])
    item = mixed[SampleKey(3, 5)]
    assert int(item["index"]) == 5
    assert torch.equal(item["crop"], leeds[SampleKey(3, 0)]["crop"])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # Python 3.12 says so of every fork
def test_worker_processes_change_nothing(method: str, tmp_path: Path) -> None:
    """Batches from worker processes, forked or spawned, are those of the main process."""
    mixed = MixedDataset([dataset(on_disk(tmp_path), augmentation=WIDE, cache="decoded"), dataset(augmentation=WIDE)])

    def batches(**options: Any) -> list[dict[str, torch.Tensor]]:  # noqa: ANN401 - of a loader
        sampler = EpochSampler(mixed.sizes, batch_size=4)
        sampler.set_epoch(2)
        return list(DataLoader(mixed, batch_sampler=sampler, **options))

    alone, together = batches(), batches(num_workers=1 + (method == "fork"), multiprocessing_context=method)

    assert [len(batch["index"]) for batch in alone] == [4, 4, 2]
    for first, second in zip(alone, together, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)
