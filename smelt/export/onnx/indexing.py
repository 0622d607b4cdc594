"""Reading and adding at places that a tensor gives, in ONNX."""

from __future__ import annotations

from typing import Final

from smelt.dtypes import int64
from smelt.export.onnx.writer import Rules, Writer
from smelt.ir.graph import Node
from smelt.ops import indexing


def _take(w: Writer, node: Node, x: str, index: str) -> str:
    return w.add("Gather", x, index, axis=node.attributes["axis"])


def _scatter_add(w: Writer, node: Node, g: str, index: str) -> str:
    """The places come first, are added up there, and the axis goes where it belongs."""
    values, places = node.inputs
    axis, count = node.attributes["axis"], places.ndim
    taken = range(axis, axis + count)
    rest = [place for place in range(values.ndim) if place not in taken]
    rows = w.transposed(g, [*taken, *rest])
    shape = (node.attributes["extent"], *(values.shape[place] for place in rest))
    zeros = w.filled(shape, 0, node.dtype)
    at = w.reshape(w.cast(index, int64), (*places.shape, 1), places.shape)
    total = w.add("ScatterND", zeros, at, rows, reduction="add")
    order = list(range(1, node.ndim))
    order.insert(axis, 0)
    return w.transposed(total, order)


RULES: Final[Rules] = {indexing.take: _take, indexing.scatter_add: _scatter_add}
