"""Networks that published checkpoints are of, by name: what `convert` builds.

Input sizes and sigmas are those of the published configurations. PCR's authors published no weights; its rows are for
state dicts of our own networks that were saved without a configuration.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pcrpose.keypoints.boxes import Size
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig

_SMALL: Mapping[str, Any] = MappingProxyType({"input_size": Size(width=192, height=256), "sigma": 8.0})
_LARGE: Mapping[str, Any] = MappingProxyType({"input_size": Size(width=288, height=384), "sigma": 12.0})

NETWORKS: Mapping[str, PoseConfig] = MappingProxyType(
    {
        "simple-baseline-r50-256x192": SimpleBaselineConfig(encoder="resnet50", **_SMALL),
        "simple-baseline-r50-384x288": SimpleBaselineConfig(encoder="resnet50", **_LARGE),
        "simple-baseline-r101-256x192": SimpleBaselineConfig(encoder="resnet101", **_SMALL),
        "simple-baseline-r101-384x288": SimpleBaselineConfig(encoder="resnet101", **_LARGE),
        "simple-baseline-r152-256x192": SimpleBaselineConfig(encoder="resnet152", **_SMALL),
        "simple-baseline-r152-384x288": SimpleBaselineConfig(encoder="resnet152", **_LARGE),
        "hrnet-w32-256x192": HighResolutionPoseConfig(encoder="hrnet_w32", **_SMALL),
        "hrnet-w32-384x288": HighResolutionPoseConfig(encoder="hrnet_w32", **_LARGE),
        "hrnet-w48-256x192": HighResolutionPoseConfig(encoder="hrnet_w48", **_SMALL),
        "hrnet-w48-384x288": HighResolutionPoseConfig(encoder="hrnet_w48", **_LARGE),
        "pcr-r50-256x192": PCRConfig(encoder="resnet50", **_SMALL),
        "pcr-r152-384x288": PCRConfig(encoder="resnet152", channels=(128, 96, 64), num_decoders=2, **_LARGE),
        "pcr-hrnet-w32-256x192": PCRConfig(encoder="hrnet_w32", channels=(48,), **_SMALL),
        "pcr-hrnet-w48-384x288": PCRConfig(encoder="hrnet_w48", channels=(48,), num_decoders=2, **_LARGE),
    }
)
