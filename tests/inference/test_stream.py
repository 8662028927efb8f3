"""Many images: their order, the batches they share, what fails among them, and memory."""

import gc
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from pcrpose.data.images import ImageError
from pcrpose.inference.predictor import PosePredictor
from pcrpose.inference.runtime import Runtime
from pcrpose.inference.stream import FailedImage, check_many, requests
from pcrpose.keypoints.arrays import Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.detections import Detections
from pcrpose.keypoints.poses import Poses
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.models.pose_model import HeatmapOutput

BOXES = np.array([[20.0, 15.0, 90.0, 140.0], [100.5, 30.25, 190.0, 120.0], [-10.0, -5.0, 60.0, 80.0]])
OUTSIDE = [[500.0, 500.0, 600.0, 600.0]]


class FlatModel:
    """A model that is no module: every map has its peak in the first cell; it counts the crops of each call."""

    def __init__(self) -> None:
        self.config = PCRConfig(encoder="resnet_nano", channels=(8, 8, 8), input_size=Size(width=32, height=32))
        self.calls: list[int] = []

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Return maps of zeros and a one."""
        self.calls.append(len(crops))
        heatmaps = torch.zeros(len(crops), 17, 8, 8)
        heatmaps[..., 0, 0] = 1
        return HeatmapOutput(heatmaps)


def predictor(batch_size: int = 4) -> PosePredictor:
    """Build a predictor whose batches can be counted."""
    return PosePredictor(FlatModel(), flip=False, runtime=Runtime(batch_size=batch_size))


def calls(predictor: PosePredictor) -> list[int]:
    """Return how many crops each forward pass had."""
    assert isinstance(predictor.model, FlatModel)
    return predictor.model.calls


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_batches_cross_images_and_do_not_matter(model: PCR, photo: Image, batch_size: int) -> None:
    """However persons are grouped into batches, each image gets its own poses."""
    images = [photo, photo[:, ::-1].copy(), photo[:100]]
    boxes = [BOXES, np.zeros((0, 4)), BOXES[:1]]

    together = PosePredictor(model, runtime=Runtime(batch_size=batch_size)).predict_batch(images, boxes)

    assert [len(poses) for poses in together] == [3, 0, 1]
    for poses, image, given in zip(together, images, boxes, strict=True):
        alone = PosePredictor(model).predict(image, given)
        np.testing.assert_allclose(poses.keypoints, alone.keypoints, atol=1e-4)


def test_batches_are_full(photo: Image) -> None:
    """Persons fill one batch after the other, across images and within an image of many."""
    several = predictor(batch_size=4)

    found = several.predict_batch([photo] * 4, [BOXES, BOXES, np.tile(BOXES, (3, 1)), BOXES[:1]])

    assert [len(poses) for poses in found] == [3, 3, 9, 1]
    assert calls(several) == [4, 4, 4, 4]


def test_results_come_as_soon_as_they_can(photo: Image) -> None:
    """A result is yielded once its batch is full, not at the end of all images."""
    read: list[int] = []

    def reader() -> Iterator[Image]:
        for number in range(8):
            read.append(number)
            yield photo

    stream = predictor(batch_size=4).stream(reader(), [BOXES[:2]] * 8)

    assert read == []
    assert len(next(stream)) == 2
    assert read == [0, 1]
    assert len(list(stream)) == 7


def test_images_without_persons_do_not_pile_up(photo: Image) -> None:
    """A batch that does not fill is run as it is before more than four images per crop wait for it."""
    boxes: list[Any] = [BOXES[:1], *[[]] * 50]
    read: list[int] = []

    def reader() -> Iterator[Image]:
        for number in range(len(boxes)):
            read.append(number)
            yield photo

    stream = predictor(batch_size=3).stream(reader(), boxes)

    assert len(next(stream)) == 1
    assert len(read) == 13


def test_a_buffer_may_be_used_again(model: PCR, photo: Image) -> None:
    """Frames that share one array, as video readers give them, each get their own poses."""
    frames = [photo, photo[::-1].copy(), 255 - photo]

    def reader() -> Iterator[Image]:
        buffer = np.empty_like(photo)
        for frame in frames:
            buffer[:] = frame
            yield buffer

    together = PosePredictor(model).predict_batch(reader(), [BOXES] * 3)

    for poses, frame in zip(together, frames, strict=True):
        np.testing.assert_allclose(poses.keypoints, PosePredictor(model).predict(frame, BOXES).keypoints, atol=1e-4)


def test_an_image_is_cropped_before_anything_is_yielded(model: PCR, photo: Image) -> None:
    """Who draws into a frame while iterating does not draw into another person's crop."""
    runtime = Runtime(batch_size=2)
    expected = PosePredictor(model, runtime=runtime).predict(photo, BOXES)
    frame = photo.copy()

    stream = PosePredictor(model, runtime=runtime).stream(iter([photo, frame]), [BOXES[:1], BOXES])

    next(stream)
    frame[:] = 0
    np.testing.assert_allclose(next(stream).keypoints, expected.keypoints, atol=1e-4)


def test_images_are_let_go_one_by_one(model: PCR, photo: Image) -> None:
    """However many images share a batch, only the one being read and its neighbors are in memory."""
    alive: list[weakref.ref[Image]] = []

    def reader() -> Iterator[Image]:
        for _ in range(12):
            fresh = photo.copy()
            alive.append(weakref.ref(fresh))
            assert sum(reference() is not None for reference in alive) <= 4
            yield fresh

    assert len(PosePredictor(model).predict_batch(reader(), [BOXES] * 12)) == 12


def test_memory_of_a_stream_is_flat() -> None:
    """After fifty images, two hundred more add less than 100 kB: what they or their poses occupy is let go."""
    rng = np.random.default_rng(0)
    images = (rng.integers(0, 255, (40, 30, 3), dtype=np.uint8) for _ in range(250))
    stream = predictor().stream(images, ([[1, 1, 20, 30]] * (number % 3) for number in range(250)))

    tracemalloc.start()
    try:
        for _ in range(50):
            next(stream)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        rest = sum(1 for _ in stream)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert rest == 200
    assert after - before < 100_000


@pytest.fixture
def mixed(tmp_path: Path, photo: Image) -> list[Any]:
    """Give images of which three cannot be used: one is missing, one broken, one of a wrong type."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    return [photo, tmp_path / "missing.jpg", photo, broken, photo.astype(np.float32), photo]


def test_failures_come_in_their_place(mixed: list[Any], photo: Image) -> None:
    """With "yield" an image that cannot be read or cropped costs no other, and says why."""
    images = [*mixed, photo]
    boxes = [BOXES[:2]] * len(mixed) + [OUTSIDE]

    found = list(predictor().stream(images, boxes, on_error="yield"))

    assert [isinstance(result, FailedImage) for result in found] == [False, True, False, True, True, False, True]
    assert [len(result) for result in found if isinstance(result, Poses)] == [2, 2, 2]
    failed = [result for result in found if isinstance(result, FailedImage)]
    assert [failure.source for failure in failed[:2]] == [mixed[1], mixed[3]]
    assert isinstance(failed[0].error, FileNotFoundError)
    assert isinstance(failed[1].error, ImageError)
    assert "expected uint8" in str(failed[2])
    assert str(failed[3]).startswith("image 6: box: ")


def test_a_file_that_cannot_be_read_fails_in_its_place(
    photo: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the system says of it, a share that has gone for example, the others are found."""
    path = tmp_path / "a.png"
    path.touch()

    def gone(_: Path) -> bytes:
        raise OSError("stale file handle")

    monkeypatch.setattr(Path, "read_bytes", gone)
    failed, poses = predictor().stream([path, photo], [BOXES, BOXES], on_error="yield")

    assert isinstance(failed, FailedImage)
    assert str(failed) == f"{path}: stale file handle"
    assert isinstance(poses, Poses)


def test_an_image_that_fails_between_two_batches(photo: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some of its crops are in a batch already, the image fails as a whole and the next one is whole."""
    one = predictor(batch_size=2)
    original = type(one._crop_model.specs[0]).cut

    def cut(self: Any, image: Image, boxes: Any) -> Any:  # noqa: ANN401 - as the method's
        if boxes[0, 0] == BOXES[2, 0]:
            raise ValueError("absurdly large")
        return original(self, image, boxes)

    monkeypatch.setattr(type(one._crop_model.specs[0]), "cut", cut)

    found = list(one.stream([photo] * 3, [BOXES[:1], BOXES[[0, 2]], BOXES[:2]], on_error="yield"))

    assert [str(result) if isinstance(result, FailedImage) else len(result) for result in found] == [
        1,
        "absurdly large",
        2,
    ]


def test_errors_are_raised_after_the_results_before_them(mixed: list[Any]) -> None:
    """With "raise", the default, nothing that was read before is lost, and nothing after it is read."""
    read: list[int] = []

    def reader() -> Iterator[Any]:
        for number, image in enumerate(mixed):
            read.append(number)
            yield image

    stream = predictor(batch_size=32).stream(reader(), [BOXES] * len(mixed))

    assert len(next(stream)) == 3
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        next(stream)
    assert list(stream) == []
    assert read == [0, 1]


def test_errors_of_the_model_are_nobodys_image(photo: Image) -> None:
    """What goes wrong in the network is raised in both ways."""

    class Broken(FlatModel):
        def __call__(self, _: Tensor, /) -> HeatmapOutput:
            raise ValueError("network")

    with pytest.raises(ValueError, match="network"):
        list(PosePredictor(Broken()).stream([photo], [BOXES], on_error="yield"))


def test_own_boxes_and_detections_in_one_stream(model: PCR, photo: Image) -> None:
    """Each image's boxes are treated as what they are."""
    found = PosePredictor(model).predict_batch(
        [photo, photo], [BOXES[[0, 0]], Detections(BOXES[[0, 0, 1]], [0.5, 0.6, 0.9])]
    )

    assert found[0].box_scores.tolist() == [1, 1]
    assert sorted(found[1].box_scores.tolist()) == pytest.approx([0.6, 0.9])


@pytest.mark.parametrize("one", ["image.jpg", Path("image.jpg"), b"bytes", np.zeros((4, 5, 3), dtype=np.uint8)])
def test_one_image_is_not_many(one: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """A path given as the list of images would be read letter by letter; it is refused before iteration."""
    with pytest.raises(TypeError, match="several images"):
        predictor().stream(one)
    with pytest.raises(TypeError, match="several images"):
        predictor().predict_batch(one)


def test_a_stack_of_images_is_many() -> None:
    """One array of several images is taken."""
    check_many(np.zeros((2, 4, 5, 3), dtype=np.uint8))


def test_another_way_to_fail(photo: Image) -> None:
    """A misspelt ``on_error`` is refused before iteration."""
    with pytest.raises(ValueError, match=r"on_error: expected one of \['raise', 'yield'\], found 'skip'"):
        predictor().stream([photo], on_error="skip")  # type: ignore[call-overload] # what is tested


def test_the_image_of_a_wrong_box_is_named(photo: Image, tmp_path: Path) -> None:
    """By its path or its number where there are several; an image alone needs no name."""
    path = tmp_path / "a.png"
    PIL.Image.fromarray(photo).save(path)
    wrong = [*BOXES[:2], [5, 5, 5, 5]]

    with pytest.raises(ValueError, match=r"^image 1: box 2"):
        predictor().predict_batch([photo, photo], [BOXES, wrong])
    with pytest.raises(ValueError, match=r"a\.png: box 2"):
        predictor().predict_batch([photo, path], [BOXES, wrong])
    with pytest.raises(ValueError, match=r"^box 2"):
        predictor().predict(photo, wrong)


@pytest.mark.parametrize(
    ("count", "message"), [(0, "none for image 0"), (1, "none for image 1"), (3, "each of 2 images, found more")]
)
def test_images_and_boxes_must_match_in_number(photo: Image, count: int, message: str) -> None:
    """A missing entry is an error, not an image without persons; so is one too many."""
    with pytest.raises(ValueError, match=f"boxes_xyxy: .*{message}"):
        predictor().predict_batch([photo, photo], [BOXES] * count)


def test_no_images(photo: Image) -> None:
    """Nothing in, nothing out; boxes without images are too many."""
    assert predictor().predict_batch([]) == []
    assert predictor().predict_batch([], []) == []
    with pytest.raises(ValueError, match="each of 0 images, found more"):
        predictor().predict_batch([], [BOXES])
    assert [request.boxes for request in requests([photo], None)] == [None]


def run(program: str, *arguments: str) -> str:
    """Run a program in a process of its own and return what it printed."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


MEMORY_PROGRAM = """
import sys, resource
import numpy as np, torch
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.inference.predictor import PosePredictor
torch.set_num_threads(1)
model = PCR(PCRConfig(encoder="resnet18", channels=(64, 64, 64), se_norm="none")).eval()
if sys.argv[1] == "forward":
    with torch.inference_mode():
        model(torch.zeros(32, 3, 256, 192))
else:
    boxes = np.tile([[10.0, 10.0, 100.0, 200.0]], (256, 1))
    PosePredictor(model).predict(np.zeros((240, 320, 3), dtype=np.uint8), boxes)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak in Linux's units")
def test_memory_of_many_boxes_is_that_of_one_batch() -> None:
    """256 boxes peak at most at 1.3 times what one forward pass of 32 crops needs."""
    one, many = (int(run(MEMORY_PROGRAM, what)) for what in ("forward", "predict"))

    assert many <= 1.3 * one


GROWTH_PROGRAM = """
import numpy as np, torch
from pcrpose.models.pcr import PCR, PCRConfig
from pcrpose.inference.predictor import PosePredictor
from pcrpose.keypoints.boxes import Size
torch.set_num_threads(1)
size = Size(width=32, height=32)
predictor = PosePredictor(PCR(PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), input_size=size)))
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
rng = np.random.default_rng(0)
images = (rng.integers(0, 255, (rng.integers(40, 90), rng.integers(40, 90), 3), dtype=np.uint8) for _ in range(1000))
for number, _ in enumerate(predictor.stream(images, ([[1, 1, 30, 30]] for _ in range(1000)))):
    if number == 99:
        before = resident()
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_images() -> None:
    """A thousand images in a row add less than 20 MB after the first hundred."""
    assert int(run(GROWTH_PROGRAM)) < 20e6
