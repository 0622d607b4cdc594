"""Join: axes of an array that are always read as the digits of one number become one axis.

A reshape reads an array under the indices of another shape. Before, with x of shape [32, 8, 6]:

    for i in range(0, 256):
        y[i, j] = x[i // 8, i % 8, j]

After, with x of shape [256, 6]:

    for i in range(0, 256):
        y[i, j] = x[i, j]

No loop needs to be split then, and no division is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from smelt.compiler.loops.rewrites.delinearize import inlined
from smelt.compiler.loops.substitute import whole
from smelt.compiler.loops.views import Index, accesses, on_views
from smelt.ir.loops import Binary, Buffer, Constant, Expression, Kernel


def join_axes(kernel: Kernel) -> Kernel:
    """Returns the kernel on arrays of fewer axes; the sizes of arrays stay."""
    kernel = inlined(kernel)
    while True:
        axes = {buffer: _find(buffer, indices) for buffer, indices in accesses(kernel).items()}
        found = {buffer: axis for buffer, axis in axes.items() if axis is not None}
        if not found:
            return kernel
        kernel = on_views(
            kernel,
            {buffer: _joined(buffer, axis) for buffer, axis in found.items()},
            partial(_index, found),
        )


def _find(buffer: Buffer, indices: list[Index]) -> int | None:
    """Returns an axis that all accesses read together with the one behind it."""
    for axis in range(len(buffer.shape) - 1):
        if all(_number(buffer, index, axis) is not None for index in indices):
            return axis
    return None


def _number(buffer: Buffer, index: Index, axis: int) -> Expression | None:
    """Returns the number whose digits stand at two axes: `i // 8, i % 8` -> `i`."""
    high, low, extent = index[axis], index[axis + 1], buffer.shape[axis + 1]
    number = _operand(low, "mod", extent)
    if number is None:
        return None
    if _same(high, number, extent):
        return number
    inner = _operand(high, "mod", buffer.shape[axis])
    if inner is not None and _same(inner, number, extent):
        return Binary("mod", number, whole(buffer.shape[axis] * extent))
    return None


def _same(high: Expression, number: Expression, extent: int) -> bool:
    return _operand(high, "floordiv", extent) == number


def _operand(expression: Expression, op: str, divisor: int) -> Expression | None:
    """Returns what is divided by `divisor`, if that is what an expression is."""
    if type(expression) is not Binary or expression.op != op:
        return None
    by = expression.b
    return expression.a if type(by) is Constant and by.value == divisor else None


def _joined(buffer: Buffer, axis: int) -> Buffer:
    shape = buffer.shape
    one = shape[axis] * shape[axis + 1]
    return Buffer(buffer.name, (*shape[:axis], one, *shape[axis + 2 :]), buffer.dtype)


def _index(found: Mapping[Buffer, int], buffer: Buffer, index: Index) -> Index:
    axis = found[buffer]
    number = _number(buffer, index, axis)
    assert number is not None
    return (*index[:axis], number, *index[axis + 2 :])
