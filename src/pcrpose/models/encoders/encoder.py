"""The base of every encoder network, and one row of the table of encoders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


class EncoderNetwork(nn.Module):
    """A network without its classifier: ``(B, 3, H, W)`` normalized crops to ``(B, out_channels, H/s, W/s)`` features.

    Attributes:
        out_channels: width of the features.
    """

    out_channels: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network of timm or torchvision whose weights an encoder takes.

    Attributes:
        holds: names of tensors, one of which each of its files holds: the first layer's, by project.
        adapt: from its tensors, renamed, to those of the encoder; the same tensors by default.
        difference: what the encoder computes otherwise, for users; empty where the features are equal.
    """

    holds: tuple[str, ...]
    adapt: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    difference: str = ""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One row of the table of encoders.

    Attributes:
        build: build the network with fresh weights.
        stride: crop pixels per feature cell.
        coarsest_cell: crop pixels of the largest cell inside; width and height of a crop are multiples of it.
        from_published: select the encoder's tensors from a published state dict and rename them to those of the
            network, its second argument. What belongs around an encoder (a classifier, pose heads) is left out; any
            other tensor is passed on under its own name, for strict loading to reject. Raises ValueError where the
            state dict is of another network.
        published: networks of timm and torchvision whose weights fit, by the name that their project gives them.
    """

    build: Callable[[], EncoderNetwork]
    stride: int
    coarsest_cell: int
    from_published: Callable[[Mapping[str, Tensor], nn.Module], dict[str, Tensor]]
    published: Mapping[str, Published] = field(default_factory=dict)
