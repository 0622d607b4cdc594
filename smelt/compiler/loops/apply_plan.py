"""Writes the loops of a plan: whole tiles in loops, what is left over at the edges behind them."""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.loops.dependence import trips
from smelt.compiler.loops.plan import Plan, among, extent
from smelt.compiler.loops.rewrites.multiple_accumulators import interleave
from smelt.compiler.loops.rewrites.pack import Panel
from smelt.compiler.loops.rewrites.privatize import widened
from smelt.compiler.loops.rewrites.tile import Side, Tile
from smelt.compiler.loops.rewrites.transpose import copy_across
from smelt.compiler.loops.substitute import Names, identity, plus, whole
from smelt.compiler.loops.tile_sizes import shares
from smelt.ir.loops import (
    Assign,
    Binary,
    Declare,
    Expression,
    If,
    Loop,
    Read,
    Reduce,
    Register,
    Statement,
    index_variable,
)

PANEL_ROWS = 64  # so many rows must share a panel, or else making it costs too much

Body = tuple[Statement, ...]
Make = Callable[[Expression, int], Body]
Collectors = dict[Register, tuple[str, Register]]


class Share:
    """The part of an axis that one iteration of the parallel loop does: `grain` from `base` on."""

    def __init__(self, axis: Loop, grain: int, names: Names) -> None:
        self.axis = axis
        self.grain = grain
        alone = grain == 1  # the share is one iteration, and its loop the axis itself
        self.base = (
            axis.variable if alone else index_variable(names.fresh(axis.variable.name + "0"))
        )

    def around(self, body: Body) -> Body:
        """Returns the parallel loop around what one share does."""
        start, stop = self.axis.start, self.axis.stop
        return (Loop(self.base, start, stop, self.grain, body, "parallel"),)


def cover(axis: Loop, step: int, make: Make, share: Share | None = None) -> Body:
    """Writes an axis as a loop over whole steps and one smaller step behind it.

    Before: `for i in range(0, 22): ...`; after, by steps of 8:

        for i in range(0, 16, 8): <8 iterations from i on>
        <6 iterations from 16 on>
    """
    assert isinstance(axis.start, int)
    assert isinstance(axis.stop, int)
    count = extent(axis)
    main, rest = axis.start + count // step * step, count % step
    if share is not None and share.axis is axis:
        return _cover_share(axis, step, make, share, main)
    body: Body = ()
    if main - axis.start > step:
        body = (Loop(axis.variable, axis.start, main, step, make(axis.variable, step)),)
    elif main > axis.start:
        body = make(whole(axis.start), step)
    return body + (make(whole(main), rest) if rest else ())


def _cover_share(axis: Loop, step: int, make: Make, share: Share, main: int) -> Body:
    """The same for one share of the axis, which only the last one may end in a smaller step."""
    assert isinstance(axis.stop, int)
    end = plus(share.base, whole(share.grain))
    body: Body = ()
    if share.grain == step:
        body = make(share.base, step)
        if main < axis.stop:
            body = (If(Binary("lt", share.base, whole(main)), body),)
    else:
        stop = end if extent(axis) % share.grain == 0 else _least(end, main)
        body = (Loop(axis.variable, share.base, stop, step, make(axis.variable, step)),)
    if main < axis.stop:
        last = Binary("ge", end, whole(axis.stop))
        body += (If(last, make(whole(main), axis.stop - main)),)
    return body


def _least(end: Expression, limit: int) -> Expression:
    return Binary("minimum", end, whole(limit))


def emit(plan: Plan, names: Names, parallel: bool = False) -> Body:
    """Returns the statements of a plan; with `parallel` its loops may be shared among threads."""
    share = _choose_share(plan, names) if parallel else None
    collectors = _collectors(plan) if plan.vector is not None else {}
    if plan.copies:
        rows, columns = map(extent, plan.turned)
        tiles = (copy_across(*copy, (rows, columns), names) for copy in plan.copies)
        body = tuple(statement for one in tiles for statement in one)
    elif plan.vector is not None:
        body = _emit_tiles(plan, names, share, collectors)
    else:
        body = _emit_inner(plan, names)
    for axis in reversed(plan.around):
        body = _wrap(axis, body, share)
    return _collected(body, collectors) if share is None else share.around(body)


def _wrap(axis: Loop, body: Body, share: Share | None) -> Body:
    """Puts a loop around statements, or its present share."""
    start, stop = axis.start, axis.stop
    if share is not None and share.axis is axis:
        if share.grain == 1:
            return body
        assert isinstance(stop, int)
        end = plus(share.base, whole(share.grain))
        start, stop = share.base, end if extent(axis) % share.grain == 0 else _least(end, stop)
    return (Loop(axis.variable, start, stop, axis.step, body, axis.kind),)


def _choose_share(plan: Plan, names: Names) -> Share | None:
    """The outermost axis that gives threads enough to do, and how much of it is one share."""
    best: tuple[int, Loop, int] | None = None
    axes = [*plan.around, *plan.within, *(part for part in (plan.row, plan.vector) if part)]
    if plan.crossings and plan.vector is not None:
        axes.insert(0, plan.vector)  # a panel is made once for all rows
    else:
        axes = plan.around if plan.copies else plan.nest.axes
    for axis in axes:
        name = axis.variable.name
        if trips(axis) is None or axis.step != 1 or not plan.nest.facts.independent(name):
            continue
        step = _step_of(plan, axis)
        units = -(-extent(axis) // step)
        grain = shares(plan.cycles, units)
        if plan.crossings and axis is not plan.vector and not among(axis, plan.around):
            once = step * plan.nest.count // (extent(axis) * extent(plan.vector or axis))
            grain = max(grain, -(-PANEL_ROWS // max(once, 1)))
        pieces = -(-units // grain)
        if pieces > 1 and (best is None or pieces >= 2 * best[0]) and not (best and best[0] >= 8):
            best = (pieces, axis, grain * step)
    return Share(best[1], best[2], names) if best else None


def _step_of(plan: Plan, axis: Loop) -> int:
    if axis is plan.vector:
        return plan.columns * plan.lanes
    return plan.rows if axis is plan.row else 1


def _emit_inner(plan: Plan, names: Names) -> Body:
    result: list[Statement] = []
    for position, statement in enumerate(plan.nest.body):
        inner = plan.inner.get(position)
        result.extend((statement,) if inner is None else emit(inner, names))
    return tuple(result)


def _emit_tiles(plan: Plan, names: Names, share: Share | None, collectors: Collectors) -> Body:
    """The vector axis outside, the rows inside: what the rows share stays in the cache."""
    vector, row, lanes = plan.vector, plan.row, plan.lanes
    assert vector is not None

    fixed = frozenset(plan.nest.facts.written)

    def tile(body: Body, *sides: Side) -> Body:
        return Tile(sides, names, fixed, collectors).write(body)

    def columns(base: Expression, size: int) -> Body:
        limit = vector.stop if size % lanes else None
        side = Side(vector.variable.name, base, -(-size // lanes), lanes, limit)
        before, body, after = _panels(plan, base, size, names)
        if row is None:
            rows = tile(body, side)
        else:
            name = row.variable.name
            rows = cover(row, plan.rows, lambda at, n: tile(body, Side(name, at, n), side), share)
        for axis in reversed(plan.within):
            rows = _wrap(axis, rows, share)
        return before + rows + after

    if trips(vector) is None:
        side = Side(vector.variable.name, vector.variable, 1, lanes, vector.stop)
        return (
            Loop(vector.variable, vector.start, vector.stop, lanes, tile(plan.nest.body, side)),
        )
    return cover(vector, plan.columns * lanes, columns, share)


def _panels(plan: Plan, base: Expression, size: int, names: Names) -> tuple[Body, Body, Body]:
    """Returns what a strip of columns needs before and behind it, and the body that uses it."""
    vector, body = plan.vector, plan.nest.body
    if plan.chains > 1:
        body = interleave(body, plan.chains, names)
    assert vector is not None
    name, width = vector.variable.name, -(-size // plan.lanes) * plan.lanes
    if plan.nest.facts.scratches:
        body = widened(body, plan.nest.facts.scratches, name, width)
    before: Body = ()
    after: Body = ()
    for crossing in plan.crossings:
        panel = Panel(crossing, name, width, plan.lanes)
        before += panel.fill(base, size, names)
        body = panel.use(body)
        after += panel.spill(base, size, names)
    return before, body, after


def _collectors(plan: Plan) -> Collectors:
    """Gives each register that collects over the vector axis vectors to collect in."""
    facts, result = plan.nest.facts, {}
    for register in facts.outer_registers():
        operation = facts.combine(register)
        assert operation is not None
        shape = (plan.columns,) if plan.columns > 1 else ()
        vectors = Register(register.name + "_lanes", register.dtype, plan.lanes, shape)
        result[register] = (operation, vectors)
    return result


def _collected(body: Body, collectors: Collectors) -> Body:
    """Starts the vectors of collectors before a loop, and adds them up behind it."""
    before: list[Statement] = []
    after: list[Statement] = []
    for register, (operation, vectors) in collectors.items():
        before.append(Declare(vectors, identity(operation, register.dtype)))
        parts: list[Expression] = [Read(vectors)]
        if vectors.shape:
            parts = [Read(vectors, (whole(number),)) for number in range(vectors.shape[0])]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [Binary(operation, a, b) for a, b in pairs]
        total = Binary(operation, Read(register), Reduce(operation, parts[0]))
        after.append(Assign(register, (), total))
    return (*before, *body, *after)
