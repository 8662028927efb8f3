"""Convert published checkpoints: recognize whose names a file has, and fit its tensors to one of our networks."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pcrpose.models.checkpoints import mmpose, original
from pcrpose.models.checkpoints.networks import NETWORKS
from pcrpose.models.checkpoints.original import ENCODER
from pcrpose.models.checkpoints.read import read_tensors
from pcrpose.models.encoder_weights import COUNTER
from pcrpose.models.hub import SHOWN_PROBLEMS, load_strictly
from pcrpose.models.load import build_model
from pcrpose.models.pose_config import ChannelOrder, PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.simple_baseline import SimpleBaselineConfig

CLASSIFIERS = ("encoder.fc.", "encoder.classifier.", "encoder.incre_modules.")  # after renaming, of an encoder alone
# Parts of file names whose weights need what no network here does, though names and shapes fit.
OTHER_NETWORKS: Mapping[str, str] = {
    "caffe": "Caffe-style residual blocks stride in their first convolution, ours in the 3x3 one",
    "udp": "UDP's crops and heatmaps have a pixel convention that is neither of ours",
}
WORD = re.compile(r"[a-z0-9]+")
SIZE = re.compile(r"\d{3}x\d{3}")


@dataclass(frozen=True, kw_only=True)
class Family:
    """Checkpoints that name their tensors alike.

    Attributes:
        name: for users.
        marker: a name that begins so is in each of its files, and in none of the families before it.
        rename: from its names to ours.
        baseline_channels: in which order its Simple Baselines read a pixel.
    """

    name: str
    marker: str
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    baseline_channels: ChannelOrder


# The original Simple Baselines were trained on images as OpenCV reads them; mmpose converts to RGB first.
FAMILIES: tuple[Family, ...] = (
    Family(name="mmpose 0.x", marker=mmpose.HEAD_0, rename=mmpose.from_published, baseline_channels="rgb"),
    Family(name="mmpose 1.x", marker=mmpose.BACKBONE, rename=mmpose.from_published, baseline_channels="rgb"),
    Family(name="pcrpose", marker=ENCODER, rename=dict, baseline_channels="rgb"),
    Family(name="original", marker="", rename=original.from_published, baseline_channels="bgr"),
)


class Converted(NamedTuple):
    """A model that holds a checkpoint's tensors, and how the checkpoint named them."""

    model: PoseModel[Any]
    family: Family


class MisfitError(ValueError):
    """Tensors of a checkpoint that do not fit a network.

    Attributes:
        problems: one line for each: missing, unexpected, or of another shape.
    """

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        super().__init__(message)
        self.problems = problems


def convert_checkpoint(path: Path, name: str, *, channel_order: ChannelOrder | None = None) -> Converted:
    """Build a published network with the tensors of a checkpoint.

    Args:
        path: as for `read_tensors`.
        name: one of `NETWORKS`. Input sizes are not to be seen in the tensors: the name decides.
        channel_order: in which the network reads a pixel; by default, what its family of checkpoints was trained with.

    Raises:
        FileNotFoundError: if there is no such file.
        MisfitError: if tensors are missing, left over or of another shape; names of networks that fit are offered.
        ValueError: for an unknown name, a file that cannot be read safely, an encoder alone, or a file whose name says
            that it is of a network that looks alike and computes something else.
    """
    config = _find_network(name)
    _check_file_name(path, name)
    found = read_tensors(path)
    family = next(family for family in FAMILIES if any(key.startswith(family.marker) for key in found or ("",)))
    tensors = family.rename(found)
    if isinstance(config, SimpleBaselineConfig):
        config = replace(config, channel_order=family.baseline_channels)
    if channel_order is not None:
        config = replace(config, channel_order=channel_order)
    _check_fit(path, name, config, tensors)
    model = build_model(config)
    counters = {key: own for key, own in model.state_dict().items() if key.endswith(COUNTER) and key not in tensors}
    load_strictly(model, tensors | counters, path)
    return Converted(model.eval(), family)


def _find_network(name: str) -> PoseConfig:
    if name in NETWORKS:
        return NETWORKS[name]
    close = [known for known in NETWORKS if known.startswith(name.lower())] or difflib.get_close_matches(name, NETWORKS)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"expected one of {', '.join(NETWORKS)}, found {name!r}{hint}")


def _check_file_name(path: Path, name: str) -> None:
    """Raise ValueError where a file's name contradicts the network's, which its tensors could not."""
    words = WORD.findall(path.name.lower())
    for word, reason in OTHER_NETWORKS.items():
        if word in words:
            raise ValueError(f"{path}: {reason}; such weights would load and find worse keypoints")
    sizes = SIZE.findall(path.name)
    if sizes and not any(name.endswith(size) for size in sizes):
        raise ValueError(f"{path}: the file's name says {sizes[0]}, found {name}; rename the file if its name is wrong")


def _check_fit(path: Path, name: str, config: PoseConfig, tensors: Mapping[str, Tensor]) -> None:
    problems = tuple(_problems(config, tensors))
    if not problems:
        return
    if all(key.startswith(ENCODER) for key in tensors) and any(key.startswith(CLASSIFIERS) for key in tensors):
        raise ValueError(
            f"{path}: expected a pose network, found an encoder with its classifier; load_encoder(model, path) and "
            "pcrpose train-recipe --encoder take it"
        )
    rest = len(problems) - SHOWN_PROBLEMS
    shown = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else "")
    fitting = [known for known, other in NETWORKS.items() if not any(_problems(other, tensors))]
    hint = f"; it fits {' and '.join(fitting)}" if fitting else ""
    raise MisfitError(f"{path}: {len(problems)} tensors do not fit {name}: {shown}{hint}", problems)


def _problems(config: PoseConfig, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what does not fit: shapes first, which tell most, then names."""
    with torch.device("meta"):
        own = build_model(config).state_dict()
    for key, tensor in own.items():
        if key in tensors and tensors[key].shape != tensor.shape:
            yield f"{key}: expected shape {tuple(tensor.shape)}, found {tuple(tensors[key].shape)}"
    yield from (f"unexpected {key}" for key in tensors if key not in own)
    yield from (f"missing {key}" for key in own if key not in tensors and not key.endswith(COUNTER))
