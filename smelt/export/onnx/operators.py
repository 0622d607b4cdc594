"""Layers in ONNX: one operator in the place of the operations that a function consists of.

While a model is traced for a file, functions such as softmax mark what they computed (`composite`).
Where ONNX has the function, in this dtype and opset, the mark becomes a node of its operator, and
what computed it is gone; else the mark is gone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from smelt.dtypes import DType, float32, float64
from smelt.export.onnx.reductions import reduced
from smelt.export.onnx.writer import Rules, Writer
from smelt.ir.graph import Graph, Node, rebuilt
from smelt.ir.operation import Operation
from smelt.ir.symbolic import is_symbolic
from smelt.ops.composite import composite

Settings = Mapping[str, Any]
SINGLE, BOTH = (float32,), (float32, float64)  # what runtimes have kernels for


class OnnxOperator(Operation):
    """A function that ONNX has: its operands are the function's, `function` says which it is."""

    name = "onnx_operator"


ONNX_OPERATOR: Final = OnnxOperator()


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of ONNX: its name, its attributes by those of the function, the opset since which
    it is there, the dtypes, how many operands it needs, and the settings that it has.
    """

    op_type: str
    attributes: Callable[[Settings], Settings]
    dtypes: tuple[DType, ...] = BOTH
    since: int = 1
    operands: int = 1
    takes: Callable[[Settings], bool] = lambda settings: True


def _axis(settings: Settings) -> Settings:
    return {"axis": settings["axis"]}


def _normalized(settings: Settings) -> Settings:
    return {"axis": -settings["axes"], "epsilon": settings["eps"]}


def _of_batches(settings: Settings) -> Settings:
    return {"epsilon": settings["eps"]}


def _bent(settings: Settings) -> Settings:
    return {"approximate": settings["approximate"]}


def _averaged(settings: Settings) -> Settings:
    return {
        "kernel_shape": settings["window"],
        "strides": settings["stride"],
        "pads": settings["padding"] * 2,
        "count_include_pad": int(settings["count_include_pad"]),
    }


def _spread(settings: Settings) -> Settings:
    return {
        "kernel_shape": settings["window"],
        "strides": settings["stride"],
        "dilations": settings["dilation"],
        "group": settings["groups"],
        "pads": settings["padding"] * 2,
        "output_padding": settings["output_padding"],
    }


def _adds_less_than_a_stride(settings: Settings) -> bool:
    """Whether onnxruntime takes so much output padding; ONNX takes more."""
    return all(map(operator.lt, settings["output_padding"], settings["stride"]))


OPERATORS: Final[dict[str, Operator]] = {
    "softmax": Operator("Softmax", _axis),
    "safe_softmax": Operator("Softmax", _axis),
    "log_softmax": Operator("LogSoftmax", _axis),
    "gelu": Operator("Gelu", _bent, SINGLE, since=20),
    "layer_norm": Operator("LayerNormalization", _normalized, since=17, operands=2),
    "batch_norm": Operator("BatchNormalization", _of_batches, operands=5),
    "avg_pool": Operator("AveragePool", _averaged, SINGLE),
    "conv_transpose": Operator(
        "ConvTranspose", _spread, operands=2, takes=_adds_less_than_a_stride
    ),
}


def with_operators(graph: Graph, opset: int) -> Graph:
    """Returns a graph in which operators of ONNX stand for the functions that are marked; marks of
    others are gone.
    """

    def changed(node: Node) -> Node:
        if "bodies" in node.attributes:
            bodies = tuple([with_operators(body, opset) for body in node.attributes["bodies"]])
            return replace(node, attributes={**node.attributes, "bodies": bodies})
        if node.op is not composite:
            return node
        if not _is_there(node, opset):
            return node.inputs[0]
        return replace(node, op=ONNX_OPERATOR, inputs=node.inputs[1:])

    return rebuilt(graph, changed)


def _is_there(node: Node, opset: int) -> bool:
    """Whether ONNX has a function for operands of these dtypes and shapes."""
    known, (_, *operands) = OPERATORS.get(node.attributes["function"]), node.inputs
    if known is None or opset < known.since or len(operands) < known.operands:
        return False
    extents = [extent for x in operands for extent in x.shape if not is_symbolic(extent)]
    same = all(x.dtype is node.dtype for x in operands)
    fits = same and node.dtype in known.dtypes and node.ndim > 0 and math.prod(extents) > 0
    return fits and known.takes(node.attributes)


def _written(w: Writer, node: Node, *operands: str) -> str:
    function = node.attributes["function"]
    known = OPERATORS[function]
    y = w.add(known.op_type, *operands, **known.attributes(node.attributes))
    return y if function != "safe_softmax" else _zero_of_none(w, node, operands[0], y)


def _zero_of_none(w: Writer, node: Node, x: str, y: str) -> str:
    """Returns y, a softmax of x, with zeros, not nan, where all numbers are -inf."""
    largest = reduced(w, "ReduceMax", x, [node.attributes["axis"]], keepdims=True)
    has_none = w.add("Equal", largest, w.scalar(-math.inf, node.dtype))
    return w.add("Where", has_none, w.scalar(0, node.dtype), y)


RULES: Final[Rules] = {ONNX_OPERATOR: _written}
