"""Card of a converted checkpoint: where the weights come from, and what nobody has said about them."""

import re
from dataclasses import dataclass

from huggingface_hub import ModelCardData

from pcrpose.models.pose_config import PoseConfig

UNKNOWN = "unknown"  # the Hub's word for a license that nobody stated
IDENTIFIER = re.compile(r"[a-z0-9.-]+")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where converted weights come from.

    Attributes:
        file: name of the checkpoint, without its folders.
        sha256: of that file.
        family: whose names its tensors had: ``"mmpose 1.x"``.
        network: what it was converted as, a name of `NETWORKS`.
        license: of the weights, as the user states it.
    """

    file: str
    sha256: str
    family: str
    network: str
    license: str = UNKNOWN


def converted_card(origin: Origin, architecture: str, config: PoseConfig) -> str:
    """Return the card's text: the Hub's metadata, then Markdown. It states no metric, because none was measured."""
    plain = IDENTIFIER.fullmatch(origin.license) is not None
    metadata = ModelCardData(
        library_name="pcrpose",
        pipeline_tag="keypoint-detection",
        license=origin.license if plain else "other",
        license_name=None if plain else origin.license,
        tags=["pose-estimation", "keypoint-detection", "pcrpose"],
    )
    stated = (
        "Nobody has said on what terms they may be used."
        if origin.license == UNKNOWN
        else "Its terms are stated by whoever converted it."
    )
    return f"""\
---
{metadata.to_yaml()}
---

# {origin.network}, converted

{architecture}: {config.skeleton.num_keypoints} keypoints ({config.skeleton.name}) from a {config.input_size} \
(height x width) crop of one person. The weights are somebody else's; only names and file format were changed.

| | |
|---|---|
| file | `{origin.file}` |
| SHA-256 | `{origin.sha256}` |
| names of its tensors | {origin.family} |
| converted as | {origin.network} |
| channels of a pixel | {config.channel_order.upper()} |
| license of the weights | {origin.license} |

{stated} Nothing was measured after the conversion, and no metric is stated here.

```python
from pcrpose import load_model

model = load_model("this folder, or owner/name on the Hub")
```
"""
