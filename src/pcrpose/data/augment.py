"""Augmentation of training crops: scale, rotation, mirroring, half bodies, colors and erased rectangles."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pcrpose.files.checks import at_least, fraction
from pcrpose.keypoints.arrays import Bools, Floats, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import Alignment, Crops
from pcrpose.keypoints.skeleton import Skeleton

_LOWER_BODY = {"hip", "hips", "pelvis", "knee", "ankle", "heel", "foot", "toe"}
_FEWEST_FOR_A_HALF = 3
_UPPER_BELOW = 0.5  # of a standard normal: the upper body is taken with probability 0.69


class Randomness(Protocol):
    """The two kinds of draws that are made; a `numpy.random.Generator` has both."""

    def random(self) -> float:
        """Draw from the uniform distribution on [0, 1)."""
        ...

    def standard_normal(self) -> float:
        """Draw from the normal distribution of mean 0 and deviation 1."""
        ...


class CropWindow(NamedTuple):
    """What is cut out of an image; angle and mirroring as `Crops.from_windows` takes them.

    Attributes:
        center: ``(2,)`` float64, x and y, image pixels.
        extent: ``(2,)`` float64, width and height, image pixels.
        rotation: degrees.
        mirrored: whether the crop is mirrored.
    """

    center: Floats
    extent: Floats
    rotation: float = 0.0
    mirrored: bool = False

    def crop(self, size: Size, alignment: Alignment = "center") -> Crops:
        """Build the one crop of this window."""
        center, extent, rotation, mirrored = self
        return Crops.from_windows(
            center[None], extent[None], size, rotations=rotation, mirrored=mirrored, alignment=alignment
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How strongly, and how often, a training window is changed.

    The defaults are those of the published HRNet configurations.

    Attributes:
        scale: the window is multiplied by ``1 + scale * normal``, clipped to ``1 - scale .. 1 + scale``.
        rotation: degrees; ``rotation * normal``, clipped to twice that either way.
        rotation_probability: fraction of windows that are rotated.
        mirror_probability: fraction of windows that are mirrored.
        half_body_probability: fraction of the eligible persons of whom only one half is cropped.
        half_body_above: persons with more labelled keypoints than this are eligible.
        half_body_padding: padding of such a window, instead of the data set's.
        box_jitter: fraction of its length by which each side of the box moves that a blackout leaves visible, at most,
            either way; a detector's boxes are not the annotated ones.
        color_jitter: strength in ``[0, 1)`` of random brightness, gamma and color cast; 0 is off.
        erase_probability: fraction of crops in which a rectangle is erased, as if something stood before the person;
            keypoints under it stay labelled. 0 is off.
        erase_area: least and largest fraction of the crop's area that is erased.

    Raises:
        ValueError: if a value is outside its range.
    """

    scale: float = 0.35
    rotation: float = 45.0
    rotation_probability: float = 0.6
    mirror_probability: float = 0.5
    half_body_probability: float = 0.3
    half_body_above: int = 8
    half_body_padding: float = 1.5
    box_jitter: float = 0.0
    color_jitter: float = 0.0
    erase_probability: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.15)

    def __post_init__(self) -> None:
        for name in ("rotation_probability", "mirror_probability", "half_body_probability", "erase_probability"):
            fraction(name, getattr(self, name))
        for name in ("scale", "box_jitter", "color_jitter"):
            fraction(name, getattr(self, name), one=False)
        for name, least in (("rotation", 0), ("half_body_above", 0), ("half_body_padding", 1)):
            at_least(name, getattr(self, name), least)
        smallest, largest = self.erase_area
        if not 0 < smallest <= largest <= 1:
            raise ValueError(f"erase_area: expected two fractions above 0, the smaller first, found {self.erase_area}")

    def draw(
        self, window: CropWindow, keypoints: Floats, labelled: Bools, *, is_upper: Bools, rng: Randomness
    ) -> CropWindow:
        """Draw one training window.

        Args:
            window: of the whole person, neither rotated nor mirrored.
            keypoints: ``(J, 2)`` float, image pixels.
            labelled: ``(J,)`` bool.
            is_upper: ``(J,)`` bool, see `upper_body`.
            rng: where the draws come from, in this order: half body (uniform, then normal; only for eligible
                persons), scale (normal), rotation (uniform, then normal), mirroring (uniform).
        """
        if np.count_nonzero(labelled) > self.half_body_above and rng.random() < self.half_body_probability:
            upper_first = rng.standard_normal() < _UPPER_BELOW
            half = half_body(
                keypoints,
                labelled,
                is_upper=is_upper,
                aspect=window.extent[0] / window.extent[1],
                padding=self.half_body_padding,
                upper_first=upper_first,
            )
            window = half or window
        extent = window.extent * np.clip(1 + self.scale * rng.standard_normal(), 1 - self.scale, 1 + self.scale)
        rotation = 0.0
        if rng.random() <= self.rotation_probability:
            rotation = float(np.clip(self.rotation * rng.standard_normal(), -2 * self.rotation, 2 * self.rotation))
        mirrored = rng.random() <= self.mirror_probability
        # The angle is meant for the mirrored image, but a crop rotates before it mirrors.
        return CropWindow(window.center, extent, -rotation if mirrored else rotation, mirrored)

    def move_sides(self, box_xyxy: Floats, rng: Randomness) -> Floats:
        """Move the sides of a ``(4,)`` box; returns ``box_xyxy`` itself when switched off.

        Args:
            box_xyxy: float, image pixels; not modified.
            rng: four uniform draws.
        """
        if not self.box_jitter:
            return box_xyxy
        moves: Floats = np.array([self.box_jitter * (2 * rng.random() - 1) for _ in range(4)])
        moved: Floats = box_xyxy + moves * np.tile(box_xyxy[2:] - box_xyxy[:2], 2)
        return moved

    def recolor(self, crop: Image, rng: Randomness) -> Image:
        """Change brightness, gamma and the balance of the colors; returns ``crop`` itself when switched off.

        Args:
            crop: ``(H, W, 3)`` uint8; not modified.
            rng: five uniform draws.
        """
        if not self.color_jitter:
            return crop
        brightness, gamma, *cast = (self.color_jitter * (2 * rng.random() - 1) for _ in range(5))
        gains = (1 + brightness) * (1 + np.array(cast) / 2)
        # A power, not a contrast about the mean: black stays black, as it is outside the image.
        levels = np.linspace(0, 1, 256)[:, None] ** np.exp(gamma)
        table = np.clip(255 * gains * levels, 0, 255).round().astype(np.uint8)
        recolored = np.empty_like(crop)
        for channel, row in enumerate(table.T):
            recolored[..., channel] = np.take(row, crop[..., channel])
        return recolored

    def erase(self, crop: Image, labelled_crop: Floats, rng: np.random.Generator) -> Image:
        """Fill a rectangle with noise or with one color; returns ``crop`` itself, and draws nothing, when switched off.

        The rectangle covers one labelled keypoint that lies in the crop; where none does, its center lies anywhere.
        What of it is outside the crop is cut off.

        Args:
            crop: ``(H, W, 3)`` uint8; not modified.
            labelled_crop: ``(L, 2)`` float, the labelled keypoints, x then y, crop pixels; may be empty.
            rng: of all draws.

        Source:
            Random erasing (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020); that the rectangle covers a
            keypoint, its aspect ratio of 1/2 to 2 and the choice between noise and one color are ours.
        """
        if not self.erase_probability or rng.random() >= self.erase_probability:
            return crop
        height, width = crop.shape[:2]
        area = rng.uniform(*self.erase_area) * width * height
        aspect = 2.0 ** rng.uniform(-1, 1)
        extent = np.array([np.sqrt(area * aspect), np.sqrt(area / aspect)])
        inside = labelled_crop[((labelled_crop >= 0) & (labelled_crop <= (width - 1, height - 1))).all(axis=1)]
        if len(inside):
            center = inside[rng.integers(len(inside))] + extent * rng.uniform(-0.5, 0.5, 2)
        else:
            center = rng.uniform(0, (width - 1, height - 1))
        left, top = np.clip(np.ceil(center - extent / 2).astype(int), 0, (width, height))
        right, bottom = np.clip(np.floor(center + extent / 2).astype(int) + 1, 0, (width, height))
        fill = (bottom - top, right - left, 3) if rng.random() < 0.5 else (3,)  # noqa: PLR2004 - noise or one color
        erased = crop.copy()
        erased[top:bottom, left:right] = rng.integers(0, 256, fill, dtype=np.uint8)
        return erased


def upper_body(skeleton: Skeleton) -> Bools:
    """``(J,)`` bool: every keypoint but those of hips, knees and feet, told by their names; for COCO the first 11."""
    return np.array([_LOWER_BODY.isdisjoint(name.split("_")) for name in skeleton.keypoints])


def half_body(
    keypoints: npt.ArrayLike,
    labelled: npt.ArrayLike,
    *,
    is_upper: Bools,
    aspect: float,
    padding: float = 1.5,
    upper_first: bool = True,
) -> CropWindow | None:
    """Find the window around a person's upper or lower half.

    Args:
        keypoints: ``(J, 2)`` float, image pixels.
        labelled: ``(J,)`` bool.
        is_upper: ``(J,)`` bool, which keypoints are the upper half's.
        aspect: width over height of the window.
        padding: factor on the extent of the keypoints.
        upper_first: which half to take where both have three labelled keypoints. The other one stands in for a
            half that has fewer; if neither has three, the upper one is taken.

    Returns:
        The window, or None where fewer than two keypoints are left or all of them fall on one spot.

    Source:
        The half-body transform of the published HRNet data code; its center is the mean of the keypoints, not
        the middle of their extent.
    """
    points, known = np.asarray(keypoints, dtype=np.float64), np.asarray(labelled, dtype=bool)
    upper, lower = points[known & is_upper], points[known & ~is_upper]
    preferred = (upper, lower) if upper_first else (lower, upper)
    chosen = next((half for half in preferred if len(half) >= _FEWEST_FOR_A_HALF), upper)
    if len(chosen) < 2:  # noqa: PLR2004 - one point has no extent
        return None
    width, height = np.ptp(chosen, axis=0)
    width = max(width, height * aspect)
    if width == 0:
        return None
    return CropWindow(chosen.mean(axis=0), np.array([width, width / aspect]) * padding)
