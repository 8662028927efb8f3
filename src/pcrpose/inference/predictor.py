"""Images and boxes in, poses out."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pcrpose.data.images import Color, ImageSource, open_image
from pcrpose.inference.places import (
    Places,
    check_many,
    detected_places,
    given_places,
    open_named,
    paired,
)
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.boxes import Size, grow_boxes, whole_image_box, windows
from pcrpose.keypoints.crop import Crops
from pcrpose.keypoints.decoding import Decoding
from pcrpose.keypoints.detections import Detector, DetectorOutput
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.keypoints.oks import oks_nms, pose_scores
from pcrpose.keypoints.poses import Poses
from pcrpose.models.pose_model import PoseModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """A part of one image's crops, small enough to share a batch with others."""

    image_index: int
    crop: Crops
    pixels: npt.NDArray[np.uint8]


class PosePredictor:
    """Find the keypoints of the people in images.

    Boxes given by the caller give exactly one pose each, in the same order, with ``box_score`` 1. Boxes from a detector
    are rescored and then thinned by OKS-NMS, best pose first. Without boxes and without a detector the whole image is
    taken for one person, which is logged once.

    Args:
        model: any model of `load_model`; put into evaluation mode, used on the device and in the precision it has.
        detector: called with each ``(H, W, 3)`` uint8 RGB image; returns what `Detections.of` takes.
        flip: average with the heatmaps of the mirrored crop: better and twice the work.
        decode: how peaks become coordinates, see `HeatmapCodec`.
        batch_size: crops a forward pass; memory grows with it, not with the number of boxes.
        keypoint_threshold: keypoints above it count in a pose's score.
        nms_threshold: similarity above which the lower-scored of two detected poses is dropped.

    Raises:
        TypeError: if ``model`` is not a model, a name for example.
        ValueError: if ``batch_size`` is less than 1.

    Examples:
        >>> import numpy as np
        >>> from pcrpose.models.pcr import PCRConfig
        >>> from pcrpose.models.pcr import PCR
        >>> model = PCR(PCRConfig(encoder="resnet_nano", channels=(32, 32, 32), se_norm="none"))
        >>> image = np.zeros((120, 160, 3), dtype=np.uint8)
        >>> PosePredictor(model).predict(image, [[10, 10, 60, 110], [70, 5, 120, 110]]).keypoints.shape
        (2, 17, 2)
    """

    def __init__(
        self,
        model: PoseModel[Any],
        *,
        detector: Detector | None = None,
        flip: bool = True,
        decoding: Decoding = "dark",
        batch_size: int = 16,
        keypoint_threshold: float = 0.2,
        nms_threshold: float = 0.9,
    ) -> None:
        if not isinstance(model, PoseModel):
            raise TypeError(f"model: expected one from load_model or PCR.from_pretrained, found {model!r:.60}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        self.model = model.eval()
        self.detector = detector
        self.flip = flip
        self.codec = replace(model.config.codec(), decoding=decoding)
        self.batch_size = batch_size
        self.keypoint_threshold = keypoint_threshold
        self.nms_threshold = nms_threshold
        self._warned = False

    def predict(self, image: ImageSource, boxes_xyxy: npt.ArrayLike | None = None, *, color: Color = "rgb") -> Poses:
        """Find the poses of one image.

        Args:
            image: path, encoded bytes, PIL image or ``(H, W, 3)`` uint8 array.
            boxes_xyxy: ``(N, 4)`` float, image pixels; None asks the detector. An empty list gives no poses.
            color: order of an array's channels; ``"bgr"`` for images from OpenCV.

        Returns:
            N poses in the order of the boxes, or the detector's poses, best first.

        Raises:
            ValueError: for an image that cannot be read, or a box that is not finite, has no width or height or
                lies outside the image.
            FileNotFoundError: for a path that does not exist.
        """
        return self.predict_batch([image], None if boxes_xyxy is None else [boxes_xyxy], color=color)[0]

    def predict_batch(
        self,
        images: Iterable[ImageSource],
        boxes: Iterable[npt.ArrayLike] | None = None,
        *,
        color: Color = "rgb",
    ) -> list[Poses]:
        """Find the poses of many images; their persons share batches, and images are opened as they are needed.

        Args:
            images: as for `predict`.
            boxes: one ``(N, 4)`` array an image; None asks the detector.
            color: as for `predict`.

        Returns:
            One `Poses` an image, in order.

        Raises:
            ValueError: as for `predict`, or if there are not as many entries in ``boxes`` as images.
            TypeError: if ``images`` is one image.
            FileNotFoundError: as for `predict`.
        """
        check_many(images)
        opened = open_named(images, color)
        if boxes is None:
            return self._run((image, self._places(image)) for _, image in opened)
        pairs = paired(opened, boxes, "boxes")
        return self._run((image, given_places(image, given, name)) for (name, image), given in pairs)

    def predict_detections(
        self,
        images: Iterable[ImageSource],
        detections: Iterable[DetectorOutput],
        *,
        color: Color = "rgb",
    ) -> list[Poses]:
        """Find the poses of images whose boxes a detector found earlier, scored and thinned like a detector's.

        Args:
            images: as for `predict_batch`.
            detections: ``(N, 4)`` boxes_xyxy and ``(N,)`` scores, one pair an image. Boxes that cannot be cropped
                (not finite, without width or height, outside the image) are left out, which is logged.
            color: as for `predict`.

        Returns:
            One `Poses` an image, best pose first.

        Raises:
            ValueError: for an image that cannot be read, or numbers of boxes, scores and images that differ.
            FileNotFoundError: for a path that does not exist.
        """
        check_many(images)
        pairs = paired(open_named(images, color), detections, "detections")
        return self._run((image, detected_places(image, found)) for (_, image), found in pairs)

    def heatmaps(
        self, image: ImageSource, box_xyxy: npt.ArrayLike | None = None, *, color: Color = "rgb"
    ) -> tuple[npt.NDArray[np.float32], Crops]:
        """Give one person's heatmaps as `predict` decodes them, with the mirrored crop's where ``flip`` asks for it.

        Args:
            image: as for `predict`.
            box_xyxy: ``(4,)`` float, image pixels; None takes the whole image. The detector is not asked.
            color: as for `predict`.

        Returns:
            ``(J, h, w)`` float32 heatmaps, and the one crop of the image that they cover: what
            `pcrpose.keypoints.drawing.heatmaps.draw_heatmaps` lays on the image.

        Raises:
            ValueError: as for `predict`.
            FileNotFoundError: as for `predict`.
        """
        config, opened = self.model.config, open_image(image, color=color)
        box = whole_image_box(Size.of(opened)) if box_xyxy is None else np.asarray(box_xyxy)[None]
        boxes = given_places(opened, box).boxes_xyxy
        crop = Crops.from_boxes(boxes, config.input_size, padding=config.padding, alignment=config.alignment)
        return self._heatmaps(self._pixels(crop, opened, boxes))[0].float().cpu().numpy(), crop

    def _pixels(self, crop: Crops, image: Image, boxes_xyxy: Floats) -> npt.NDArray[np.uint8]:
        """Cut crops out of their image and blacken what the model must not see."""
        pixels = crop.warp(image)
        if self.model.config.blackout is not None:
            crop.black_out(pixels, grow_boxes(boxes_xyxy, self.model.config.blackout))
        return pixels

    def _places(self, image: Image) -> Places:
        if self.detector is not None:
            return detected_places(image, self.detector(image))
        if not self._warned:
            logger.warning(
                "no boxes and no detector: the whole image is taken for one person; "
                "give boxes_xyxy, or PosePredictor(model, detector=...)"
            )
            self._warned = True
        return given_places(image, whole_image_box(Size.of(image)))

    def _run(self, images: Iterable[tuple[Image, Places]]) -> list[Poses]:
        """Fill batches across images, run them, and put each image's poses together again.

        An image is cropped as it comes and then let go: the caller may use its memory for the next one.
        """
        pending: list[_Chunk] = []
        asked: list[Places] = []
        found: list[list[tuple[Floats, Floats]]] = []
        for index, (image, boxes) in enumerate(images):
            asked.append(boxes)
            found.append([])
            for chunk in self._chunks(index, image, boxes, room=self.batch_size - _count(pending)):
                pending.append(chunk)
                if _count(pending) == self.batch_size:
                    self._flush(pending, found)
        self._flush(pending, found)
        return [self._assemble(boxes, parts) for boxes, parts in zip(asked, found, strict=True)]

    def _chunks(self, index: int, image: Image, boxes: Places, room: int) -> Iterator[_Chunk]:
        config = self.model.config
        start = 0
        while start < len(boxes.boxes_xyxy):
            part = boxes.boxes_xyxy[start : start + room]
            crop = Crops.from_boxes(part, config.input_size, padding=config.padding, alignment=config.alignment)
            yield _Chunk(image_index=index, crop=crop, pixels=self._pixels(crop, image, part))
            start, room = start + len(part), self.batch_size

    def _flush(self, pending: list[_Chunk], found: list[list[tuple[Floats, Floats]]]) -> None:
        """Run one batch and hand every chunk's keypoints (image pixels) and scores to its image."""
        if not pending:
            return
        keypoints_crop, scores = self._forward(np.concatenate([chunk.pixels for chunk in pending]))
        start = 0
        for chunk in pending:
            rows = slice(start, start + len(chunk.crop))
            found[chunk.image_index].append((chunk.crop.inverse(keypoints_crop[rows]), scores[rows]))
            start += len(chunk.crop)
        pending.clear()

    @torch.inference_mode()
    def _forward(self, crops: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """``(B, H, W, 3)`` crops to ``(B, J, 2)`` keypoints in crop pixels and ``(B, J)`` scores."""
        keypoints_crop, scores = self.codec.decode(self._heatmaps(crops))
        return keypoints_crop.cpu().double().numpy(), scores.cpu().double().numpy()

    @torch.inference_mode()
    def _heatmaps(self, crops: npt.NDArray[np.uint8]) -> Tensor:
        """``(B, H, W, 3)`` crops to ``(B, J, h, w)`` heatmaps, averaged with the mirrored crops' if ``flip`` is set."""
        if self.model.training:  # somebody has trained it since
            self.model.eval()
        parameter = next(self.model.parameters())
        batch = torch.from_numpy(crops).to(parameter.device).permute(0, 3, 1, 2)
        normalized = self.model.config.normalize(batch, parameter.dtype)
        heatmaps: Tensor = self.model(normalized).final
        if self.flip:
            mirrored: Tensor = self.model(normalized.flip(3)).final
            indices = self.model.config.skeleton.flip_indices
            heatmaps = merge_mirrored(heatmaps, mirrored, indices, shift=self.codec.alignment == "edge")
        return heatmaps

    def _assemble(self, boxes: Places, parts: Sequence[tuple[Floats, Floats]]) -> Poses:
        config = self.model.config
        if not parts:
            return Poses.empty(config.skeleton)
        keypoints, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        poses = Poses(
            keypoints=keypoints,
            keypoint_scores=scores,
            boxes_xyxy=boxes.boxes_xyxy,
            box_scores=boxes.box_scores,
            pose_scores=pose_scores(boxes.box_scores, scores, threshold=self.keypoint_threshold),
            skeleton=config.skeleton,
        )
        if not boxes.detected:
            return poses
        _, extents = windows(boxes.boxes_xyxy, config.input_size.aspect, config.padding)
        kept = oks_nms(
            keypoints,
            poses.pose_scores,
            extents.prod(axis=1),
            sigmas=config.skeleton.sigmas,
            threshold=self.nms_threshold,
        )
        return poses[kept]


def _count(chunks: Sequence[_Chunk]) -> int:
    return sum(len(chunk.crop) for chunk in chunks)
