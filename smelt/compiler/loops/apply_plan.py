"""Apply a plan: loops over whole tiles, then what is left over at the edges."""

from __future__ import annotations

from smelt.compiler.loops.plan import Plan, SerialPlan, TransposePlan, VectorPlan
from smelt.compiler.loops.rewrites.multiple_accumulators import multiple_accumulators
from smelt.compiler.loops.rewrites.pack import Panel, transposing_copy
from smelt.compiler.loops.rewrites.parallelize import (
    COPIED_LINES,
    Chunk,
    around,
    choose_chunk,
    strip_mine,
)
from smelt.compiler.loops.rewrites.privatize import privatize
from smelt.compiler.loops.rewrites.tile import Accumulators, Tile, TileAxis
from smelt.compiler.loops.substitute import Names, add_terms, combined, identity
from smelt.ir.loops import (
    Assign,
    Binary,
    Declare,
    Expression,
    Loop,
    Read,
    Reduce,
    Register,
    Statement,
    constant,
    index_variable,
    trip_count,
)
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Body


def apply_plan(plan: Plan, names: Names, parallel: bool = False) -> Body:
    """Returns the statements of a plan; with `parallel` its loops may be split among threads."""
    chunk = choose_chunk(plan, names) if parallel else None
    accumulators: Accumulators = {}
    match plan:
        case SerialPlan():
            body = _serial(plan, names)
        case TransposePlan():
            body = _copies(plan, names, chunk)
        case VectorPlan():
            accumulators = _vector_accumulators(plan)
            body = _tiles(plan, names, chunk, accumulators)
    for loop in reversed(plan.around):
        body = around(loop, body, chunk)
    return _accumulated(body, accumulators) if chunk is None else chunk.parallel(body)


def _serial(plan: SerialPlan, names: Names) -> Body:
    result: list[Statement] = []
    for position, statement in enumerate(plan.nest.body):
        inner = plan.inner.get(position)
        result.extend((statement,) if inner is None else apply_plan(inner, names))
    return tuple(result)


def _copies(plan: TransposePlan, names: Names, chunk: Chunk | None) -> Body:
    target, source = plan.loops

    def make(base: Expression, count: int) -> Body:
        extents = trip_count(target), count
        tiles = (transposing_copy(*copy, base, extents, names) for copy in plan.copies)
        return tuple([statement for tile in tiles for statement in tile])

    if chunk is None or chunk.loop is not source:
        return make(constant(0), trip_count(source))
    return strip_mine(source, COPIED_LINES, make, chunk)


def _tiles(plan: VectorPlan, names: Names, chunk: Chunk | None, accumulators: Accumulators) -> Body:
    """The vector loop outside, the rows inside: what the rows share stays in the cache."""
    vector, row, lanes = plan.vector, plan.row, plan.lanes
    stored = frozenset(plan.nest.info.written)

    def tile(body: Body, *axes: TileAxis) -> Body:
        return Tile(axes, names, stored, accumulators).write(body)

    def strip(body: Body, base: Expression, local: Expression, size: int) -> Body:
        # a tail of unknown size gets all vectors, of which some may be past the end
        is_free = is_symbolic(size)
        count = plan.columns if is_free else -(-size // lanes)
        limit = vector.stop if is_free or size % lanes else None
        column = TileAxis(vector.variable.name, add_terms(base, local), count, lanes, limit, local)
        if row is None:
            rows = tile(body, column)
        else:
            name = row.variable.name

            def make(base: Expression, count: int) -> Body:
                return tile(body, TileAxis(name, base, count), column)

            is_tail = count < plan.columns and not (chunk and chunk.loop is row)
            rows = strip_mine(row, plan.tail_rows if is_tail else plan.rows, make, chunk)
        for loop in reversed(plan.within):
            rows = around(loop, rows, chunk)
        return rows

    def panel(base: Expression, size: int) -> Body:
        width = plan.columns * lanes if is_symbolic(size) else -(-size // lanes) * lanes
        before, body, after = _packed(plan, base, size, width, names)
        if plan.strips == 1:
            return before + strip(body, base, constant(0), size) + after
        first = index_variable(names.unused("strip"))
        strips = Loop(first, 0, size, 1, ())
        made = strip_mine(
            strips, plan.columns * lanes, lambda local, size: strip(body, base, local, size)
        )
        return before + made + after

    step = plan.strips * plan.columns * lanes
    return strip_mine(vector, step, panel, chunk, rest_step=step)


def _packed(
    plan: VectorPlan, base: Expression, size: int, width: int, names: Names
) -> tuple[Body, Body, Body]:
    """Returns the statements that pack a panel, the body that uses it, and what writes it back."""
    body, name = plan.nest.body, plan.vector.variable.name
    if plan.accumulators > 1:
        body = multiple_accumulators(body, plan.accumulators, names)
    if plan.nest.info.scratches:
        body = privatize(body, plan.nest.info.scratches, name, width)
    before: Body = ()
    after: Body = ()
    for packing in plan.packings:
        panel = Panel(packing, name, width, plan.lanes)
        before += panel.pack(base, size, names)
        body = panel.rewrite_accesses(body)
        after += panel.write_back(base, size, names)
    return before, body, after


# --- sums over the vector loop --------------------------------------------------------------------


def _vector_accumulators(plan: VectorPlan) -> Accumulators:
    """Gives each register that accumulates over the vector loop vectors to accumulate in."""
    result: Accumulators = {}
    for register, operation in plan.nest.info.registers.reductions.items():
        assert operation is not None
        shape = (plan.columns,) if plan.columns > 1 else ()
        vectors = Register(register.name + "_lanes", register.dtype, plan.lanes, shape)
        result[register] = (operation, vectors)
    return result


def _accumulated(body: Body, accumulators: Accumulators) -> Body:
    """Initializes the vectors before a loop, and combines them after it."""
    before: list[Statement] = []
    after: list[Statement] = []
    for register, (operation, vectors) in accumulators.items():
        before.append(Declare(vectors, identity(operation, register.dtype)))
        indices = map(constant, range(*vectors.shape)) if vectors.shape else ()
        terms = [Read(vectors, (index,)) for index in indices] or [Read(vectors)]
        vector = combined(operation, terms)
        total = Binary(operation, Read(register), Reduce(operation, vector))
        after.append(Assign(register, (), total))
    return (*before, *body, *after)
