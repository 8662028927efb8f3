"""The network of an exported file as a model: for `PosePredictor`, without torch's own computing."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcrpose.files.checks import at_least, one_of
from pcrpose.inference.exported_file import Precision, open_exported
from pcrpose.models.pose_model import HeatmapOutput

_PRECISIONS: dict[torch.dtype, Precision] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class ExportedModel:
    """Run the network of a file that `export_model` wrote, by onnxruntime or OpenVINO, on the processor.

    It is a `HeatmapModel`: the predictor crops, mirrors and decodes, as it is told, and asks the file for heatmaps
    only. Whoever wants what the file does by itself runs it without this library.

    Args:
        path: ``.onnx``, or ``.xml`` with its ``.bin`` beside it.
        threads: of the processor; None lets the runtime choose.
        dtype: to compute in: ``torch.float32``, or ``torch.bfloat16`` for OpenVINO files, on processors that have it.

    Attributes:
        config: of the model that was exported.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: without the runtime, the extra ``export`` or ``openvino``.
        ValueError: if it is no whole file of `export_model`, or an argument is out of its range.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None, dtype: torch.dtype = torch.float32) -> None:
        if threads is not None:
            at_least("threads", threads, 1)
        one_of("dtype", dtype, _PRECISIONS)
        file = open_exported(Path(path), threads=threads, precision=_PRECISIONS[dtype])
        self.config = file.facts.config
        self._network = file.network()

    def __call__(self, crops: Tensor, /) -> HeatmapOutput:
        """Predict heatmaps.

        Args:
            crops: ``(B, 3, H, W)`` float, normalized by ``config.normalize``, of ``config.input_size``.

        Returns:
            ``final``: ``(B, J, H/4, W/4)`` float32.

        Raises:
            ValueError: if the crops have another size.
        """
        size = self.config.input_size
        if crops.shape[1:] != (3, size.height, size.width):
            expected, found = f"(B, 3, {size.height}, {size.width})", tuple(crops.shape)
            raise ValueError(f"crops: expected {expected}, which the file was exported for, found {found}")
        if not len(crops):
            cells = self.config.codec().heatmap_size()
            return HeatmapOutput(torch.zeros(0, self.config.skeleton.num_keypoints, cells.height, cells.width))
        given = np.ascontiguousarray(crops.detach().to(device="cpu", dtype=torch.float32).numpy())
        return HeatmapOutput(torch.from_numpy(self._network(given)))
