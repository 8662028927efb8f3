"""Boxes that a detector found in one image, with their scores."""

from __future__ import annotations  # help() then shows the names of types, not what they stand for

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from pcrpose.keypoints.arrays import Floats, Image, as_floats

Selection: TypeAlias = int | slice | Sequence[int] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]
_MOST_SHOWN = 8  # scores of a printed value


@runtime_checkable
class ScoredBoxes(Protocol):
    """Detections of another library, ``supervision.Detections`` for example."""

    @property
    def xyxy(self) -> Any:  # noqa: ANN401 - whatever numpy can turn into an array
        """``(N, 4)`` left, top, right, bottom, image pixels."""

    @property
    def confidence(self) -> Any:  # noqa: ANN401 - as above
        """``(N,)`` scores."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Detections:
    """N scored boxes of one image.

    The arrays are float64 copies and read-only. Boxes may be anywhere: what cannot be cropped is for the predictor to
    leave out.

    Attributes:
        boxes_xyxy: ``(N, 4)`` float64, left, top, right, bottom, image pixels; not clipped to the image.
        scores: ``(N,)`` float64, larger is better, in any order.

    Raises:
        ValueError: if the shapes differ from these, or there are not as many scores as boxes.

    Examples:
        >>> found = Detections([[10, 20, 40, 60], [5, 5, 9, 30]], [0.9, 0.4])
        >>> len(found), found[found.scores > 0.5].boxes_xyxy.tolist()
        (2, [[10.0, 20.0, 40.0, 60.0]])
    """

    boxes_xyxy: Floats
    scores: Floats

    def __init__(self, boxes_xyxy: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        boxes = as_floats(boxes_xyxy, shape=(None, 4), name="detected boxes").copy()
        values = as_floats(scores, shape=(None,), name="detection scores").copy()
        if len(boxes) != len(values):
            raise ValueError(f"detections: expected as many scores as boxes, found {len(values)} and {len(boxes)}")
        for name, array in (("boxes_xyxy", boxes), ("scores", values)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)  # the dataclass is frozen for everybody else

    @classmethod
    def empty(cls) -> Detections:
        """Build the detections of an image in which nothing was found."""
        return cls([], [])

    @classmethod
    def of(cls, found: DetectorOutput) -> Detections:
        """Convert what a detector returned.

        Args:
            found: `Detections`, an object with ``.xyxy`` and ``.confidence``, or a pair of ``(N, 4)`` boxes_xyxy and
                ``(N,)`` scores.

        Raises:
            TypeError: if it is none of these.
            ValueError: as the class.
        """
        if isinstance(found, Detections):
            return found
        if isinstance(found, ScoredBoxes):
            if found.confidence is None:
                raise ValueError(f"detections: expected scores in {type(found).__name__}.confidence, found None")
            return cls(found.xyxy, found.confidence)
        if isinstance(found, tuple | list) and len(found) == 2:  # noqa: PLR2004 - boxes and scores
            return cls(*found)
        raise TypeError(
            "detections: expected Detections, an object with .xyxy and .confidence, or a pair of boxes_xyxy and "
            f"scores, found {type(found).__name__}"
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        scores = [f"{score:.2f}" for score in self.scores[:_MOST_SHOWN].tolist()]
        more = [f"{len(self) - _MOST_SHOWN} more"] * (len(self) > _MOST_SHOWN)
        return f"Detections({len(self)}, scores=[{', '.join([*scores, *more])}])"

    def __getitem__(self, index: Selection) -> Detections:
        """Select boxes; the result is always `Detections`, for one index of length one."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return Detections(self.boxes_xyxy[chosen], self.scores[chosen])

    def __iter__(self) -> Iterator[Detections]:
        return (self[index] for index in range(len(self)))


Boxes: TypeAlias = npt.ArrayLike | Detections | ScoredBoxes  # (N, 4) boxes_xyxy of one's own, or scored ones
DetectorOutput: TypeAlias = Detections | ScoredBoxes | tuple[npt.ArrayLike, npt.ArrayLike]
Detector: TypeAlias = Callable[[Image], DetectorOutput]  # of an (H, W, 3) uint8 RGB image
