"""The base of every heatmap network, what it returns, and the protocol that prediction needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from pcrpose.files.atomic import write_text
from pcrpose.models.hub import find_folder, load_strictly, read_folder, write_folder
from pcrpose.models.pose_config import FINEST_STRIDE, PoseConfig, config_text

ConfigT = TypeVar("ConfigT", bound=PoseConfig)
CROP_RANK = 4
CARD_FILE = "README.md"
CARD = """---
{{ card_data }}
---

# A keypoint model saved by pcrpose

Its maker has not yet said here what it was trained on, on what terms, and how well it does.

```python
from pcrpose import load_model

model = load_model("this folder, or owner/name on the Hub")
```
"""


class HeatmapOutput(NamedTuple):
    """Heatmaps of one forward pass.

    Attributes:
        final: ``(B, J, H/4, W/4)``, the prediction to decode.
        auxiliary: the other supervised heads' heatmaps, ordered by decoder and then by depth, each at its own
            resolution; empty in evaluation mode.
    """

    final: Tensor
    auxiliary: tuple[Tensor, ...] = ()


@runtime_checkable
class HeatmapModel(Protocol):
    """A model that prediction can use: a configuration, and a forward pass to heatmaps.

    `PoseModel` is one; so may be anything else that is called with crops, whatever computes inside.
    """

    @property
    def config(self) -> PoseConfig:
        """How crops are made of an image, and keypoints of heatmaps."""

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Predict heatmaps.

        Args:
            crops: ``(B, 3, H, W)`` float, RGB, normalized by ``config.normalize``.

        Returns:
            ``final``: ``(B, J, H/4, W/4)`` float, one map per keypoint of ``config.skeleton``, for ``config.codec()``
            to decode.
        """


class PoseModel(nn.Module, PyTorchModelHubMixin, Generic[ConfigT]):
    """A network from normalized crops to heatmaps, built from one configuration; loaded and saved as safetensors.

    Args:
        config: see the class of the configuration.
    """

    config_class: ClassVar[type[PoseConfig]] = PoseConfig

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - card metadata of the hub mixin
        """Set the same card metadata for every architecture; the license is the weights' maker's to state."""
        super().__init_subclass__(
            library_name="pcrpose", pipeline_tag="keypoint-detection", model_card_template=CARD, **kwargs
        )

    @classmethod
    def from_pretrained(  # type: ignore[override] # the mixin's version pickles, ignores missing tensors, takes **kwargs
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load a model of this architecture, in evaluation mode.

        Args:
            name: a pretrained model of the zoo, a folder, or ``owner/name`` on the Hugging Face Hub.
            revision: branch, tag or commit on the Hub.
            cache_dir: where downloads are kept.
            token: of a private repository.
            local_files_only: never download.

        Raises:
            ValueError: for an unknown name (the closest are offered), another architecture, an unknown
                configuration key, or a missing, extra or misshapen tensor.
            FileNotFoundError: if the folder or repository lacks the configuration or the safetensors file.
        """
        folder = find_folder(
            name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only
        )
        stored = read_folder(folder)
        if stored.architecture != cls.__name__:
            raise ValueError(f"{name}: expected a {cls.__name__}, found a {stored.architecture}; use load_model")
        model = cls(cls.config_class.from_dict(stored.config))  # type: ignore[arg-type] # config_class is ConfigT's
        load_strictly(model, stored.tensors, name)
        return model.eval()

    def save_pretrained(  # type: ignore[override] # the mixin's deletes the old configuration first, takes **kwargs
        self,
        save_directory: str | Path,
        *,
        config: object = None,  # noqa: ARG002 - an argument of the mixin's
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Save the weights, the configuration and, where there is none, a card.

        After an error the folder holds what it held before.

        Args:
            save_directory: created if missing; other files in it stay.
            config: ignored, the model's own is written; the hub mixin's ``push_to_hub`` passes it.
            repo_id: see ``push_to_hub``; by default the folder's name.
            push_to_hub: upload, too.
            model_card_kwargs: values of the card's template.

        Returns:
            The address of the upload, None without one.

        Raises:
            OSError: if a file cannot be written.
        """
        folder = Path(save_directory)
        self._save_pretrained(folder)
        if not (folder / CARD_FILE).exists():
            write_text(folder / CARD_FILE, str(self.generate_model_card(**(model_card_kwargs or {}))))
        if not push_to_hub:
            return None
        return self.push_to_hub(repo_id or folder.name, model_card_kwargs=dict(model_card_kwargs or {}))

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights and the configuration, both or none."""
        write_folder(save_directory, config_text(type(self).__name__, self.config), self.state_dict())

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps; every architecture implements it."""
        raise NotImplementedError

    def check_crops(self, crops: Tensor) -> None:
        """Raise ValueError unless a tensor is a batch of crops that the network can read."""
        cell = self.config.coarsest_cell
        fits = crops.dim() == CROP_RANK and all(length > 0 and length % cell == 0 for length in crops.shape[2:])
        if not fits or crops.shape[1] != 3:  # noqa: PLR2004 - RGB
            raise ValueError(
                f"crops: expected (B, 3, H, W) with H and W multiples of {cell}, found {tuple(crops.shape)}"
            )
        if not crops.is_floating_point():
            raise ValueError(f"crops: expected floating point from config.normalize, found {crops.dtype}")

    def decode(self, final: Tensor) -> tuple[Tensor, Tensor]:
        """Find the keypoints in the final output of training mode.

        Args:
            final: the final head's raw output.

        Returns:
            ``(B, J, 2)`` keypoints, crop pixels, and ``(B, J)`` scores.
        """
        return self.config.codec().decode(self.finish(final.float()))

    def finish(self, logits: Tensor) -> Tensor:
        """Compute the heatmaps to decode from a head's output, as ``config.heatmaps`` says.

        A ``"probability"`` map is the softmax over its cells times the sum of the target Gaussian that stands on its
        highest cell, so that a prediction equal to its target peaks at 1, at the border too; one that is narrower
        than its target peaks higher.
        """
        if self.config.heatmaps == "gaussian":
            return logits
        probability = logits.flatten(2).softmax(dim=2)
        down, across = (
            _gaussian_sums(length, self.config.sigma / FINEST_STRIDE, logits) for length in logits.shape[2:]
        )
        sums = (down[:, None] * across).flatten()
        return (probability * sums[probability.argmax(dim=2, keepdim=True)]).view_as(logits)


def _gaussian_sums(length: int, sigma: float, like: Tensor) -> Tensor:
    """Compute ``(length,)``: the sum over an axis of a Gaussian of height 1, by the cell of its peak."""
    cells = torch.arange(length, device=like.device, dtype=like.dtype)
    return torch.exp((cells[:, None] - cells).square() / (-2 * sigma**2)).sum(dim=1)


def prediction_head(channels: int, num_keypoints: int) -> nn.Conv2d:
    """Build the 1x1 convolution that predicts heatmaps, initialized as in the published baselines."""
    head = nn.Conv2d(channels, num_keypoints, 1)
    nn.init.normal_(head.weight, std=0.001)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
    return head
