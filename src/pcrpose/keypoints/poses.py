"""Poses: the persons of one image, as a predictor returns them."""

from __future__ import annotations  # help() then shows the names of types, not what they stand for

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import PIL.Image

from pcrpose.keypoints.arrays import Floats, as_floats
from pcrpose.keypoints.drawing.palette import Palette  # noqa: TC001 - stands with the others
from pcrpose.keypoints.drawing.poses import Labels, draw_poses
from pcrpose.keypoints.drawing.strokes import Source  # noqa: TC001 - stands with the others
from pcrpose.keypoints.skeleton import COCO_17, Skeleton

if TYPE_CHECKING:
    from supervision import KeyPoints

Selection: TypeAlias = int | slice | Sequence[int] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]

_SUPERVISION = "expected supervision 0.29 or later, pip install 'supervision>=0.29'"
_MOST_SHOWN = 8  # scores of a printed value
_SHOWN_PIXELS, _BLANK = 480, (70, 70, 70)  # longer side and ground of what a notebook shows
_LATER = {"pose_presence", "keypoint_covariances", "left_right_consistency"}  # not in the dicts of earlier versions


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Poses:
    """N persons of one image, best first only if their maker says so.

    The arrays are float32 copies and read-only: `dataclasses.replace` makes a changed one.
    A keypoint that was not found keeps its best guess and a low score; it is never moved to ``(0, 0)``.

    Attributes:
        keypoints: ``(N, J, 2)`` float32, x then y, image pixels.
        keypoint_scores: ``(N, J)`` float32, heatmap peaks; near ``[0, 1]``, not clipped.
        boxes_xyxy: ``(N, 4)`` float32, left, top, right, bottom, image pixels.
        box_scores: ``(N,)`` float32, the detector's; 1 for boxes a person has drawn.
        pose_scores: ``(N,)`` float32, after rescoring (see `pcrpose.keypoints.oks.pose_scores`).
        skeleton: names and order of the J keypoints.
        keypoint_probabilities: ``(N, J)`` float32 in ``[0, 1]``, calibrated: how likely a keypoint is right.
        pose_presence: ``(N,)`` float32 in ``[0, 1]``, calibrated: how likely the box holds a person at all.
        keypoint_covariances: ``(N, J, 2, 2)`` float32, image pixels squared: how far, and in which direction, the
            true place of a keypoint may be, scaled on annotated persons.
        left_right_consistency: ``(N,)`` float32 in ``[0, 1]``: how much better the crop and its mirrored crop agree as
            they are than with left and right exchanged in one of them; ``None`` without a mirrored pass, of an
            ensemble, and for a skeleton without pairs. See `pcrpose.keypoints.left_right.left_right_consistency`.

    The last four are ``None`` where the predictor cannot tell: most need a model with a calibration.

    Raises:
        ValueError: if an array's shape does not fit ``keypoints`` and ``skeleton``.

    Examples:
        >>> import numpy as np
        >>> stick = Skeleton("stick", ("low", "high"), [], [(0, 1)], [0.1, 0.1])
        >>> poses = Poses(
        ...     keypoints=[[[4.0, 9.0], [4.0, 1.0]]],
        ...     keypoint_scores=[[0.75, 0.5]],
        ...     boxes_xyxy=[[2.0, 0.0, 6.0, 10.0]],
        ...     box_scores=[1.0],
        ...     pose_scores=[0.625],
        ...     skeleton=stick,
        ... )
        >>> len(poses), poses.to_coco(image_id=7)
        (1, [{'image_id': 7, 'category_id': 1, 'keypoints': [4.0, 9.0, 0.75, 4.0, 1.0, 0.5], 'score': 0.625}])
    """

    keypoints: Floats
    keypoint_scores: Floats
    boxes_xyxy: Floats
    box_scores: Floats
    pose_scores: Floats
    skeleton: Skeleton = COCO_17
    keypoint_probabilities: Floats | None = None
    pose_presence: Floats | None = None
    keypoint_covariances: Floats | None = None
    left_right_consistency: Floats | None = None

    def __post_init__(self) -> None:
        joints = self.skeleton.num_keypoints
        self._freeze("keypoints", (None, joints, 2))
        count = len(self.keypoints)
        self._freeze("keypoint_scores", (count, joints))
        self._freeze("boxes_xyxy", (count, 4))
        self._freeze("box_scores", (count,))
        self._freeze("pose_scores", (count,))
        optional: dict[str, tuple[int, ...]] = {
            "keypoint_probabilities": (count, joints),
            "pose_presence": (count,),
            "keypoint_covariances": (count, joints, 2, 2),
            "left_right_consistency": (count,),
        }
        for name, shape in optional.items():
            if getattr(self, name) is not None:
                self._freeze(name, shape)

    def _freeze(self, name: str, shape: tuple[int | None, ...]) -> None:
        values = getattr(self, name)
        if shape[0] == 0 and np.size(values) == 0:  # an empty list has no second axis
            values = np.zeros(tuple(n or 0 for n in shape))
        array = as_floats(values, shape=shape, name=f"Poses.{name}").astype(np.float32)
        array.flags.writeable = False
        object.__setattr__(self, name, array)  # the dataclass is frozen for everybody else

    @classmethod
    def empty(cls, skeleton: Skeleton = COCO_17) -> Poses:
        """Build the result of an image without persons."""
        none = np.zeros(0)
        return cls(
            keypoints=none, keypoint_scores=none, boxes_xyxy=none, box_scores=none, pose_scores=none, skeleton=skeleton
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        scores = [f"{score:.2f}" for score in self.pose_scores[:_MOST_SHOWN].tolist()]
        more = [f"{len(self) - _MOST_SHOWN} more"] * (len(self) > _MOST_SHOWN)
        return f"Poses({len(self)} of {self.skeleton.name}, pose_scores=[{', '.join([*scores, *more])}])"

    @overload
    def __getitem__(self, index: str) -> Floats: ...

    @overload
    def __getitem__(self, index: Selection) -> Poses: ...

    def __getitem__(self, index: Selection | str) -> Poses | Floats:
        """Select persons, or look a keypoint up by its name.

        Args:
            index: of persons: one, a slice, several, or a mask; or the name of a keypoint.

        Returns:
            `Poses`, for one index of length one; or for a name ``(N, 3)`` float32: x, y and score of each person's.

        Raises:
            ValueError: if the skeleton has no keypoint of that name.
        """
        if isinstance(index, str):
            keypoint = self.skeleton.index(index)
            return np.column_stack([self.keypoints[:, keypoint], self.keypoint_scores[:, keypoint]])
        chosen = np.atleast_1d(np.arange(len(self))[index])
        arrays: dict[str, Any] = {
            name: None if array is None else array[chosen] for name, array in self._arrays().items()
        }
        return Poses(**arrays, skeleton=self.skeleton)

    def __iter__(self) -> Iterator[Poses]:
        return (self[index] for index in range(len(self)))

    def draw(
        self,
        image: Source,
        *,
        threshold: float = 0.2,
        boxes: bool = False,
        scores: bool = False,
        labels: Labels | None = None,
        face: bool = True,
        palette: Palette = "sides",
        ellipses: bool | float = False,
        left_right: bool = False,
        line_width: float | None = None,
        color: Literal["rgb", "bgr"] = "rgb",
    ) -> PIL.Image.Image:
        """Draw on a copy of the image; see `pcrpose.keypoints.drawing.poses.draw_poses`."""
        return draw_poses(
            image,
            self,
            threshold=threshold,
            boxes=boxes,
            scores=scores,
            labels=labels,
            face=face,
            palette=palette,
            ellipses=ellipses,
            left_right=left_right,
            line_width=line_width,
            color=color,
        )

    def _repr_png_(self) -> bytes | None:
        """Draw on a blank canvas of the boxes' extent, as notebooks show a value; None without persons."""
        boxes = self.boxes_xyxy[np.isfinite(self.boxes_xyxy).all(axis=1)]
        if not len(boxes):
            return None
        first, last = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        scale = _SHOWN_PIXELS / max(float((last - first).max()), 1.0)
        width, height = np.rint((last - first) * scale).astype(int) + 1
        moved = replace(
            self,
            keypoints=(self.keypoints - first) * scale,
            boxes_xyxy=(self.boxes_xyxy - np.tile(first, 2)) * scale,
            keypoint_covariances=None,
        )
        blank = PIL.Image.new("RGB", (int(width), int(height)), _BLANK)
        content = io.BytesIO()
        moved.draw(blank, boxes=True, scores=True).save(content, format="PNG")
        return content.getvalue()

    def to_supervision(self, *, threshold: float = 0.2) -> KeyPoints:
        """Convert to the ``KeyPoints`` of the package supervision, for its annotators and its tracking.

        Args:
            threshold: keypoints scoring at most this are not ``visible`` there, and are not drawn.

        Returns:
            The keypoints and their scores, the pose scores as ``detection_confidence``, everybody of class 0, and in
            ``data`` under ``"covariance"`` what its ellipse annotators read, where there are covariances.

        Raises:
            ImportError: if supervision is not installed, or has no such fields.
        """
        try:
            from supervision import KeyPoints  # noqa: PLC0415 - an optional package
        except ImportError as error:
            raise ImportError(f"to_supervision: {_SUPERVISION}") from error
        data = {} if self.keypoint_covariances is None else {"covariance": self.keypoint_covariances.copy()}
        try:
            return KeyPoints(
                xy=self.keypoints.copy(),
                class_id=np.zeros(len(self), dtype=np.intp),
                keypoint_confidence=self.keypoint_scores.copy(),
                detection_confidence=self.pose_scores.copy(),
                visible=np.greater(self.keypoint_scores, threshold),
                data=data,
            )
        except TypeError as error:
            raise ImportError(f"to_supervision: {_SUPERVISION}; found an earlier one") from error

    def to_coco(self, image_id: int, *, category_id: int = 1) -> list[dict[str, Any]]:
        """Return results as the COCO server takes them: one dict per person.

        Args:
            image_id: the image's id in the annotation file.
            category_id: 1 is COCO's person.

        Returns:
            Plain numbers for JSON, not rounded: ``keypoints`` lists x, y and the keypoint's score J times,
            ``score`` is the pose score.

        Raises:
            ValueError: if a keypoint or score is not finite, naming the pose.
        """
        self._check_finite("keypoints", "keypoint_scores", "pose_scores")
        triples = np.concatenate([self.keypoints, self.keypoint_scores[..., None]], axis=-1)
        rows = triples.reshape(len(self), 3 * self.skeleton.num_keypoints).tolist()
        return [
            {"image_id": int(image_id), "category_id": category_id, "keypoints": numbers, "score": score}
            for numbers, score in zip(rows, self.pose_scores.tolist(), strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the skeleton too, as plain lists for JSON; raises ValueError if a number is not finite."""
        self._check_finite(*self._arrays())
        arrays = {name: None if array is None else array.tolist() for name, array in self._arrays().items()}
        return {"skeleton": self.skeleton.to_dict(), **arrays}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Poses:
        """Build from what `to_dict` returned; raises ValueError for a missing or unknown key or a wrong shape.

        What earlier versions did not have may be missing.
        """
        expected = {field.name for field in fields(cls)}
        if not expected - _LATER <= set(values) <= expected:
            raise ValueError(f"Poses: expected the keys {sorted(expected)}, found {sorted(values)}")
        return cls(**{**values, "skeleton": Skeleton.from_dict(values["skeleton"])})

    def _arrays(self) -> dict[str, Floats | None]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "skeleton"}

    def _check_finite(self, *names: str) -> None:
        for name in names:
            array = getattr(self, name)
            wrong = np.zeros(0) if array is None else ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
            for index in np.flatnonzero(wrong)[:1]:
                raise ValueError(f"Poses.{name}: expected finite numbers, found nan or inf in pose {index}")
