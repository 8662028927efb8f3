"""Near-duplicate detection between training and evaluation images, by perceptual hashes.

Files that were encoded again, resized or trimmed share no byte with their original, but their coarse structure. It is
kept as a perceptual hash: the signs of an image's lowest cosine coefficients.
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL.Image import Resampling
from scipy.fft import dctn

from pcrpose.data.images import open_image
from pcrpose.keypoints.arrays import Bools, Image, Indices

Window: TypeAlias = tuple[float, float, float, float]

HASH_BITS = 255
MAX_DISTANCE = 60  # copies differ in up to 50 bits, unrelated photographs in 80 and more; docs/learn/pseudo-labels.md

_GRID = 64  # samples per side that the coefficients are taken of
_LOWEST = 16  # coefficients per side that are kept; the first of them all is the mean brightness and is left out
_COARSE = 256  # pixels per side that windows are cut from
_TRIM = 0.05  # of a side

# Left, top, right, bottom in fractions of the image; the first is all of it.
_WINDOWS: Sequence[Window] = [
    (left, top, 1.0 - right, 1.0 - bottom) for left, top, right, bottom in itertools.product((0.0, _TRIM), repeat=4)
]


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """An evaluation image that another image looks like.

    Attributes:
        file_name: of the evaluation image.
        distance: number of the `HASH_BITS` that differ.
    """

    file_name: str
    distance: int


def perceptual_hash(image: Image) -> Bools:
    """Hash a ``(H, W, 3)`` uint8 RGB image into ``(HASH_BITS,)`` bool.

    The image is made gray and square, so neither colors nor its size or aspect ratio count.
    """
    whole: Bools = _hashes(image, _WINDOWS[:1])[0]
    return whole


def hash_distances(first: npt.ArrayLike, second: npt.ArrayLike) -> Indices:
    """Count the bits that differ: ``(A, HASH_BITS)`` and ``(B, HASH_BITS)`` bool to ``(A, B)`` intp.

    Images that have nothing to do with each other differ in about half of the bits.
    """
    return _distances(_signs(first), _signs(second))


class EvaluationImages:
    """Images that are evaluated on, so that nothing like them may be trained on.

    Each is hashed as it is and with a twentieth cut off any of its sides, so images that were cut out of one are
    found as well.

    Args:
        images: the files by the name that reports give them.
        max_distance: images that differ from one of these in at most as many bits are near-duplicates.
        mirrored: look for mirrored copies too.

    Attributes:
        names: of the images, sorted.

    Raises:
        ValueError: if there is no image, the distance is not in ``0..HASH_BITS``, or an image cannot be read: a
            check with holes is none.
        FileNotFoundError: if an image does not exist.
    """

    def __init__(
        self, images: Iterable[tuple[str, Path]], *, max_distance: int = MAX_DISTANCE, mirrored: bool = False
    ) -> None:
        files = sorted(images)
        if not files:
            raise ValueError("expected evaluation images, found none")
        if not 0 <= max_distance <= HASH_BITS:
            raise ValueError(f"max_distance: expected 0 to {HASH_BITS} bits, found {max_distance}")
        self.names = tuple(name for name, _ in files)
        self.max_distance = max_distance
        self.mirrored = mirrored
        self._signs = _signs(np.concatenate([self._looks(open_image(path)) for _, path in files]))

    def __len__(self) -> int:
        return len(self.names)

    def find(self, image: Image) -> NearDuplicate | None:
        """Return the evaluation image that a ``(H, W, 3)`` uint8 RGB image looks most like, or None if none is near."""
        distances = _distances(_signs(perceptual_hash(image)[None]), self._signs)
        nearest = distances.reshape(len(self), -1).min(axis=1)
        best = int(nearest.argmin())
        if nearest[best] > self.max_distance:
            return None
        return NearDuplicate(file_name=self.names[best], distance=int(nearest[best]))

    def describe(self) -> dict[str, Any]:
        """Return what the check depends on, as values for JSON; checks that find the same return the same."""
        digest = hashlib.sha256("\n".join(self.names).encode() + np.packbits(self._signs > 0).tobytes())
        return {
            "images": len(self),
            "sha256": digest.hexdigest(),
            "max_distance": self.max_distance,
            "mirrored": self.mirrored,
        }

    def _looks(self, image: Image) -> Bools:
        """``(W, HASH_BITS)`` bool: the hashes of all windows of an image."""
        looks = _hashes(image, _WINDOWS)
        return np.concatenate([looks, _hashes(image[:, ::-1], _WINDOWS)]) if self.mirrored else looks


def _hashes(image: Image, windows: Sequence[Window]) -> Bools:
    """``(W, HASH_BITS)`` bool: the signs of each window's lowest coefficients."""
    gray = PIL.Image.fromarray(np.ascontiguousarray(image)).convert("L")
    coarse = gray.resize((_COARSE, _COARSE), Resampling.BILINEAR, reducing_gap=2.0)
    squares = np.zeros((len(windows), _GRID, _GRID))
    for square, (left, top, right, bottom) in zip(squares, windows, strict=True):
        box = (_COARSE * left, _COARSE * top, _COARSE * right, _COARSE * bottom)
        square[:] = np.asarray(coarse.resize((_GRID, _GRID), Resampling.BILINEAR, box=box))
    spectra = dctn(squares, axes=(1, 2))[:, :_LOWEST, :_LOWEST]
    return np.greater(spectra.reshape(len(windows), -1)[:, 1:], 0.0)


def _signs(hashes: npt.ArrayLike) -> npt.NDArray[np.float32]:
    bits = np.asarray(hashes)
    if bits.dtype != np.bool_ or bits.ndim != 2 or bits.shape[1] != HASH_BITS:  # noqa: PLR2004 - images and bits
        raise ValueError(f"expected hashes of shape (N, {HASH_BITS}) and type bool, found {bits.shape} {bits.dtype}")
    return np.where(bits, np.float32(1), np.float32(-1))


def _distances(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> Indices:
    agreement = first @ second.T  # whole numbers far below 2**24: exact
    return ((HASH_BITS - agreement) / 2).astype(np.intp)
