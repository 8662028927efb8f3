"""Layers that several networks share: a 1x1 convolution with norm and ReLU, bilinear up-sampling."""

from torch import Tensor, nn
from torch.nn import functional

from pcrpose.models.encoders.hrnet import conv_bn


def conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build a 1x1 convolution, batch norm and ReLU."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1), nn.ReLU(inplace=True))


def upsampled(features: Tensor, scale: int) -> Tensor:
    """Resample ``(B, C, H, W)`` to ``(B, C, scale * H, scale * W)`` bilinearly; cells keep their place in the crop."""
    if scale == 1:
        return features
    return functional.interpolate(features, scale_factor=scale, mode="bilinear", align_corners=False)
