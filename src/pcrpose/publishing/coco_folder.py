"""The files of a COCO folder that reproducing a row of the paper needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

# What each is called below the folder: COCO's own name first, then that of a part of COCO.
FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train annotations": (
            "annotations/person_keypoints_train2017.json",
            "annotations/person_keypoints_train.json",
        ),
        "train images": ("train2017", "train"),
        "val annotations": ("annotations/person_keypoints_val2017.json", "annotations/person_keypoints_val.json"),
        "val images": ("val2017", "val"),
        "val detections": (
            "person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
            "annotations/person_detections_val.json",
        ),
        "test list": ("annotations/image_info_test-dev2017.json",),
        "challenge list": ("annotations/image_info_test2017.json",),
        "test images": ("test2017",),
        "test detections": ("person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json",),
        "negatives": ("pcrpose/negatives.json",),
        "pseudo-labels": ("pcrpose/pseudo.json",),
        "unlabelled images": ("unlabeled2017",),
    }
)


@dataclass(frozen=True)
class CocoFolder:
    """A folder with COCO's files under their own names, or a part of them.

    Attributes:
        root: of all of `FILES`.
    """

    root: Path

    def path(self, what: str) -> Path:
        """Return the path of one of `FILES`.

        Raises:
            FileNotFoundError: if it is under none of its names; the message has the first.
        """
        for name in FILES[what]:
            if (self.root / name).exists():
                return self.root / name
        raise FileNotFoundError(f"{self.root}: expected {FILES[what][0]} ({what}), found none")
