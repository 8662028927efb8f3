"""Initial weights of a recipe's first stage: of an encoder, or of a whole network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch

from pcrpose.files.digest import SHORT_LENGTH
from pcrpose.models.encoder_weights import load_encoder
from pcrpose.models.hub import describe_weights
from pcrpose.models.load import build_model, load_model
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel
from pcrpose.models.replace_skeleton import replace_skeleton


@dataclass(frozen=True)
class Encoder:
    """Start from an encoder's weights, ImageNet's mostly; everything else is random.

    Attributes:
        name: what `load_encoder` takes.
    """

    name: str | Path
    key: ClassVar[str] = "initial_encoder"

    def build(self, config: PoseConfig, seed: int) -> PoseModel[Any]:
        """Build the network; raises as `load_encoder`."""
        model = random_model(config, seed)
        load_encoder(model, self.name)
        return model


@dataclass(frozen=True)
class Weights:
    """Start from a whole network, whose configuration has to be the one asked for.

    Keypoints, input size and sigma may differ; heads keep the rows of keypoints of the same name, see
    `replace_skeleton`.

    Attributes:
        name: what `load_model` takes.
    """

    name: str | Path
    key: ClassVar[str] = "initial_model"

    def build(self, config: PoseConfig, seed: int) -> PoseModel[Any]:
        """Build the network; raises as `load_model`, and ValueError for another network than ``config`` describes."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            given = load_model(self.name)
            model = replace_skeleton(given, config.skeleton, input_size=config.input_size, sigma=config.sigma)
        if model.config != config:
            ours, its = config.to_dict(), model.config.to_dict()
            other = [f"{name} {its.get(name)}" for name in {**its, **ours} if its.get(name) != ours.get(name)]
            kind = type(config).__name__
            raise ValueError(f"{self.key} {self.name}: expected the network of {kind} that is asked for, found {other}")
        return model


Start: TypeAlias = Encoder | Weights


def random_model(config: PoseConfig, seed: int) -> PoseModel[Any]:
    """Build a network of random weights that are a function of the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(config)


def describe_start(start: Start | None, *, begun: bool) -> dict[str, Any]:
    """Return what a run starts from, as values for its record: name and SHA-256 under the start's key.

    Args:
        start: None for random weights.
        begun: a checkpoint holds what became of the weights; they may then be gone, and have no digest.
    """
    facts: dict[str, Any] = {Encoder.key: None, Weights.key: None}
    if start is not None:
        try:
            facts[start.key] = describe_weights(start.name)
        except (FileNotFoundError, ValueError):
            if not begun:
                raise
            facts[start.key] = {"name": Path(start.name).name, "sha256": None}
    return facts


def check_same_start(noted: Mapping[str, Any], now: Mapping[str, Any], where: Path) -> None:
    """Raise ValueError unless two records of `describe_start` are of the same weights, whatever their folder's name.

    Weights that are gone are compared by name.
    """
    for key in (Encoder.key, Weights.key):
        before, present = noted.get(key), now[key]
        if before is None or present is None:
            same = before is present
        else:
            what = "name" if present["sha256"] is None else "sha256"
            same = before[what] == present[what]
        if not same:
            raise ValueError(
                f"{where}: began with {key} {_named(before)}, found {_named(present)} now; choose another folder"
            )


def _named(fact: Mapping[str, Any] | None) -> str:
    if fact is None:
        return "none"
    return f"{fact['name']} ({fact['sha256'][:SHORT_LENGTH]})" if fact["sha256"] else str(fact["name"])
