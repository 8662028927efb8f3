"""Crops of an image: points to a crop and back, and the pixels.

An integer is a pixel's center, in the image as in the crop.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import PIL.Image

from pcrpose.files.checks import one_of, positive
from pcrpose.keypoints.arrays import Bools, Floats, Image, Indices, as_floats
from pcrpose.keypoints.boxes import Size, check_boxes, grow_boxes, windows
from pcrpose.keypoints.ellipses import transform_covariances
from pcrpose.keypoints.warp import fill_crop

Alignment: TypeAlias = Literal["center", "edge", "udp"]

_SIMILARITY_TOLERANCE = 1e-3  # matrices written down elsewhere are often rounded to float32


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """How a person's box becomes a crop: everything that a model and its data have to agree in.

    Attributes:
        input_size: of the crop.
        padding: factor on both sides of the box, after it has been extended to the crop's aspect ratio.
        alignment: pixel convention, see `Crops.from_windows`.
        blackout: factor on the box beyond which the crop is black; None shows everything.

    Raises:
        ValueError: if a factor is not a positive number or the alignment unknown.

    Examples:
        >>> spec = CropSpec(input_size=Size(width=192, height=256))
        >>> len(spec.crops([[10, 20, 40, 60]]))
        1
    """

    input_size: Size
    padding: float = 1.25
    alignment: Alignment = "center"
    blackout: float | None = None

    def __post_init__(self) -> None:
        one_of("alignment", self.alignment, get_args(Alignment))
        positive("padding", self.padding)
        if self.blackout is not None:
            positive("blackout", self.blackout)

    def windows(self, boxes_xyxy: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the ``(N, 2)`` centers and extents of the windows round ``(N, 4)`` boxes, image pixels."""
        return windows(check_boxes(boxes_xyxy), self.input_size.aspect, self.padding)

    def crops(self, boxes_xyxy: npt.ArrayLike) -> "Crops":
        """Return the crops of ``(N, 4)`` boxes, left, top, right, bottom, image pixels; see `Crops.from_boxes`."""
        return Crops.from_boxes(boxes_xyxy, self.input_size, padding=self.padding, alignment=self.alignment)

    def cut(self, image: Image | PIL.Image.Image, boxes_xyxy: npt.ArrayLike) -> "tuple[Crops, Image]":
        """Return the crops of ``(N, 4)`` boxes and their ``(N, H, W, 3)`` uint8 pixels, blacked out as asked.

        Boxes are taken as `check_boxes` returned them.
        """
        centers, extents = windows(boxes_xyxy, self.input_size.aspect, self.padding)
        crops = Crops.from_windows(centers, extents, self.input_size, alignment=self.alignment)
        pixels = crops.warp(image)
        if self.blackout is not None:
            crops.black_out(pixels, grow_boxes(boxes_xyxy, self.blackout))
        return crops, pixels


@dataclass(frozen=True, eq=False, kw_only=True)
class Crops:
    """N crops of one image, all of one size.

    Attributes:
        matrices: ``(N, 2, 3)`` float64, similarities (perhaps mirroring) from image pixels to crop pixels; the two axes
            may differ by as much as one pixel of each of them is worth, as ``"udp"`` needs it.
        size: of every crop.
        antialias: average the image's pixels when a crop shrinks it; without, four pixels are mixed however
            many lie between them, as the published HRNet and Simple Baselines code does.

    Raises:
        ValueError: if ``matrices`` has another shape or holds anything but finite similarities.

    Examples:
        >>> crop = Crops.from_boxes([[10, 20, 40, 60]], Size(width=192, height=256))
        >>> crop.forward([[25.0, 40.0]]).tolist()
        [[95.5, 127.5]]
        >>> crop.inverse([[95.5, 127.5]]).tolist()
        [[25.0, 40.0]]
    """

    matrices: Floats
    size: Size
    antialias: bool = True

    def __post_init__(self) -> None:
        matrices = as_floats(self.matrices, shape=(None, 2, 3), name="matrices").copy()
        for index in np.flatnonzero(~_similar(matrices, self.size))[:1]:
            raise ValueError(f"crop {index}: expected a finite similarity, found {matrices[index].tolist()}")
        matrices.flags.writeable = False
        object.__setattr__(self, "matrices", matrices)  # the dataclass is frozen for everybody else

    @classmethod
    def from_boxes(
        cls, boxes_xyxy: npt.ArrayLike, size: Size, *, padding: float = 1.25, alignment: Alignment = "center"
    ) -> "Crops":
        """Crop the windows round boxes: grown to the aspect ratio of ``size``, then padded.

        Args:
            boxes_xyxy: ``(N, 4)`` float, left, top, right, bottom, image pixels; may be empty.
            size: of every crop.
            padding: factor on both sides of the window, positive.
            alignment: see `from_windows`.

        Raises:
            ValueError: if a box is not finite, empty or inverted, or ``padding`` is not positive.
        """
        positive("padding", padding)
        centers, extents = windows(check_boxes(boxes_xyxy), size.aspect, padding)
        return cls.from_windows(centers, extents, size, alignment=alignment)

    @classmethod
    def from_windows(
        cls,
        centers: npt.ArrayLike,
        extents: npt.ArrayLike,
        size: Size,
        *,
        rotations: npt.ArrayLike = 0.0,
        mirrored: bool | Bools = False,
        alignment: Alignment = "center",
    ) -> "Crops":
        """Crop windows given by center and extent.

        Args:
            centers: ``(N, 2)`` float, x then y, image pixels.
            extents: ``(N, 2)`` float, width and height, image pixels, positive. The width becomes the crop's width;
                the height follows from the crop's aspect ratio.
            size: of every crop.
            rotations: degrees, one number or ``(N,)``; positive turns the image counter-clockwise as seen on screen.
            mirrored: one value or ``(N,)``; the finished crop is mirrored, so who mirrors the image before
                rotating it passes the negative angle.
            alignment: ``"center"`` sends a window's center to the crop's, ``((W-1)/2, (H-1)/2)``, and mirrors as
                ``W-1-x``; ``"edge"`` sends it to ``(W/2, H/2)``, mirrors as ``W-x`` and does not anti-alias,
                as the published HRNet and Simple Baselines code does; ``"udp"`` sends a window's edges to the centers
                of the crop's outermost pixels, on each axis, mirrors as ``W-1-x`` and does not anti-alias, as the
                published ViTPose code does.

        Source:
            ``"udp"``: Huang et al., *The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose
            Estimation*, CVPR 2020; lengths are measured between the centers of pixels.

        Raises:
            ValueError: if shapes differ, a number is not finite, an extent is not positive or the alignment unknown.
        """
        one_of("alignment", alignment, get_args(Alignment))
        center = as_floats(centers, shape=(None, 2), name="centers")
        extent = as_floats(extents, shape=(len(center), 2), name="extents") if len(center) else np.ones((0, 2))
        for index in np.flatnonzero(~(np.isfinite(extent) & (extent > 0)).all(axis=1))[:1]:
            raise ValueError(f"window {index}: expected a positive width and height, found {extent[index].tolist()}")
        pixels = np.array([size.width, size.height])
        middle = (pixels - (alignment != "edge")) / 2
        zoom = (pixels - 1) / pixels if alignment == "udp" else np.ones(2)
        linear = _rotations(rotations, len(center)) * (size.width / extent[:, 0])[:, None, None] * zoom[:, None]
        offset = middle - np.einsum("nij,nj->ni", linear, center)
        flags = _per_crop(np.asarray(mirrored, dtype=bool), len(center), "mirrored")
        linear[flags, 0] *= -1
        offset[flags, 0] = 2 * middle[0] - offset[flags, 0]
        matrices = np.concatenate([linear, offset[:, :, None]], axis=2)
        return cls(matrices=matrices, size=size, antialias=alignment == "center")

    def __len__(self) -> int:
        return len(self.matrices)

    def forward(self, points_image: npt.ArrayLike) -> Floats:
        """Map ``(N, ..., 2)`` points, x then y, from image pixels to crop pixels, float64."""
        return _apply(self.matrices, points_image, "points_image")

    def inverse(self, points_crop: npt.ArrayLike) -> Floats:
        """Map ``(N, ..., 2)`` points, x then y, from crop pixels to image pixels, float64."""
        return _apply(_inverted(self.matrices), points_crop, "points_crop")

    def inverse_covariances(self, covariances_crop: npt.ArrayLike) -> Floats:
        """Map ``(N, ..., 2, 2)`` covariances of points from crop pixels squared to image pixels squared, float64."""
        return transform_covariances(covariances_crop, _inverted(self.matrices)[:, :, :2])

    def warp(self, image: Image | PIL.Image.Image) -> Image:
        """Return the pixels of the crops.

        Only the part of the image that a crop touches is read and copied. A crop that is not rotated is resized by
        a filter that widens as the image shrinks; a rotated one is shrunk first and then sampled bilinearly. The
        crop of a mirrored image at the mirrored window is the mirrored crop, bit for bit where nothing is rotated.

        Args:
            image: ``(H, W, 3)`` uint8, any color order, or a PIL image of mode RGB; not empty.

        Returns:
            ``(N, size.height, size.width, 3)`` uint8, the same color order; 0 outside the image.

        Raises:
            ValueError: if ``image`` is another thing, or a window is absurdly larger than the image.
        """
        _check_image(image)
        crops = np.zeros((len(self), self.size.height, self.size.width, 3), dtype=np.uint8)
        for crop, matrix in zip(crops, self.matrices, strict=True):
            fill_crop(image, matrix, crop, antialias=self.antialias)
        return crops

    def black_out(self, crops: Image, visible_xyxy: npt.ArrayLike) -> None:
        """Blacken what lies outside each crop's box, in place.

        Args:
            crops: ``(N, size.height, size.width, 3)`` uint8, as `warp` returns them; changed.
            visible_xyxy: ``(N, 4)`` float, left, top, right, bottom, image pixels; pixels whose centers lie on or
                inside it stay.

        Raises:
            ValueError: if there are not as many boxes as crops.
        """
        boxes = as_floats(visible_xyxy, shape=(len(self), 4), name="visible_xyxy")
        across, down = np.arange(self.size.width), np.arange(self.size.height)[:, None]
        for crop, matrix, (left, top, right, bottom) in zip(crops, _inverted(self.matrices), boxes, strict=True):
            if matrix[0, 1] == 0 and matrix[1, 0] == 0:  # whole columns and rows, a tenth of the work
                x, y = matrix[0, 0] * across + matrix[0, 2], matrix[1, 1] * down[:, 0] + matrix[1, 2]
                crop[:, (x < left) | (x > right)] = 0
                crop[(y < top) | (y > bottom)] = 0
                continue
            x, y = (row[0] * across + (row[1] * down + row[2]) for row in matrix)
            crop[(x < left) | (x > right) | (y < top) | (y > bottom)] = 0


def mirror_keypoints(keypoints: npt.ArrayLike, width: int, flip_indices: Indices) -> Floats:
    """Mirror ``(..., J, 2)`` keypoints in an image ``width`` pixels wide; left and right change places.

    Args:
        keypoints: ``(..., J, 2)`` float, x then y.
        width: of the image, in the keypoints' pixels; x becomes ``width - 1 - x``.
        flip_indices: ``(J,)`` intp, as `Skeleton.flip_indices`.

    Returns:
        ``(..., J, 2)`` float64.
    """
    mirrored: Floats = np.asarray(keypoints, dtype=np.float64)[..., flip_indices, :]  # a copy: the index is an array
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def _check_image(image: object) -> None:
    if isinstance(image, PIL.Image.Image):
        fits, found = image.mode == "RGB" and 0 not in image.size, f"PIL image {image.mode} {image.size}"
    elif isinstance(image, np.ndarray):
        fits = image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size > 0
        found = f"{image.dtype} {image.shape}"
    else:
        fits, found = False, type(image).__name__
    if not fits:
        raise ValueError(f"image: expected uint8 (H, W, 3), not empty, found {found}")


def _similar(matrices: Floats, size: Size) -> Bools:
    """``(N,)``: which matrices turn, scale and mirror, and do nothing else but take a pixel off each axis."""
    linear = matrices[:, :, :2]
    with np.errstate(over="ignore", invalid="ignore"):  # whatever overflows is not finite, and refused
        gram = linear @ linear.transpose(0, 2, 1)
        zoom = (gram[:, 0, 0] + gram[:, 1, 1]) / 2
        error = np.abs(gram - zoom[:, None, None] * np.eye(2)).max(axis=(1, 2), initial=0)
    tolerance = _SIMILARITY_TOLERANCE + abs(1 / size.width - 1 / size.height)
    similar: Bools = np.isfinite(matrices).all(axis=(1, 2)) & (zoom > 0) & (error <= tolerance * zoom)
    return similar


def _per_crop(values: npt.NDArray[np.generic], count: int, name: str) -> npt.NDArray[np.generic]:
    if values.shape not in ((), (count,)):
        raise ValueError(f"{name}: expected one value or shape ({count},), found {values.shape}")
    return np.broadcast_to(values, (count,))


def _rotations(degrees: npt.ArrayLike, count: int) -> Floats:
    angles = _per_crop(np.radians(np.asarray(degrees, dtype=np.float64)), count, "rotations")
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cosine, sine], axis=1), np.stack([-sine, cosine], axis=1)], axis=1)


def _inverted(matrices: Floats) -> Floats:
    linear = np.linalg.inv(matrices[:, :, :2])
    return np.concatenate([linear, -linear @ matrices[:, :, 2:]], axis=2)


def _apply(matrices: Floats, points: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and array.ndim <= 1 and len(matrices) == 0:
        return np.zeros((0, 2))
    if array.ndim < 2 or len(array) != len(matrices) or array.shape[-1] != 2:  # noqa: PLR2004 - x and y
        raise ValueError(f"{name}: expected shape ({len(matrices)}, ..., 2), found {array.shape}")
    flat = array.reshape(len(matrices), -1, 2) if array.size else array.reshape(len(matrices), 0, 2)
    moved: Floats = flat @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    return moved.reshape(array.shape)
