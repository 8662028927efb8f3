"""ViTPose: a plain vision transformer, and a decoder of two transposed convolutions or none.

Source:
    Xu et al., *ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation*, NeurIPS 2022, section 3; sizes,
    crops, targets and decoding are those of its published configurations
    (https://github.com/ViTAE-Transformer/ViTPose, ``ViTPose_base_coco_256x192.py`` and its neighbors).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, TypedDict, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from pcrpose.files.checks import one_of, positive
from pcrpose.keypoints.crop import Alignment
from pcrpose.models.pose_config import FINEST_STRIDE, PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel

Decoder = Literal["classic", "simple"]
PATCH = 16  # crop pixels
PATCH_PADDING = 2  # crop pixels that the first patch reads beyond the border
DECONVOLUTION_WIDTH = 256


class Variant(TypedDict):
    """What distinguishes the published sizes."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "S": Variant(hidden_size=384, num_hidden_layers=12, num_attention_heads=12),
        "B": Variant(hidden_size=768, num_hidden_layers=12, num_attention_heads=12),
        "L": Variant(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16),
        "H": Variant(hidden_size=1280, num_hidden_layers=32, num_attention_heads=16),
    }
)


@dataclass(frozen=True, kw_only=True)
class ViTPoseConfig(PoseConfig):
    """A ViTPose network, by default B; ``ViTPoseConfig(**VARIANTS["S"])`` is S.

    ``alignment="udp"`` because the published weights need it: their configurations set ``use_udp`` for crops, targets
    (``encoding="UDP"``, sigma 2 cells) and decoding, without a shift of the mirrored heatmaps, and so does the image
    processor of transformers. ``decoding="udp"`` of a predictor is their refinement of peaks, DARK's with differences
    one cell wide.

    Attributes:
        hidden_size: width of a patch's features.
        num_hidden_layers: number of transformer blocks.
        num_attention_heads: of each block; they divide the width.
        mlp_ratio: inner width of a block's perceptron, in widths.
        layer_norm_eps: added to variances. The original code has 1e-6, what transformers has converted 1e-12.
        decoder: ``"classic"``, two transposed convolutions and a 1x1 convolution; or ``"simple"``, ReLU, bilinear
            resampling by 4 and a 3x3 convolution.

    Raises:
        ValueError: also for a number that is not positive, or heads that do not divide the width.

    Source:
        Section 3.1 and the published configurations. Departures: stochastic depth and the learning rate's decay by
        layer, which they train with, are left out; weights begin as fresh ones, where theirs begin with MAE's.
    """

    alignment: Alignment = "udp"
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: int = 4
    layer_norm_eps: float = 1e-6
    decoder: Decoder = "classic"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "mlp_ratio", "layer_norm_eps"):
            positive(name, getattr(self, name))
        one_of("decoder", self.decoder, get_args(Decoder))
        if self.hidden_size % self.num_attention_heads:
            heads = self.num_attention_heads
            raise ValueError(f"hidden_size: expected a multiple of the {heads} heads, found {self.hidden_size}")

    @property
    def coarsest_cell(self) -> int:
        """Crop pixels of a patch."""
        return PATCH

    @property
    def encoder(self) -> str:
        """The transformer, in words."""
        return f"vision transformer of width {self.hidden_size}, depth {self.num_hidden_layers}"


class Block(nn.Module):
    """Attention among all patches, then a perceptron on each, both on normalized input and added to it.

    Args:
        config: width, heads and the perceptron's ratio.
    """

    def __init__(self, config: ViTPoseConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.hidden_size * config.mlp_ratio
        self.num_heads = config.num_attention_heads
        self.norm1 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, N, C)`` features of N patches to the next block's."""
        tokens = tokens + self.proj(self._attend(self.norm1(tokens)))
        hidden: Tensor = self.fc2(gelu(self.fc1(self.norm2(tokens))))
        return tokens + hidden

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        split: Tensor = self.qkv(tokens).view(batch, count, 3, self.num_heads, width // self.num_heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        return scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)


class VisionTransformer(nn.Module):
    """Patches of 16 pixels, embedded with their positions, through all blocks.

    Args:
        config: sizes; the positions belong to the cells of its ``input_size``.

    Attributes:
        out_channels: width of the features.
    """

    def __init__(self, config: ViTPoseConfig) -> None:
        super().__init__()
        width, size = config.hidden_size, config.input_size
        self.out_channels = width
        self.patch_embed = nn.Conv2d(3, width, PATCH, stride=PATCH, padding=PATCH_PADDING)
        # the first position is the class token's, whose embedding the published network adds to every patch
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (size.height // PATCH) * (size.width // PATCH), width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        nn.init.normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
                _zero_bias(module)

    def forward(self, crops: Tensor) -> Tensor:
        """``(B, 3, H, W)`` normalized crops to ``(B, C, H/16, W/16)`` features."""
        patches = self.patch_embed(crops)
        tokens = patches.flatten(2).transpose(1, 2) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        features: Tensor = self.norm(tokens)
        return features.transpose(1, 2).reshape(patches.shape)


class ViTPose(PoseModel[ViTPoseConfig]):
    """The transformer, a decoder to a quarter of the crop's resolution, one head.

    Folders and repositories of transformers' ``VitPoseForPoseEstimation`` load like our own.

    Args:
        config: sizes and decoder.

    Examples:
        >>> small = ViTPose(ViTPoseConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, decoder="simple"))
        >>> small.eval()(torch.zeros(1, 3, 256, 192)).final.shape
        torch.Size([1, 17, 64, 48])
    """

    config_class: ClassVar[type[ViTPoseConfig]] = ViTPoseConfig

    def __init__(self, config: ViTPoseConfig) -> None:
        super().__init__(config)
        self.encoder = VisionTransformer(config)
        keypoints = config.skeleton.num_keypoints
        if config.decoder == "simple":
            self.decoder = nn.Sequential(
                nn.ReLU(), nn.Upsample(scale_factor=PATCH // FINEST_STRIDE, mode="bilinear", align_corners=False)
            )
            self.final_layer = nn.Conv2d(config.hidden_size, keypoints, 3, padding=1)
        else:
            self.decoder = _deconvolutions(config.hidden_size)
            self.final_layer = nn.Conv2d(DECONVOLUTION_WIDTH, keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        _zero_bias(self.final_layer)

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """``(B, 3, H, W)`` normalized crops of the configured size to ``(B, J, H/4, W/4)`` heatmaps.

        Raises:
            ValueError: for crops of another size; positions are learnt for one.
        """
        self.check_crops(crops)
        size = self.config.input_size
        if crops.shape[2:] != (size.height, size.width):
            raise ValueError(f"crops: expected {size} (height x width), found {tuple(crops.shape)}")
        logits = self.final_layer(self.decoder(self.encoder(crops)))
        return HeatmapOutput(logits if self.training else self.finish(logits))


def _deconvolutions(width: int) -> nn.Sequential:
    """Build two transposed convolutions that double the resolution, initialized as in the published baselines."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise((width, DECONVOLUTION_WIDTH, DECONVOLUTION_WIDTH)):
        deconvolution = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        nn.init.normal_(deconvolution.weight, std=0.001)
        layers += [deconvolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _zero_bias(module: nn.Linear | nn.Conv2d) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)
