"""Split ranges: a loop in which conditions change at known indices becomes one loop for each piece.

Compiler books call it index-set splitting.

Without it, every element of a concatenation (or of a sum of padded gradients of slices) would be
computed from all parts. Before, with a of shape [16], b of [48]:

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

from smelt.compiler.loops.dependence import DependenceInfo
from smelt.compiler.loops.division import Ranges
from smelt.compiler.loops.rewrites.canonicalize import InlineIndices
from smelt.compiler.loops.substitute import Names, renamed
from smelt.compiler.loops.tile_sizes import PARALLEL_CYCLES
from smelt.dtypes import bool_, int64
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Binary,
    Constant,
    Expression,
    Kernel,
    Let,
    Load,
    Loop,
    Select,
    Statement,
    Store,
    trip_count,
    walk,
)
from smelt.ir.visit import Body, expressions, statements, used_names

MAX_PIECES = 64
VECTOR = 16  # elements that are computed at once, about
OVERHEAD = 2  # operations that one iteration of a loop costs besides its own
WORTH = 0.75  # pieces may take at most this share of the work, or the loop is not split
SHARED_WORTH = 0.125  # the same for a loop that threads would share: its pieces run on one
ORDER = frozenset(["lt", "le", "gt", "ge"])


def split_ranges(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with loops split where this saves work; elements keep their bits.

    Each piece has names of its own, from `names`.
    """
    roots = expressions(kernel.body)
    if not any(type(part) is Select for root in roots for part in walk(root)):
        return kernel
    return replace(kernel, body=_block(kernel.body, {}, names))


def _block(body: Body, ranges: Ranges, names: Names) -> Body:
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            count = trip_count(statement)
            inside = {**ranges, statement.variable.name: (0, count - 1)}
            statement = replace(statement, body=_block(statement.body, inside, names))
            result += _split(statement, count, ranges, names)
        else:
            result.append(statement)
    return tuple(result)


def _split(loop: Loop, count: int, ranges: Ranges, names: Names) -> Body:
    """Returns the pieces of a loop, or the loop itself if they would not save enough."""
    if not _is_simple(loop.body):
        return (loop,)
    points = sorted(point for point in _split_points(loop) if 0 < point < count)
    if not 0 < len(points) < MAX_PIECES:
        return (loop,)
    is_shared = not ranges and _work(loop.body) * count > VECTOR * PARALLEL_CYCLES
    pieces = [_piece(loop, *ends, ranges) for ends in pairwise([0, *points, count])]
    worth = SHARED_WORTH if is_shared else WORTH
    is_cheaper = sum(map(_cost, pieces)) <= worth * _cost(loop)
    copies = (part for piece in pieces[1:] for part in renamed([piece], names))
    return (pieces[0], *copies) if is_cheaper else (loop,)


def _is_simple(body: Body) -> bool:
    """Whether a body has no registers or arrays of its own."""
    return all(isinstance(part, (Let, Store, Loop)) for part in statements(body))


def _work(body: Body) -> int:
    info = DependenceInfo(body, {})
    return info.work + sum(access.trips for access in info.accesses)


def _cost(loop: Loop) -> int:
    """Returns the rough cost of a loop, in operations on vectors if it is an innermost one."""
    count = trip_count(loop)
    is_innermost = not any(isinstance(part, Loop) for part in loop.body)
    return (_work(loop.body) + OVERHEAD) * (-(-count // VECTOR) if is_innermost else count)


# --- where conditions change ----------------------------------------------------------------------


def _split_points(loop: Loop) -> set[int]:
    """Returns the values of a loop's variable at which a condition on it alone changes."""
    lets: dict[str, Affine | None] = {}
    for statement in statements(loop.body):
        if isinstance(statement, Let) and statement.value.dtype is int64:
            lets[statement.variable.name] = affine(statement.value, lets)
    points = (_split_point(part, loop.variable.name, lets) for part in _conditions(loop.body))
    return {point for point in points if point is not None}


def _conditions(body: Body) -> Iterator[Binary]:
    for root in expressions(body):
        for part in walk(root):
            if type(part) is Binary and part.op in ORDER and part.a.dtype is int64:
                yield part


def _split_point(condition: Binary, name: str, lets: Mapping[str, Affine | None]) -> int | None:
    """Returns the value of a variable at which a condition changes."""
    difference = _difference(condition, lets)
    if difference is None or difference.terms.keys() != {name}:
        return None
    step, zero_counts = difference.coefficient(name), condition.op in ("le", "gt")
    if step == 1:  # variable + constant, compared with 0
        return -difference.constant + zero_counts
    return difference.constant + 1 - zero_counts if step == -1 else None


def _difference(comparison: Binary, lets: Mapping[str, Affine | None]) -> Affine | None:
    a, b = affine(comparison.a, lets), affine(comparison.b, lets)
    return None if a is None or b is None else a + b.scaled(-1)


# --- one piece ------------------------------------------------------------------------------------


def _piece(loop: Loop, start: int, stop: int, ranges: Ranges) -> Loop:
    """Returns the loop from `start` to `stop`, counted from 0, with known conditions decided."""
    name = loop.variable.name
    inside = {**ranges, name: (0, stop - start - 1)}
    decide = _Decide({name: loop.variable + start}, inside)
    return replace(loop, stop=stop - start, body=_without_unused(decide.block(loop.body)))


class _Decide(InlineIndices):
    """Replaces variables, and decides conditions as far as the ranges of variables allow.

    Lets of indices and of known conditions are inlined.
    """

    def __init__(self, variables: dict[str, Expression], ranges: Ranges) -> None:
        super().__init__(variables)
        self.ranges = dict(ranges)

    def is_known(self, value: Expression) -> bool:
        return type(value) is Constant or super().is_known(value)

    def loop(self, loop: Loop) -> Body:
        self.ranges[loop.variable.name] = (0, trip_count(loop) - 1)
        return super().loop(loop)

    def select(self, select: Select) -> Expression:
        new = super().select(select)
        if isinstance(new, Select) and type(new.condition) is Constant:
            return new.yes if new.condition.value else new.no
        return new

    def load(self, load: Load) -> Expression:
        new = super().load(load)
        if isinstance(new, Load) and type(new.mask) is Constant:
            return Load(new.buffer, new.index) if new.mask.value else Constant(0, new.dtype)
        return new

    def binary(self, old: Binary) -> Expression:
        new = super().binary(old)
        if not isinstance(new, Binary):
            return new
        if new.op in ORDER and new.a.dtype is int64:
            return self._decided(new)
        if new.op == "bitwise_and" and new.dtype is bool_:
            for known, other in ((new.a, new.b), (new.b, new.a)):
                if type(known) is Constant:
                    return other if known.value else known
        return _without_zero(new) if new.op == "add" and new.dtype.is_float else new

    def _decided(self, comparison: Binary) -> Expression:
        """Returns a comparison as a constant, if it has one outcome for all of the piece."""
        difference = _difference(comparison, {})
        bounds = None if difference is None else difference.bounds(self.ranges)
        if bounds is None:
            return comparison
        low, high = bounds
        if comparison.op in ("ge", "lt"):
            is_above, is_below = low >= 0, high < 0
        else:
            is_above, is_below = low > 0, high <= 0
        if not is_above and not is_below:
            return comparison
        return Constant(is_above == (comparison.op in ("ge", "gt")), bool_)


def _without_zero(total: Binary) -> Expression:
    """Drops a zero that is added to a sum that already has one: it can change no bit."""
    for zero, other in ((total.a, total.b), (total.b, total.a)):
        if _is_zero(zero) and (_is_zero(other) or _has_zero(other)):
            return other
    return total


def _is_zero(x: Expression) -> bool:
    return type(x) is Constant and x.value == 0 and math.copysign(1.0, x.value) > 0


def _has_zero(x: Expression) -> bool:
    return type(x) is Binary and x.op == "add" and (_is_zero(x.a) or _is_zero(x.b))


def _without_unused(body: Body) -> Body:
    """Returns a body without lets that nothing uses."""
    used: set[str] = set()
    kept: list[Statement] = []
    for statement in reversed(body):
        if not isinstance(statement, Let) or statement.variable.name in used:
            if isinstance(statement, Loop):
                statement = replace(statement, body=_without_unused(statement.body))
            used |= used_names(statement)
            kept.append(statement)
    return tuple(reversed(kept))
