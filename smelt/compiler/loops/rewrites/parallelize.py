"""Parallelize: one loop of a nest is strip-mined into chunks, and a parallel loop runs them.

Before: `for i in range(0, 512): ...`; after, with chunks of 64:

    for i0 in range(0, 512, 64):  # parallel
        for i in range(i0, i0 + 64): ...

The size of a chunk depends on the work alone, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.loops.plan import Plan, TransposePlan, VectorPlan
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.tile_sizes import chunk_size
from smelt.ir.loops import Expression, If, Loop, constant, index_variable, trip_count
from smelt.ir.symbolic import is_symbolic, sample
from smelt.ir.visit import Body

COPIED_LINES = 64  # lines of a parallel, transposing copy that are done at once
PANEL_ROWS = 64  # so many rows must share a panel, or else packing it costs too much
Make = Callable[[Expression, int], Body]  # makes so many iterations from an index on


class Chunk:
    """The part of a loop for one iteration of the parallel loop: `size` iterations from `base`."""

    def __init__(self, loop: Loop, size: int, names: Names) -> None:
        self.loop = loop
        self.size = size
        is_single = size == 1  # then the parallel loop is the loop itself
        name = loop.variable.name
        self.base = loop.variable if is_single else index_variable(names.fresh(name + "0"))

    @property
    def end(self) -> Expression:
        """Where a whole chunk ends."""
        return self.base + self.size

    def stop(self, limit: int) -> Expression:
        """Returns where a chunk stops, within a limit: the last chunk may be smaller."""
        trips = trip_count(self.loop)
        is_even = not is_symbolic(trips) and trips % self.size == 0
        return self.end if is_even else self.end.minimum(limit)

    def parallel(self, body: Body) -> Body:
        """Returns the parallel loop around what one chunk does."""
        return (Loop(self.base, self.loop.start, self.loop.stop, self.size, body, "parallel"),)


def choose_chunk(plan: Plan, names: Names) -> Chunk | None:
    """The outermost loop that gives threads enough to do, and how much of it is one chunk."""
    best: tuple[int, Loop, int] | None = None  # chunks, the loop, iterations per chunk
    for loop in _candidates(plan):
        if not plan.nest.info.carries_no_dependence(loop.variable.name):
            continue
        step = _step(plan, loop)
        units = -(-trip_count(loop) // step)
        # how work is shared out changes no result: what suits the sample of unknown extents will do
        units = sample(units)
        size = max(chunk_size(sample(plan.cost), units), _least_units(plan, loop, step))
        chunks = -(-units // size)
        is_better = best is None or chunks >= 2 * best[0]
        if chunks > 1 and is_better and not (best and best[0] >= 8):
            best = (chunks, loop, size * step)
    return Chunk(best[1], best[2], names) if best else None


def _candidates(plan: Plan) -> list[Loop]:
    match plan:
        case TransposePlan(loops=(_, source)):
            return [*plan.around, source]
        case VectorPlan(packings=packings, vector=vector, row=row) if packings:
            # the vector loop first: a panel is packed once for all rows
            return [vector, *plan.around, *plan.within, *([row] if row else []), vector]
    return list(plan.nest.loops)


def _least_units(plan: Plan, loop: Loop, step: int) -> int:
    """Returns how many steps a chunk must have, so that enough rows share what is packed."""
    if not isinstance(plan, VectorPlan) or not plan.packings:
        return 1
    if loop is plan.vector or loop in plan.around:
        return 1
    rows = step * plan.nest.iterations // (trip_count(loop) * trip_count(plan.vector))
    return -(-PANEL_ROWS // max(sample(rows), 1))


def _step(plan: Plan, loop: Loop) -> int:
    """Returns how many iterations of a loop are done at once."""
    if isinstance(plan, VectorPlan) and loop is plan.vector:
        return plan.strips * plan.columns * plan.lanes
    if isinstance(plan, TransposePlan) and loop is plan.loops[1]:
        return COPIED_LINES
    return plan.rows if isinstance(plan, VectorPlan) and loop is plan.row else 1


# --- loops in steps -------------------------------------------------------------------------------


def strip_mine(
    loop: Loop, step: int, make: Make, chunk: Chunk | None = None, rest_step: int = 1
) -> Body:
    """Writes a loop as one over whole steps with a smaller step after it, the tail.

    Before: `for i in range(0, 22): ...`; after, by steps of 8:

        for i in range(0, 16, 8): <8 iterations from i on>
        <6 iterations from 16 on>

    A tail of unknown size, which may be empty, is a loop by steps of `rest_step`.
    """
    if chunk is not None and chunk.loop is loop:
        return _strip_mine_chunk(loop, step, make, chunk, rest_step)
    end = trip_count(loop) - trip_count(loop) % step
    body: Body = ()
    if is_symbolic(end) or end > step:
        body = (Loop(loop.variable, 0, end, step, make(loop.variable, step)),)
    elif end:
        body = make(constant(0), step)
    return body + _tail(loop, step, make, rest_step)


def _tail(loop: Loop, step: int, make: Make, rest_step: int) -> Body:
    """What is left over after whole steps."""
    tail = trip_count(loop) % step
    end = trip_count(loop) - tail
    if is_symbolic(tail):
        size = 1 if rest_step == 1 else tail
        return (Loop(loop.variable, end, loop.stop, rest_step, make(loop.variable, size)),)
    return make(constant(end), tail) if tail else ()


def _strip_mine_chunk(loop: Loop, step: int, make: Make, chunk: Chunk, rest_step: int) -> Body:
    """The same for one chunk of the loop; only the last one may end in a tail."""
    trips = trip_count(loop)
    end = trips - trips % step
    may_have_tail = is_symbolic(trips) or end < trips
    if chunk.size == step:
        body = make(chunk.base, step)
        if may_have_tail:
            body = (If(chunk.base < end, body),)
    else:
        rows = make(loop.variable, step)
        body = (Loop(loop.variable, chunk.base, chunk.stop(end), step, rows),)
    if may_have_tail:
        body += (If(chunk.end >= trips, _tail(loop, step, make, rest_step)),)
    return body


def around(loop: Loop, body: Body, chunk: Chunk | None) -> Body:
    """Puts a loop around statements, or the current chunk of it."""
    start, stop = loop.start, loop.stop
    if chunk is not None and chunk.loop is loop:
        if chunk.size == 1:
            return body
        start, stop = chunk.base, chunk.stop(trip_count(loop))
    return (Loop(loop.variable, start, stop, loop.step, body, loop.kind),)
