"""Reshape buffers: the same memory under fewer or more axes, as the loops ask for.

A reshape reads an array under the indices of another shape. Axes that are always read as the digits
of one number are joined. Before, with x of shape [32, 8, 6]; after, with x of shape [256, 6]:

    for i in range(0, 256):                 for i in range(0, 256):
        y[i, j] = x[i // 8, i % 8, j]           y[i, j] = x[i, j]

No loop needs to be split then, and no division is left.

Conversely, a reshape may have merged the axis of a sum with another axis. An axis that a loop of a
sum and a loop of the result share becomes two. Before, with x of shape [64, 128], where h
counts heads and k is summed over; after, with x of shape [64, 4, 32]:

    acc = fma(x[t, h * 32 + k], w[k, j], acc)
    acc = fma(x[t, h, k], w[k, j], acc)

Now the sum has an axis of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise

from smelt.compiler.loops.division import (
    Ranges,
    as_sum,
    divide,
    dividend_of,
    is_digit,
    loop_ranges,
)
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.views import View, ViewTransformer, accesses, stores, without_axes
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import Binary, Buffer, Constant, Expression, Kernel, Scratch, constant
from smelt.ir.visit import Index, names_in, statements

Indices = Callable[[Index], Index | None]


def join_buffer_axes(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel on arrays of fewer axes, without those that are digits of a number."""
    return _reshape(kernel, _joined)


def split_buffer_axes(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel on arrays of more axes, so that sums have axes of their own."""
    stored = (part for store in stores(kernel.body) for part in store.index)
    of_result = {name for part in stored for name in names_in(part)}
    return _reshape(kernel, partial(_split, loop_ranges(kernel.body), of_result))


def drop_unit_axes(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel on arrays without axes of one element whose index is 0 everywhere."""
    scratches = (part.buffer for part in statements(kernel.body) if isinstance(part, Scratch))
    has_unit_axes = any(1 in buffer.shape for buffer in (*kernel.buffers, *scratches))
    return _reshape(kernel, _without_unit_axes) if has_unit_axes else kernel


def _reshape(kernel: Kernel, find: Callable[[Buffer, list[Index]], View | None]) -> Kernel:
    """Returns the kernel on the views that `find` gives, until it finds none for any array."""
    while True:
        views = {buffer: find(buffer, indices) for buffer, indices in accesses(kernel.body).items()}
        new = {buffer: view for buffer, view in views.items() if view is not None}
        if not new:
            return kernel
        kernel = ViewTransformer(new).kernel(kernel)


def _view(buffer: Buffer, axes: slice, extents: Iterable[int], indices: Indices) -> View:
    """Returns a view with other `extents` for some axes, whose indices `indices` converts."""

    def index(old: Index) -> Index | None:
        new = indices(old[axes])
        return None if new is None else (*old[: axes.start], *new, *old[axes.stop :])

    shape = (*buffer.shape[: axes.start], *extents, *buffer.shape[axes.stop :])
    return View(buffer.viewed(shape), index)


# --- fewer axes -----------------------------------------------------------------------------------


def _joined(buffer: Buffer, indices: list[Index]) -> View | None:
    """Joins an axis that all accesses read together with the one after it."""
    for axis, extents in enumerate(pairwise(buffer.shape)):
        axes, number = slice(axis, axis + 2), partial(_number, extents)
        if all(number(index[axes]) is not None for index in indices):
            return _view(buffer, axes, (math.prod(extents),), number)
    return None


def _number(extents: tuple[int, int], digits: Index) -> Index | None:
    """Returns the number whose two digits are given: `i // 8, i % 8` -> `i`."""
    (limit, base), (high, low) = extents, digits
    number = dividend_of(low, "mod", base)
    if number is None:
        return None
    if dividend_of(high, "floordiv", base) == number:
        return (number,)
    quotient = dividend_of(high, "mod", limit)
    if quotient is not None and dividend_of(quotient, "floordiv", base) == number:
        return (Binary("mod", number, constant(limit * base)),)
    return None


def _without_unit_axes(buffer: Buffer, indices: list[Index]) -> View | None:
    units = {
        axis
        for axis, extent in enumerate(buffer.shape)
        if extent == 1 and all(_is_zero(index[axis]) for index in indices)
    }
    return without_axes(buffer, units) if units else None


def _is_zero(index: Expression) -> bool:
    return type(index) is Constant and index.value == 0


# --- more axes ------------------------------------------------------------------------------------


def _split(
    ranges: Ranges, of_result: set[str], buffer: Buffer, indices: list[Index]
) -> View | None:
    """Splits an axis if all accesses allow it and one of them asks for it."""
    for axis, extent in enumerate(buffer.shape):
        totals = [affine(index[axis]) for index in indices]
        known = [total for total in totals if total is not None]
        if len(known) < len(totals):
            continue
        strides = {abs(step) for total in known for step in total.terms.values()}
        for stride in sorted(strides, reverse=True):
            if not 1 < stride < extent or extent % stride:
                continue
            digits = [divide(total, stride) for total in known]
            fits = all(is_digit(low, stride, ranges) for _, low in digits)
            if fits and any(_separates(high, low, of_result) for high, low in digits):
                extents = (extent // stride, stride)
                return _view(buffer, slice(axis, axis + 1), extents, partial(_digits, stride))
    return None


def _digits(base: int, index: Index) -> Index | None:
    total = affine(index[0])
    return None if total is None else tuple(map(as_sum, divide(total, base)))


def _separates(high: Affine, low: Affine, of_result: set[str]) -> bool:
    """Whether one part is indexed by loops of the result only, the other by none of them."""
    a, b = high.terms.keys(), low.terms.keys()
    if not a or not b:
        return False
    a_only = a <= of_result and of_result.isdisjoint(b)
    return a_only or (b <= of_result and of_result.isdisjoint(a))
