"""Several models, or several views of one, as one: the mean of their heatmaps."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pcrpose.inference.ensemble_folder import Member, read_ensemble, write_ensemble
from pcrpose.keypoints.arrays import Floats
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.crop import CropSpec
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.keypoints.resample_heatmaps import HeatmapFrame, resample_heatmaps
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.ensemble_file import ENSEMBLE_FILE
from pcrpose.models.hub import find_folder
from pcrpose.models.load import load_model
from pcrpose.models.pose_config import PoseConfig
from pcrpose.models.pose_model import HeatmapOutput, PoseModel
from pcrpose.models.upload import upload_folder


class Ensemble(nn.Module):
    """The weighted mean of several models' heatmaps: a `HeatmapModel` to predict with, saved and published as one.

    Each member sees its own crop of a person, of the size, padding, blackout and alignment that it was trained with
    (`PosePredictor` cuts them). Its heatmaps are then resampled into the crop of the first member, cell by cell through
    the image, so the first one should show what matters: what lies beyond its crop is lost. A cell that a member's crop
    does not show is the mean of the others. Members that share one crop are averaged as they are.

    Members have to agree in the names and order of their keypoints. They may differ in everything else. ``"gaussian"``
    and ``"probability"`` heatmaps are both scaled so that a prediction equal to its target peaks at 1, so they are
    averaged as they are. Peaks of members that disagree do not add up: a mean is lower there, and so is its score.

    Args:
        models: one or more models, names for `load_model`, or `Member` values. Models are not copied, and are put into
            evaluation mode.
        weights: one per model; by default those of the `Member` values, 1 for others.
        mirrored: average with the heatmaps of the mirrored crops, whether or not the predictor is asked for it.

    Attributes:
        config: the first member's. Crops are to be normalized as it says; other members' normalization is made of that.
        members: the models, in order; one that has several views comes several times.
        configs: each member's, with the crops that it sees here.
        crop_specs: the different crops that the members read, the first member's first.
        mirrored: as given.

    Raises:
        TypeError: if ``models`` is no list, or holds something else.
        ValueError: if there is none, they do not agree, also in precision or device, or one gives no heatmaps.
        FileNotFoundError: as `load_model`.

    Source:
        Section 3.2 calls two networks together PCR+, without saying how they are merged; the mean is ours.

    Examples:
        >>> import torch
        >>> from pcrpose.models.pcr import PCRConfig
        >>> from pcrpose.models.pcr import PCR
        >>> small = PCRConfig(encoder="resnet_nano", channels=(16, 16, 16), se_norm="none")
        >>> both = Ensemble([PCR(small), PCR(small)])
        >>> both(torch.zeros(1, 3, 256, 192)).final.shape
        torch.Size([1, 17, 64, 48])
    """

    def __init__(
        self,
        models: "Sequence[PoseModel[Any] | str | Path | Member]",
        *,
        weights: Sequence[float] | None = None,
        mirrored: bool = False,
    ) -> None:
        if isinstance(models, PoseModel | str) or not isinstance(models, Iterable):
            raise TypeError(f"models: expected several models in a list, found {type(models).__name__}")
        given = _weighted([_member(model) for model in models], weights)
        loaded = _loaded(given)
        for number, model in enumerate(loaded[1:], start=2):
            _check_agreement(loaded[0], model, number)
        super().__init__()
        self._given = given
        self.configs = [member.changed(model.config) for member, model in zip(given, loaded, strict=True)]
        self.config: PoseConfig = self.configs[0]
        self.members = nn.ModuleList(loaded)
        self.crop_specs: tuple[CropSpec, ...] = tuple(dict.fromkeys(config.crop_spec for config in self.configs))
        self.mirrored = mirrored
        self._one_grid = all(_grid(config) == _grid(self.config) for config in self.configs)
        self.eval()

    @classmethod
    def augmented(
        cls,
        model: PoseModel[Any] | str | Path,
        *,
        paddings: Sequence[float] = (),
        input_sizes: Sequence[Size] = (),
        mirrored: bool = True,
    ) -> Self:
        """Return test-time augmentation of one model as an ensemble: the model as it is, and as it sees other crops.

        Args:
            model: or its name.
            paddings: of further crops.
            input_sizes: of further crops, each with the model's own padding.
            mirrored: average with the mirrored crops too.

        Raises:
            ValueError: as for an ensemble, or for a size that the network cannot read.
        """
        views = [Member(model=model)]
        views += [Member(model=model, padding=padding) for padding in paddings]
        views += [Member(model=model, input_size=size) for size in input_sizes]
        return cls(views, mirrored=mirrored)

    @property
    def weights(self) -> list[float]:
        """The weight of each member in the mean, as given."""
        return [member.weight for member in self._given]

    def forward(self, crops: Tensor) -> HeatmapOutput:
        """Predict heatmaps of members that share one crop, in evaluation mode.

        Args:
            crops: ``(B, 3, H, W)`` float, normalized as ``config`` says.

        Returns:
            ``final`` alone: ``(B, J, H/4, W/4)``, the mean of the members'.

        Raises:
            ValueError: if ``crops`` has another shape, or the members see different crops: those are cut out of images
                by a `PosePredictor`.
        """
        if len(self.crop_specs) > 1:
            raise ValueError(
                f"crops: expected {len(self.crop_specs)} different ones, found one tensor; these members see different "
                "crops of a person, which PosePredictor cuts"
            )
        if self._one_grid and not self.mirrored:
            return HeatmapOutput(self._mean(crops))
        same_place = np.tile(np.eye(2, 3), (len(crops), 1, 1))
        return HeatmapOutput(self.heatmaps([crops], [same_place], flip=False))

    def heatmaps(self, crops: Sequence[Tensor], matrices: Sequence[Floats], *, flip: bool) -> Tensor:
        """Predict heatmaps of persons from the different crops that the members see.

        Args:
            crops: per entry of ``crop_specs`` ``(B, 3, H, W)`` float, normalized as ``config`` says.
            matrices: per entry ``(B, 2, 3)`` float64, from image pixels to crop pixels; not mirrored, not rotated.
            flip: average each member's heatmaps with those of its mirrored crop; an ensemble that is ``mirrored`` does
                in any case.

        Returns:
            ``(B, J, h, w)`` of at least float32, in the cells of the first entry.

        Raises:
            ValueError: if the shapes do not fit.
        """
        flip = flip or self.mirrored
        if self._one_grid:
            heatmaps = _at_least_float32(self._mean(crops[0]))
            mirrored = _at_least_float32(self._mean(crops[0].flip(3))) if flip else None
            return heatmaps if mirrored is None else _merged(heatmaps, mirrored, self.config)
        frame = HeatmapFrame(self.config.codec(), matrices[0])
        total = weight = crops[0].new_zeros(())
        for given, member, config in self._ready():
            index = self.crop_specs.index(config.crop_spec)
            seen = _renormalized(crops[index], self.config, config)
            heatmaps = _at_least_float32(member(seen).final)
            if flip:
                heatmaps = _merged(heatmaps, _at_least_float32(member(seen.flip(3)).final), config)
            if _grid(config) == _grid(self.config):
                total, weight = total + given.weight * heatmaps, weight + given.weight
            else:
                moved = resample_heatmaps(heatmaps, HeatmapFrame(config.codec(), matrices[index]), frame)
                total, weight = total + given.weight * moved.heatmaps, weight + given.weight * moved.shown
        mean: Tensor = total / weight  # the first member shows every cell
        return mean

    def save(self, folder: str | Path) -> None:
        """Write a folder that `load` reads: ``ensemble.json``, and a subfolder per model that is not the zoo's.

        A model that was given by its name in the zoo, and has not been changed since, is saved as that name.

        Args:
            folder: new, empty, or a saved ensemble, which is replaced. After an error it is as it was.

        Raises:
            FileExistsError: if the folder holds anything else.
        """
        write_ensemble(Path(folder), self._loaded_members(), mirrored=self.mirrored)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load what `save` or `push` wrote; arguments as `load_model`.

        Raises:
            ValueError: for a damaged or changed file, an unknown key, or what is no ensemble.
            FileNotFoundError: if the folder, the repository or a file of it does not exist.
        """
        folder = find_folder(
            name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only
        )
        if not (folder / ENSEMBLE_FILE).is_file():
            raise ValueError(f"{name}: expected an ensemble, found no {ENSEMBLE_FILE}; use load_model for one model")
        members, mirrored = read_ensemble(folder)
        return cls(members, mirrored=mirrored)

    def push(
        self, repo_id: str, *, private: bool = False, revision: str | None = None, token: str | bool | None = None
    ) -> str:
        """Upload to the Hugging Face Hub, as one commit; ``pcrpose push`` adds a card with an image and metrics.

        Args:
            repo_id: ``owner/name``; made where it does not exist.
            private: whether a new repository is to be private.
            revision: branch; made where it does not exist.
            token: with the right to write; by default the one that was logged in with.

        Returns:
            The commit's address.

        Raises:
            OSError: if the Hub refuses or cannot be reached.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, "ensemble")
            self.save(folder)
            return upload_folder(folder, repo_id, private=private, revision=revision, token=token)

    def _mean(self, crops: Tensor) -> Tensor:
        """Return the members' mean where all share one crop and one grid of cells."""
        weights = self.weights
        heatmaps: list[Tensor] = [
            member(_renormalized(crops, self.config, config)).final for _, member, config in self._ready()
        ]
        if len(set(weights)) > 1:
            heatmaps = [weight * each for weight, each in zip(weights, heatmaps, strict=True)]
            return sum(heatmaps[1:], start=heatmaps[0]) / sum(weights)
        return sum(heatmaps[1:], start=heatmaps[0]) / len(weights)

    def _ready(self) -> Iterator[tuple[Member, nn.Module, PoseConfig]]:
        """Yield each member with its configuration, all in evaluation mode."""
        if any(member.training for member in self.members):  # somebody has trained one since
            self.eval()
        return zip(self._given, self.members, self.configs, strict=True)

    def _loaded_members(self) -> list[tuple[Member, PoseModel[Any]]]:
        return [
            (member, model)
            for member, model in zip(self._given, self.members, strict=True)
            if isinstance(model, PoseModel)
        ]


def _member(given: object) -> Member:
    if isinstance(given, Member):
        return given
    if isinstance(given, PoseModel | str | Path):
        return Member(model=given)
    if isinstance(given, nn.Module):
        raise ValueError(f"models: expected models that predict heatmaps, found a {type(given).__name__}")  # noqa: TRY004 - a model
    raise TypeError(f"models: expected those of load_model or PCR.from_pretrained, or names, found {given!r:.60}")


def _weighted(members: list[Member], weights: Sequence[float] | None) -> list[Member]:
    """Return the members with the weights of an argument."""
    if not members:
        raise ValueError("models: expected one at least, found none")
    if weights is None:
        return members
    if len(weights) != len(members):
        raise ValueError(f"weights: expected one per model, {len(members)}, found {len(weights)}")
    return [replace(member, weight=weight) for member, weight in zip(members, weights, strict=True)]


def _loaded(members: Sequence[Member]) -> list[PoseModel[Any]]:
    """Return the members' models; a name that comes several times is loaded once."""
    by_name: dict[str | Path, PoseModel[Any]] = {}
    loaded = []
    for number, member in enumerate(members, start=1):
        name = member.model
        if isinstance(name, str | Path) and name not in by_name:
            by_name[name] = load_model(name)
        model: object = by_name[name] if isinstance(name, str | Path) else name
        if not isinstance(model, PoseModel):  # coordinates, for example
            kind = type(model).__name__
            raise ValueError(f"models: expected models that predict heatmaps; model {number} is a {kind}")  # noqa: TRY004 - it may have been named
        require_heatmaps(model.config, f"models: model {number}")
        loaded.append(model)
    return loaded


def _grid(config: PoseConfig) -> tuple[CropSpec, int]:
    """Return what decides which part of the image a cell covers."""
    return config.crop_spec, config.codec().stride


def _merged(heatmaps: Tensor, mirrored: Tensor, config: PoseConfig) -> Tensor:
    return merge_mirrored(heatmaps, mirrored, config.skeleton.flip_indices, shift=config.alignment == "edge")


def _at_least_float32(heatmaps: Tensor) -> Tensor:
    return heatmaps if heatmaps.dtype == torch.float64 else heatmaps.float()


def _to_agree_in(model: PoseModel[Any]) -> dict[str, object]:
    """Return what the keypoints are, and where and how the weights are held."""
    config, parameter = model.config, next(model.parameters())
    return {
        "keypoints": list(config.skeleton.keypoints),
        "flip partners": config.skeleton.flip_indices.tolist(),
        "precision": parameter.dtype,
        "device": parameter.device,
    }


def _check_agreement(first: PoseModel[Any], other: PoseModel[Any], number: int) -> None:
    found = _to_agree_in(other)
    for name, expected in _to_agree_in(first).items():
        if found[name] != expected:
            raise ValueError(f"models: expected the {name} of the first, {expected}; model {number} has {found[name]}")


def _renormalized(crops: Tensor, given: PoseConfig, wanted: PoseConfig) -> Tensor:
    """Convert crops normalized for one model to the normalization of another; the same tensor where they agree."""
    if all(getattr(given, name) == getattr(wanted, name) for name in ("pixel_mean", "pixel_std", "channel_order")):
        return crops
    mean, std, other_mean, other_std = (
        crops.new_tensor(values).view(3, 1, 1)
        for values in (given.pixel_mean, given.pixel_std, wanted.pixel_mean, wanted.pixel_std)
    )
    if given.channel_order != wanted.channel_order:
        crops, mean, std = crops.flip(1), mean.flip(0), std.flip(0)
    return crops * (std / other_std) + (mean - other_mean) / other_std
