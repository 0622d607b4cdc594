"""Where two arrays lie across each other: square tiles turned in registers.

Reading down a column touches a cache line for every element. A tile of 16 x 16 is read by rows, turned
in registers, and written by rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from smelt.compiler.schedule.access import Access
from smelt.compiler.schedule.substitute import Names, Substitution, plus, rebuild, whole
from smelt.ir.affine import Affine
from smelt.ir.loops import (
    Buffer,
    Expression,
    Load,
    Loop,
    Scratch,
    Statement,
    Transpose,
    Variable,
    index_variable,
)

Body = tuple[Statement, ...]
PANEL_BYTES = 1 << 18  # the largest panel: it stays in the second cache, and on the stack


@dataclass(frozen=True, slots=True)
class Crossing:
    """An array whose last axis runs along another loop (`along`) than the one that becomes vectors.

    `axis` is the array's axis along which the vectors lie.
    """

    buffer: Buffer
    index: tuple[Expression, ...]
    axis: int
    along: Loop


def find_crossing(access: Access, vector: str, loops: list[Loop]) -> Crossing | None:
    """Returns how an access lies across the vector axis, or None when it does not, or not cleanly."""
    last = access.sums[-1] if access.sums else None
    if last is None or len(last.terms) != 1 or last.constant:
        return None
    (name, step), *_ = last.terms.items()
    along = next((loop for loop in loops if loop.variable.name == name), None)
    if along is None or step != 1 or name in access.hidden or along.start != 0:
        return None
    place = None
    for axis, total in enumerate(access.sums[:-1]):
        if total is None or name in total.terms:
            return None
        if total.coefficient(vector):
            if place is not None or total != Affine(0, {vector: 1}):
                return None
            place = axis
    if place is None or vector in access.hidden:
        return None
    return Crossing(access.buffer, access.index, place, along)


def pieces(extent: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yields (start, stop, size) that cover an extent by powers of two, as many of `most` as fit."""
    start, size = 0, most
    while start < extent:
        stop = start + (extent - start) // size * size
        if stop > start:
            yield start, stop, size
        start, size = stop, size // 2


def turn(
    source: Buffer,
    target: Buffer,
    place: Callable[[Expression, Expression], tuple[tuple[Expression, ...], int]],
    goal: Callable[[Expression, Expression], tuple[tuple[Expression, ...], int]],
    extents: tuple[int, int],
    names: Names,
) -> Body:
    """Writes `target[... column ... row] = source[... row ... column]` for all rows and columns.

    `place` and `goal` give an index of the source and the target for a row and a column, and the axis of
    the row in the source, of the column in the target. Before, scalar loops; after:

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
            read, written = place(r, c), goal(r, c)
            tile = Transpose(source, *read, target, *written, rows, columns)
            body.extend(_steps(column, left, right, columns, (tile,)))
        result.extend(_steps(row, low, high, rows, tuple(body)))
    names.taken -= {row.name, column.name}
    return tuple(result)


def _steps(variable: Variable, start: int, stop: int, step: int, body: Body) -> Body:
    return (Loop(variable, start, stop, step, body),) if stop - start > step else body


def copy_across(load: Crossing, store: Crossing, axes: tuple[Loop, Loop], names: Names) -> Body:
    """Writes a whole transposing copy.

    Before: `for i: for j: y[i, j] = x[j, i]`; after: tiles. The loops are `(i, j)`, j the store's last.
    """
    across, along = axes  # the store's last axis is `along`, the load's is `across`

    def at(crossing: Crossing) -> Callable[[Expression, Expression], tuple[tuple[Expression, ...], int]]:
        def index(row: Expression, column: Expression) -> tuple[tuple[Expression, ...], int]:
            change = Substitution({along.variable.name: row, across.variable.name: column})
            return change.all(crossing.index), crossing.axis

        return index

    extents = (int_extent(along), int_extent(across))
    return turn(load.buffer, store.buffer, at(load), at(store), extents, names)


def int_extent(loop: Loop) -> int:
    """Returns the trips of a loop that starts at 0."""
    assert isinstance(loop.stop, int)
    return loop.stop


class Panel:
    """A local copy of an array's part that a strip of columns needs, turned so that vectors fit.

    Before, with k the innermost loop: `acc = fma(x[i, k], w[j, k], acc)`; after, `j` from 32 to 64:

        panel = scratch(float32[64, 32])
        panel[... :+ 16, ... :+ 16] = transpose(w[32 + ... :+ 16, ... :+ 16])
        acc = fma(x[i, k], panel[k, j'], acc)

    j' counts from the strip's first column.
    """

    def __init__(self, crossing: Crossing, vector: str, width: int) -> None:
        self.crossing = crossing
        self.vector = vector
        shape = (int_extent(crossing.along), width)
        self.buffer = Buffer(crossing.buffer.name + "_panel", shape, crossing.buffer.dtype)
        self.local = index_variable(vector + "'")

    def fill(self, base: Expression, size: int, names: Names) -> Body:
        """Returns the statements that copy `size` columns from `base` on."""
        crossing, along = self.crossing, self.crossing.along.variable.name

        def place(row: Expression, column: Expression) -> tuple[tuple[Expression, ...], int]:
            change = Substitution({self.vector: plus(base, row), along: column})
            return change.all(crossing.index), crossing.axis

        def goal(row: Expression, column: Expression) -> tuple[tuple[Expression, ...], int]:
            return (column, row), 0

        extents = (size, self.buffer.shape[0])
        tiles = turn(crossing.buffer, self.buffer, place, goal, extents, names)
        return (Scratch(self.buffer), *tiles)

    def use(self, body: Body) -> Body:
        """Returns a body that reads the copy in place of the array."""
        inner = Load(self.buffer, (self.crossing.along.variable, self.local))

        def instead(load: Load) -> Expression:
            same = load.buffer is self.crossing.buffer and load.index == self.crossing.index
            return inner if same and load.mask is None else load

        change = Substitution({}, hoist=instead)
        return tuple(rebuild(statement, change) for statement in body)
