"""Names and configuration of transformers' ViTPose, and ours.

Source:
    transformers, ``models/vitpose`` and ``models/vitpose_backbone``: ``VitPoseForPoseEstimation``. Of the experts of a
    ViTPose+ (``num_experts``, six in the published ones) COCO's is taken, which transformers' documentation lists as
    the first: with one data set chosen, the shared part of a block's last layer and the expert's part are the rows of
    one plain layer. The others and their data sets are left behind.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pcrpose.keypoints.skeleton import COCO_17

ARCHITECTURE = "VitPoseForPoseEstimation"
# What `ViTPose` can only be, and what transformers takes where a configuration leaves it out.
FIXED: Mapping[str, Any] = MappingProxyType(
    {
        "patch_size": [16, 16],
        "num_channels": 3,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "hidden_dropout_prob": 0,
        "attention_probs_dropout_prob": 0,
    }
)
SIZES: Mapping[str, int | float] = MappingProxyType(
    {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "mlp_ratio": 4,
        "layer_norm_eps": 1e-12,
    }
)
RENAMED: Mapping[str, str] = MappingProxyType(
    {
        r"backbone\.embeddings\.position_embeddings": "encoder.pos_embed",
        r"backbone\.embeddings\.patch_embeddings\.projection\.": "encoder.patch_embed.",
        r"backbone\.layernorm\.": "encoder.norm.",
        r"backbone\.encoder\.layer\.(\d+)\.layernorm_before\.": r"encoder.blocks.\1.norm1.",
        r"backbone\.encoder\.layer\.(\d+)\.layernorm_after\.": r"encoder.blocks.\1.norm2.",
        r"backbone\.encoder\.layer\.(\d+)\.attention\.output\.dense\.": r"encoder.blocks.\1.proj.",
        r"backbone\.encoder\.layer\.(\d+)\.mlp\.": r"encoder.blocks.\1.",
        r"head\.conv\.": "final_layer.",
        r"head\.deconv1\.": "decoder.0.",
        r"head\.batchnorm1\.": "decoder.1.",
        r"head\.deconv2\.": "decoder.3.",
        r"head\.batchnorm2\.": "decoder.4.",
    }
)
_QUERY = re.compile(r"backbone\.encoder\.layer\.(\d+)\.attention\.attention\.query\.(weight|bias)")
_EXPERT = re.compile(r"(backbone\.encoder\.layer\.\d+\.mlp\.)experts\.0\.(weight|bias)")


def is_of_transformers(config: Mapping[str, Any]) -> bool:
    """Return whether a ``config.json`` is one that transformers writes."""
    return isinstance(config.get("architectures"), list)


def config_of(config: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Return the values of a `ViTPoseConfig` from those of transformers' ``config.json``.

    What is not said there, crops, normalization and alignment, is as the published image processor has it, and so is
    the default of `ViTPoseConfig`; ``preprocessor_config.json`` is not read.

    Args:
        config: values of the file.
        source: named in errors.

    Raises:
        ValueError: for another architecture, another skeleton than COCO's, or a network that `ViTPose` cannot be.
    """
    if config["architectures"] != [ARCHITECTURE]:
        raise ValueError(f"{source}: expected the architecture {ARCHITECTURE}, found {config['architectures']}")
    backbone = config.get("backbone_config")
    if not isinstance(backbone, Mapping):
        raise ValueError(f"{source}: backbone_config: expected an object, found {backbone!r}")  # noqa: TRY004 - of a file
    for problem in _problems(config, backbone):
        raise ValueError(f"{source}: {problem}")
    height, width = _pair(backbone.get("image_size", [256, 192]))
    return {
        **{name: backbone.get(name, default) for name, default in SIZES.items()},
        "decoder": "simple" if config.get("use_simple_decoder", True) else "classic",
        "input_size": f"{height}x{width}",
    }


def _problems(config: Mapping[str, Any], backbone: Mapping[str, Any]) -> Iterator[str]:
    """Yield what keeps a network of transformers from being a `ViTPose`."""
    for name, expected in FIXED.items():
        found = backbone.get(name, expected)
        if (_pair(found) if name == "patch_size" else found) != expected:
            yield f"{name}: expected {expected}, found {found!r}"
    layers = backbone.get("num_hidden_layers", SIZES["num_hidden_layers"])
    stages = backbone.get("out_features") or [f"stage{layers}"]
    if stages != [f"stage{layers}"]:
        yield f"out_features: expected the last of {layers} stages, found {stages}"
    if config.get("use_simple_decoder", True) and config.get("scale_factor", 4) != 4:  # noqa: PLR2004 - 16 to 4 pixels
        yield f"scale_factor: expected 4, found {config['scale_factor']!r}"
    labels = [str(label) for label in (config.get("id2label") or {}).values()]
    if not _is_coco(labels):
        shown = ", ".join(labels[:3]) or "no names"
        yield f"id2label: expected the {COCO_17.num_keypoints} keypoints of COCO, found {len(labels)}: {shown}"


def _is_coco(labels: list[str]) -> bool:
    """Return whether labels are COCO's keypoints, as ``L_Eye``, or as numbers where nobody named them."""
    names = [re.sub("^l_", "left_", re.sub("^r_", "right_", label.lower())) for label in labels]
    return names == list(COCO_17.keypoints) or labels == [f"LABEL_{index}" for index in range(COCO_17.num_keypoints)]


def _pair(size: Any) -> list[Any]:  # noqa: ANN401 - whatever JSON holds
    """Return height and width; transformers writes one number for both where they are equal."""
    return list(size) if isinstance(size, list | tuple) and len(size) == 2 else [size, size]  # noqa: PLR2004 - a pair


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a ``VitPoseForPoseEstimation`` to the names of `ViTPose`.

    Queries, keys and values become one layer, and so do the shared part and COCO's expert of a ViTPose+. A name that
    is none of its own stays as it is, for strict loading to reject.

    Examples:
        >>> list(from_transformers({"head.conv.bias": torch.zeros(17), "backbone.layernorm.bias": torch.zeros(8)}))
        ['final_layer.bias', 'encoder.norm.bias']
    """
    theirs, ours = dict(tensors), {}
    for name in tensors:
        if match := _EXPERT.fullmatch(name):
            _take_expert(theirs, *match.groups())
    for name in list(theirs):
        if match := _QUERY.fullmatch(name):
            parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in theirs for part in parts):
                merged = torch.cat([theirs.pop(part) for part in parts])
                ours["encoder.blocks.{}.qkv.{}".format(*match.groups())] = merged
    return ours | {_rename(name): tensor for name, tensor in theirs.items()}


def _take_expert(tensors: dict[str, Tensor], prefix: str, kind: str) -> None:
    """Add the first expert's rows to the shared layer's, and drop all experts."""
    shared = f"{prefix}fc2.{kind}"
    if shared in tensors:
        tensors[shared] = torch.cat([tensors[shared], tensors[f"{prefix}experts.0.{kind}"]])
        for name in [name for name in tensors if re.fullmatch(rf"{re.escape(prefix)}experts\.\d+\.{kind}", name)]:
            del tensors[name]


def _rename(name: str) -> str:
    for theirs, ours in RENAMED.items():
        renamed, count = re.subn(f"^{theirs}", ours, name)
        if count:
            return renamed
    return name
