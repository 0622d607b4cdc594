"""Movements in ONNX: the same elements at other places."""

from __future__ import annotations

from typing import Final

from smelt.dtypes import int64
from smelt.export.onnx.writer import Rules, Writer, same
from smelt.ir.graph import Node
from smelt.ops import barrier, composite, detach, known_derivative, movement
from smelt.ops.iota import iota


def _reshape(w: Writer, node: Node, x: str) -> str:
    return w.reshape(x, node.shape, node.inputs[0].shape)


def _permute(w: Writer, node: Node, x: str) -> str:
    return w.transposed(x, node.attributes["axes"])


def _broadcast_to(w: Writer, node: Node, x: str) -> str:
    """An extent that x has anyway is 1 in the shape of Expand, so few lengths are computed."""
    (operand,) = node.inputs
    missing = node.ndim - operand.ndim
    shape = [
        1 if axis >= missing and same(extent, operand.shape[axis - missing]) else extent
        for axis, extent in enumerate(node.shape)
    ]
    return w.add("Expand", x, w.ints(shape))


def _slice(w: Writer, node: Node, x: str) -> str:
    bounds = [node.attributes[name] for name in ("start", "stop", "step")]
    rows = list(zip(*bounds, node.inputs[0].shape, strict=True))
    axes = [
        axis
        for axis, (start, stop, step, extent) in enumerate(rows)
        if not (same(start, 0) and same(step, 1) and same(stop, extent))
    ]
    return w.sliced(x, axes, [[bound[axis] for axis in axes] for bound in bounds]) if axes else x


def _pad(w: Writer, node: Node, x: str) -> str:
    """Zeros before and behind; those between are the end of rows that are joined again."""
    (operand,) = node.inputs
    low, high, step = (node.attributes[name] for name in ("low", "high", "step"))
    shape = operand.shape
    for axis, gap in enumerate(step):
        if gap > 1:
            split = (*shape[: axis + 1], 1, *shape[axis + 1 :])
            wide = (*shape[:axis], shape[axis] * gap, *shape[axis + 1 :])
            ends = [0] * (axis + 1) + [gap - 1] + [0] * (len(shape) - axis - 1)
            x = padded(w, w.reshape(x, split, shape), [0] * len(split), ends, node)
            x = w.sliced(w.reshape(x, wide), [axis], ([0], [1 - gap], [1]))
            shape = (*shape[:axis], movement.dilated(shape[axis], gap), *shape[axis + 1 :])
    return padded(w, x, low, high, node)


def padded(w: Writer, x: str, low: list[int], high: list[int], node: Node) -> str:
    """Returns a tensor with so many zeros before and behind its elements along each axis."""
    if all(same(count, 0) for count in (*low, *high)):
        return x
    return w.add("Pad", x, w.ints([*low, *high]), w.scalar(0, node.dtype))


def _flip(w: Writer, node: Node, x: str) -> str:
    return w.flipped(x, node.attributes["axes"])


def _concatenate(w: Writer, node: Node, *operands: str) -> str:
    return w.add("Concat", *operands, axis=node.attributes["axis"])


def _same(w: Writer, node: Node, x: str, *others: str) -> str:
    """What says when something is computed, or where derivatives end, says nothing in a file."""
    return x


def _iota(w: Writer, node: Node) -> str:
    axis = node.attributes["axis"]
    return numbered(w, node.shape, axis)


def numbered(w: Writer, shape: tuple[int, ...], axis: int) -> str:
    """Returns 0, 1, 2, ... along an axis, repeated along the others."""
    zero, end = w.scalar(0, int64), w.reshape(w.ints([shape[axis]]), ())
    column = w.add("Range", zero, end, w.scalar(1, int64))
    if len(shape) == 1:
        return column
    line = tuple([-1 if place == axis else 1 for place in range(len(shape))])
    repeats = [1 if place == axis else extent for place, extent in enumerate(shape)]
    return w.add("Expand", w.reshape(column, line), w.ints(repeats))


RULES: Final[Rules] = {
    movement.reshape: _reshape,
    movement.permute: _permute,
    movement.broadcast_to: _broadcast_to,
    movement.slice_: _slice,
    movement.pad: _pad,
    movement.flip: _flip,
    movement.concatenate: _concatenate,
    detach.detach: _same,
    barrier.optimization_barrier: _same,
    composite.composite: _same,
    known_derivative.known_derivative: _same,
    known_derivative.known_softmax: _same,
    known_derivative.keep: _same,
    iota: _iota,
}
