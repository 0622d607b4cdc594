"""Hoist loads: a load that rows or columns of an unrolled tile share is done once, before them.

Before, in loops over r and c that are unrolled:

    acc[r, c] = fma(a[i + r, k], b[k, j + c * 16 + lanes(16)], acc[r, c])

After:

    for c in range(0, 2):  # unroll
        b_c[c] = b[k, j + c * 16 + lanes(16)]
    for r in range(0, 4):  # unroll
        a_r = a[i + r, k]
        for c in range(0, 2):  # unroll
            acc[r, c] = fma(a_r, b_c[c], acc[r, c])
"""

from __future__ import annotations

from smelt.compiler.loops.substitute import Names, identity
from smelt.ir.loops import (
    Assign,
    Buffer,
    Declare,
    Expression,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Statement,
    Variable,
    walk,
)
from smelt.ir.visit import Body, names_in

# the index and the trip count of a row loop, a column loop, or both
Unrolled = list[tuple[Variable, int]]


class HoistedLoads:
    """Hoists loads out of runs of statements, in turn; never from buffers `stored` to."""

    def __init__(self, unrolled: Unrolled, names: Names, stored: frozenset[Buffer]) -> None:
        (self.row, _), *columns = unrolled
        self.unrolled = unrolled
        self.column = columns[0] if columns else None
        self.names = names
        self.stored = stored
        self.local: set[str] = set()  # lets within the run: what reads them must stay
        self.of_row: set[str] = set()  # lets kept by row: what reads them differs from row to row
        self.once: list[Statement] = []
        self.by_column: list[Statement] = []
        self.by_row: list[Statement] = []

    def __call__(self, load: Load) -> Expression:
        """Moves a load out of the loops over which it is the same; returns its replacement."""
        used = set(names_in(load))
        by_row = self.row.name in used or bool(used & self.of_row)
        by_column = self.column is not None and self.column[0].name in used
        everywhere = by_row and (by_column or self.column is None)
        if everywhere or load.buffer in self.stored or used & self.local or _has_read(load):
            return load
        if by_column and self.column is not None:
            return self.keep_columns(load, *self.column)
        suffix = "_r" if by_row else "_v"
        short = Variable(self.names.fresh(load.buffer.name + suffix), load.dtype, load.lanes)
        (self.by_row if by_row else self.once).append(Let(short, load))
        if by_row:
            self.of_row.add(short.name)
        return short

    def keep_columns(self, load: Load, column: Variable, count: int) -> Expression:
        """Loads one vector per column into registers before the rows begin."""
        register = Register(load.buffer.name + "_c", load.dtype, load.lanes, (count,))
        self.once.append(Declare(register, identity("add", load.dtype)))
        self.by_column.append(Assign(register, (column,), load))
        return Read(register, (column,))

    def around(self, body: Body) -> list[Statement]:
        """Returns the loops around a run of statements, with the loads where they belong."""
        before = self.once
        if self.column is not None:
            if self.by_column:
                before += unroll(tuple(self.by_column), [self.column])
            body = tuple(unroll(body, [self.column]))
        result = [*before, *unroll((*self.by_row, *body), self.unrolled[:1])]
        self.once, self.by_column, self.by_row = [], [], []
        self.local.clear()
        self.of_row.clear()
        return result


def unroll(body: Body, loops: Unrolled) -> list[Statement]:
    """Returns statements within unrolled loops, the first outermost."""
    for variable, count in reversed(loops):
        body = (Loop(variable, 0, count, 1, body, "unroll"),)
    return list(body)


def _has_read(expression: Expression) -> bool:
    """Whether a value depends on a register."""
    return any(type(part) is Read for part in walk(expression))
