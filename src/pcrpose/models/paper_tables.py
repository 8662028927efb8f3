"""Configurations of the networks in the paper's tables 1 and 3.

What the paper leaves open is ours: L in table 1, sigma at 384x288 (HRNet's 3 cells), and that the single
switches of table 3 keep the residual branch, which belongs to every row called PCR.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pcrpose.keypoints.boxes import Size
from pcrpose.models.hrnet_pose import HighResolutionPoseConfig
from pcrpose.models.pcr import PCRConfig
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.simple_baseline import SimpleBaselineConfig

_LARGE: Mapping[str, Any] = MappingProxyType({"input_size": Size(width=288, height=384), "sigma": 12.0})
_PCR_R152 = PCRConfig(encoder="resnet152", channels=(128, 96, 64), num_decoders=2, **_LARGE)

TABLE_1: Mapping[str, PoseConfig] = MappingProxyType(
    {
        "Baseline (R152)": SimpleBaselineConfig(encoder="resnet152", **_LARGE),
        "HRNet-W48": HighResolutionPoseConfig(encoder="hrnet_w48", **_LARGE),
        "PCR (R152)": _PCR_R152,
        "PCR* (R152)": _PCR_R152,
        "PCR* (HRNet-W48)": PCRConfig(encoder="hrnet_w48", channels=(48,), num_decoders=2, **_LARGE),
    }
)

PCR_PLUS: Mapping[str, PoseConfig] = MappingProxyType(
    {name: TABLE_1[name] for name in ("PCR* (R152)", "PCR* (HRNet-W48)")}  # PCR+* of table 1: the mean of both
)

TABLE_3: Mapping[str, PoseConfig] = MappingProxyType(
    {
        "Baseline (R50)": SimpleBaselineConfig(),
        "HRNet-W32": HighResolutionPoseConfig(),
        "PCR (R50), SE": PCRConfig(hdc=False, auxiliary=False),
        "PCR (R50), HDC": PCRConfig(se=False, auxiliary=False),
        "PCR (R50), AD": PCRConfig(se=False, hdc=False),
        "PCR (R50), SE + HDC + AD": PCRConfig(),
        "PCR (HRNet-W32), SE + HDC + AD": PCRConfig(encoder="hrnet_w32", channels=(48,)),
    }
)
