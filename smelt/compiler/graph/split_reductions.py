"""Long reductions become reductions of pieces: they can run in parallel, and stay accurate.

    before: sum(x float32[4194304], axes=(0,))
    after:  sum(sum(reshape(x, (128, 32768)), axes=(1,)), axes=(0,))

How a reduction is split depends on its shape alone, never on the number of threads. A rounding
error grows with the length of a piece and the number of pieces, no longer with their product.
"""

from __future__ import annotations

import math

from smelt.ir.graph import Node
from smelt.ops import elementwise, movement
from smelt.ops.op import Op, Shape

LONG = 1 << 15  # elements that one loop may combine
SHORT = 1 << 12  # a piece has at least so many, if the extent has such a divisor
_COMBINE: dict[str, Op] = {
    "sum": elementwise.add,
    "prod": elementwise.mul,
    "max": elementwise.maximum,
    "min": elementwise.minimum,
}


def split_reduction(node: Node) -> Node | None:
    """A reduction of more than LONG elements -> of pieces first, then of their results"""
    (x,), axes = node.inputs, node.attributes["axes"]
    extents = [x.shape[axis] for axis in axes]
    if math.prod(extents) <= LONG:
        return None
    if extents[-1] > LONG:
        return _split_axis(node, x, axes[-1])
    first = len(axes) - 1  # as many of the last axes as make one piece
    while math.prod(extents[first - 1 :]) <= LONG:
        first -= 1
    pieces = _reduced(node, x, axes[first:])
    return _reduced(node, pieces, _remaining_axes(x.ndim, axes[first:], axes[:first]))


def _split_axis(node: Node, x: Node, axis: int) -> Node:
    """Splits one axis into pieces of equal length and perhaps a shorter one at the end."""
    extent, axes = x.shape[axis], node.attributes["axes"]
    length = _piece_length(extent)
    covered = extent // length * length
    moved = tuple(one + (one > axis) for one in axes)
    pieces = _reduced(node, _reshaped(_sliced(x, axis, 0, covered), axis, length), (axis + 1,))
    result = _reduced(node, pieces, _remaining_axes(x.ndim + 1, (axis + 1,), moved))
    if covered == extent:
        return result
    tail = _reduced(node, _sliced(x, axis, covered, extent), axes)
    return Node(_COMBINE[node.op.name], (result, tail), {}, node.shape, node.dtype, node.origin)


def _piece_length(extent: int) -> int:
    """Returns the length of a piece: the largest divisor not too short, or a power of two."""
    divisors = (length for length in range(LONG, SHORT - 1, -1) if extent % length == 0)
    return next(divisors, LONG // 2)


def _remaining_axes(ndim: int, gone: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Returns where `axes` are once the axes `gone` have disappeared; a gone axis is left out."""
    remaining = [axis for axis in range(ndim) if axis not in gone]
    return tuple(remaining.index(axis) for axis in axes if axis in remaining)


def _reduced(node: Node, x: Node, axes: tuple[int, ...]) -> Node:
    shape = tuple(extent for axis, extent in enumerate(x.shape) if axis not in axes)
    result = Node(node.op, (x,), {"axes": axes}, shape, x.dtype, node.origin)
    return split_reduction(result) or result


def _reshaped(x: Node, axis: int, length: int) -> Node:
    shape: Shape = (*x.shape[:axis], x.shape[axis] // length, length, *x.shape[axis + 1 :])
    return Node(movement.reshape, (x,), {"shape": shape}, shape, x.dtype, x.origin)


def _sliced(x: Node, axis: int, start: int, stop: int) -> Node:
    """Returns x itself, or its elements from `start` to `stop` along an axis."""
    if (start, stop) == (0, x.shape[axis]):
        return x
    bounds = [(0, extent, 1) for extent in x.shape]
    bounds[axis] = (start, stop, 1)
    starts, stops, steps = zip(*bounds, strict=True)
    shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
    attributes = {"start": starts, "stop": stops, "step": steps}
    return Node(movement.slice_, (x,), attributes, shape, x.dtype, x.origin)
