"""Join buffer axes: axes that are always read as the digits of one number become one axis.

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

from smelt.compiler.loops.rewrites.delinearize import inline_indices
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.views import accesses, on_views
from smelt.ir.loops import Binary, Buffer, Constant, Expression, Kernel, constant
from smelt.ir.visit import Index


def join_buffer_axes(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel on arrays of fewer axes; the sizes of arrays stay."""
    kernel = inline_indices(kernel)
    while True:
        axes = {buffer: _joinable(buffer, indices) for buffer, indices in accesses(kernel).items()}
        first = {buffer: axis for buffer, axis in axes.items() if axis is not None}
        if not first:
            return kernel
        kernel = on_views(
            kernel,
            {buffer: _joined(buffer, axis) for buffer, axis in first.items()},
            partial(_index, first),
        )


def _joinable(buffer: Buffer, indices: list[Index]) -> int | None:
    """Returns an axis that all accesses read together with the one behind it."""
    for axis in range(len(buffer.shape) - 1):
        if all(_joint_index(buffer, index, axis) is not None for index in indices):
            return axis
    return None


def _joint_index(buffer: Buffer, index: Index, axis: int) -> Expression | None:
    """Returns the number whose digits stand at two axes: `i // 8, i % 8` -> `i`."""
    high, low, extent = index[axis], index[axis + 1], buffer.shape[axis + 1]
    joint = _dividend(low, "mod", extent)
    if joint is None:
        return None
    if _dividend(high, "floordiv", extent) == joint:
        return joint
    inner = _dividend(high, "mod", buffer.shape[axis])
    if inner is not None and _dividend(inner, "floordiv", extent) == joint:
        return Binary("mod", joint, constant(buffer.shape[axis] * extent))
    return None


def _dividend(expression: Expression, op: str, divisor: int) -> Expression | None:
    """Returns what is divided by `divisor`, if that is what an expression is."""
    if type(expression) is not Binary or expression.op != op:
        return None
    by = expression.b
    return expression.a if type(by) is Constant and by.value == divisor else None


def _joined(buffer: Buffer, axis: int) -> Buffer:
    shape = buffer.shape
    extent = shape[axis] * shape[axis + 1]
    return Buffer(buffer.name, (*shape[:axis], extent, *shape[axis + 2 :]), buffer.dtype)


def _index(axes: Mapping[Buffer, int], buffer: Buffer, index: Index) -> Index:
    axis = axes[buffer]
    joint = _joint_index(buffer, index, axis)
    assert joint is not None
    return (*index[:axis], joint, *index[axis + 2 :])
