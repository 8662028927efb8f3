"""Load pretrained weights into a model's encoder: ImageNet's, a pose network's, or our own."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from pcrpose.files.json import read_json
from pcrpose.models.checkpoints.mmpose import BACKBONE
from pcrpose.models.checkpoints.original import ENCODER
from pcrpose.models.checkpoints.read import SUFFIXES, read_tensors
from pcrpose.models.encoders import ENCODERS
from pcrpose.models.encoders.encoder import Encoder, Published
from pcrpose.models.hub import CONFIG_FILE, WEIGHTS_FILE, find_folder, load_strictly
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import PoseModel

logger = logging.getLogger(__name__)

COUNTER = "num_batches_tracked"  # older files lack it; it plays no part where the momentum is fixed, as here


class LoadedEncoder(NamedTuple):
    """The tensors that `load_encoder` copied and left out.

    Attributes:
        copied: names of the encoder's tensors that were read.
        left_out: names of the file's tensors that are no part of the encoder: classifier, decoder, heads.
        differences: what makes the features others than the published network's: padding, normalization.
    """

    copied: tuple[str, ...]
    left_out: tuple[str, ...]
    differences: tuple[str, ...] = ()


class _Found(NamedTuple):
    """Tensors by the names of their maker, and what is said of them: file, configuration (empty if there is none)."""

    tensors: dict[str, Tensor]
    file: Path
    config: Mapping[str, Any]


def load_encoder(model: PoseModel[Any], path: str | Path) -> LoadedEncoder:
    """Load the encoder of a file into a model; decoder and heads stay as they are.

    Names are recognized: those of torchvision and timm for ResNets, HRNets, MobileNetV2 and EfficientNet; those of
    published pose checkpoints, mmpose's included; those of EfficientNet-Lite ports; those of MoveNet as
    ``examples/convert_movenet.py`` writes them; and those of our own models. Where the features are not the published
    ones all the same, because the encoder pads otherwise or the model normalizes otherwise, a warning and
    ``differences`` say so.

    Args:
        model: changed in place. Its ``pixel_mean`` and ``pixel_std`` should be those the encoder was trained with.
        path: a ``.safetensors`` file; a ``.pth`` one (only tensors are unpickled, nothing is run); a folder with
            ``model.safetensors``, of ours or downloaded; a name of the zoo; or ``owner/name`` on the Hugging Face Hub,
            timm's repositories included: ``timm/resnet50.a1_in1k``.

    Raises:
        FileNotFoundError: if there is no such file or repository.
        ValueError: if the model has no encoder of the table, the file cannot be read safely, it is of another network,
            a tensor of the encoder is missing or has another shape, or a tensor belongs neither to it nor to what
            usually stands around one. The model is as before then.
    """
    encoder: str = getattr(model.config, "encoder", "")
    if encoder not in ENCODERS:
        raise ValueError(f"encoder: expected a network with one of {list(ENCODERS)}, found a {type(model).__name__}")
    network = model.get_submodule(ENCODER.rstrip("."))
    row = ENCODERS[encoder]
    found = _read(path)
    try:
        name = _published_name(found, row)
        selected = _select(found.tensors, row, network)
        published = row.published[name] if name else None
        tensors = selected if published is None else published.adapt(selected)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    used = {id(tensor) for tensor in selected.values()}
    left_out = tuple(key for key, tensor in found.tensors.items() if id(tensor) not in used)
    own = network.state_dict()
    copied = tuple(key for key in own if key in tensors)
    counters = {key: own[key] for key in own if key.endswith(COUNTER) and key not in tensors}
    load_strictly(network, tensors | counters, path)
    differences = tuple(_differences(found, published, model.config))
    logger.info("%s: %d tensors of the encoder, left out: %s", path, len(copied), ", ".join(left_out) or "none")
    for difference in differences:
        logger.warning("%s: %s", path, difference)
    return LoadedEncoder(copied, left_out, differences)


def _select(found: Mapping[str, Tensor], row: Encoder, network: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors of a file, named as the network names them."""
    for prefix in (ENCODER, BACKBONE):
        inside = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
        if inside:
            return inside
    return row.from_published(found, network)


def _published_name(found: _Found, row: Encoder) -> str | None:
    """Return which published network tensors are of, or None: of ours, or of another project.

    Its configuration says it, or the beginning of the file's name; else it is the first whose names the tensors have.
    """
    stated = found.config.get("architecture")
    ours = any(name.startswith(ENCODER) for name in found.tensors)
    if isinstance(stated, str) and row.published and not ours:
        if stated not in row.published:
            raise ValueError(f"expected the weights of {' or '.join(row.published)}, found those of {stated}")
        return stated
    named = [name for name, published in row.published.items() if any(key in found.tensors for key in published.holds)]
    if not named:
        return None
    return max(named, key=lambda name: (found.file.name.startswith(name), -named.index(name)))


def _differences(found: _Found, published: Published | None, ours: PoseConfig) -> list[str]:
    """Return what makes features others than the published network's, one sentence each."""
    differences = [published.difference] if published is not None and published.difference else []
    for name, theirs in _input(found).items():
        own = getattr(ours, name)
        own = list(own) if isinstance(own, tuple) else own
        if theirs not in (None, own):
            differences.append(f"it was trained with {name} {theirs}, the model has {own}")
    return differences


def _input(found: _Found) -> dict[str, object]:
    """Return how pixels were normalized for a network, as far as its configuration or its tensors' names say."""
    timm = found.config.get("pretrained_cfg")
    timm = timm if isinstance(timm, Mapping) else {}
    baseline = "conv1.weight" in found.tensors and "deconv_layers.0.weight" in found.tensors  # see `convert.FAMILIES`
    return {
        "pixel_mean": found.config.get("pixel_mean", timm.get("mean")),
        "pixel_std": found.config.get("pixel_std", timm.get("std")),
        "channel_order": found.config.get("channel_order", "bgr" if baseline and not found.config else None),
    }


def _read(path: str | Path) -> _Found:
    """Read a file, a folder, or what a name leads to; a folder's configuration may be of any project."""
    local = Path(path)
    if local.is_file() or local.suffix in SUFFIXES or (isinstance(path, Path) and not local.is_dir()):
        return _Found(read_tensors(local), local, {})
    folder = find_folder(path)
    if not (folder / WEIGHTS_FILE).is_file():
        raise FileNotFoundError(
            f"{folder}: expected {WEIGHTS_FILE} in it (pickled weights are read by their file's name)"
        )
    config = read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    return _Found(
        read_tensors(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE, config if isinstance(config, Mapping) else {}
    )
