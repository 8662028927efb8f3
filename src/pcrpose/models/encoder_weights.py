"""Load pretrained weights into a model's encoder: ImageNet's, a pose network's, or our own."""

import logging
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pcrpose.models.checkpoints.original import ENCODER
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.encoder import Encoder
from pcrpose.models.hub import load_strictly, read_folder
from pcrpose.models.pose_model import PoseModel

logger = logging.getLogger(__name__)

PICKLED = (".pth", ".pt", ".bin", ".tar")
# errors that reading a broken file may raise, besides the unpickler's own
DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, struct.error, TypeError, ValueError)
COUNTER = "num_batches_tracked"  # older files lack it; it plays no part where the momentum is fixed, as here
WRAPPERS = ("state_dict", "model")  # keys under which training scripts put their tensors
PARALLEL = "module."


class LoadedEncoder(NamedTuple):
    """The tensors that `load_encoder` copied and left out.

    Attributes:
        copied: names of the encoder's tensors that were read.
        left_out: names of the file's tensors that are no part of the encoder: classifier, decoder, heads.
    """

    copied: tuple[str, ...]
    left_out: tuple[str, ...]


def load_encoder(model: PoseModel[Any], path: str | Path) -> LoadedEncoder:
    """Load the encoder of a file into a model; decoder and heads stay as they are.

    Names are recognized: those of published ResNets (torchvision's) and HRNets, of ImageNet or of pose checkpoints;
    those of EfficientNet-Lite ports; those of MoveNet as ``examples/convert_movenet.py`` writes them; and those of our
    own models.

    Args:
        model: changed in place. Its ``pixel_mean`` and ``pixel_std`` should be those the encoder was trained with.
        path: a ``.safetensors`` file, a ``.pth`` one (only tensors are unpickled, nothing is run), or a folder that
            ``save_pretrained`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely, a tensor of the encoder is missing or has another shape, or a tensor
            belongs neither to it nor to what usually stands around one. The model is as before then.
    """
    network = model.get_submodule(ENCODER.rstrip("."))
    found = _read(Path(path))
    try:
        tensors = _select(found, ENCODERS[model.config.encoder], network)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    used = {id(tensor) for tensor in tensors.values()}
    left_out = tuple(name for name, tensor in found.items() if id(tensor) not in used)
    own = network.state_dict()
    copied = tuple(name for name in own if name in tensors)
    counters = {name: own[name] for name in own if name.endswith(COUNTER) and name not in tensors}
    load_strictly(network, tensors | counters, path)
    logger.info("%s: %d tensors of the encoder, left out: %s", path, len(copied), ", ".join(left_out) or "none")
    return LoadedEncoder(copied, left_out)


def _select(found: Mapping[str, Tensor], encoder: Encoder, network: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors of a file, named as the network names them."""
    if any(name.startswith(ENCODER) for name in found):
        return {name.removeprefix(ENCODER): tensor for name, tensor in found.items() if name.startswith(ENCODER)}
    return encoder.from_published(found, network)


def _read(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        return read_folder(path).tensors
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of weights or a folder of a model, found none")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged: {error}") from error
    if path.suffix not in PICKLED:
        raise ValueError(f"{path}: expected .safetensors or one of {', '.join(PICKLED)}, found {path.suffix!r}")
    return _unwrap(_unpickle(path), path)


def _unpickle(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: expected tensors alone; this file is damaged or holds objects, which are never run"
        ) from error
    except DAMAGE as error:
        raise ValueError(f"{path}: damaged: {type(error).__name__}: {error}") from error


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:  # noqa: ANN401 - whatever the file holds
    """Return the state dict inside what a training script saved, without DataParallel's prefix."""
    if isinstance(content, Mapping):
        for key in WRAPPERS:
            content = content.get(key, content) if isinstance(content.get(key), Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path}: expected a state dict, tensors by name, found {_describe(content)}")
    return {str(name).removeprefix(PARALLEL): tensor for name, tensor in content.items()}


def _describe(content: object) -> str:
    kind = type(content).__name__
    return f"a {kind} of {', '.join(map(str, list(content)[:3]))}, ..." if isinstance(content, Mapping) else f"a {kind}"
