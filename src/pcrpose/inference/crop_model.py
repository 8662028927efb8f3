"""A model and how it is run: crops of an image in, heatmaps of one or two passes out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcrpose.inference.ensemble import Ensemble
from pcrpose.inference.readout import Passes
from pcrpose.inference.runtime import Runtime, input_of, limited_threads
from pcrpose.inference.stream import CropBatch
from pcrpose.keypoints.arrays import Floats, Image
from pcrpose.keypoints.crop import Crops, CropSpec
from pcrpose.keypoints.heatmap import merge_mirrored
from pcrpose.models.deeppose import DeepPoseConfig, merge_mirrored_coordinates
from pcrpose.models.pose_model import HeatmapModel


@dataclass(frozen=True, eq=False, kw_only=True)
class CropModel:
    """Run a model on persons' crops.

    Attributes:
        model: where and in the precision that `pcrpose.inference.runtime.place` has put it.
        runtime: threads, and the type of the crops of a model that is no module.
        flip: run the mirrored crops too, and average.
    """

    model: HeatmapModel
    runtime: Runtime
    flip: bool

    @property
    def specs(self) -> tuple[CropSpec, ...]:
        """The kinds of crops that the model reads; heatmaps are in the cells of the first."""
        return self.model.crop_specs if isinstance(self.model, Ensemble) else (self.model.config.crop_spec,)

    def cut(self, image: Image, boxes_xyxy: Floats) -> tuple[Crops, CropBatch]:
        """Cut the crops of an image's persons; the crops of the first kind are returned beside the batch."""
        cut = [spec.cut(image, boxes_xyxy) for spec in self.specs]
        batch = CropBatch(pixels=tuple(pixels for _, pixels in cut), matrices=tuple(crops.matrices for crops, _ in cut))
        return cut[0][0], batch

    @torch.inference_mode()
    def __call__(self, batch: CropBatch) -> Passes:
        """Return heatmaps, or coordinates, of at least float32; with ``flip`` averaged with the mirrored crops'."""
        if isinstance(self.model, nn.Module) and self.model.training:  # somebody has trained it since
            self.model.eval()
        device, dtype = input_of(self.model, self.runtime)
        with limited_threads(self.runtime.threads):
            crops = [torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2) for pixels in batch.pixels]
            normalized = [self.model.config.normalize(each, dtype) for each in crops]
            if isinstance(self.model, Ensemble):
                return Passes(self.model.heatmaps(normalized, batch.matrices, flip=self.flip))
            plain = self._final(normalized[0])
            if not self.flip:
                return Passes(plain, plain)
            mirrored = self._final(normalized[0].flip(3))
            return Passes(self._merged(plain, mirrored), plain, mirrored)

    def _merged(self, output: Tensor, mirrored: Tensor) -> Tensor:
        config = self.model.config
        if isinstance(config, DeepPoseConfig):
            return merge_mirrored_coordinates(output, mirrored, config.skeleton.flip_indices)
        return merge_mirrored(output, mirrored, config.skeleton.flip_indices, shift=config.alignment == "edge")

    def _final(self, crops: Tensor) -> Tensor:
        final: Tensor = self.model(crops).final
        return final if final.dtype == torch.float64 else final.float()
