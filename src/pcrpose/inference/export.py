"""Export of a model to one file that needs neither torch nor this library."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pcrpose.files.atomic import write_together
from pcrpose.files.checks import one_of
from pcrpose.inference.export_facts import ExportFacts
from pcrpose.inference.exported_file import SUFFIXES, ExportFormat, need_packages, open_exported
from pcrpose.inference.pose_graph import pose_model_proto
from pcrpose.inference.readout import fitted_for
from pcrpose.inference.verify_export import ExportDifferences, compare
from pcrpose.keypoints.decoding import Decoding
from pcrpose.models.deeppose import require_heatmaps
from pcrpose.models.pose_model import PoseModel

_LARGEST = 2**31 - 2**24  # bytes of weights: protobuf ends at 2 GiB


def export_model(
    model: PoseModel[Any],
    path: str | Path,
    *,
    format: ExportFormat = "onnx",  # noqa: A002 - the word that everybody uses
    crops: bool = False,
    flip: bool = True,
    decoding: Decoding = "dark",
) -> ExportDifferences:
    """Write a model and everything around it as one file, and verify it.

    The file takes ``image``, ``(H, W, 3)`` uint8 RGB of any size, and ``boxes_xyxy``, ``(N, 4)`` float32, N from 0 up.
    It returns ``keypoints``, ``(N, J, 2)`` float32, image pixels; ``keypoint_scores``, ``(N, J)``; and, where the
    model has a calibration of this ``flip`` and ``decoding``, ``keypoint_probabilities``, ``(N, J)``. Cropping,
    normalization, the mirrored pass and the decoding are inside, as `PosePredictor` does them. A box that is not
    finite, is inverted or lies outside the image gives NaN, and scores of 0. OKS-NMS is not inside.

    Memory grows with the part of the image under the largest window, and by a crop per person; an ONNX file puts 32
    persons at a time through the network, an OpenVINO file all of them.

    Args:
        model: one that predicts heatmaps; it stays as it is.
        path: of the file: ``.onnx``; or ``.xml``, beside which a ``.bin`` with the weights is written.
        format: ``"onnx"``, for onnxruntime and others, or ``"openvino"``.
        crops: the file takes ``crops`` in the place of image and boxes: ``(N, H, W, 3)`` uint8 RGB of the model's input
            size. Keypoints are in pixels of the crop. OpenVINO files have to: it computes in float32 what is
            float64 in our crops, and keypoints come out up to a tenth of a pixel elsewhere.
        flip: average with the heatmaps of the mirrored crop: better and twice the work.
        decoding: how peaks become coordinates, see `HeatmapCodec`.

    Returns:
        How much the file differs from the model, see `verify_export`.

    Raises:
        ImportError: without the extra ``export`` or, for OpenVINO, ``openvino`` beside it.
        TypeError: if ``model`` is no `PoseModel`; an ensemble's members are exported one by one.
        ValueError: for a model that predicts coordinates or has more than 2 GiB of weights, another suffix than the
            format's, an OpenVINO file without ``crops``, an unknown ``format`` or ``decoding``, or if the file differs
            from the model; then none is left.
    """
    one_of("format", format, get_args(ExportFormat))
    target = Path(path)
    if format == "openvino" and not crops:
        raise ValueError("openvino: expected crops=True (--crops), as OpenVINO does not compute our crops exactly")
    _check(model, target, format)
    need_packages("onnx", "onnxscript")
    need_packages(format)
    facts = ExportFacts.of(model, reads="crops" if crops else "image", flip=flip, decoding=decoding)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / target.name
        _write(model, facts, written, format)
        differences = compare(open_exported(written), model)
        try:
            differences.check()
        except ValueError as error:
            raise ValueError(f"{target}: not written, as it differs from the model: {error}") from error
        files = sorted(Path(folder).iterdir())  # weights, .bin, before what names them, .xml
        write_together(target.parent, {file.name: partial(shutil.copyfile, file) for file in files})
    return differences


def _check(model: object, target: Path, export_format: ExportFormat) -> None:
    if not isinstance(model, PoseModel):
        raise TypeError(f"model: expected one from load_model, found {type(model).__name__}")
    require_heatmaps(model.config, "export")
    if target.suffix.lower() != SUFFIXES[export_format]:
        raise ValueError(f"{target}: expected the suffix {SUFFIXES[export_format]} for {export_format}")
    if target.is_dir():
        raise ValueError(f"{target}: expected a file to write, found a folder")
    weights = sum(4 * value.numel() for value in model.state_dict().values())
    if weights > _LARGEST:
        raise ValueError(f"expected at most 2 GiB of weights, which one file holds, found {weights / 2**30:.1f}")


def _write(model: PoseModel[Any], facts: ExportFacts, path: Path, export_format: ExportFormat) -> None:
    batches = export_format == "onnx"  # OpenVINO does not convert the loop over batches
    calibration = fitted_for(facts.config, flip=facts.flip, decoding=facts.decoding).probabilities
    proto = pose_model_proto(model, facts, calibration=calibration, batches=batches)
    if export_format == "onnx":
        path.write_bytes(proto.SerializeToString())
        return
    import openvino  # noqa: PLC0415 - an extra

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pose.onnx"
        source.write_bytes(proto.SerializeToString())
        converted = openvino.convert_model(source)
        for key, text in facts.to_text().items():
            converted.set_rt_info(text, ["pcrpose", key])
        openvino.save_model(converted, path, compress_to_fp16=False)
