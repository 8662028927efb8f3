"""Progressive context refinement: encoder, parallel decoders of context-aware modules, supervised heads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pcrpose.files.checks import at_least, one_of
from pcrpose.models.context import SQUEEZE, ContextAwareModule, SeNorm
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.pose_config import FINEST_STRIDE, PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel, prediction_head


@dataclass(frozen=True, kw_only=True)
class PCRConfig(PoseConfig):
    """A PCR network: encoder, context-aware modules, and the switches of the paper's ablation.

    Attributes:
        encoder: one of `ENCODERS`.
        channels: width of each context-aware module of a decoder; how many there are is the paper's K.
        num_decoders: the paper's L, decoders that refine one another's features.
        se: channel context (table 3, "SE").
        hdc: hybrid dilated convolutions (table 3, "HDC").
        residual: the shortcut of each module; off only to rebuild Simple Baselines.
        auxiliary: heatmaps from the last module but one of each decoder (table 3, "AD").
        se_norm: ``"batch"`` is the paper's, ``"none"`` ours for shipped models.
        output_relu: see `ContextAwareModule`.

    Raises:
        ValueError: for an unknown encoder, no decoder, widths that are no multiples of 4, or fewer
            modules than the encoder's resolution needs to come back to a quarter of the crop's.

    Examples:
        >>> PCRConfig(encoder="hrnet_w32", channels=(48,)).modules_per_decoder
        1
    """

    encoder: str = "resnet50"
    channels: tuple[int, ...] = (256, 256, 256)
    num_decoders: int = 1
    se: bool = True
    hdc: bool = True
    residual: bool = True
    auxiliary: bool = True
    se_norm: SeNorm = "batch"
    output_relu: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, ENCODERS)
        at_least("num_decoders", self.num_decoders, 1)
        if any(width < SQUEEZE or width % SQUEEZE for width in self.channels):
            raise ValueError(f"channels: expected positive multiples of {SQUEEZE}, found {list(self.channels)}")
        if len(self.channels) < max(1, self.num_upsamplings):
            raise ValueError(
                f"channels: {self.encoder} needs at least {max(1, self.num_upsamplings)} modules per decoder, "
                f"found {len(self.channels)}"
            )

    @property
    def coarsest_cell(self) -> int:
        """The encoder's; the shared default for a name that is not in the table."""
        return ENCODERS[self.encoder].coarsest_cell if self.encoder in ENCODERS else super().coarsest_cell

    @property
    def modules_per_decoder(self) -> int:
        """The number of modules per decoder, the paper's K."""
        return len(self.channels)

    @property
    def num_upsamplings(self) -> int:
        """The number of modules that double the resolution, from the encoder's stride to 4; they come first."""
        return (ENCODERS[self.encoder].stride // FINEST_STRIDE).bit_length() - 1


class PCR(PoseModel[PCRConfig]):
    """Progressive context refinement, the paper's network.

    Args:
        config: encoder, widths, number of decoders, and the switches of table 3.

    Source:
        Section 2.2, figure 3, equation 2. The auxiliary head ("AD") is a 1x1 convolution on the output of the last
        module but one of each decoder, or on the encoder's features where a decoder has one module (ours: the
        paper says only "after the penultimate CAM").

    Examples:
        >>> import torch
        >>> model = PCR(PCRConfig(encoder="resnet18", channels=(32, 32, 32), se_norm="none"))
        >>> model.eval()(torch.zeros(1, 3, 64, 64)).final.shape
        torch.Size([1, 17, 16, 16])
    """

    config_class: ClassVar[type[PCRConfig]] = PCRConfig

    def __init__(self, config: PCRConfig) -> None:
        super().__init__(config)
        self.encoder = ENCODERS[config.encoder].build()
        widths = (self.encoder.out_channels, *config.channels)
        keypoints = config.skeleton.num_keypoints
        levels = range(config.num_decoders)
        self.decoders = nn.ModuleList(_decoder(config, widths) for _ in levels)
        self.heads = nn.ModuleList(prediction_head(widths[-1], keypoints) for _ in levels)
        self.auxiliary_heads = nn.ModuleList(prediction_head(widths[-2], keypoints) for _ in levels if config.auxiliary)

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict keypoint heatmaps at every supervised head.

        The encoder runs once and every decoder reads its features. Level l predicts from the sum of the outputs of
        decoders 1 to l; the last level's heatmaps are the final ones.

        Args:
            crops: ``(B, 3, H, W)`` float, RGB, normalized with ``config.pixel_mean`` and ``pixel_std``; H and W are
                multiples of 32, usually ``config.input_size``.

        Returns:
            In evaluation mode ``final`` alone, ready to decode: ``(B, J, H/4, W/4)``, near ``[0, 1]`` after
            training, not clipped. In training mode the heads' raw outputs: of each decoder first the auxiliary head
            (if configured), then the level's own prediction, the last of which is ``final``.

        Raises:
            ValueError: if ``crops`` has another shape.
        """
        self.check_crops(crops)
        predictions = list(self._predictions(self.encoder(crops)))
        if not self.training:
            return HeatmapOutput(self.finish(predictions[-1]))
        return HeatmapOutput(predictions[-1], tuple(predictions[:-1]))

    def _predictions(self, encoded: Tensor) -> Iterator[Tensor]:
        fused: Tensor | None = None
        for level, decoder in enumerate(self.decoders):
            *earlier, last = decoder.children()
            penultimate = encoded
            for module in earlier:
                penultimate = module(penultimate)
            refined: Tensor = last(penultimate)
            fused = refined if fused is None else fused + refined
            if self.training and self.config.auxiliary:
                yield self.auxiliary_heads[level](penultimate)
            if self.training or level == self.config.num_decoders - 1:
                yield self.heads[level](fused)


def _decoder(config: PCRConfig, widths: tuple[int, ...]) -> nn.Sequential:
    """Build the K modules of one decoder; the first ones double the resolution up to a quarter of the crop's."""
    return nn.Sequential(
        *(
            ContextAwareModule(
                widths[k],
                widths[k + 1],
                stride=2 if k < config.num_upsamplings else 1,
                se=config.se,
                hdc=config.hdc,
                residual=config.residual,
                se_norm=config.se_norm,
                output_relu=config.output_relu,
            )
            for k in range(config.modules_per_decoder)
        )
    )
