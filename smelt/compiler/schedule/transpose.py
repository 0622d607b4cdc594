"""Where two arrays lie across each other: square tiles turned in registers.

Reading down a column touches a cache line for every element. A tile of 16 x 16 is read by rows,
turned in registers, and written by rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smelt.compiler.schedule.access import Access, names_in
from smelt.compiler.schedule.substitute import Names, Substitution, add, plus, rebuild, whole
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Buffer,
    Expression,
    Lanes,
    Load,
    Loop,
    Scratch,
    Statement,
    Store,
    Transpose,
    Variable,
    index_variable,
)

Body = tuple[Statement, ...]
PANEL_BYTES = 1 << 18  # the largest panel: it stays in the second cache, and on the stack


@dataclass(frozen=True, slots=True)
class Crossing:
    """An array of which one `axis` lies along the loop that becomes vectors, another is `deep`.

    `along` is that loop's variable. With `across`, the deep axis runs along that variable, else
    along any: all of it is meant.
    """

    buffer: Buffer
    index: tuple[Expression, ...]
    axis: int
    along: str
    across: str | None = None
    deep: int = -1  # the last axis, unless the array lies along the vectors and is only far apart

    @property
    def names(self) -> set[str]:
        """The variables that say which part of the array is meant: all but the deep axis's."""
        parts = list(self.index)
        del parts[self.deep]
        return {name for part in parts for name in names_in(part)}

    @property
    def depth(self) -> int:
        """The length of its deep axis."""
        return self.buffer.shape[self.deep]

    def at(self, row: Expression, column: Expression) -> tuple[Expression, ...]:
        """Returns the index of an element for a `row` of the loop and a `column` along the deep."""
        index = list(self.index)
        index[self.axis] = Substitution({self.along: row})(index[self.axis])
        deep = index[self.deep]
        index[self.deep] = Substitution({self.across: column})(deep) if self.across else column
        return tuple(index)


def find_crossing(access: Access, vector: str, across: str | None = None) -> Crossing | None:
    """Returns how an access lies across the vector axis; None when it does not, or not cleanly."""
    if across is not None and not _runs_along(access, across):
        return None
    if access.masked or vector in access.hidden or access.hidden_last:
        return None
    axes = [axis for axis, total in enumerate(access.sums) if total and total.coefficient(vector)]
    if len(axes) != 1 or axes[0] == len(access.sums) - 1:
        return None
    total = access.sums[axes[0]]
    written = affine(access.index[axes[0]])  # as it stands there: names of sums are not looked up
    if total is None or total.coefficient(vector) != 1 or written != total:
        return None
    return Crossing(access.buffer, access.index, axes[0], vector, across)


def find_strip(access: Access, vector: str) -> Crossing | None:
    """Returns how an access lies along the vector axis with one axis before it that is deep."""
    if access.masked or vector in access.hidden or len(access.sums) < 2:
        return None
    last = len(access.sums) - 1
    along = [axis for axis, total in enumerate(access.sums) if total and total.coefficient(vector)]
    if along != [last] or access.sums[last] != Affine(0, {vector: 1}):
        return None
    return Crossing(access.buffer, access.index, last, vector, deep=last - 1)


def _runs_along(access: Access, name: str) -> bool:
    """Whether only the last axis moves with a variable, step by step."""
    steps = [total.coefficient(name) for total in access.sums if total is not None]
    return steps[-1:] == [1] and not any(steps[:-1]) and name not in access.hidden


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
        body: list[Statement] = []
        for left, right, columns in pieces(extents[1], most):
            r = row if high - low > rows else whole(low)
            c = column if right - left > columns else whole(left)
            places = (source, read(r, c), axes[0], target, write(r, c), axes[1])
            body.extend(_steps(column, left, right, columns, (Transpose(*places, rows, columns),)))
        result.extend(_steps(row, low, high, rows, tuple(body)))
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


class Panel:
    """A local copy of an array's part that a strip of columns needs, turned so that vectors fit.

    Before, with k the innermost loop: `acc = fma(x[i, k], w[j, k], acc)`; after, `j` from 32 to 64:

        panel = scratch(float32[64, 32])
        panel[... :+ 16, ... :+ 16] = transpose(w[32 + ... :+ 16, ... :+ 16])
        acc = fma(x[i, k], panel[k, j'], acc)

    j' counts from the strip's first column. An array that lies along the vectors is only moved
    together, so that its rows no longer lie pages apart: `panel[k, j'] = w[k, 32 + j']`.
    """

    def __init__(self, crossing: Crossing, vector: str, width: int, lanes: int) -> None:
        self.crossing = crossing
        self.lanes = lanes
        shape = (crossing.depth, width)
        self.buffer = Buffer(crossing.buffer.name + "_panel", shape, crossing.buffer.dtype)
        self.local = index_variable(vector + "'")

    def fill(self, base: Expression, size: int, names: Names) -> Body:
        """Returns the statements that copy `size` columns from `base` on."""
        crossing = self.crossing
        if crossing.deep != -1:
            return (Scratch(self.buffer), self.gather(base, size, names))

        def read(row: Expression, column: Expression) -> tuple[Expression, ...]:
            return crossing.at(plus(base, row), column)

        def write(row: Expression, column: Expression) -> tuple[Expression, ...]:
            return (column, row)

        axes, extents = (crossing.axis, 0), (size, crossing.depth)
        tiles = turn(crossing.buffer, self.buffer, read, write, axes, extents, names)
        return (Scratch(self.buffer), *tiles)

    def gather(self, base: Expression, size: int, names: Names) -> Loop:
        """Returns the loop that copies row by row, without turning anything."""
        crossing, row = self.crossing, index_variable(names.fresh("row"))
        names.taken.discard(row.name)
        body: list[Statement] = []
        for start, stop, lanes in pieces(size, self.lanes):
            for first in range(start, stop, lanes):
                column = plus(whole(first), Lanes(lanes)) if lanes > 1 else whole(first)
                load = Load(crossing.buffer, crossing.at(add(base, column), row))
                body.append(Store(self.buffer, (row, column), load))
        return Loop(row, 0, crossing.depth, 1, tuple(body))

    def use(self, body: Body) -> Body:
        """Returns a body that reads the copy in place of the array."""
        inner = Load(self.buffer, (self.crossing.index[self.crossing.deep], self.local))

        def instead(load: Load) -> Expression:
            same = load.buffer is self.crossing.buffer and load.index == self.crossing.index
            return inner if same and load.mask is None else load

        change = Substitution({}, hoist=instead)
        return tuple(rebuild(statement, change) for statement in body)
