"""Transpose: a copy between transposed arrays moves square tiles through registers.

Reading down a column touches a cache line for every element. A tile of 16 x 16 is read by rows,
transposed in registers, and written by rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smelt.compiler.loops.substitute import Names
from smelt.ir.loops import (
    Buffer,
    Expression,
    Loop,
    Statement,
    Transpose,
    Variable,
    constant,
    index_variable,
)
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Body, Index

LEAST_LINES = 4  # of a tile, if there are as many


def power_of_two_ranges(extent: int, largest: int) -> Iterator[tuple[int, int, int]]:
    """Yields (start, stop, step) that cover an extent by powers of two, `largest` while it fits.

    Ranges of an extent that is not known yet may be empty.
    """
    if is_symbolic(extent):
        yield from _unknown_ranges(extent, largest)
        return
    start, size = 0, largest
    while start < extent:
        stop = start + (extent - start) // size * size
        if stop > start:
            yield start, stop, size
        start, size = stop, size // 2


def _unknown_ranges(extent: int, largest: int) -> Iterator[tuple[int, int, int]]:
    start = 0
    for size in (largest, LEAST_LINES, 1):  # few, since each needs code
        stop = extent - extent % size
        yield start, stop, size
        start = stop


@dataclass(frozen=True, slots=True)
class Matrix:
    """A part of a buffer: the index of an element for its row and column.

    One of the two runs along the last axis of the buffer, and the other one along `axis`.
    """

    buffer: Buffer
    at: Callable[[Expression, Expression], Index]
    axis: int


def transpose(source: Matrix, target: Matrix, extents: tuple[int, int], names: Names) -> Body:
    """Writes `target[... column ... row] = source[... row ... column]` for all rows and columns.

    After, in tiles:

        for row in range(0, 64, 16):
            for column in range(0, 32, 16):
                y[column :+ 16, row :+ 16] = transpose(x[row :+ 16, column :+ 16])
    """
    largest = 16 if source.buffer.dtype.itemsize <= 4 else 8
    row, column = (index_variable(names.unused(name)) for name in ("row", "column"))
    result: list[Statement] = []
    for low, high, rows in power_of_two_ranges(extents[0], largest):
        for left, right, columns in power_of_two_ranges(extents[1], largest):
            # squares, or nearly: a longer tile would be several of them, and code for each
            height = min(rows, max(columns, LEAST_LINES))
            width = min(columns, max(rows, LEAST_LINES))
            r = row if _is_loop(low, high, height) else constant(low)
            c = column if _is_loop(left, right, width) else constant(left)
            read = source.buffer, source.at(r, c), source.axis
            write = target.buffer, target.at(r, c), target.axis
            tile: Body = (Transpose(*read, *write, height, width),)
            result += _steps(row, low, high, height, _steps(column, left, right, width, tile))
    return tuple(result)


def _steps(variable: Variable, start: int, stop: int, step: int, body: Body) -> Body:
    return (Loop(variable, start, stop, step, body),) if _is_loop(start, stop, step) else body


def _is_loop(start: int, stop: int, step: int) -> bool:
    """Whether a range has several steps, or perhaps none."""
    return is_symbolic(stop - start) or stop - start > step
