"""The configuration that all models share: a frozen value, saved as JSON beside the weights.

Crop padding, normalization and target sigma are configured here; `CropSpec` carries the crop's part to the data.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from pcrpose.files.checks import positive
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.calibration import Calibration
from pcrpose.keypoints.crop import Alignment, CropSpec
from pcrpose.keypoints.heatmap import HeatmapCodec
from pcrpose.keypoints.skeleton import COCO_17, Skeleton
from pcrpose.models.supervision import Supervision

HeatmapKind = Literal["gaussian", "probability"]
ChannelOrder = Literal["rgb", "bgr"]
FINEST_STRIDE = 4  # every model here predicts at a quarter of the crop's resolution
COARSEST_STRIDE = 32
OLD_SPELLINGS = {"alignment": {"centre": "center"}}  # in what version 0.1.0 saved
USUAL_INPUT = Size(width=192, height=256)


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """How a model's input is made of an image, and keypoints of its output.

    Attributes:
        skeleton: the keypoints it predicts, in the order of its heatmaps.
        input_size: of the crops it was trained on, multiples of 32 (of less for some encoders, see `coarsest_cell`).
        pixel_mean: of the channels in the order that the network reads, after division by 255.
        pixel_std: likewise.
        channel_order: in which the network reads a pixel; ``"bgr"`` for published weights that were trained so.
        sigma: of the target Gaussians, crop pixels: 8 is the published 2 cells of stride 4.
        alignment: pixel convention of crops and heatmaps; ``"edge"`` and ``"udp"`` for published third-party weights.
        heatmaps: ``"gaussian"``: the network's output is the map (squared-error training).
            ``"probability"``: the output is normalized over the cells of a map and scaled so that a perfect
            prediction peaks at 1 (cross-entropy training).
        padding: factor from a person's box to the crop.
        blackout: factor on a person's box beyond which its crop is black, so that neighbors are not seen; None shows
            everything.
        calibration: what turns the heatmaps of the weights beside it into probabilities; None without one, and for
            weights that have changed since it was fitted.

    Raises:
        ValueError: for a field of another type than declared, an input size that the coarsest cell does not divide,
            a sigma, padding, blackout or deviation that is not positive, or a calibration that was fitted for other
            keypoints or crops.
    """

    skeleton: Skeleton = COCO_17
    input_size: Size = USUAL_INPUT
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    sigma: float = 8.0
    alignment: Alignment = "center"
    heatmaps: HeatmapKind = "gaussian"
    padding: float = 1.25
    blackout: float | None = None
    channel_order: ChannelOrder = "rgb"
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, hint = getattr(self, field.name), hints[field.name]
            if not _fits(value, hint):
                raise ValueError(f"{field.name}: expected {_describe(hint)}, found {value!r}")
        cell = self.coarsest_cell
        if self.input_size.width % cell or self.input_size.height % cell:
            raise ValueError(f"input_size: expected multiples of {cell}, found {self.input_size}")
        positive("sigma", self.sigma)
        positive("padding", self.padding)
        positive("pixel_std", min(self.pixel_std))
        if self.blackout is not None:
            positive("blackout", self.blackout)
        if self.calibration is not None:
            self.calibration.check_fits(self.skeleton.keypoints, self.input_size)

    @property
    def coarsest_cell(self) -> int:
        """Crop pixels of the largest cell inside the network; width and height of a crop are multiples of it."""
        return COARSEST_STRIDE

    @property
    def crop_spec(self) -> CropSpec:
        """The size, padding, alignment and blackout of this model's crops."""
        return CropSpec(
            input_size=self.input_size, padding=self.padding, alignment=self.alignment, blackout=self.blackout
        )

    def codec(self) -> HeatmapCodec:
        """Build the codec that made this model's targets and reads its heatmaps."""
        return HeatmapCodec(
            input_size=self.input_size, stride=FINEST_STRIDE, sigma=self.sigma, alignment=self.alignment
        )

    def supervision(self) -> Supervision:
        """Return how the heads are trained: all alike, unless an architecture says otherwise."""
        return Supervision()

    def normalize(self, crops: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normalize ``(B, 3, H, W)`` uint8 RGB crops to what the network reads: ``(value / 255 - mean) / std``.

        Where ``channel_order`` is ``"bgr"``, the channels are reversed first.
        """
        mean, std = (
            torch.tensor(values, dtype=dtype, device=crops.device).view(3, 1, 1)
            for values in (self.pixel_mean, self.pixel_std)
        )
        ordered = crops.flip(1) if self.channel_order == "bgr" else crops
        return (ordered.to(dtype) / 255 - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON; without the key ``calibration`` where there is none."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"skeleton": self.skeleton.to_dict(), "input_size": str(self.input_size)}
        calibration = values.pop("calibration")
        return values if calibration is None else values | {"calibration": calibration.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild what `to_dict` wrote; keys left out take their defaults.

        Raises:
            ValueError: for an unknown key or a value of the wrong type.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{cls.__name__}: unknown config keys {unknown}; known are {sorted(known)}")
        return cls(**{key: _from_json(key, value) for key, value in values.items()})


def _from_json(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Rebuild a field's value from JSON's; what does not look like one is left for the class to reject."""
    try:
        if key == "skeleton" and isinstance(value, Mapping):
            return Skeleton.from_dict(value)
        if key == "input_size" and isinstance(value, str):
            return Size.parse(value)
        if key == "calibration" and isinstance(value, Mapping):
            return Calibration.from_dict(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config key {key!r}: {error}") from error
    if isinstance(value, str):
        return OLD_SPELLINGS.get(key, {}).get(value, value)
    return tuple(value) if isinstance(value, list) else value


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - type expressions have no type of their own
    """Return whether a value is what a field's annotation says; numbers are finite and no truth values."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in choices
    if origin is types.UnionType:
        return any(_fits(value, choice) for choice in choices)
    if origin is tuple and isinstance(value, tuple):
        kinds = (choices[0],) * len(value) if choices[-1] is Ellipsis else choices
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, origin or hint)


def _describe(hint: Any) -> str:  # noqa: ANN401 - as above
    if typing.get_origin(hint) is Literal:
        return f"one of {list(typing.get_args(hint))}"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def config_text(architecture: str, config: PoseConfig) -> str:
    """Return a configuration as the JSON text that is saved beside the weights."""
    return json.dumps({"architecture": architecture, **config.to_dict()}, indent=2) + "\n"
