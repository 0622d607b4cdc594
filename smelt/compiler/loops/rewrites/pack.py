"""Pack: a panel of columns works on local copies, in which neighboring columns are vectors.

Before, with k the innermost loop: `acc = fma(x[i, k], w[j, k], acc)`; after, `j` from 32 to 64:

    panel = scratch(float32[64, 32])
    panel[... :+ 16, ... :+ 16] = transpose(w[32 + ... :+ 16, ... :+ 16])
    acc = fma(x[i, k], panel[k, j'], acc)

j' counts from the panel's first column. An array whose rows lie along the vectors is only
made denser, so that they are no longer pages apart: `panel[k, j'] = w[k, 32 + j']`.
"""

from __future__ import annotations

from smelt.compiler.loops.packing import Packing
from smelt.compiler.loops.rewrites.transpose import Matrix, power_of_two_ranges, transpose
from smelt.compiler.loops.substitute import Names, add_terms
from smelt.compiler.loops.views import View, ViewTransformer
from smelt.ir.loops import (
    Buffer,
    Expression,
    Lanes,
    Load,
    Loop,
    Scratch,
    Statement,
    Store,
    constant,
    index_variable,
)
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Body, Index

ZERO = constant(0)


class Panel:
    """The local copy of a part of an array, `width` columns wide."""

    def __init__(self, packing: Packing, vector: str, width: int, lanes: int) -> None:
        self.packing = packing
        self.lanes = lanes
        shape = (packing.depth, width)
        self.buffer = Buffer(packing.buffer.name + "_panel", shape, packing.buffer.dtype)
        self.local = index_variable(vector + "'")

    def pack(self, base: Expression, size: int, names: Names) -> Body:
        """Returns the statements that copy `size` columns from `base` on."""
        packing = self.packing
        if not packing.is_read:
            return (Scratch(self.buffer),)
        if not packing.is_transposed:
            return (Scratch(self.buffer), self._copy_rows(base, size, names))
        array = _matrix(packing, base)
        panel = Matrix(self.buffer, lambda vector, depth: (depth, vector), 0)
        return (Scratch(self.buffer), *transpose(array, panel, (size, packing.depth), names))

    def write_back(self, base: Expression, size: int, names: Names) -> Body:
        """Returns the statements that write `size` columns back to the array from `base` on."""
        packing = self.packing
        if not packing.is_written:
            return ()
        panel = Matrix(self.buffer, lambda depth, vector: (depth, vector), 0)
        array = _matrix(packing, base, is_transposed=True)
        return transpose(panel, array, (packing.depth, size), names)

    def _copy_rows(self, base: Expression, size: int, names: Names) -> Loop:
        """Returns the loop that copies row by row."""
        packing, row = self.packing, index_variable(names.unused("row"))
        body: list[Statement] = []
        is_free = is_symbolic(size)  # then all columns of the panel, those from `size` on masked
        width = self.buffer.shape[1] if is_free else size
        for start, stop, lanes in power_of_two_ranges(width, self.lanes):
            for first in range(start, stop, lanes):
                column = constant(first) + Lanes(lanes) if lanes > 1 else constant(first)
                mask = column < size if is_free else None
                load = Load(packing.buffer, packing.at(add_terms(base, column), row), mask)
                body.append(Store(self.buffer, (row, column), load))
        return Loop(row, 0, packing.depth, 1, tuple(body))

    def rewrite_accesses(self, body: Body) -> Body:
        """Returns a body that reads and writes the copy in place of the array."""
        views = {self.packing.buffer: View(self.buffer, self._index)}
        return ViewTransformer(views).block(body)

    def _index(self, index: Index) -> Index | None:
        """Returns the index in the copy of an element of the array, if it is there."""
        if not self.packing.covers(self.packing.buffer, index):
            return None
        return (index[self.packing.depth_axis], self.local)


def transposing_copy(
    load: Packing, store: Packing, first: Expression, extents: tuple[int, int], names: Names
) -> Body:
    """Returns a copy; `extents` are those of the store's last axis, which is written whole, and of
    the load's, which is read from `first` on.

    Before: `for i: for j: y[i, j] = x[j, i]`; after: tiles.
    """
    read = _matrix(load, depth=first)
    return transpose(read, _matrix(store, first, is_transposed=True), extents, names)


def _matrix(
    packing: Packing, base: Expression = ZERO, is_transposed: bool = False, depth: Expression = ZERO
) -> Matrix:
    """Returns the packed part of an array, from a vector index and a depth on: rows run along the
    vectors, columns along the depth.
    """

    def at(row: Expression, column: Expression) -> Index:
        vector, line = (column, row) if is_transposed else (row, column)
        return packing.at(add_terms(base, vector), add_terms(depth, line))

    return Matrix(packing.buffer, at, packing.vector_axis)
