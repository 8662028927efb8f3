"""What an exported file says of itself: the model's configuration, and what is done inside."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, Self, TypeAlias, get_args

from pcrpose.files.checks import one_of
from pcrpose.keypoints.decoding import Decoding
from pcrpose.models.load import ARCHITECTURES
from pcrpose.models.pose_config import PoseConfig, config_text
from pcrpose.models.pose_model import PoseModel

Reads: TypeAlias = Literal["image", "crops"]

NETWORK = "network/"  # in front of the names of the network's nodes
NETWORK_INPUT, NETWORK_OUTPUT = "network_input", "network_output"
OUTPUTS = ("keypoints", "keypoint_scores", "keypoint_probabilities")
KEYS = ("pcrpose", "architecture", "config", "reads", "flip", "decoding")


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """The facts of one file.

    Attributes:
        architecture: name of the model's class.
        config: of the model.
        reads: ``"image"``: an image and boxes; ``"crops"``: crops.
        flip: whether the mirrored crops are averaged in.
        decoding: how peaks become coordinates.
        pcrpose: version that wrote the file.
    """

    architecture: str
    config: PoseConfig
    reads: Reads
    flip: bool
    decoding: Decoding
    pcrpose: str

    @classmethod
    def of(cls, model: PoseModel[Any], *, reads: Reads, flip: bool, decoding: Decoding) -> Self:
        """Return the facts of a file that is about to be written.

        Raises:
            ValueError: for a value that is none of the known ones.
        """
        one_of("reads", reads, get_args(Reads))
        one_of("decoding", decoding, get_args(Decoding))
        return cls(
            architecture=type(model).__name__,
            config=model.config,
            reads=reads,
            flip=flip,
            decoding=decoding,
            pcrpose=version("pcrpose"),
        )

    def to_text(self) -> dict[str, str]:
        """Return texts by key, for the metadata of a file."""
        return {
            "pcrpose": self.pcrpose,
            "architecture": self.architecture,
            "config": config_text(self.architecture, self.config),
            "reads": self.reads,
            "flip": json.dumps(self.flip),
            "decoding": self.decoding,
        }

    @classmethod
    def from_text(cls, texts: Mapping[str, str]) -> Self:
        """Rebuild what `to_text` wrote; other keys are left alone.

        Raises:
            ValueError: if a key is missing or a value not one of ours.
        """
        if missing := [key for key in KEYS if key not in texts]:
            raise ValueError(f"expected the metadata of a file that pcrpose exported, found none of {missing}")
        architecture = texts["architecture"]
        one_of("architecture", architecture, ARCHITECTURES)
        one_of("reads", texts["reads"], get_args(Reads))
        one_of("flip", texts["flip"], ("true", "false"))
        one_of("decoding", texts["decoding"], get_args(Decoding))
        values = json.loads(texts["config"])
        if not isinstance(values, dict) or values.pop("architecture", None) != architecture:
            raise ValueError(f"config: expected a configuration of {architecture}, found {texts['config']!r:.80}")
        return cls(
            architecture=architecture,
            config=ARCHITECTURES[architecture].config_class.from_dict(values),
            reads=texts["reads"],  # type: ignore[arg-type] # one of them, as checked
            flip=texts["flip"] == "true",
            decoding=texts["decoding"],  # type: ignore[arg-type] # likewise
            pcrpose=texts["pcrpose"],
        )
