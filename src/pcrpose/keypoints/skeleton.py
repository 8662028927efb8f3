"""Skeletons: names of keypoints, flip pairs, bones and sigmas."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pcrpose.keypoints.arrays import Floats, Indices

Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """An ordered set of named keypoints. A user's own skeleton is one such value.

    Attributes:
        name: what messages and files call it.
        keypoints: J different names; their order is the order of every ``(..., J, 2)`` array.
        flip_pairs: pairs that change places in a mirrored image, each keypoint in at most one pair;
            given as names or as indices, kept as indices. By default the names that differ by left and right alone.
        bones: pairs to join when drawing; names or indices, kept as indices. By default those of `COCO_17`, where
            both ends are here.
        sigmas: ``(J,)`` float64, positive: the per-keypoint constants of OKS, in units of ``sqrt(area)``; read-only.
            By default COCO's where the name is COCO's, and its shoulder's for the rest.

    Raises:
        ValueError: if names repeat, a pair names no keypoint, a keypoint is paired twice or with itself,
            or ``sigmas`` are not J positive numbers.

    Examples:
        >>> hand = Skeleton("stick", ("tip", "left_end", "right_end"), [("left_end", "right_end")], [(0, 1)], [0.1] * 3)
        >>> hand.flip_indices.tolist()
        [0, 2, 1]
        >>> Skeleton("arms", ("neck", "left_wrist", "right_wrist")).flip_pairs
        ((1, 2),)
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[Pair, ...]
    bones: tuple[Pair, ...]
    sigmas: Floats

    def __init__(
        self,
        name: str,
        keypoints: Iterable[str],
        flip_pairs: Iterable[tuple[int | str, int | str]] | None = None,
        bones: Iterable[tuple[int | str, int | str]] | None = None,
        sigmas: Iterable[float] | None = None,
    ) -> None:
        """Validate and store; see the class."""
        if isinstance(keypoints, str):
            raise ValueError(f"skeleton {name!r}: expected several keypoint names, found the text {keypoints!r}")  # noqa: TRY004 - as other values
        names = tuple(keypoints)
        if not names or len(set(names)) != len(names):
            raise ValueError(f"skeleton {name!r}: expected different keypoint names, found {list(names)}")
        if flip_pairs is None:
            flip_pairs = _sides(names)
        if bones is None:
            ends = ((COCO_17.keypoints[a], COCO_17.keypoints[b]) for a, b in COCO_17.bones)
            bones = [(a, b) for a, b in ends if a in names and b in names]
        if sigmas is None:
            known = dict(zip(COCO_17.keypoints, COCO_17.sigmas.tolist(), strict=True))
            sigmas = [known.get(keypoint, known["left_shoulder"]) for keypoint in names]
        set_field = object.__setattr__  # the dataclass is frozen for everybody else
        set_field(self, "name", name)
        set_field(self, "keypoints", names)
        set_field(self, "flip_pairs", tuple(self._pair(pair, "flip pair") for pair in flip_pairs))
        set_field(self, "bones", tuple(self._pair(pair, "bone") for pair in bones))
        set_field(self, "sigmas", self._checked_sigmas(sigmas))
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"skeleton {name!r}: a keypoint stands in two flip pairs: {self.flip_pairs}")

    def __repr__(self) -> str:
        return f"Skeleton({self.name!r}, {self.num_keypoints} keypoints)"

    def _pair(self, pair: tuple[int | str, int | str], what: str) -> Pair:
        first, second = (self.index(end) for end in pair)
        if first == second:
            raise ValueError(f"skeleton {self.name!r}: {what} {pair} joins a keypoint with itself")
        return first, second

    def _checked_sigmas(self, sigmas: Iterable[float]) -> Floats:
        array = np.array(list(sigmas), dtype=np.float64)
        if array.shape != (len(self.keypoints),) or not (np.isfinite(array) & (array > 0)).all():
            raise ValueError(
                f"skeleton {self.name!r}: expected {len(self.keypoints)} positive sigmas, found {array.tolist()}"
            )
        array.flags.writeable = False
        return array

    def index(self, keypoint: int | str) -> int:
        """Return the index of a name or an index; raises ValueError for one that does not exist."""
        if isinstance(keypoint, str):
            if keypoint not in self.keypoints:
                raise ValueError(f"skeleton {self.name!r} has no keypoint {keypoint!r}; it has {list(self.keypoints)}")
            return self.keypoints.index(keypoint)
        if not 0 <= keypoint < len(self.keypoints):
            raise ValueError(f"skeleton {self.name!r}: index {keypoint} is outside 0..{len(self.keypoints) - 1}")
        return int(keypoint)

    @property
    def num_keypoints(self) -> int:
        """J, the number of keypoints."""
        return len(self.keypoints)

    @property
    def flip_indices(self) -> Indices:
        """``(J,)`` intp: the keypoint whose value each keypoint takes in a mirrored image; a new array."""
        order = np.arange(self.num_keypoints)
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order

    def shared_with(self, other: "Skeleton") -> tuple[Indices, Indices]:
        """Find the keypoints of the same name.

        Returns:
            Two ``(S,)`` intp arrays: their indices here and in ``other``, in this skeleton's order.
        """
        here = [i for i, name in enumerate(self.keypoints) if name in other.keypoints]
        there = [other.index(self.keypoints[i]) for i in here]
        return np.array(here, dtype=np.intp), np.array(there, dtype=np.intp)

    def convert(self, values: np.ndarray[Any, Any], target: "Skeleton") -> np.ndarray[Any, Any]:
        """Reorder ``(..., J, D)`` values to another skeleton; keypoints missing here become zeros."""
        if values.ndim < 2 or values.shape[-2] != self.num_keypoints:  # noqa: PLR2004 - two axes: J and D
            raise ValueError(f"expected shape (..., {self.num_keypoints}, D), found {values.shape}")
        here, there = self.shared_with(target)
        converted = np.zeros((*values.shape[:-2], target.num_keypoints, values.shape[-1]), dtype=values.dtype)
        converted[..., there, :] = values[..., here, :]
        return converted

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, for JSON."""
        return {
            "name": self.name,
            "keypoints": list(self.keypoints),
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "bones": [list(pair) for pair in self.bones],
            "sigmas": self.sigmas.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Skeleton":
        """Build from what `to_dict` returned; raises ValueError for a missing or unknown key."""
        fields = {"name", "keypoints", "flip_pairs", "bones", "sigmas"}
        if set(values) != fields:
            raise ValueError(f"skeleton: expected the keys {sorted(fields)}, found {sorted(values)}")
        return cls(**values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Skeleton) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.name, self.keypoints))


def _sides(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names that differ by left and right alone, the left one first."""
    twins = [(name, re.sub("left", "right", name, count=1)) for name in names if "left" in name]
    return [(left, right) for left, right in twins if right in names]


_LIMB_BONES = (
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)
_TRUNK_BONES = (
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "right_hip"),
)
_HEAD_AND_LIMB_BONES = (
    ("head_top", "neck"),
    ("neck", "left_shoulder"),
    ("neck", "right_shoulder"),
    *_TRUNK_BONES,
    *_LIMB_BONES,
)
_LIMB_PAIRS = tuple(
    (f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)

COCO_17 = Skeleton(
    "COCO_17",
    (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
        *(f"{side}_{joint}" for joint in ("hip", "knee", "ankle") for side in ("left", "right")),
    ),
    (("left_eye", "right_eye"), ("left_ear", "right_ear"), *_LIMB_PAIRS),
    (
        *(("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *(("left_ear", "left_shoulder"), ("right_ear", "right_shoulder")),
        *_TRUNK_BONES,
        *_LIMB_BONES,
    ),
    # COCO publishes the deviation of its annotators; the evaluation uses exactly these.
    (
        *(0.026, 0.025, 0.025, 0.035, 0.035),
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)

AIC_14 = Skeleton(
    "AIC_14",
    (
        *(f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")),
        *(f"{side}_{joint}" for side in ("right", "left") for joint in ("hip", "knee", "ankle")),
        *("head_top", "neck"),
    ),
    _LIMB_PAIRS,
    _HEAD_AND_LIMB_BONES,
    # The AI Challenger evaluation program's own values.
    (
        *(0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144),
        *(0.03909642, 0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081),
        *(0.01291456, 0.01236173),
    ),
)

LSP_14 = Skeleton(
    "LSP_14",
    (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
        *("neck", "head_top"),
    ),
    _LIMB_PAIRS,
    _HEAD_AND_LIMB_BONES,
    # Leeds Sports has no OKS of its own: COCO's values where the keypoint is COCO's, the shoulder's for the rest.
    (
        *(0.089, 0.087, 0.107, 0.107, 0.087, 0.089),
        *(0.062, 0.072, 0.079, 0.079, 0.072, 0.062),
        *(0.079, 0.079),
    ),
)

CROWDPOSE_14 = Skeleton(
    "CROWDPOSE_14",
    (
        *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
        *(f"{side}_{joint}" for joint in ("hip", "knee", "ankle") for side in ("left", "right")),
        *("head_top", "neck"),
    ),
    _LIMB_PAIRS,
    _HEAD_AND_LIMB_BONES,
    # The CrowdPose evaluation program's own values.
    (
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
        *(0.079, 0.079),
    ),
)

MPII_16 = Skeleton(
    "MPII_16",
    (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    _LIMB_PAIRS,
    (
        *(("head_top", "upper_neck"), ("upper_neck", "thorax"), ("thorax", "pelvis")),
        *(("thorax", "left_shoulder"), ("thorax", "right_shoulder"), ("pelvis", "left_hip"), ("pelvis", "right_hip")),
        *_LIMB_BONES,
    ),
    # MPII is measured by PCKh and has no OKS of its own: the values that MMPose publishes for it.
    (
        *(0.089, 0.083, 0.107, 0.107, 0.083, 0.089),
        *(0.026, 0.026, 0.026, 0.026),
        *(0.062, 0.072, 0.179, 0.179, 0.072, 0.062),
    ),
)

OCHUMAN_19 = Skeleton(
    "OCHUMAN_19",
    (
        *(f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist")),
        *(f"{side}_{joint}" for side in ("right", "left") for joint in ("hip", "knee", "ankle")),
        *("head", "neck", "right_ear", "left_ear", "nose", "right_eye", "left_eye"),
    ),
    (("left_eye", "right_eye"), ("left_ear", "right_ear"), *_LIMB_PAIRS),
    (
        *(("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear")),
        *(("left_ear", "left_shoulder"), ("right_ear", "right_shoulder")),
        *(("head", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder")),
        *_TRUNK_BONES,
        *_LIMB_BONES,
    ),
    # OCHuman is measured on COCO's seventeen: their values, and the shoulder's for head and neck.
    (
        *(0.079, 0.072, 0.062, 0.079, 0.072, 0.062),
        *(0.107, 0.087, 0.089, 0.107, 0.087, 0.089),
        *(0.079, 0.079, 0.035, 0.035, 0.026, 0.025, 0.025),
    ),
)

KNOWN_SKELETONS = (COCO_17, AIC_14, LSP_14, CROWDPOSE_14, MPII_16, OCHUMAN_19)
