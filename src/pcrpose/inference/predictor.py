"""Images and boxes in, poses out."""

# ruff: noqa: TC001, TC002, TC003 - types stand with the other imports

from __future__ import annotations  # help() then shows the names of types, not what they stand for

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args, overload

import numpy as np
import numpy.typing as npt
import torch

from pcrpose.data.images import Color, ImageSource, open_image
from pcrpose.files.checks import at_least, fraction, one_of
from pcrpose.inference.crop_model import CropModel
from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.readout import Reader, Readout, fitted_for
from pcrpose.inference.runtime import Runtime, input_of, place
from pcrpose.inference.stream import BatchQueue, CropBatch, Entry, FailedImage, Request, check_many, requests
from pcrpose.inference.yolox import YoloxDetector
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, check_boxes, croppable, outside_fractions, whole_image_box, windows
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Boxes, Detections, Detector, ScoredBoxes
from pcrpose.keypoints.oks import oks_nms, pose_scores
from pcrpose.keypoints.poses import Poses
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.pose_model import HeatmapModel

logger = logging.getLogger(__name__)

_FAR = 0.5  # fraction of a box outside the image that is seldom meant

OnError: TypeAlias = Literal["raise", "yield"]
PoseScore: TypeAlias = Literal["mean_keypoint", "expected_oks"]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where a `PosePredictor` draws its lines.

    Attributes:
        keypoint: keypoints scored above it count in a pose's score.
        nms: similarity (OKS) above which the lower-scored of two detected poses is dropped; 1 keeps all.

    Raises:
        ValueError: if ``keypoint`` is negative, or ``nms`` not from 0 to 1.
    """

    keypoint: float = 0.2
    nms: float = 0.9

    def __post_init__(self) -> None:
        at_least("keypoint", self.keypoint, 0)
        fraction("nms", self.nms)


class PosePredictor:
    """Find the keypoints of the people in images.

    Boxes of your own give exactly one pose each, in the same order, with ``box_score`` 1. `Detections`, from a detector
    or a file, are rescored and then reduced by OKS-NMS, best pose first. Without boxes and without a detector the whole
    image is taken for one person, which is logged once.

    Args:
        model: any model of `load_model`, an `Ensemble`, or another `HeatmapModel`; put into evaluation mode.
            `DeepPose` gives coordinates: there is nothing to decode, and every keypoint's score is 1.
        detector: called with each ``(H, W, 3)`` uint8 RGB image; returns `Detections`, or what `Detections.of` takes.
            Or what `YoloxDetector` takes: an ONNX file's path, or ``"yolox-nano"``.
        flip: average with the heatmaps of the mirrored crop: better and twice the work.
        decoding: how peaks become coordinates, see `HeatmapCodec`. With another one than the model's calibration was
            fitted for there are no probabilities, which is logged.
        thresholds: which keypoints count in a pose's score, and which poses are one.
        runtime: device, precision, batch size and threads. A model that has to be moved or converted is copied.
        device: short for ``runtime=Runtime(device=...)``.
        pose_score: what poses are ranked by: box score times ``"mean_keypoint"``, the mean of the keypoint scores above
            the threshold, as published code has it; or times ``"expected_oks"``, the OKS that the model's calibration
            expects of the pose times its presence.

    Attributes:
        model: the model that runs.

    Raises:
        TypeError: if ``model`` is not a model, a name for example, or ``detector`` no detector.
        ValueError: if another ``decoding`` than the default is asked for where there are no heatmaps, another
            device than the runtime's, or ``"expected_oks"`` of a model without a calibration that fits.

    Examples:
        >>> import numpy as np
        >>> from pcrpose.models.pcr import PCR, PCRConfig
        >>> model = PCR(PCRConfig(encoder="resnet_nano", channels=(32, 32, 32), se_norm="none"))
        >>> image = np.zeros((120, 160, 3), dtype=np.uint8)
        >>> PosePredictor(model).predict(image, [[10, 10, 60, 110], [70, 5, 120, 110]]).keypoints.shape
        (2, 17, 2)
    """

    def __init__(
        self,
        model: HeatmapModel,
        *,
        detector: Detector | str | Path | None = None,
        flip: bool = True,
        decoding: Decoding = "dark",
        thresholds: Thresholds = Thresholds(),
        runtime: Runtime = Runtime(),
        device: torch.device | str | None = None,
        pose_score: PoseScore = "mean_keypoint",
    ) -> None:
        if not isinstance(model, HeatmapModel):
            raise TypeError(f"model: expected one from load_model or PCR.from_pretrained, found {model!r:.60}")
        if not (detector is None or callable(detector) or isinstance(detector, str | Path)):
            raise TypeError(f"detector: expected a function of an image, a name or a path, found {detector!r:.60}")
        if decoding != "dark":  # the default asks for nothing
            require_heatmaps(model.config, f"decoding={decoding!r}")
        if device is not None:
            if runtime.device not in {None, device}:
                raise ValueError(f"device: expected {runtime.device}, as the runtime has it, found {device}")
            runtime = replace(runtime, device=device)
        self.model = place(model, runtime)
        self.detector: Detector | None = (
            YoloxDetector(detector, num_threads=runtime.threads) if isinstance(detector, str | Path) else detector
        )
        self.flip = flip
        self.codec = replace(model.config.codec(), decoding=decoding)
        self.thresholds = thresholds
        self.runtime = runtime
        self._crop_model = CropModel(model=self.model, runtime=runtime, flip=flip)
        self._reader = Reader(
            config=model.config,
            codec=self.codec,
            calibration=fitted_for(model.config, flip=flip, decoding=decoding),
            two_passes=flip and not isinstance(model, Ensemble),
            expect_oks=pose_score == "expected_oks",
        )
        one_of("pose_score", pose_score, get_args(PoseScore))
        if self._reader.expect_oks and self._reader.calibration.expected_oks is None:
            raise ValueError(
                "pose_score: expected 'mean_keypoint' for a model without a calibration for this way to predict, found "
                "'expected_oks'; calibrate, or pcrpose calibrate, fits one"
            )
        self._warned = False

    def __repr__(self) -> str:
        config = self.model.config
        device, dtype = input_of(self.model, self.runtime)
        detector = getattr(self.detector, "__name__", None) or repr(self.detector)
        return (
            f"PosePredictor({type(self.model).__name__} {config.input_size} of {config.skeleton.name}, "
            f"detector={detector}, flip={self.flip}, {device} {str(dtype).removeprefix('torch.')})"
        )

    def predict(self, image: ImageSource, boxes_xyxy: Boxes | None = None, *, color: Color = "rgb") -> Poses:
        """Find the poses of one image.

        Args:
            image: path, encoded bytes, PIL image or ``(H, W, 3)`` uint8 array.
            boxes_xyxy: ``(N, 4)`` float, image pixels, or `Detections`, supervision's too; None asks the detector. An
                empty list gives no poses.
            color: order of an array's channels; ``"bgr"`` for images from OpenCV.

        Returns:
            One pose per box, in their order; of `Detections` and a detector's boxes, the poses that OKS-NMS keeps,
            best first.

        Raises:
            ValueError: for an image that cannot be read, or a box that is not finite, has no width or height or
                lies outside the image. Detections with such a box are left out instead, which is logged.
            FileNotFoundError: for a path that does not exist.
        """
        if isinstance(image, list | tuple):
            raise TypeError(f"image: expected one image, found {len(image)}; predict_batch and stream take several")
        return next(self.stream([image], None if boxes_xyxy is None else [boxes_xyxy], color=color))

    def predict_batch(
        self, images: Iterable[ImageSource], boxes_xyxy: Iterable[Boxes] | None = None, *, color: Color = "rgb"
    ) -> list[Poses]:
        """Find the poses of many images at once: the list of what `stream` yields, with the same arguments."""
        return list(self.stream(images, boxes_xyxy, color=color))

    @overload
    def stream(
        self,
        images: Iterable[ImageSource],
        boxes_xyxy: Iterable[Boxes] | None = None,
        *,
        color: Color = "rgb",
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Poses]: ...

    @overload
    def stream(
        self,
        images: Iterable[ImageSource],
        boxes_xyxy: Iterable[Boxes] | None = None,
        *,
        color: Color = "rgb",
        on_error: Literal["yield"],
    ) -> Iterator[Poses | FailedImage]: ...

    def stream(
        self,
        images: Iterable[ImageSource],
        boxes_xyxy: Iterable[Boxes] | None = None,
        *,
        color: Color = "rgb",
        on_error: OnError = "raise",
    ) -> Iterator[Poses] | Iterator[Poses | FailedImage]:
        """Yield the poses of many images, in their order, in constant memory.

        Persons of many images share a batch, so a result may come some images after its own was read. Images are
        opened as they are needed and let go once they are cropped; an array may be used again for the next image.

        Args:
            images: as for `predict`.
            boxes_xyxy: as for `predict`, one entry per image; None asks the detector.
            color: as for `predict`.
            on_error: what happens at an image that cannot be read or cropped: ``"raise"`` its error, after the results
                of those before it, or ``"yield"`` a `FailedImage` in its place.

        Raises:
            ValueError: as for `predict`, the image named where there are several; or, while iterating, if there are not
                as many entries in ``boxes_xyxy`` as images.
            TypeError: if ``images`` is one image.
            FileNotFoundError: as for `predict`.
        """
        check_many(images)
        one_of("on_error", on_error, ("raise", "yield"))
        return self._results(requests(images, boxes_xyxy), color, on_error)

    def heatmaps(
        self, image: ImageSource, box_xyxy: npt.ArrayLike | None = None, *, color: Color = "rgb"
    ) -> tuple[npt.NDArray[np.float32], Crops]:
        """Return one person's heatmaps as `predict` decodes them, averaged with the mirrored crop's if ``flip`` is set.

        Args:
            image: as for `predict`.
            box_xyxy: ``(4,)`` float, image pixels; None takes the whole image. The detector is not asked.
            color: as for `predict`.

        Returns:
            ``(J, h, w)`` float32 heatmaps, and the one crop of the image that they cover: what
            `pcrpose.keypoints.drawing.heatmaps.draw_heatmaps` lays on the image.

        Raises:
            ValueError: as for `predict`; or if the model predicts coordinates.
            FileNotFoundError: as for `predict`.
        """
        require_heatmaps(self.model.config, "heatmaps")
        opened = open_image(image, color=color)
        size = Size.of(opened)
        boxes = check_boxes(whole_image_box(size) if box_xyxy is None else np.asarray(box_xyxy)[None], size)
        crops, batch = self._crop_model.cut(opened, boxes)
        return self._crop_model(batch).merged[0].float().cpu().numpy(), crops

    def _results(self, asked: Iterable[Request], color: Color, on_error: OnError) -> Iterator[Poses | FailedImage]:
        queue = BatchQueue(self._forward, self.runtime.batch_size)
        for request in asked:
            entry = self._enter(queue, request, color)
            if entry.failure is not None and on_error == "raise":
                queue.flush()  # what came before it is not lost
            yield from (self._result(ready, on_error) for ready in queue.ready())
        queue.flush()
        yield from (self._result(ready, on_error) for ready in queue.ready())

    def _enter(self, queue: BatchQueue, request: Request, color: Color) -> Entry:
        """Open an image, find its boxes and put its crops into the queue; the image is let go."""
        entry = Entry(persons=Detections.empty())
        try:
            image = open_image(request.source, color=color)
            entry.persons, entry.detected = self._locate(image, request)
        except (OSError, ValueError) as error:
            entry.failure = FailedImage(request.source, error)
        queue.add(entry)
        for rows in queue.slices(len(entry.persons)):
            boxes = entry.persons.boxes_xyxy[rows]
            try:
                crops, batch = self._crop_model.cut(image, boxes)
            except ValueError as error:
                entry.failure = FailedImage(request.source, error)
                break
            queue.fill(entry, crops, batch)
        return entry

    def _locate(self, image: Image, request: Request) -> tuple[Detections, bool]:
        """Return an image's boxes, checked, with their scores, and whether a detector found them."""
        size, given = Size.of(image), request.boxes
        if given is None and self.detector is not None:
            given = Detections.of(self.detector(image))
        if isinstance(given, ScoredBoxes):
            given = Detections.of(given)
        if isinstance(given, Detections):
            return _croppable(given, size), True
        if given is None:
            self._warn_of_whole_images()
            given = whole_image_box(size)
        try:
            boxes = check_boxes(given, size)
        except ValueError as error:
            raise ValueError(f"{request.name}: {error}" if request.name else str(error)) from error
        _warn_of_far_boxes(boxes, size, request.name)
        return Detections(boxes, np.ones(len(boxes))), False

    def _warn_of_whole_images(self) -> None:
        if not self._warned:
            logger.warning(
                "no boxes and no detector: the whole image is taken for one person; "
                "give boxes_xyxy, or PosePredictor(model, detector=...)"
            )
            self._warned = True

    def _forward(self, batch: CropBatch) -> Readout:
        """Read the persons of a batch, in pixels of the first kind of crop."""
        return self._reader(self._crop_model(batch))

    def _result(self, entry: Entry, on_error: OnError) -> Poses | FailedImage:
        """Return what became of an image, or raise why nothing did."""
        if entry.failure is None:
            return self._poses(entry)
        if on_error == "raise":
            raise entry.failure.error
        return entry.failure

    def _poses(self, entry: Entry) -> Poses:
        persons, skeleton = entry.persons, self.model.config.skeleton
        found = Readout.join(entry.found or [self._reader.none()])
        arrays = found.arrays()
        expected = arrays.pop("expected_oks", None)
        if expected is None:
            scores = pose_scores(persons.scores, found.keypoint_scores, threshold=self.thresholds.keypoint)
        else:
            scores = persons.scores * expected
        poses = Poses(
            **arrays,
            boxes_xyxy=persons.boxes_xyxy,
            box_scores=persons.scores,
            pose_scores=scores,
            skeleton=skeleton,
        )
        if not entry.detected or not len(persons):
            return poses
        spec = self._crop_model.specs[0]
        _, extents = windows(persons.boxes_xyxy, spec.input_size.aspect, spec.padding)
        areas = extents.prod(axis=1)
        sigmas = skeleton.sigmas
        return poses[oks_nms(found.keypoints, poses.pose_scores, areas, sigmas=sigmas, threshold=self.thresholds.nms)]


def _warn_of_far_boxes(boxes: Floats, size: Size, name: str) -> None:
    """Log the box that lies outside the image for the most part, as boxes of another image or size do."""
    fractions = outside_fractions(boxes, size)
    if (fractions > _FAR).any():
        index = int(fractions.argmax())
        logger.warning(
            "%sbox %d: %.0f %% of %s lies outside the %s (height x width) image: are x1, y1, x2, y2 its pixels?",
            f"{name}: " if name else "",
            index,
            100 * fractions[index],
            boxes[index].tolist(),
            size,
        )


def _croppable(found: Detections, size: Size) -> Detections:
    """Leave out, and log, the detections that cannot be cropped."""
    usable = croppable(found.boxes_xyxy, size) & np.isfinite(found.scores)
    if usable.all():
        return found
    first = found[int(np.flatnonzero(~usable)[0])]
    logger.warning(
        "left out %d of %d detections that cannot be cropped, first x1, y1, x2, y2 = %s, score %s",
        (~usable).sum(),
        len(usable),
        first.boxes_xyxy[0].tolist(),
        first.scores[0],
    )
    return found[usable]
