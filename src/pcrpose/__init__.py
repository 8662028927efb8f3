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
    from pcrpose.data.mixed import MixedDataset
    from pcrpose.data.readers.coco import read_coco, read_detections
    from pcrpose.data.readers.negatives import read_negatives
    from pcrpose.data.readers.read_annotations import read_annotations
    from pcrpose.data.samples import Sample
    from pcrpose.data.synthetic import SyntheticPoses, write_synthetic_coco
    from pcrpose.evaluation.bootstrap import bootstrap_interval, paired_difference
    from pcrpose.evaluation.coco import CocoEvaluator, CocoMetrics
    from pcrpose.evaluation.report.write import write_report
    from pcrpose.inference.calibrate import calibrate
    from pcrpose.inference.ensemble import Ensemble
    from pcrpose.inference.export import export_model
    from pcrpose.inference.exported import ExportedModel
    from pcrpose.inference.predictor import PosePredictor, Thresholds
    from pcrpose.inference.runtime import Runtime
    from pcrpose.inference.stream import FailedImage
    from pcrpose.inference.validate import validate
    from pcrpose.inference.verify_export import ExportDifferences, verify_export
    from pcrpose.inference.yolox import YoloxDetector
    from pcrpose.keypoints.boxes import Size
    from pcrpose.keypoints.crop import CropSpec
    from pcrpose.keypoints.detections import Detections
    from pcrpose.keypoints.drawing.heatmaps import draw_heatmaps
    from pcrpose.keypoints.oks import oks, oks_nms
    from pcrpose.keypoints.poses import Poses
    from pcrpose.keypoints.skeleton import AIC_14, COCO_17, MPII_16, Skeleton
    from pcrpose.models.encoder_weights import load_encoder
    from pcrpose.models.hrnet_pose import HighResolutionPose
    from pcrpose.models.load import load_model
    from pcrpose.models.pcr import PCR, PCRConfig
    from pcrpose.models.pose_model import HeatmapModel, HeatmapOutput
    from pcrpose.models.replace_skeleton import replace_skeleton
    from pcrpose.models.simple_baseline import SimpleBaseline
    from pcrpose.models.vitpose import ViTPose, ViTPoseConfig
    from pcrpose.models.zoo import list_pretrained
    from pcrpose.training.config import TrainConfig
    from pcrpose.training.fine_tune import FineTune
    from pcrpose.training.recipe import Recipe
    from pcrpose.training.run_recipe import Source, run_recipe
    from pcrpose.training.trainer import Trainer
    from pcrpose.training.validation import CocoValidation

    __version__: str

__all__ = [
    "AIC_14",
    "COCO_17",
    "MPII_16",
    "PCR",
    "Augmentation",
    "CocoEvaluator",
    "CocoMetrics",
    "CocoValidation",
    "CropSpec",
    "Detections",
    "Ensemble",
    "ExportDifferences",
    "ExportedModel",
    "FailedImage",
    "FineTune",
    "HeatmapModel",
    "HeatmapOutput",
    "HighResolutionPose",
    "KeypointDataset",
    "MixedDataset",
    "PCRConfig",
    "PosePredictor",
    "Poses",
    "Recipe",
    "Runtime",
    "Sample",
    "SimpleBaseline",
    "Size",
    "Skeleton",
    "Source",
    "SyntheticPoses",
    "Thresholds",
    "TrainConfig",
    "Trainer",
    "ViTPose",
    "ViTPoseConfig",
    "YoloxDetector",
    "bootstrap_interval",
    "calibrate",
    "draw_heatmaps",
    "export_model",
    "list_pretrained",
    "load_encoder",
    "load_model",
    "oks",
    "oks_nms",
    "open_image",
    "paired_difference",
    "read_annotations",
    "read_coco",
    "read_detections",
    "read_negatives",
    "replace_skeleton",
    "run_recipe",
    "validate",
    "verify_export",
    "write_report",
    "write_synthetic_coco",
]

_HOMES: Mapping[str, str] = MappingProxyType(
    {
        "AIC_14": "pcrpose.keypoints.skeleton",
        "Augmentation": "pcrpose.data.augment",
        "COCO_17": "pcrpose.keypoints.skeleton",
        "CocoEvaluator": "pcrpose.evaluation.coco",
        "CocoMetrics": "pcrpose.evaluation.coco",
        "CocoValidation": "pcrpose.training.validation",
        "CropSpec": "pcrpose.keypoints.crop",
        "Detections": "pcrpose.keypoints.detections",
        "Ensemble": "pcrpose.inference.ensemble",
        "ExportDifferences": "pcrpose.inference.verify_export",
        "ExportedModel": "pcrpose.inference.exported",
        "FailedImage": "pcrpose.inference.stream",
        "FineTune": "pcrpose.training.fine_tune",
        "HeatmapModel": "pcrpose.models.pose_model",
        "HeatmapOutput": "pcrpose.models.pose_model",
        "HighResolutionPose": "pcrpose.models.hrnet_pose",
        "KeypointDataset": "pcrpose.data.dataset",
        "MPII_16": "pcrpose.keypoints.skeleton",
        "MixedDataset": "pcrpose.data.mixed",
        "PCR": "pcrpose.models.pcr",
        "PCRConfig": "pcrpose.models.pcr",
        "PosePredictor": "pcrpose.inference.predictor",
        "Poses": "pcrpose.keypoints.poses",
        "Recipe": "pcrpose.training.recipe",
        "Runtime": "pcrpose.inference.runtime",
        "Sample": "pcrpose.data.samples",
        "SimpleBaseline": "pcrpose.models.simple_baseline",
        "Size": "pcrpose.keypoints.boxes",
        "Skeleton": "pcrpose.keypoints.skeleton",
        "Source": "pcrpose.training.run_recipe",
        "SyntheticPoses": "pcrpose.data.synthetic",
        "Thresholds": "pcrpose.inference.predictor",
        "TrainConfig": "pcrpose.training.config",
        "Trainer": "pcrpose.training.trainer",
        "ViTPose": "pcrpose.models.vitpose",
        "ViTPoseConfig": "pcrpose.models.vitpose",
        "YoloxDetector": "pcrpose.inference.yolox",
        "bootstrap_interval": "pcrpose.evaluation.bootstrap",
        "calibrate": "pcrpose.inference.calibrate",
        "draw_heatmaps": "pcrpose.keypoints.drawing.heatmaps",
        "export_model": "pcrpose.inference.export",
        "list_pretrained": "pcrpose.models.zoo",
        "load_encoder": "pcrpose.models.encoder_weights",
        "load_model": "pcrpose.models.load",
        "oks": "pcrpose.keypoints.oks",
        "oks_nms": "pcrpose.keypoints.oks",
        "open_image": "pcrpose.data.images",
        "paired_difference": "pcrpose.evaluation.bootstrap",
        "read_annotations": "pcrpose.data.readers.read_annotations",
        "read_coco": "pcrpose.data.readers.coco",
        "read_detections": "pcrpose.data.readers.coco",
        "read_negatives": "pcrpose.data.readers.negatives",
        "replace_skeleton": "pcrpose.models.replace_skeleton",
        "run_recipe": "pcrpose.training.run_recipe",
        "validate": "pcrpose.inference.validate",
        "verify_export": "pcrpose.inference.verify_export",
        "write_report": "pcrpose.evaluation.report.write",
        "write_synthetic_coco": "pcrpose.data.synthetic",
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
