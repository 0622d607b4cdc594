"""Cut: a loop in which conditions change at known places becomes one loop for each piece.

Arrays that stand side by side (what was concatenated, or the gradients of slices: padded, then
added) are otherwise all computed for every element. Before, with a of shape [16], b of [48]:

    for i in range(0, 64):
        low, high = i < 16, i >= 16
        y[i] = select(low, a[i where low], 0.0) + select(high, b[i - 16 where high], 0.0)

After:

    for i in range(0, 16):
        y[i] = a[i] + 0.0
    for i in range(0, 48):
        y[i + 16] = 0.0 + b[i]

One zero stays in each sum: without it -0.0 would not become 0.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from smelt.compiler.loops.dependence import analyse, trips
from smelt.compiler.loops.rewrites.delinearize import Ranges, is_arithmetic, roots
from smelt.compiler.loops.rewrites.tile import used_names
from smelt.compiler.loops.substitute import (
    Names,
    Substitution,
    plus,
    rebuild,
    renamed,
    whole,
)
from smelt.compiler.loops.tile_sizes import PARALLEL_CYCLES
from smelt.dtypes import bool_, int64
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Binary,
    Constant,
    Expression,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Select,
    Statement,
    Store,
    walk,
)

Body = tuple[Statement, ...]
Sums = dict[str, Affine | None]
MOST_PIECES = 16
VECTOR = 16  # elements that are computed at once, about
OVERHEAD = 2  # operations that one turn of a loop costs besides its own
WORTH = 0.75  # the share of the work that pieces may take at most, or else the loop stays whole
ORDER = frozenset(["lt", "le", "gt", "ge"])


def cut_loops(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with loops cut where it spares work; elements stay the same bits.

    Each piece has names of its own, from `names`.
    """
    if not any(type(part) is Select for root in roots(kernel.body) for part in walk(root)):
        return kernel
    return replace(kernel, body=_block(kernel.body, {}, names))


def _block(body: Body, ranges: Ranges, names: Names) -> Body:
    result: list[Statement] = []
    for statement in body:
        count = trips(statement) if isinstance(statement, Loop) else None
        if isinstance(statement, Loop) and count and statement.start == 0 and statement.step == 1:
            inside = {**ranges, statement.variable.name: (0, count - 1)}
            statement = replace(statement, body=_block(statement.body, inside, names))
            result += _cut(statement, count, ranges, names)
        else:
            result.append(statement)
    return tuple(result)


def _cut(loop: Loop, count: int, ranges: Ranges, names: Names) -> Body:
    """Returns the pieces of a loop, or the loop itself where they would not spare enough."""
    places = sorted(place for place in _places(loop) if 0 < place < count)
    is_large = not ranges and _work(loop.body) * count > VECTOR * PARALLEL_CYCLES
    if not places or len(places) >= MOST_PIECES or is_large or not _is_simple(loop.body):
        return (loop,)  # a large outermost loop is shared among threads, which pieces are not
    pieces = [_piece(loop, *ends, ranges) for ends in pairwise([0, *places, count])]
    cheap = sum(map(_cost, pieces)) <= WORTH * _cost(loop)
    copies = (part for piece in pieces[1:] for part in renamed([piece], names))
    return (pieces[0], *copies) if cheap else (loop,)


def _is_simple(body: Body) -> bool:
    """Whether a body has no registers or arrays of its own."""
    inside = [part.body for part in body if isinstance(part, Loop)]
    return all(isinstance(part, (Let, Store, Loop)) for part in body) and all(
        map(_is_simple, inside)
    )


def _work(body: Body) -> int:
    facts = analyse(body, {})
    return facts.work + sum(access.trips for access in facts.accesses)


def _cost(loop: Loop) -> int:
    """Returns about what a loop costs, in operations on vectors if it is an innermost one."""
    count = trips(loop) or 0
    innermost = not any(isinstance(part, Loop) for part in loop.body)
    return (_work(loop.body) + OVERHEAD) * (-(-count // VECTOR) if innermost else count)


# --- where conditions change ----------------------------------------------------------------------


def _places(loop: Loop) -> set[int]:
    """Returns the values of a loop's variable at which a condition on it alone changes."""
    sums: Sums = {}
    _name_sums(loop.body, sums)
    found = (_place(part, loop.variable.name, sums) for part in _conditions(loop.body))
    return {place for place in found if place is not None}


def _name_sums(body: Body, sums: Sums) -> None:
    for statement in body:
        if isinstance(statement, Let) and statement.value.dtype is int64:
            sums[statement.variable.name] = affine(statement.value, sums)
        elif isinstance(statement, (Loop, If)):
            _name_sums(statement.body, sums)


def _conditions(body: Body) -> Iterator[Binary]:
    for root in roots(body):
        for part in walk(root):
            if type(part) is Binary and part.op in ORDER and part.a.dtype is int64:
                yield part


def _place(condition: Binary, name: str, sums: Sums) -> int | None:
    """Returns the least value of a variable for which a condition is not what it was before."""
    a, b = affine(condition.a, sums), affine(condition.b, sums)
    difference = None if a is None or b is None else a + b.scaled(-1)
    if difference is None or difference.terms.keys() != {name}:
        return None
    step, zero_counts = difference.coefficient(name), condition.op in ("le", "gt")
    if step == 1:  # variable + constant, compared with 0
        return -difference.constant + zero_counts
    return difference.constant + 1 - zero_counts if step == -1 else None


# --- one piece ------------------------------------------------------------------------------------


def _piece(loop: Loop, start: int, stop: int, ranges: Ranges) -> Loop:
    """Returns the loop from `start` to `stop`, counted from 0, with what is known decided."""
    name = loop.variable.name
    inside = {**ranges, name: (0, stop - start - 1)}
    decide = _Decide({name: plus(loop.variable, whole(start))}, inside)
    return replace(loop, stop=stop - start, body=_used(decide.block(loop.body)))


class _Decide(Substitution):
    """Replaces variables, and computes conditions as far as the ranges of variables tell."""

    def __init__(self, variables: dict[str, Expression], ranges: Mapping[str, tuple[int, int]]):
        super().__init__(variables)
        self.ranges = dict(ranges)
        self.decided: dict[int, Expression] = {}

    def __call__(self, expression: Expression) -> Expression:
        found = self.decided.get(id(expression))
        if found is None:
            found = self.decided[id(expression)] = self.simpler(super().__call__(expression))
        return found

    def block(self, body: Body) -> Body:
        """Returns statements with what is known decided; names of indices and conditions go."""
        result: list[Statement] = []
        for statement in body:
            if isinstance(statement, Let):
                value = self(statement.value)
                if type(value) is Constant or (value.dtype is int64 and is_arithmetic(value)):
                    self.variables[statement.variable.name] = value
                    continue
                statement = Let(statement.variable, value)
            elif isinstance(statement, Loop):
                count = trips(statement) if statement.start == 0 else None
                if count:
                    self.ranges[statement.variable.name] = (0, (count - 1) * statement.step)
                statement = replace(statement, body=self.block(statement.body))
            else:
                statement = rebuild(statement, self)
            result.append(statement)
        return tuple(result)

    def simpler(self, new: Expression) -> Expression:
        if type(new) is Binary:
            return self.binary_of(new)
        if type(new) is Select and type(new.condition) is Constant:
            return new.yes if new.condition.value else new.no
        if type(new) is Load and type(new.mask) is Constant:
            return Load(new.buffer, new.index) if new.mask.value else Constant(0, new.dtype)
        return new

    def binary_of(self, new: Binary) -> Expression:
        if new.op in ORDER and new.a.dtype is int64:
            return self.compared(new)
        if new.op == "bitwise_and" and new.dtype is bool_:
            for one, other in ((new.a, new.b), (new.b, new.a)):
                if type(one) is Constant:
                    return other if one.value else one
        return _sum(new) if new.op == "add" and new.dtype.is_float else new

    def compared(self, new: Binary) -> Expression:
        """Returns whether a comparison holds, if it does or does not for all of the piece."""
        a, b = affine(new.a), affine(new.b)
        bounds = None if a is None or b is None else (a + b.scaled(-1)).bounds(self.ranges)
        if bounds is None:
            return new
        low, high = bounds
        if new.op in ("ge", "lt"):
            always, never = low >= 0, high < 0
        else:
            always, never = low > 0, high <= 0
        if not always and not never:
            return new
        return Constant(always == (new.op in ("ge", "gt")), bool_)


def _sum(new: Binary) -> Expression:
    """Drops a zero that is added to what already is a sum with one: it can change no bit."""
    for one, other in ((new.a, new.b), (new.b, new.a)):
        if _is_zero(one) and (_is_zero(other) or _has_zero(other)):
            return other
    return new


def _is_zero(x: Expression) -> bool:
    return type(x) is Constant and x.value == 0 and math.copysign(1.0, x.value) > 0


def _has_zero(x: Expression) -> bool:
    return type(x) is Binary and x.op == "add" and (_is_zero(x.a) or _is_zero(x.b))


def _used(body: Body) -> Body:
    """Returns a body without names that nothing uses."""
    used: set[str] = set()
    kept: list[Statement] = []
    for statement in reversed(body):
        if not isinstance(statement, Let) or statement.variable.name in used:
            if isinstance(statement, Loop):
                statement = replace(statement, body=_used(statement.body))
            used |= used_names(statement)
            kept.append(statement)
    return tuple(reversed(kept))
