"""Indexing by tensors: `take` reads rows at given indices, `scatter_add` adds rows at them.

`take` and `scatter_add` are each other's adjoints. Indices count from 0 and must lie inside the
axis: `smelt/tensor/indexing.py` wraps negative ones and checks all bounds, by `require`. The eager
values check once more, since NumPy itself accepts negative indices.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import int64
from smelt.errors import BoundsError, DTypeError, ShapeError
from smelt.ir import loops
from smelt.ir.loops import Expression
from smelt.ir.operation import Pattern
from smelt.ops.movement import broadcast_to
from smelt.ops.op import Gradients, Index, Mask, Needs, Op, Readers, Type, Typed, check_number


def _check_index(what: str, index: Typed) -> None:
    if index.dtype.kind != "int":
        raise DTypeError(
            f"{what}: indices must be int32 or int64, got {index.dtype.name}; write .long()"
        )


def _check_bounds(what: str, index: np.ndarray, extent: int) -> None:
    if index.size and (index.min() < 0 or index.max() >= extent):
        worst = index.min() if index.min() < 0 else index.max()
        raise BoundsError(f"{what}: index {worst} is outside an axis of extent {extent}")


class Take(Op):
    """`y[..., *i, ...] = x[..., index[*i], ...]` along `axis`, which the index's axes replace."""

    pattern = Pattern.POINTWISE
    linear_operands: ClassVar[int] = 1
    is_worth_saving = True
    cost = 4

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        x, index = types
        axis = attributes["axis"]
        _check_index("take", index)
        return Type((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        x, index = arrays
        _check_bounds("take", index, x.shape[attributes["axis"]])
        return np.take(x, index, attributes["axis"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        x, index = inputs
        axis = attributes["axis"]
        wide = g.to(g.dtype.compute)
        return scatter_add(wide, index, axis=axis, extent=x.shape[axis]).to(g.dtype), None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (x, index), (has_x, has_index), axis = inputs, batched, attributes["axis"]
        if not has_index:
            return take(x, index, axis=axis + 1)
        if not has_x:
            moved = take(x, index, axis=axis)  # (..., B, *i, ...): the batch stands at `axis`
            order = (axis, *range(axis), *range(axis + 1, moved.ndim))
            return moved.permute(order)
        return _take_batched(x, index, axis)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the load at a loaded index."""
        read, read_index = readers
        axis, count = node.attributes["axis"], node.inputs[1].ndim
        place = loops.Cast(read_index(index[axis : axis + count], mask), int64)
        return read((*index[:axis], place, *index[axis + count :]), mask)


def _take_batched(x: Any, index: Any, axis: int) -> Any:
    """Each batch element has its own x and its own index: one take from a merged axis."""
    size, extent = x.shape[0], x.shape[axis + 1]
    order = (0, axis + 1, *(place for place in range(1, x.ndim) if place != axis + 1))
    rows = x.permute(order)
    rows = rows.reshape((size * extent, *rows.shape[2:]))
    offsets = x.literal(np.arange(size).reshape((size,) + (1,) * (index.ndim - 1)) * extent)
    taken = take(rows, index.to(int64) + offsets, axis=0)  # (B, *i, *before, *after)
    count = index.ndim - 1
    before = tuple(range(1 + count, 1 + count + axis))
    return taken.permute((0, *before, *range(1, 1 + count), *range(1 + count + axis, taken.ndim)))


class ScatterAdd(Op):
    """`y[..., index[*i], ...] += g[..., *i, ...]` along `axis` of `extent`: Take's adjoint."""

    pattern = Pattern.STANDALONE
    linear_operands: ClassVar[int] = 1
    writes_before_reading = True
    is_worth_saving = True

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        g, index = types
        axis = attributes["axis"]
        _check_index("scatter_add", index)
        check_number("scatter_add", g.dtype)
        if g.shape[axis : axis + len(index.shape)] != index.shape:
            raise ShapeError(
                f"scatter_add: values of shape {g.shape} must have the index's shape "
                f"{index.shape} from axis {axis} on"
            )
        behind = g.shape[axis + len(index.shape) :]
        return Type((*g.shape[:axis], attributes["extent"], *behind), g.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        g, index = arrays
        axis, extent = attributes["axis"], attributes["extent"]
        _check_bounds("scatter_add", index, extent)
        before, behind = g.shape[:axis], g.shape[axis + index.ndim :]
        result = np.zeros((extent, math.prod(before), math.prod(behind)), g.dtype)
        rows = g.reshape((math.prod(before), index.size, math.prod(behind))).swapaxes(0, 1)
        np.add.at(result, index.ravel(), rows)
        return result.swapaxes(0, 1).reshape((*before, extent, *behind))

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return take(g, inputs[1], axis=attributes["axis"]), None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (g, index), (has_g, has_index) = inputs, batched
        axis, extent = attributes["axis"], attributes["extent"]
        if not has_index:
            return scatter_add(g, index, axis=axis + 1, extent=extent)
        size = index.shape[0]
        if not has_g:
            g = broadcast_to(g, shape=(size, *g.shape))
        return _scatter_batched(g, index, axis, extent, size)


def _scatter_batched(g: Any, index: Any, axis: int, extent: int, size: int) -> Any:
    """Each batch element has its own index: one scatter into a merged axis."""
    count = index.ndim - 1
    places = range(1 + axis, 1 + axis + count)
    order = (0, *places, *range(1, 1 + axis), *range(1 + axis + count, g.ndim))
    rows = g.permute(order)  # (B, *i, *before, *after)
    offsets = g.literal(np.arange(size).reshape((size,) + (1,) * count) * extent)
    joined = scatter_add(rows, index.to(int64) + offsets, axis=0, extent=size * extent)
    split = joined.reshape((size, extent, *joined.shape[1:]))  # (B, extent, *before, *after)
    return split.permute((0, *range(2, 2 + axis), 1, *range(2 + axis, split.ndim)))


take: Final = Take("take")
scatter_add: Final = ScatterAdd("scatter_add")
