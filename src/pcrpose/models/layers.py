"""Layers that several networks share: a 1x1 convolution with norm and ReLU, bilinear up-sampling."""

from torch import Tensor, nn
from torch.nn import functional

from pcrpose.models.encoders.hrnet import conv_bn

TARGET_DEVIATION = 0.1


def conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Build a 1x1 convolution, batch norm and ReLU."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1), nn.ReLU(inplace=True))


def norm_head(channels: int, num_keypoints: int) -> nn.Sequential:
    """Build a 3x3 convolution that predicts heatmaps, and its batch norm, which starts at the scale of targets.

    Source:
        The heads of CPN and MSPN in their authors' code. Ours starts the norm's weight at 0.1, about the deviation of a
        target map's cells, instead of 1: a short training would spend its steps on shrinking it.
    """
    head = nn.Sequential(*conv_bn(channels, num_keypoints, 3))
    nn.init.constant_(next(head[1].parameters()), TARGET_DEVIATION)
    return head


def upsampled(features: Tensor, scale: int) -> Tensor:
    """Resample ``(B, C, H, W)`` to ``(B, C, scale * H, scale * W)`` bilinearly; cells keep their place in the crop."""
    if scale == 1:
        return features
    return functional.interpolate(features, scale_factor=scale, mode="bilinear", align_corners=False)
