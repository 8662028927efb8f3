"""The context-aware module (CAM): the paper's building block.

Source:
    Section 2.1, figure 2 and equation 1. What the paper leaves open is decided in the class docstring.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

SeNorm = Literal["batch", "none"]
DILATIONS = (1, 2, 3, 4)
SQUEEZE = 4  # both the SE bottleneck and each dilated branch are a quarter as wide as the module


def resampling_conv(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build a 4x4 transposed convolution that doubles the resolution, or a 3x3 one that keeps it; no bias."""
    if stride == 1:
        return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)


class ChannelContext(nn.Module):
    """The SE branch: one gate in ``[0, 1]`` per channel, from the module's globally pooled input.

    Args:
        in_channels: of the module's input.
        channels: of the module's output.
        norm: ``"batch"`` puts batch norm after both 1x1 convolutions, as the paper's sentence on BN reads;
            ``"none"`` uses biases instead (ours: batch statistics over 1x1 maps break at batch 1).
    """

    def __init__(self, in_channels: int, channels: int, norm: SeNorm) -> None:
        super().__init__()
        plain = norm == "none"
        self.squeeze = nn.Conv2d(in_channels, channels // SQUEEZE, 1, bias=plain)
        self.squeeze_bn = nn.Identity() if plain else nn.BatchNorm2d(channels // SQUEEZE)
        self.excite = nn.Conv2d(channels // SQUEEZE, channels, 1, bias=plain)
        self.excite_bn = nn.Identity() if plain else nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, 1, 1)`` in ``[0, 1]``."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        squeezed = functional.relu(self.squeeze_bn(self.squeeze(pooled)))
        return torch.sigmoid(self.excite_bn(self.excite(squeezed)))


class SpatialContext(nn.Module):
    """The HDC branch: four dilated 3x3 convolutions in parallel, joined by a (transposed) convolution.

    Args:
        in_channels: of the module's input.
        channels: of the module's output.
        stride: 2 doubles the resolution by a transposed convolution, 1 keeps it by a 3x3 convolution.
        output_relu: ReLU after the joining convolution; the paper has it after convolutions, not after the
            transposed one.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, output_relu: bool) -> None:
        super().__init__()
        width = channels // len(DILATIONS)
        self.dilated = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, width, 3, padding=rate, dilation=rate, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for rate in DILATIONS
        )
        self.join = resampling_conv(width * len(DILATIONS), channels, stride)
        self.join_bn = nn.BatchNorm2d(channels)
        self.output_relu = output_relu

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, stride * H, stride * W)``."""
        context = torch.cat([branch(features) for branch in self.dilated], dim=1)
        joined: Tensor = self.join_bn(self.join(context))
        return functional.relu(joined) if self.output_relu else joined


class PlainUpsampling(nn.Module):
    """The replacement of HDC when it is switched off: one (transposed) convolution and batch norm."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.join = resampling_conv(in_channels, channels, stride)
        self.join_bn = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, stride * H, stride * W)``."""
        joined: Tensor = self.join_bn(self.join(features))
        return joined


class Residual(nn.Module):
    """The RES branch: 1x1 convolution and batch norm, then nearest-neighbor up-sampling.

    Up-sampling first, as the paper draws it, gives the same output at four times the cost: a 1x1 convolution treats
    every cell alike and repeated cells change neither mean nor variance of a batch (the running variance differs by
    ``n / (n - 1)``).
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(channels)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, stride * H, stride * W)``."""
        projected: Tensor = self.project_bn(self.project(features))
        return projected if self.stride == 1 else functional.interpolate(projected, scale_factor=self.stride)


class ContextAwareModule(nn.Module):
    """``relu(SE(x) * HDC(x) + RES(x))``.

    With every switch off it is a transposed convolution, batch norm and ReLU: one step of Simple Baselines' decoder.

    Args:
        in_channels: of the input.
        channels: of the output, a multiple of 4.
        stride: 2 doubles the resolution, 1 keeps it.
        se: gate channels by global context; off, the gate is 1.
        hdc: dilated branches; off, one (transposed) convolution.
        residual: the RES branch; off, nothing is added.
        se_norm: see `ChannelContext`; ours is ``"none"``, the paper's ``"batch"``.
        output_relu: see `SpatialContext`; None takes the paper literally (stride 1 only).

    Raises:
        ValueError: for a stride other than 1 and 2, or ``channels`` that are no multiple of 4.

    Source:
        Section 2.1, figure 2, equation 1. SE reads the module's input (ours: the figure leaves it open).
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 2,
        se: bool = True,
        hdc: bool = True,
        residual: bool = True,
        se_norm: SeNorm = "batch",
        output_relu: bool | None = None,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride: expected 1 or 2, found {stride}")
        if channels < SQUEEZE or channels % SQUEEZE:
            raise ValueError(f"channels: expected a positive multiple of {SQUEEZE}, found {channels}")
        if se_norm not in ("batch", "none"):
            raise ValueError(f"se_norm: expected 'batch' or 'none', found {se_norm!r}")
        relu = stride == 1 if output_relu is None else output_relu
        self.se = ChannelContext(in_channels, channels, se_norm) if se else None
        self.hdc: nn.Module = (
            SpatialContext(in_channels, channels, stride=stride, output_relu=relu)
            if hdc
            else PlainUpsampling(in_channels, channels, stride)
        )
        self.res = Residual(in_channels, channels, stride) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, channels, stride * H, stride * W)``, not negative."""
        refined: Tensor = self.hdc(features)
        if self.se is not None:
            refined = refined * self.se(features)
        if self.res is not None:
            refined = refined + self.res(features)
        return functional.relu(refined)
