"""Labelling images: which boxes and images are looked at, restart and shards, and one run from start to end."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from pcrpose.data.dataset import KeypointDataset
from pcrpose.data.images import ImageSource
from pcrpose.data.near_duplicates import EvaluationImages
from pcrpose.data.readers.coco import read_coco
from pcrpose.data.synthetic import write_synthetic_coco
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.poses import Poses
from pcrpose.keypoints.skeleton import AIC_14, COCO_17, Skeleton
from pcrpose.labelling.pseudo_labels.predict import ImageLabeller, UnlabelledImage, number_images
from pcrpose.labelling.pseudo_labels.select import Selection, pseudo_labels, write_pseudo_labels
from pcrpose.labelling.pseudo_labels.work_file import Shard, read_work
from pcrpose.models.pcr import PCR

IMAGES = 20
STICK = Skeleton("stick", ("tip", "end"), [], [(0, 1)], [0.1] * 2)


class CornerPredictor:
    """Finds the two corners of every box; stops at a given image, as if it were killed."""

    def __init__(self, *, stop_at: int | None = None, score: float = 0.75) -> None:
        self.stop_at = stop_at
        self.score = score
        self.asked: list[list[int]] = []  # by call, each image's brightness: its number

    def predict_batch(self, images: Iterable[ImageSource], boxes_xyxy: Iterable[Detections]) -> list[Poses]:
        """Put keypoints on the corners."""
        pixels = [image for image in images if isinstance(image, np.ndarray)]
        self.asked.append([int(image[0, 0, 0]) for image in pixels])
        if self.stop_at in self.asked[-1]:
            raise KeyboardInterrupt
        return [self._poses(found.boxes_xyxy, found.scores) for found in boxes_xyxy]

    def _poses(self, boxes: Floats, scores: Floats) -> Poses:
        return Poses(
            keypoints=boxes.reshape(-1, 2, 2),
            keypoint_scores=np.full((len(boxes), 2), self.score),
            boxes_xyxy=boxes,
            box_scores=scores,
            pose_scores=scores / 2,
            skeleton=STICK,
        )


def two_boxes(image: Image) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Find one person for sure, and one that nobody would bet on, in every other image."""
    if image[0, 0, 0] % 2 == 0:
        return np.zeros((0, 4)), []
    return [[4, 5, 20, 30], [1, 1, 9, 9]], [0.5, 0.49]


@pytest.fixture
def images(tmp_path: Path) -> list[UnlabelledImage]:
    """Write gray images, each as bright as its number."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(IMAGES):
        PIL.Image.fromarray(np.full((40, 30, 3), index, dtype=np.uint8)).save(folder / f"{index:03}.png")
    return number_images(folder, folder.iterdir())


@pytest.fixture
def labeller() -> ImageLabeller:
    """Label with corners."""
    return ImageLabeller(
        predictor=CornerPredictor(), detector=two_boxes, skeleton=STICK, made_with={"model": "corners"}
    )


def test_what_is_recorded(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """Every image with its size and the persons in boxes at or above the threshold, in order, and the settings."""
    labeller.label(images, tmp_path / "work")

    work = read_work(tmp_path / "work")
    assert [record["file_name"] for record in work.records] == [f"{index:03}.png" for index in range(IMAGES)]
    assert [len(record["persons"]) for record in work.records] == [0, 1] * (IMAGES // 2)
    assert work.records[1] == {
        "index": 1,
        "file_name": "001.png",
        "image_id": 1,
        "width": 30,
        "height": 40,
        "persons": [
            {
                "box_xyxy": [4.0, 5.0, 20.0, 30.0],
                "box_score": 0.5,
                "score": 0.25,
                "keypoints": [4.0, 5.0, 0.75, 20.0, 30.0, 0.75],
            }
        ],
    }
    settings = work.header.settings
    assert (settings["model"], settings["box_threshold"], settings["never_in"]) == ("corners", 0.5, None)
    assert settings["images"]["count"] == IMAGES
    assert set(settings) == {"pcrpose", "model", "box_threshold", "never_in", "images"}


def test_boxes_found_before(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """Recorded boxes count like a detector's; an image without an entry has none."""
    boxes = {"003.png": Detections(np.array([[0.0, 0, 9, 9], [2, 2, 8, 8]]), np.array([0.4, 0.6]))}
    lower = replace(labeller, detector=boxes, box_threshold=0.3)
    replace(labeller, detector=boxes).label(images, tmp_path / "usual")
    lower.label(images, tmp_path / "lower")

    for name, count in (("usual", 1), ("lower", 2)):
        found = {record["file_name"]: len(record["persons"]) for record in read_work(tmp_path / name).records}
        assert {file: persons for file, persons in found.items() if persons} == {"003.png": count}


def test_persons_of_several_images_share_batches(
    labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path
) -> None:
    """The predictor is given whole chunks, and no images without boxes."""
    predictor = CornerPredictor()
    replace(labeller, predictor=predictor).label(images, tmp_path / "work")

    assert predictor.asked == [[1, 3, 5, 7], [9, 11, 13, 15], [17, 19]]


@pytest.mark.parametrize("stop_at", [1, 11, 19])
def test_killed_run_goes_on_to_the_same_bytes(
    stop_at: int, labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path
) -> None:
    """Stopped half-way and once more with a torn line, the file is as if nothing had happened."""
    labeller.label(images, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        replace(labeller, predictor=CornerPredictor(stop_at=stop_at)).label(images, tmp_path / "killed")
    with (tmp_path / "killed").open("ab") as stream:
        stream.write(b'{"index":')
    predictor = CornerPredictor()

    replace(labeller, predictor=predictor).label(images, tmp_path / "killed")

    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert predictor.asked[0][0] <= stop_at
    assert len(predictor.asked) == 3 - stop_at // 8


def test_shards_make_the_whole(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """The labels of two processes are those of one."""
    labeller.label(images, tmp_path / "whole")
    parts = [tmp_path / "1", tmp_path / "2"]
    for number, part in enumerate(parts, start=1):
        labeller.label(images, part, shard=Shard(number=number, count=2))

    selection = Selection(threshold=0.5)
    assert pseudo_labels(parts, selection) == pseudo_labels([tmp_path / "whole"], selection)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_threshold": 0.6}, "box_threshold: 0.5 and 0.6"),
        ({"made_with": {"model": "edges"}}, "model: corners and edges"),
        ({"skeleton": AIC_14}, "skeleton: "),
    ],
)
def test_other_settings_do_not_go_on(
    change: dict[str, Any],
    message: str,
    labeller: ImageLabeller,
    images: list[UnlabelledImage],
    tmp_path: Path,
) -> None:
    """What the predictions depend on is held against the file."""
    labeller.label(images, tmp_path / "work")

    with pytest.raises(ValueError, match=rf"was begun with other settings \({message}"):
        replace(labeller, **change).label(images, tmp_path / "work")


def test_other_images_do_not_go_on(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """An image more or less would change who is whose neighbor."""
    labeller.label(images, tmp_path / "work")

    with pytest.raises(ValueError, match="was begun with other settings"):
        labeller.label(images[1:], tmp_path / "work")
    with pytest.raises(ValueError, match="expected images, found none"):
        labeller.label([], tmp_path / "none")


def test_unreadable_images_are_left_out(
    labeller: ImageLabeller,
    images: list[UnlabelledImage],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broken and a missing file are told and recorded, without this machine's paths; the rest is done."""
    images[1].path.write_bytes(b"no image at all")
    images[3].path.unlink()
    with caplog.at_level(logging.WARNING):
        labeller.label(images, tmp_path / "work")

    made = pseudo_labels([tmp_path / "work"], Selection(threshold=0.5))["info"]["pcrpose"]
    assert [entry["file_name"] for entry in made["images"]["left_out"]] == ["001.png", "003.png"]
    assert str(tmp_path) not in str(made)
    assert made["persons"] == {"found": 8, "kept": 8}
    assert [str(images[index].path) in caplog.messages[place] for place, index in enumerate((1, 3))] == [True, True]


def test_leaks_are_not_even_predicted(tmp_path: Path) -> None:
    """A copy of a guarded image is left out, and says which one it looks like."""
    drawn = write_synthetic_coco(tmp_path / "drawn", 4).parent / "images"
    guarded = EvaluationImages([("kept_apart.png", drawn / "000002.png")])
    labeller = ImageLabeller(
        predictor=CornerPredictor(),
        detector=lambda _: ([[4, 5, 20, 30]], [0.9]),
        skeleton=STICK,
        made_with={},
        evaluation_images=guarded,
    )
    labeller.label(number_images(drawn, drawn.iterdir()), tmp_path / "work")

    content = pseudo_labels([tmp_path / "work"], Selection(threshold=0.5))
    made = content["info"]["pcrpose"]
    assert made["images"]["leaks"] == [
        {"file_name": "000002.png", "leak": {"file_name": "kept_apart.png", "distance": 0}}
    ]
    assert made["predictions"]["never_in"] == guarded.describe()
    assert [image["file_name"] for image in content["images"]] == ["000000.png", "000001.png", "000003.png"]


def test_progress_counts_earlier_work(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """The first call tells what was done before."""
    calls: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        replace(labeller, predictor=CornerPredictor(stop_at=9)).label(images, tmp_path / "work")

    labeller.label(images, tmp_path / "work", progress=lambda *more: calls.append(more))

    assert calls == [(8, 0), (8, 4), (4, 2)]


def test_broken_models_are_noticed(labeller: ImageLabeller, images: list[UnlabelledImage], tmp_path: Path) -> None:
    """Scores that are no numbers stop the run; another skeleton than promised does too."""
    with pytest.raises(FloatingPointError, match=r"001\.png: expected finite keypoints and scores"):
        replace(labeller, predictor=CornerPredictor(score=float("nan"))).label(images, tmp_path / "a")
    with pytest.raises(ValueError, match="expected poses of COCO_17, found poses of stick"):
        replace(labeller, skeleton=COCO_17).label(images, tmp_path / "b")
    with pytest.raises(ValueError, match=r"001\.png: detections: expected as many scores"):
        replace(labeller, detector=lambda _: ([[1, 2, 3, 4]], [0.9, 0.8])).label(images[1:], tmp_path / "c")


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000139.jpg", "b/000000000285.jpg"], [139, 285]),
        (["IMG_7.jpg", "IMG_12.jpg"], [12, 7]),
        (["b.jpg", "a.jpg"], [1, 2]),
        (["a/1.jpg", "b/1.jpg"], [1, 2]),
        (["7.jpg", "x.jpg"], [1, 2]),
    ],
)
def test_numbers_of_images(names: list[str], ids: list[int], tmp_path: Path) -> None:
    """COCO's own numbers where all have one of their own, otherwise counted in the order of the names."""
    found = number_images(tmp_path, [tmp_path / name for name in names])

    assert [image.file_name for image in found] == sorted(names)
    assert [image.image_id for image in found] == ids
    assert found == number_images(tmp_path, [tmp_path / name for name in reversed(names)])


def test_images_of_other_folders(tmp_path: Path) -> None:
    """Names are relative to one folder, so all have to lie in it."""
    with pytest.raises(ValueError, match="is not in the subpath of"):
        number_images(tmp_path / "a", [tmp_path / "b/1.jpg"])
    with pytest.raises(ValueError, match="expected images, found none"):
        number_images(tmp_path, [])


def test_from_images_to_training_samples(make_model: Callable[[], PCR], tmp_path: Path) -> None:
    """A real predictor labels drawn people; the file trains like any other, the unsure keypoints with weight zero."""
    annotations = write_synthetic_coco(tmp_path / "drawn", 10, max_persons=2)
    folder = annotations.parent / "images"
    drawn = read_coco(annotations, folder)
    boxes = {
        path.name: Detections(
            np.array([sample.box_xyxy for sample in drawn.samples if sample.image_id == key]).reshape(-1, 4),
            np.array([0.9 for sample in drawn.samples if sample.image_id == key]),
        )
        for key, path in drawn.image_paths.items()
    }
    labeller = ImageLabeller(
        predictor=PosePredictor(make_model()), detector=boxes, skeleton=COCO_17, made_with={"model": "random"}
    )
    labeller.label(number_images(folder, folder.iterdir()), tmp_path / "work")

    content = pseudo_labels([tmp_path / "work"], Selection(fraction=0.4))
    write_pseudo_labels(tmp_path / "pseudo.json", content)

    labels = read_coco(tmp_path / "pseudo.json", folder)
    made = content["info"]["pcrpose"]
    assert labels.skeleton == COCO_17
    assert 0 < len(labels) == made["persons"]["kept"] <= len(drawn)
    labelled = np.sum([sample.labelled for sample in labels.samples], axis=0)
    assert labelled.tolist() == [made["keypoints"][name]["kept"] for name in COCO_17.keypoints]
    dataset = KeypointDataset(
        labels.samples, source_skeleton=COCO_17, crop=make_model().config.crop_spec, augmentation=None
    )
    assert dataset[0]["keypoint_weights"].tolist() == labels.samples[0].labelled.tolist()
