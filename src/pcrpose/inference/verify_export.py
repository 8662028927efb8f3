"""Comparison of an exported file with the model that it was made of, on drawn images."""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pcrpose.data.images import open_image
from pcrpose.data.synthetic import SyntheticPoses
from pcrpose.inference.export_facts import ExportFacts
from pcrpose.inference.exported_file import Arrays, ExportedFile, Network, Whole, open_exported
from pcrpose.inference.readout import fitted_for
from pcrpose.keypoints.arrays import Bools, Floats, Image
from pcrpose.keypoints.boxes import Size
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.pose_config import PoseConfig, config_text
from pcrpose.models.pose_model import PoseModel

HEATMAP_LIMIT = 1e-4
KEYPOINT_LIMIT = 1e-2  # pixels
SCORE_LIMIT = 1e-3
PROBABILITY_LIMIT = 1e-3
CLEAR = 1e-3  # between the two best cells: below, either may be called the best
EXCEPTIONS_LIMIT = 0.005  # of the clear keypoints

# Sides are odd; boxes are fractions of them, some beyond the border: several persons, none, and one.
_SCENES = (
    (
        Size(width=403, height=301),
        ((0, 0, 1, 1), (0.1, 0.1, 0.5, 0.9), (0.6, -0.2, 1.3, 0.7), (-0.3, 0.5, 0.2, 1.4), (0.4, 0.4, 0.5, 0.6)),
    ),
    (Size(width=97, height=211), ()),
    (Size(width=211, height=97), ((0.2, 0.05, 0.85, 0.95),)),
)


@dataclass(frozen=True, kw_only=True)
class ExportDifferences:
    """The largest differences between an exported file and its model.

    Attributes:
        heatmaps: of a cell, with the same crops given to both.
        keypoints: of a clear keypoint, pixels, exceptions left out; clear are those whose two best cells differ by more
            than `CLEAR`.
        keypoint_scores: of any keypoint, from image and boxes on.
        keypoint_probabilities: likewise; None where the model has no calibration.
        clear_keypoints: how many were compared.
        exceptions: how many of these differ by more than `KEYPOINT_LIMIT`.
    """

    heatmaps: float
    keypoints: float
    keypoint_scores: float
    keypoint_probabilities: float | None
    clear_keypoints: int
    exceptions: int

    @property
    def problems(self) -> list[str]:
        """What is beyond its limit, in words; empty for a file that is as its model."""
        found = []
        if not self.heatmaps <= HEATMAP_LIMIT:
            found.append(f"heatmaps: expected differences of at most {HEATMAP_LIMIT:g}, found {self.heatmaps:.2g}")
        if self.exceptions > EXCEPTIONS_LIMIT * self.clear_keypoints:
            most = f"at most {EXCEPTIONS_LIMIT:.1%} of them beyond {KEYPOINT_LIMIT:g} pixels"
            found.append(f"keypoints: expected {most}, found {self.exceptions} of {self.clear_keypoints}")
        if not self.keypoint_scores <= SCORE_LIMIT:
            expected = f"keypoint_scores: expected differences of at most {SCORE_LIMIT:g}"
            found.append(f"{expected}, found {self.keypoint_scores:.2g}")
        if self.keypoint_probabilities is not None and not self.keypoint_probabilities <= PROBABILITY_LIMIT:
            expected = f"keypoint_probabilities: expected differences of at most {PROBABILITY_LIMIT:g}"
            found.append(f"{expected}, found {self.keypoint_probabilities:.2g}")
        return found

    def check(self) -> None:
        """Raise ValueError if anything is beyond its limit."""
        if problems := self.problems:
            raise ValueError("; ".join(problems))


def verify_export(path: str | Path, model: PoseModel[Any]) -> ExportDifferences:
    """Compare an exported file with the model that it was made of.

    Images are drawn, with boxes inside and beyond the border, one box and none. Heatmaps are compared with the same
    crops given to both, keypoints from image and boxes on.

    Args:
        path: of the file.
        model: the one that was exported; it stays as it is.

    Returns:
        The largest differences; its ``problems`` says which are too large.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: without the runtime, the extra ``export`` or ``openvino``.
        ValueError: if it is no whole file of `export_model`, or one of a model of another configuration.
    """
    require_heatmaps(model.config, "verify_export")
    file = open_exported(Path(path))
    found, given = file.facts, (type(model).__name__, model.config)
    if config_text(found.architecture, found.config) != config_text(*given):
        where = f" (differs in {', '.join(_differing(found.config, given[1]))})" * (found.architecture == given[0])
        raise ValueError(
            f"{path}: expected a file of this {given[0]}, found another configuration, of {found.architecture}{where}"
        )
    return compare(file, model)


def _differing(one: PoseConfig, other: PoseConfig) -> list[str]:
    """Return the names of the fields in which two configurations of one class differ."""
    names = [field.name for field in dataclasses.fields(one)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def compare(file: ExportedFile, model: PoseModel[Any]) -> ExportDifferences:
    """Compare an open file with a model of the same configuration."""
    reference, whole, network = _Reference(model, file.facts), file.whole(), file.network()
    compared = [_compared(reference, image, boxes, whole, network) for image, boxes in _scenes()]
    heatmaps, clear, distances, scores, probabilities = (
        np.concatenate([values.ravel() for values in each]) for each in zip(*compared, strict=True)
    )
    far = clear & ~(distances <= KEYPOINT_LIMIT)
    return ExportDifferences(
        heatmaps=float(heatmaps.max()),
        keypoints=float(distances[clear & ~far].max(initial=0)),
        keypoint_scores=float(scores.max()),
        keypoint_probabilities=float(probabilities.max()) if probabilities.size else None,
        clear_keypoints=int(clear.sum()),
        exceptions=int(far.sum()),
    )


def _scenes() -> Iterator[tuple[Image, Floats]]:
    """Yield drawn images and their boxes, exact in float32."""
    for size, fractions in _SCENES:
        image = open_image(SyntheticPoses(count=1, seed=1, size=size, max_persons=3).image(0)[0].image)
        sides = np.array([size.width - 1, size.height - 1] * 2)
        yield image, np.round(np.array(fractions).reshape(-1, 4) * sides, 1).astype(np.float32).astype(np.float64)


class _Expected(NamedTuple):
    """What a model finds in crops; the middle three averaged over both passes, as told."""

    raw: Tensor
    heatmaps: Tensor
    keypoints_crop: Tensor
    scores: Tensor
    probabilities: Tensor


class _Reference:
    """The model, copied, and what a file does around it, by this library."""

    def __init__(self, model: PoseModel[Any], facts: ExportFacts) -> None:
        self.facts = facts
        self.config: PoseConfig = model.config
        fitted = fitted_for(model.config, flip=facts.flip, decoding=facts.decoding, log=False)  # the export has said it
        self.calibration = fitted.probabilities
        self._model = copy.deepcopy(model).to(device="cpu", dtype=torch.float32).eval()
        self._codec = replace(self.config.codec(), decoding=facts.decoding)

    @torch.inference_mode()
    def __call__(self, normalized: Tensor) -> _Expected:
        """Run the model on ``(B, 3, H, W)`` crops and, behind them, the mirrored ones if the file has them."""
        raw: Tensor = self._model(normalized).final
        heatmaps = raw
        if self.facts.flip:
            first, second = raw.tensor_split(2)
            shift = self.config.alignment == "edge"
            heatmaps = merge_mirrored(first, second, self.config.skeleton.flip_indices, shift=shift)
        keypoints, scores = self._codec.decode(heatmaps)
        probabilities = scores[:0] if self.calibration is None else self.calibration(heatmaps)
        return _Expected(raw, heatmaps, keypoints, scores, probabilities)


def _compared(
    reference: _Reference, image: Image, boxes: Floats, whole: Whole, network: Network
) -> tuple[Floats, Bools, Floats, Floats, Floats]:
    """Return differences of heatmaps; of each keypoint, whether it is clear, its distance and differences of scores."""
    config, facts = reference.config, reference.facts
    crops, pixels = config.crop_spec.cut(image, boxes)
    inputs: Arrays = (
        {"image": image, "boxes_xyxy": boxes.astype(np.float32)} if facts.reads == "image" else {"crops": pixels}
    )
    found = whole(inputs)
    shape = (len(boxes), config.skeleton.num_keypoints)
    shapes = [(*shape, 2), shape, shape][: 2 + (reference.calibration is not None)]
    if [each.shape for each in found] != shapes:
        raise ValueError(f"expected outputs of shape {shapes}, found {[each.shape for each in found]}")
    if not len(boxes):
        nothing = np.zeros(0)
        return nothing, nothing.astype(bool), nothing, nothing, nothing
    normalized = config.normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    if facts.flip:
        normalized = torch.cat([normalized, normalized.flip(3)])
    expected = reference(normalized)
    heatmaps = np.abs(network(normalized.contiguous().numpy()) - expected.raw.numpy())
    best = expected.heatmaps.flatten(2).topk(2).values
    keypoints = expected.keypoints_crop.double().numpy()
    if facts.reads == "image":
        keypoints = crops.inverse(keypoints)
    distances = np.linalg.norm(found[0] - keypoints, axis=-1)
    scores = np.abs(found[1] - expected.scores.numpy())
    probabilities = np.abs(found[2] - expected.probabilities.numpy()) if len(found) > 2 else np.zeros(0)  # noqa: PLR2004
    return heatmaps, (best[..., 0] - best[..., 1] > CLEAR).numpy(), distances, scores, probabilities
