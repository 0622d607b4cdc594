"""Reductions, running sums and sorting in ONNX."""

from __future__ import annotations

from typing import Final

from onnx import helper

from smelt.dtypes import bool_, int32
from smelt.export.onnx.writer import Rule, Rules, Writer
from smelt.ir.graph import Node
from smelt.ops import reduction
from smelt.ops.sorting import argsort

AXES_ARE_INPUTS = 18  # the opset since which they are, for all reductions


def _reduced(op_type: str, since: int = AXES_ARE_INPUTS) -> Rule:
    """Returns the rule of a reduction, whose axes are an input from an opset on."""

    def rule(w: Writer, node: Node, x: str) -> str:
        axes = list(node.attributes["axes"])
        return reduced(w, op_type, x, axes, since=since) if axes else x  # ONNX would reduce all

    return rule


def reduced(
    w: Writer,
    op_type: str,
    x: str,
    axes: list[int],
    keepdims: bool = False,
    since: int = AXES_ARE_INPUTS,
) -> str:
    """Returns a tensor reduced along axes, which are an input since an opset."""
    if w.file.opset < since:
        return w.add(op_type, x, axes=axes, keepdims=int(keepdims))
    return w.add(op_type, x, w.ints(axes), keepdims=int(keepdims))


def _cumsum(w: Writer, node: Node, x: str) -> str:
    """Adds up in the dtype in which the operation does, and rounds at each place."""
    wide = reduction.cumsum.accumulator_dtype(node.dtype)
    x = x if wide is node.dtype else w.cast(x, wide)
    y = w.add("CumSum", x, w.reshape(w.ints([node.attributes["axis"]]), ()))
    return y if wide is node.dtype else w.cast(y, node.dtype)


def _cumprod(w: Writer, node: Node, x: str) -> str:
    """A loop along the axis that carries the product: ONNX has CumProd from opset 26 on only."""
    wide = reduction.cumprod.accumulator_dtype(node.dtype)
    axis, rest = node.attributes["axis"], list(range(node.ndim))
    rest.remove(axis)
    line = tuple([node.shape[place] for place in rest])
    rows = w.transposed(w.cast(x, wide), [axis, *rest])
    names = [w.file.name(stem) for stem in ("before", "row", "product", "output")]
    before, row, product, output = names
    types = [w.file.type_of(name, wide, line) for name in names]
    nodes = [
        helper.make_node("Mul", [before, row], [product]),
        helper.make_node("Identity", [product], [output]),
    ]
    body = helper.make_graph(nodes, w.file.name("cumprod"), types[:2], types[2:])
    _, stacked = w.add_all("Scan", [w.filled(line, 1, wide), rows], 2, body=body, num_scan_inputs=1)
    order = list(range(1, node.ndim))
    order.insert(axis, 0)
    return w.cast(w.transposed(stacked, order), node.dtype)


def _argsort(w: Writer, node: Node, x: str) -> str:
    """All elements are the smallest: TopK takes the first of equal ones first, as sorting does."""
    if node.inputs[0].dtype is bool_:
        x = w.cast(x, int32)
    count = w.ints([node.shape[-1]])
    return w.add_all("TopK", [x, count], 2, axis=node.ndim - 1, largest=0, sorted=1)[1]


RULES: Final[Rules] = {
    reduction.sum: _reduced("ReduceSum", since=13),
    reduction.prod: _reduced("ReduceProd"),
    reduction.max: _reduced("ReduceMax"),
    reduction.min: _reduced("ReduceMin"),
    reduction.cumsum: _cumsum,
    reduction.cumprod: _cumprod,
    argsort: _argsort,
}
