"""Accesses that lie across a loop, or whose rows lie far apart: what may be copied beforehand.

Where a loop over `i` becomes vectors, `x[i, k]` reads elements that lie a row apart. A local copy
of some rows, turned so that `i` comes last, is read by whole vectors; it may be written, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smelt.compiler.loops.dependence import Access, Body, analyse, names_in, trips
from smelt.compiler.loops.substitute import Substitution
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import Buffer, Expression, Loop, Statement, Store

PANEL_BYTES = 1 << 18  # the largest panel: it stays in the second cache, and on the stack


@dataclass(frozen=True, slots=True)
class Crossing:
    """An array of which one `axis` lies along the loop that becomes vectors, another is `deep`.

    `along` is that loop's variable. With `across`, the deep axis runs along that variable, else
    along any: all of it is meant. A copy is `filled` before the loop, and when it is `stored` to it
    is written back behind it.
    """

    buffer: Buffer
    index: tuple[Expression, ...]
    axis: int
    along: str
    across: str | None = None
    deep: int = -1  # the last axis, unless the array lies along the vectors and is only far apart
    stored: bool = False
    filled: bool = True

    def covers(self, buffer: Buffer, index: tuple[Expression, ...]) -> bool:
        """Whether an access reaches the same part of the same array, anywhere along the deep."""
        return buffer is self.buffer and self.beside(index) == self.beside(self.index)

    def beside(self, index: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Returns an index without the deep axis's part."""
        parts = list(index)
        del parts[self.deep]
        return tuple(parts)

    @property
    def names(self) -> set[str]:
        """The variables that say which part of the array is meant: all but the deep axis's."""
        return {name for part in self.beside(self.index) for name in names_in(part)}

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


def may_copy(crossing: Crossing, access: Access, vector: Loop, width: int, facts: Body) -> bool:
    """Tells whether a copy of `width` columns at least may stand for the array of an access.

    Only the deep axis may move inside of the copy, and nothing else moves it; most of it is needed.
    """
    if access.hidden or vector.start != 0 or trips(vector) is None:
        return False
    if crossing.names & facts.roots.keys():
        return False
    others = list(access.sums)
    deep = others.pop(crossing.deep)
    fixed = {name for total in others if total for name in total.terms}
    if fixed & facts.inner or deep is None or not set(deep.terms) <= facts.inner:
        return False
    size = crossing.depth * width * access.buffer.dtype.itemsize
    return access.trips >= crossing.depth and size <= PANEL_BYTES


def find_landing(
    access: Access, vector: Loop, width: int, facts: Body, body: tuple[Statement, ...]
) -> Crossing | None:
    """Returns how all accesses to an array that is stored to lie across the vector axis, if alike.

    Where the first loop that reaches the array writes all that is meant, nothing need be read.
    """
    first: Crossing | None = None
    for one in facts.written[access.buffer]:
        crossing = find_crossing(one, vector.variable.name)
        if crossing is None or not may_copy(crossing, one, vector, width, facts):
            return None
        first = crossing if first is None else first
        if not first.covers(one.buffer, one.index):
            return None
    return first and replace(first, stored=True, filled=not _is_written_first(first, body))


def _is_written_first(crossing: Crossing, body: tuple[Statement, ...]) -> bool:
    for statement in body:
        reached = [
            one for one in analyse((statement,), {}).accesses if one.buffer is crossing.buffer
        ]
        if reached:
            only_stores = all(one.stored for one in reached)
            return only_stores and isinstance(statement, Loop) and _writes_all(crossing, statement)
    return False


def _writes_all(crossing: Crossing, loop: Loop) -> bool:
    """Whether a loop stores to all of the deep axis, for sure."""
    if loop.start != 0 or loop.step != 1 or trips(loop) != crossing.depth:
        return False
    stores = [part for part in loop.body if isinstance(part, Store) and part.mask is None]
    return any(
        crossing.covers(store.buffer, store.index) and store.index[crossing.deep] == loop.variable
        for store in stores
    )
