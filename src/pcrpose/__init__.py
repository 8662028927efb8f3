"""Human keypoint detection by Progressive Context Refinement.

The names in `__all__` are the library's front door. Each is imported when it is first asked for, so that
``import pcrpose`` costs nothing.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcrpose.data.augment import Augmentation
    from pcrpose.data.dataset import KeypointDataset
    from pcrpose.data.images import open_image
    from pcrpose.data.readers.coco import read_coco
    from pcrpose.data.readers.read_annotations import read_annotations
    from pcrpose.evaluation.coco import CocoEvaluator
    from pcrpose.inference.ensemble import Ensemble
    from pcrpose.inference.predictor import PosePredictor, Thresholds
    from pcrpose.inference.runtime import Runtime
    from pcrpose.inference.stream import FailedImage
    from pcrpose.inference.yolox import YoloxDetector
    from pcrpose.keypoints.boxes import Size
    from pcrpose.keypoints.crop import CropSpec
    from pcrpose.keypoints.detections import Detections
    from pcrpose.keypoints.oks import oks, oks_nms
    from pcrpose.keypoints.poses import Poses
    from pcrpose.keypoints.skeleton import COCO_17, Skeleton
    from pcrpose.models.encoder_weights import load_encoder
    from pcrpose.models.hrnet_pose import HighResolutionPose
    from pcrpose.models.load import load_model
    from pcrpose.models.pcr import PCR, PCRConfig
    from pcrpose.models.pose_model import HeatmapModel, HeatmapOutput
    from pcrpose.models.replace_skeleton import replace_skeleton
    from pcrpose.models.simple_baseline import SimpleBaseline
    from pcrpose.models.zoo import list_pretrained
    from pcrpose.training.config import TrainConfig
    from pcrpose.training.fine_tune import FineTune
    from pcrpose.training.recipe import Recipe
    from pcrpose.training.run_recipe import Source, run_recipe
    from pcrpose.training.trainer import Trainer
    from pcrpose.training.validation import CocoValidation

    __version__: str

__all__ = [
    "COCO_17",
    "PCR",
    "Augmentation",
    "CocoEvaluator",
    "CocoValidation",
    "CropSpec",
    "Detections",
    "Ensemble",
    "FailedImage",
    "FineTune",
    "HeatmapModel",
    "HeatmapOutput",
    "HighResolutionPose",
    "KeypointDataset",
    "PCRConfig",
    "PosePredictor",
    "Poses",
    "Recipe",
    "Runtime",
    "SimpleBaseline",
    "Size",
    "Skeleton",
    "Source",
    "Thresholds",
    "TrainConfig",
    "Trainer",
    "YoloxDetector",
    "list_pretrained",
    "load_encoder",
    "load_model",
    "oks",
    "oks_nms",
    "open_image",
    "read_annotations",
    "read_coco",
    "replace_skeleton",
    "run_recipe",
]

_HOMES: Mapping[str, str] = MappingProxyType(
    {
        "Augmentation": "pcrpose.data.augment",
        "COCO_17": "pcrpose.keypoints.skeleton",
        "CocoEvaluator": "pcrpose.evaluation.coco",
        "CropSpec": "pcrpose.keypoints.crop",
        "Detections": "pcrpose.keypoints.detections",
        "Ensemble": "pcrpose.inference.ensemble",
        "FailedImage": "pcrpose.inference.stream",
        "HeatmapModel": "pcrpose.models.pose_model",
        "HeatmapOutput": "pcrpose.models.pose_model",
        "HighResolutionPose": "pcrpose.models.hrnet_pose",
        "KeypointDataset": "pcrpose.data.dataset",
        "PCR": "pcrpose.models.pcr",
        "PCRConfig": "pcrpose.models.pcr",
        "PosePredictor": "pcrpose.inference.predictor",
        "Poses": "pcrpose.keypoints.poses",
        "Recipe": "pcrpose.training.recipe",
        "run_recipe": "pcrpose.training.run_recipe",
        "TrainConfig": "pcrpose.training.config",
        "Source": "pcrpose.training.run_recipe",
        "FineTune": "pcrpose.training.fine_tune",
        "CocoValidation": "pcrpose.training.validation",
        "Runtime": "pcrpose.inference.runtime",
        "SimpleBaseline": "pcrpose.models.simple_baseline",
        "Size": "pcrpose.keypoints.boxes",
        "Skeleton": "pcrpose.keypoints.skeleton",
        "Thresholds": "pcrpose.inference.predictor",
        "Trainer": "pcrpose.training.trainer",
        "YoloxDetector": "pcrpose.inference.yolox",
        "list_pretrained": "pcrpose.models.zoo",
        "load_encoder": "pcrpose.models.encoder_weights",
        "load_model": "pcrpose.models.load",
        "oks": "pcrpose.keypoints.oks",
        "oks_nms": "pcrpose.keypoints.oks",
        "open_image": "pcrpose.data.images",
        "read_annotations": "pcrpose.data.readers.read_annotations",
        "read_coco": "pcrpose.data.readers.coco",
        "replace_skeleton": "pcrpose.models.replace_skeleton",
    }
)

if not TYPE_CHECKING:  # a type checker that saw this function would accept every misspelt name

    def __getattr__(name: str) -> object:
        """Import a public name on first use; afterwards it is an ordinary attribute."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - slow to import and seldom asked for

            value: object = version("pcrpose")
        elif name in _HOMES:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'pcrpose' has no attribute {name!r}; it has {__all__}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the names that are not imported yet, too."""
    return sorted({*__all__, "__version__"})
