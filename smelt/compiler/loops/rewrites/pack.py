"""Local copies that a strip of columns works on, laid so that neighbouring columns are vectors."""

from __future__ import annotations

from smelt.compiler.loops.packing import Crossing
from smelt.compiler.loops.rewrites.transpose import pieces, turn
from smelt.compiler.loops.substitute import Names, add, plus, whole
from smelt.compiler.loops.views import Index, rebuilt
from smelt.ir.loops import (
    Buffer,
    Expression,
    Lanes,
    Load,
    Loop,
    Scratch,
    Statement,
    Store,
    index_variable,
)

Body = tuple[Statement, ...]


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
        if not crossing.filled:
            return (Scratch(self.buffer),)
        if crossing.deep != -1:
            return (Scratch(self.buffer), self.gather(base, size, names))

        def read(row: Expression, column: Expression) -> Index:
            return crossing.at(plus(base, row), column)

        def write(row: Expression, column: Expression) -> Index:
            return (column, row)

        axes, extents = (crossing.axis, 0), (size, crossing.depth)
        tiles = turn(crossing.buffer, self.buffer, read, write, axes, extents, names)
        return (Scratch(self.buffer), *tiles)

    def spill(self, base: Expression, size: int, names: Names) -> Body:
        """Returns the statements that write `size` columns back to the array from `base` on."""
        crossing = self.crossing
        if not crossing.stored:
            return ()

        def read(row: Expression, column: Expression) -> Index:
            return (row, column)

        def write(row: Expression, column: Expression) -> Index:
            return crossing.at(plus(base, column), row)

        axes, extents = (0, crossing.axis), (crossing.depth, size)
        return turn(self.buffer, crossing.buffer, read, write, axes, extents, names)

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
        """Returns a body that reads and writes the copy in place of the array."""
        return rebuilt(body, {self.crossing.buffer: self.buffer}, self.place)

    def place(self, buffer: Buffer, index: Index) -> Index | None:
        """Returns where in the copy an element of the array is found, if it is there."""
        if not self.crossing.covers(buffer, index):
            return None
        return (index[self.crossing.deep], self.local)
