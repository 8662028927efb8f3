"""Person detection with YOLOX models stored as ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL.Image import Resampling, Transform

from pcrpose.data.images import ImageSource, open_image
from pcrpose.files.checks import at_least, fraction
from pcrpose.files.extras import install_command
from pcrpose.inference.published_detectors import detector_file
from pcrpose.keypoints.arrays import Floats, Image, Indices
from pcrpose.keypoints.boxes import Size, intersection_areas
from pcrpose.keypoints.detections import Detections

DYNAMIC_SIZE = Size(width=640, height=640)  # what YOLOX-s and the larger ones are trained at
PADDING_GRAY = 114

_STRIDES = (8, 16, 32)
_BOX_COLUMNS = 5  # center, extent, objectness; the classes follow
_SHRINKING = 1.5  # about what COCO's images undergo on their way into 416 pixels


class YoloxDetector:
    """Find people with a YOLOX model stored as ONNX: nano, tiny, s and larger; runs on the CPU.

    The image is shrunk or enlarged to fit the model's input, laid into its top left corner, the rest filled with
    gray, and given as BGR values 0..255. A box's score is its objectness times its class's probability.

    Args:
        path: the ONNX file, or the name of a published one, downloaded once: ``"yolox-nano"``, ``"yolox-tiny"`` or
            ``"yolox-s"``. Its input is ``(1, 3, H, W)`` float32, its output ``(1, N, 5 + classes)`` with one row
            for each cell of the grids of stride 8, 16 and 32: center, extent, objectness, class probabilities.
        score_threshold: boxes scored below it are left out.
        nms_threshold: of two boxes whose intersection over union is above it, only the better one stays.
        class_id: the class to look for; 0 is the person of models trained on COCO.
        num_threads: CPU threads one image is worked on with; None lets onnxruntime take all cores.
        decoded: whether the file turns cells into pixels itself. None finds out: centers are always near their cell.
        input_size: for files that leave it open, `DYNAMIC_SIZE` by default; sides are multiples of 32.

    Attributes:
        input_size: what images are made to fit.
        num_classes: that the model tells apart.
        decoded: whether the file turns cells into pixels itself.

    Raises:
        ImportError: without onnxruntime, the extra ``detector``.
        FileNotFoundError: if there is no such file, or a published one is not in the cache while offline.
        ConnectionError: if a published one cannot be downloaded.
        ValueError: if the file is no ONNX model or not laid out as above, or an argument is out of its range.

    Source:
        YOLOX (Ge et al., 2021) and the preparation of images in its published ONNX example. Departure: boxes are
        scaled back by what each side was really resized by, not by the one factor both were meant to be.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        score_threshold: float = 0.3,
        nms_threshold: float = 0.45,
        class_id: int = 0,
        num_threads: int | None = None,
        decoded: bool | None = None,
        input_size: Size | None = None,
    ) -> None:
        fraction("score_threshold", score_threshold)
        fraction("nms_threshold", nms_threshold)
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.class_id = class_id
        self._path, self._session = _open_session(path, num_threads)
        self.input_size = _choose_size(self._session.get_inputs(), input_size, self._path)
        self._corners, self._strides = _cells(self.input_size)
        rows = self._first_rows()
        self.num_classes = rows.shape[1] - _BOX_COLUMNS
        self.decoded = _looks_decoded(rows, self._corners, self._strides) if decoded is None else decoded
        if not 0 <= class_id < self.num_classes:
            raise ValueError(f"class_id: expected 0 to {self.num_classes - 1} for {path}, found {class_id!r}")

    def __repr__(self) -> str:
        return f"YoloxDetector({self._path.name}, {self.input_size}, score_threshold={self.score_threshold})"

    def __call__(self, image: ImageSource) -> Detections:
        """Find the boxes of one image.

        Args:
            image: ``(H, W, 3)`` uint8, RGB; or what else `open_image` takes, a path for example.

        Returns:
            Boxes inside the image, best score first; equal scores keep the model's order.

        Raises:
            ValueError: for an image that cannot be read.
            FileNotFoundError: for a path that does not exist.
        """
        opened = open_image(image)
        pixels, scales = letterbox(opened, self.input_size)
        rows = self._run(pixels)[0]
        scores = rows[:, 4].astype(np.float64) * rows[:, _BOX_COLUMNS + self.class_id]
        found = np.flatnonzero(scores >= self.score_threshold)
        edges, scores = self._edges(rows, found) / np.tile(scales, 2), scores[found]
        kept = box_nms(edges, scores, threshold=self.nms_threshold)
        size = Size.of(opened)
        # The model's 0 is the border of the image, ours the middle of its first pixel.
        boxes = np.clip(edges[kept] - 0.5, 0.0, np.tile([size.width - 1.0, size.height - 1.0], 2))
        extended = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections(boxes[extended], scores[kept][extended])

    def _edges(self, rows: npt.NDArray[np.float32], found: Indices) -> Floats:
        """Rows of the output to ``(N, 4)`` left, top, right, bottom in the pixels of the model's input."""
        centers, extents = rows[found, :2].astype(np.float64), rows[found, 2:4].astype(np.float64)
        if not self.decoded:
            centers = (centers + self._corners[found]) * self._strides[found]
            extents = np.exp(extents) * self._strides[found]
        return np.concatenate([centers - extents / 2, centers + extents / 2], axis=1)

    def _run(self, pixels: Image) -> npt.NDArray[np.float32]:
        """``(H, W, 3)`` RGB pixels of the input's size to the model's output, whatever its shape."""
        crops = np.ascontiguousarray(pixels[None, :, :, ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        output: npt.NDArray[np.float32] = self._session.run(None, {self._session.get_inputs()[0].name: crops})[0]
        return output

    def _first_rows(self) -> npt.NDArray[np.float32]:
        """``(N, 5 + classes)`` output for a gray image; raises ValueError where it has another shape."""
        size, count = self.input_size, len(self._strides)
        gray = np.full((size.height, size.width, 3), PADDING_GRAY, dtype=np.uint8)
        expected = f"{self._path}: expected an output (1, {count}, 5 + classes) for an input of {size}"
        try:
            output = self._run(gray)
        except Exception as error:  # onnxruntime's errors have no other class in common
            raise ValueError(f"{expected}, found {error}") from error
        if np.shape(output)[:-1] != (1, count) or output.shape[2] <= _BOX_COLUMNS:
            raise ValueError(f"{expected}, found {np.shape(output)}")
        return output.reshape(count, -1)


def letterbox(image: Image, size: Size) -> tuple[Image, Floats]:
    """Fit an image into the top left corner of another, keeping its shape; the rest is gray.

    Args:
        image: ``(H, W, 3)`` uint8.
        size: of the result.

    Returns:
        pixels: ``(size.height, size.width, 3)`` uint8.
        scales: ``(2,)`` float64, by what width and height were multiplied. They differ a little, as both
            sides come out in whole pixels, rounded down, at least one.

    Source:
        Bilinear without anti-aliasing, as OpenCV has it, since YOLOX models are trained on that. Departure: images
        three times as large as ``size`` and larger are averaged in blocks of pixels first, which finds more people.
    """
    given = Size.of(image)
    width = max(min(size.width, given.width * size.height // given.height), 1)
    height = max(min(size.height, given.height * size.width // given.width), 1)
    step_x, step_y = given.width / width, given.height / height
    block = max(int(min(step_x, step_y) / _SHRINKING), 1)
    reduced = PIL.Image.fromarray(image).reduce(block)
    window = (step_x / block, 0.0, 0.0, 0.0, step_y / block, 0.0)
    fitted = reduced.transform((width, height), Transform.AFFINE, window, resample=Resampling.BILINEAR)
    boxed = PIL.Image.new("RGB", (size.width, size.height), (PADDING_GRAY,) * 3)
    boxed.paste(fitted)
    return np.asarray(boxed), np.array([1 / step_x, 1 / step_y])


def box_nms(boxes_xyxy: Floats, scores: Floats, *, threshold: float) -> Indices:
    """Keep the best-scored box of every group that overlaps.

    Args:
        boxes_xyxy: ``(N, 4)`` float, left, top, right, bottom, any unit.
        scores: ``(N,)`` float, larger is better.
        threshold: intersection over union above which the lower-scored of two boxes is dropped.

    Returns:
        ``(M,)`` intp, indices of the kept boxes, best first; equal scores keep their order.
    """
    areas = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        shared = intersection_areas(boxes_xyxy[[best]], boxes_xyxy[left])[0]
        left = left[shared <= threshold * (areas[best] + areas[left] - shared)]
    return np.array(kept, dtype=np.intp)


def _cells(size: Size) -> tuple[Floats, Floats]:
    """Return the cells of all grids, row by row: ``(N, 2)`` column and row, and ``(N, 1)`` stride."""
    corners, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: size.height // stride, : size.width // stride]
        corners.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(corners).astype(np.float64), np.concatenate(strides).astype(np.float64)


def _looks_decoded(rows: npt.NDArray[np.float32], corners: Floats, strides: Floats) -> bool:
    """Return whether rows hold pixels, not offsets: read the right way, centers lie near their cell."""
    centers = rows[:, :2].astype(np.float64)
    return bool(np.median(np.abs(centers / strides - corners)) < np.median(np.abs(centers)))


def _open_session(source: str | Path, num_threads: int | None) -> tuple[Path, Any]:
    """Return a detector's file and the onnxruntime session that runs it."""
    if num_threads is not None:
        at_least("num_threads", num_threads, 1)
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(f"YOLOX detectors need onnxruntime: {install_command('detector')}") from error
    path = detector_file(source)
    if path.is_dir():
        raise ValueError(f"{path}: expected an ONNX file, found a folder")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors arrive as exceptions; a library does not write on stderr
    options.intra_op_num_threads = num_threads or 0
    try:
        return path, onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other class in common
        raise ValueError(f"{path}: expected an ONNX model, found {error}") from error


def _choose_size(inputs: list[Any], wanted: Size | None, path: Path) -> Size:
    """Return the input's size, which the model may leave open; raises ValueError where it is not the one wanted."""
    found = ", ".join(f"{value.shape} {value.type}" for value in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:  # noqa: PLR2004 - axes
        raise ValueError(f"{path}: expected one input [1, 3, H, W] tensor(float), found {found}")
    # An open length is a name or None.
    batch, channels, height, width = (axis if isinstance(axis, int) else None for axis in inputs[0].shape)
    if batch not in {1, None} or channels not in {3, None}:
        raise ValueError(f"{path}: expected one input [1, 3, H, W] tensor(float), found {found}")
    default = wanted or DYNAMIC_SIZE
    size = Size(width=width or default.width, height=height or default.height)
    if wanted not in {None, size}:
        raise ValueError(f"input_size: expected {size} (height x width), which {path} asks for, found {wanted}")
    if size.width % _STRIDES[-1] or size.height % _STRIDES[-1]:
        raise ValueError(
            f"{path}: expected an input size in multiples of {_STRIDES[-1]}, found {size} (height x width)"
        )
    return size
