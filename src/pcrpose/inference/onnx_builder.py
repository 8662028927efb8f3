"""A small writer of ONNX graphs: nodes are added as functions are called, and every result is a name."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

OPSET = 20
Shape: TypeAlias = Sequence[int | str]


class GraphBuilder:
    """Collect the nodes and constants of one graph; ``proto`` writes them down.

    A value is the name of a node's output, of an input of the graph or, in the body of a loop, of a value of the graph
    around it.

    Args:
        prefix: of the names made here; graphs that are put into one another need different ones.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._nodes: list[Any] = []
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._count = 0

    def __call__(self, op: str, *inputs: str | float | npt.NDArray[Any], **attributes: Any) -> str:  # noqa: ANN401 - whatever the op has
        """Add a node with one output and return the output's name; see `many`."""
        return self.many(op, *inputs, count=1, **attributes)[0]

    def many(self, op: str, *inputs: str | float | npt.NDArray[Any], count: int, **attributes: Any) -> list[str]:  # noqa: ANN401
        """Add a node and return the names of its outputs.

        Args:
            op: of the ONNX standard.
            inputs: names, or constants: arrays, and numbers, which become float64.
            count: of outputs.
            attributes: of the op.
        """
        from onnx import helper  # noqa: PLC0415 - an extra

        names = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        outputs = [self._new(op) for _ in range(count)]
        self._nodes.append(helper.make_node(op, names, outputs, name=outputs[0], **attributes))
        return outputs

    def constant(self, value: float | npt.NDArray[Any]) -> str:
        """Add a constant and return its name."""
        name = self._new("constant")
        self._constants[name] = np.asarray(value)
        return name

    def rename(self, value: str, name: str) -> str:
        """Give a value a name of its own, that of an output."""
        from onnx import helper  # noqa: PLC0415 - an extra

        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        return name

    def insert(self, graph: Any, renamed: Mapping[str, str], prefix: str) -> list[str]:  # noqa: ANN401 - a GraphProto
        """Add the nodes and constants of a graph that was made elsewhere; returns the names of its outputs.

        Args:
            graph: an ``onnx.GraphProto`` without subgraphs.
            renamed: for each of its inputs, the value that it is.
            prefix: of the names of the rest.
        """
        names = {"": "", **renamed}

        def new_name(old: str) -> str:
            return names.setdefault(old, f"{prefix}{old}")

        from onnx import NodeProto, numpy_helper  # noqa: PLC0415 - an extra

        for tensor in graph.initializer:
            self._constants[new_name(tensor.name)] = numpy_helper.to_array(tensor)
        for node in graph.node:
            copied = NodeProto()
            copied.CopyFrom(node)
            copied.name = f"{prefix}{node.name}"
            copied.input[:] = [new_name(name) for name in node.input]
            copied.output[:] = [new_name(name) for name in node.output]
            del copied.metadata_props[:]  # where in whose source each node came from
            self._nodes.append(copied)
        return [new_name(output.name) for output in graph.output]

    def proto(self, inputs: Mapping[str, tuple[Any, Shape]], outputs: Mapping[str, tuple[Any, Shape]]) -> Any:  # noqa: ANN401 - onnx has no types
        """Return the ``onnx.GraphProto``.

        Args:
            inputs: numpy type and shape by name; a length that is left open has a name.
            outputs: likewise.
        """
        from onnx import helper, numpy_helper  # noqa: PLC0415 - an extra

        described = [
            [helper.make_tensor_value_info(name, _element(kind), shape) for name, (kind, shape) in values.items()]
            for values in (inputs, outputs)
        ]
        constants = [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            if array.ndim
            else numpy_helper.from_array(array, name)
            for name, array in self._constants.items()
        ]
        return helper.make_graph(self._nodes, self._prefix, described[0], described[1], initializer=constants)

    def _new(self, op: str) -> str:
        self._count += 1
        return f"{self._prefix}/{op}_{self._count}"


def _element(kind: Any) -> int:  # noqa: ANN401 - whatever numpy takes for a type
    from onnx import helper  # noqa: PLC0415 - an extra

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
