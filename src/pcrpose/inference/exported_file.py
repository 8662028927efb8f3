"""Exported files, opened: by onnxruntime or OpenVINO, as a whole or the network alone."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pcrpose.files.extras import install_command
from pcrpose.inference.export_facts import KEYS, NETWORK, NETWORK_INPUT, NETWORK_OUTPUT, OUTPUTS, ExportFacts

ExportFormat: TypeAlias = Literal["onnx", "openvino"]
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Network: TypeAlias = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
Whole: TypeAlias = Callable[[Arrays], list[npt.NDArray[np.float32]]]
Precision: TypeAlias = Literal["float32", "bfloat16"]

SUFFIXES: Mapping[ExportFormat, str] = MappingProxyType({"onnx": ".onnx", "openvino": ".xml"})
PACKAGES: Mapping[ExportFormat, tuple[str, ...]] = MappingProxyType(
    {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}
)
EXTRAS: Mapping[ExportFormat, str] = MappingProxyType({"onnx": "export", "openvino": "openvino"})
_PROVIDERS = ("CPUExecutionProvider",)
_QUIET = 4  # onnxruntime's errors arrive as exceptions; a library does not write on stderr
_OPENVINO_PRECISIONS: Mapping[Precision, str] = MappingProxyType({"float32": "f32", "bfloat16": "bf16"})


class ExportedFile(Protocol):
    """A file that `export_model` wrote."""

    @property
    def facts(self) -> ExportFacts:
        """What it says of itself."""

    def whole(self) -> Whole:
        """Return the function from its inputs, by name, to its outputs, in the order of ``OUTPUTS``."""

    def network(self) -> Network:
        """Return the function from normalized crops, ``(B, 3, H, W)``, to ``(B, J, h, w)`` heatmaps."""


def need_packages(export_format: ExportFormat, *more: str) -> None:
    """Raise ImportError, with what to install, unless the packages of a format are there."""
    for package in (*PACKAGES[export_format], *more):
        if importlib.util.find_spec(package) is None:
            command = install_command(EXTRAS[export_format])
            raise ImportError(f"{export_format} files need {package}: {command}")


def open_exported(path: Path, *, threads: int | None = None, precision: Precision = "float32") -> ExportedFile:
    """Open an exported file; which runtime, its suffix says.

    Args:
        path: of the file, ``.onnx`` or ``.xml``.
        threads: of the processor; None lets the runtime choose.
        precision: that the runtime computes in; another than float32 is OpenVINO's.

    Raises:
        FileNotFoundError: if there is none.
        ImportError: without the runtime.
        ValueError: if it is no whole file of `export_model`.
    """
    formats = {suffix: name for name, suffix in SUFFIXES.items()}
    if path.suffix.lower() not in formats:
        raise ValueError(f"{path}: expected an exported file, {' or '.join(formats)}, found another suffix")
    if path.is_dir():
        raise ValueError(f"{path}: expected an exported file, found a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such exported file")
    export_format = formats[path.suffix.lower()]
    need_packages(export_format)
    try:
        if export_format == "openvino":
            return OpenVinoFile(path, threads=threads, precision=precision)
        if precision != "float32":
            raise ValueError(f"expected float32, which onnxruntime computes in, found {precision}")  # noqa: TRY301 - the path goes in front
        return OnnxFile(path, threads=threads)
    except Exception as error:  # what the runtimes raise has no other class in common
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


class OnnxFile:
    """An ONNX file, run by onnxruntime on the processor."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        import onnx  # noqa: PLC0415 - an extra

        try:
            self._proto = onnx.load(path)
        except Exception as error:
            raise ValueError(f"expected an ONNX file, found {error}") from error
        self.facts = ExportFacts.from_text({item.key: item.value for item in self._proto.metadata_props})
        self._threads = threads or 0

    def whole(self) -> Whole:
        """Return the function from inputs to outputs."""
        session = self._session(self._proto)

        def run(inputs: Arrays) -> list[npt.NDArray[np.float32]]:
            return list(session.run(None, dict(inputs)))

        return run

    def network(self) -> Network:
        """Return the function from normalized crops to heatmaps."""
        session = self._session(self._network_proto())

        def run(crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            heatmaps: npt.NDArray[np.float32] = session.run(None, {NETWORK_INPUT: crops})[0]
            return heatmaps

        return run

    def _session(self, proto: Any) -> Any:  # noqa: ANN401 - onnx has no types
        import onnxruntime  # noqa: PLC0415 - an extra

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=list(_PROVIDERS))

    def _network_proto(self) -> Any:  # noqa: ANN401 - onnx has no types
        """Cut the network out of the file: its nodes, and the constants that they read."""
        from onnx import helper  # noqa: PLC0415 - an extra

        outer = self._proto.graph
        loops = [
            field.g for node in outer.node if node.op_type == "Loop" for field in node.attribute if field.name == "body"
        ]
        for graph in (outer, *loops):
            nodes = [node for node in graph.node if node.name.startswith(NETWORK) or NETWORK_OUTPUT in node.output]
            if nodes:
                break
        else:
            raise ValueError("expected a network inside, found none")
        size, joints = self.facts.config.input_size, self.facts.config.skeleton.num_keypoints
        cells = self.facts.config.codec().heatmap_size()
        described = [
            [helper.make_tensor_value_info(name, 1, ["crops", *shape])]
            for name, shape in (
                (NETWORK_INPUT, (3, size.height, size.width)),
                (NETWORK_OUTPUT, (joints, cells.height, cells.width)),
            )
        ]
        read = {name for node in nodes for name in node.input}
        constants = [tensor for tensor in graph.initializer if tensor.name in read]
        cut = helper.make_graph(nodes, "network", described[0], described[1], initializer=constants)
        return helper.make_model(cut, opset_imports=self._proto.opset_import, ir_version=self._proto.ir_version)


class OpenVinoFile:
    """An OpenVINO file, its ``.bin`` beside it, run on the processor."""

    def __init__(self, path: Path, *, threads: int | None, precision: Precision) -> None:
        import openvino  # noqa: PLC0415 - an extra

        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(path)
        except Exception as error:
            raise ValueError(f"expected an OpenVINO file, found {error}") from error
        there = [key for key in KEYS if self._model.has_rt_info(["pcrpose", key])]
        texts = {key: self._model.get_rt_info(["pcrpose", key]).astype(str) for key in there}
        self.facts = ExportFacts.from_text(texts)
        self._options = {"INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[precision]}
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)

    def whole(self) -> Whole:
        """Return the function from inputs to outputs."""
        compiled = self._core.compile_model(self._model, "CPU", self._options)

        def run(inputs: Arrays) -> list[npt.NDArray[np.float32]]:
            found = compiled(dict(inputs))
            return [np.array(found[name]) for name in OUTPUTS[: len(compiled.outputs)]]

        return run

    def network(self) -> Network:
        """Return the function from normalized crops to heatmaps."""
        compiled = self._core.compile_model(self._network_model(), "CPU", self._options)

        def run(crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return np.array(compiled([crops])[0])  # a copy: the next call writes into the same memory

        return run

    def _network_model(self) -> Any:  # noqa: ANN401 - openvino's types are loose
        """Cut the network out of the file."""
        import openvino  # noqa: PLC0415 - an extra
        from openvino import opset13  # noqa: PLC0415 - an extra

        model = self._model.clone()
        named = {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}
        if not {NETWORK_INPUT, NETWORK_OUTPUT} <= named.keys():
            raise ValueError("expected a network inside, found none")
        size = self.facts.config.input_size
        crops = opset13.parameter([-1, 3, size.height, size.width], np.float32, name=NETWORK_INPUT)
        for reader in named[NETWORK_INPUT].get_target_inputs():
            reader.replace_source_output(crops.output(0))
        return openvino.Model([named[NETWORK_OUTPUT]], [crops], "network")
