"""Where two arrays lie across each other: square tiles turned in registers.

Reading down a column touches a cache line for every element. A tile of 16 x 16 is read by rows,
turned in registers, and written by rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smelt.compiler.loops.packing import Crossing
from smelt.compiler.loops.substitute import Names, whole
from smelt.ir.loops import (
    Buffer,
    Expression,
    Loop,
    Statement,
    Transpose,
    Variable,
    index_variable,
)

Body = tuple[Statement, ...]
FEWEST = 4  # lines of a tile, if there are as many


def pieces(extent: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yields (start, stop, size) that cover an extent by powers of two, `most` as often as fits."""
    start, size = 0, most
    while start < extent:
        stop = start + (extent - start) // size * size
        if stop > start:
            yield start, stop, size
        start, size = stop, size // 2


def turn(
    source: Buffer,
    target: Buffer,
    read: Callable[[Expression, Expression], tuple[Expression, ...]],
    write: Callable[[Expression, Expression], tuple[Expression, ...]],
    axes: tuple[int, int],
    extents: tuple[int, int],
    names: Names,
) -> Body:
    """Writes `target[... column ... row] = source[... row ... column]` for all rows and columns.

    `read` and `write` give the index of an element for its row and column; `axes` are the axis of
    the row in the source and of the column in the target. After, in tiles:

        for row in range(0, 64, 16):
            for column in range(0, 32, 16):
                y[column :+ 16, row :+ 16] = transpose(x[row :+ 16, column :+ 16])
    """
    most = 16 if source.dtype.itemsize <= 4 else 8
    row, column = (index_variable(names.fresh(name)) for name in ("row", "column"))
    result: list[Statement] = []
    for low, high, rows in pieces(extents[0], most):
        for left, right, columns in pieces(extents[1], most):
            # squares, or nearly: a longer tile would be several of them, and code for each
            height, width = min(rows, max(columns, FEWEST)), min(columns, max(rows, FEWEST))
            r = row if high - low > height else whole(low)
            c = column if right - left > width else whole(left)
            places = (source, read(r, c), axes[0], target, write(r, c), axes[1])
            tile: Body = (Transpose(*places, height, width),)
            result += _steps(row, low, high, height, _steps(column, left, right, width, tile))
    names.taken -= {row.name, column.name}
    return tuple(result)


def _steps(variable: Variable, start: int, stop: int, step: int, body: Body) -> Body:
    return (Loop(variable, start, stop, step, body),) if stop - start > step else body


def copy_across(load: Crossing, store: Crossing, extents: tuple[int, int], names: Names) -> Body:
    """Writes a whole transposing copy; `extents` are those of the store's and the load's last axis.

    Before: `for i: for j: y[i, j] = x[j, i]`; after: tiles.
    """

    def write(row: Expression, column: Expression) -> tuple[Expression, ...]:
        return store.at(column, row)

    axes = (load.axis, store.axis)
    return turn(load.buffer, store.buffer, load.at, write, axes, extents, names)
