"""Loop nests: which loop becomes vectors, which one rows of a tile, and what that may cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from smelt.compiler.loops.dependence import UNKNOWN_TRIPS, Access, Body, analyse, trips
from smelt.compiler.loops.packing import (
    PANEL_BYTES,
    Crossing,
    find_crossing,
    find_landing,
    find_strip,
    may_copy,
)
from smelt.compiler.loops.tile_sizes import (
    UNROLLED_WORK,
    chains,
    lanes_for,
    narrowed,
    tile_shape,
    unroll,
    vector_registers,
)
from smelt.ir.loops import Load, Loop, Statement, Store

REDUCE_PRICE = 12  # cycles of one sum over the lanes of a vector
SCATTER_PRICE = 4  # cycles of storing one element on its own
PANEL_PRICE = 10  # cycles of turning one vector of a panel
SHORT_ROW = 32  # elements up to which rows of their own are kept for each lane of a vector
SHORT_PRICE = 1.2  # so much must be gained by turning them, which is much code
SHORT_VECTORS = 2  # vectors of such rows at once: more is more code, and leaves the cache
STRIP_BYTES = 2048  # rows at least so far apart are moved together when they are read often:
STRIP_DEPTH = 256  # so many of them,
STRIP_ROWS = 128  # and for so many rows of the result


@dataclass(slots=True)
class Nest:
    """Loops with nothing between them, and the body of the innermost."""

    axes: list[Loop]
    body: tuple[Statement, ...]
    facts: Body

    @property
    def count(self) -> int:
        """How often the body runs."""
        count = 1
        for axis in self.axes:
            count *= extent(axis)
        return count


@dataclass(slots=True)
class Plan:
    """What becomes of a nest.

    With a `vector` axis, its iterations become lanes, `columns` vectors at once, and with a `row`
    axis `rows` iterations of that are interleaved; sums may go several ways at once (`chains`).
    Without a vector axis the loops stay, and `inner` tells what becomes of the loops in the body.
    """

    nest: Nest
    cycles: float
    vector: Loop | None = None
    row: Loop | None = None
    lanes: int = 1
    rows: int = 1
    columns: int = 1
    chains: int = 1
    short: bool = False  # each iteration of the vector axis works on short rows of its own
    inner: dict[int, Plan] = field(default_factory=dict)
    crossings: list[Crossing] = field(default_factory=list)  # arrays to be turned into panels
    copies: list[tuple[Crossing, Crossing]] = field(default_factory=list)  # nothing else is done
    turned: list[Loop] = field(default_factory=list)  # the two loops that copies run across

    def keep(self, crossing: Crossing) -> bool:
        """Notes an array to be turned; returns whether it is new."""
        new = not any(one.covers(crossing.buffer, crossing.index) for one in self.crossings)
        self.crossings.extend([crossing] if new else [])
        return new

    @property
    def within(self) -> list[Loop]:
        """The axes that run inside of a strip of columns, so that they share its panels."""
        inside = [self.vector, self.row]
        needed = {name for crossing in self.crossings for name in crossing.names}
        return [
            axis
            for axis in self.nest.axes
            if self.crossings and axis.variable.name not in needed and not among(axis, inside)
        ]

    @property
    def around(self) -> list[Loop]:
        """The axes that run outside of everything."""
        inside = [self.vector, self.row, *self.within, *self.turned]
        return [axis for axis in self.nest.axes if not among(axis, inside)]


def among(axis: Loop, others: Iterable[object]) -> bool:
    """Whether a loop is one of several, itself and not only its like."""
    return any(axis is other for other in others)


def extent(loop: Loop) -> int:
    """Returns how often a loop runs, or a guess when its bounds are computed."""
    count = trips(loop)
    return UNKNOWN_TRIPS if count is None else count


def find_nest(loop: Loop) -> Nest:
    """Returns the nest that a loop begins; loops with computed bounds only stand alone."""
    axes, body = [loop], loop.body
    while trips(axes[-1]) is not None and len(body) == 1:
        only = body[0]
        if not isinstance(only, Loop) or trips(only) is None or only.step != 1:
            break
        axes.append(only)
        body = only.body
    around = {axis.variable.name: extent(axis) for axis in axes}
    return Nest(axes, body, analyse(body, around))


def make_plan(loop: Loop, vector_bits: int) -> Plan:
    """Returns the cheapest plan for the nest that a loop begins."""
    nest = find_nest(loop)
    copies = _transposing_copies(nest)
    if copies is not None:
        return copies
    best = _descend(nest, vector_bits)
    if loop.step == 1 and loop.kind == "serial":
        for axis in reversed(nest.axes):
            plan = _vectorise(nest, axis, vector_bits)
            if plan is not None and plan.cycles < best.cycles:
                best = plan
    if best.vector is not None:
        _choose_tile(best, vector_bits)
    return best


def _descend(nest: Nest, vector_bits: int) -> Plan:
    """The loops stay as they are; loops inside get plans of their own."""
    inner: dict[int, Plan] = {}
    cycles = float(sum(access.trips == 1 for access in nest.facts.accesses) + len(nest.body))
    for position, statement in enumerate(nest.body):
        if isinstance(statement, Loop):
            inner[position] = make_plan(statement, vector_bits)
            cycles += inner[position].cycles
    if not inner:
        cycles = float(nest.facts.work + len(nest.facts.accesses))
    return Plan(nest, cycles * nest.count, inner=inner)


def _vectorise(nest: Nest, axis: Loop, vector_bits: int) -> Plan | None:
    """The plan that makes vectors of one axis, or None where that is not allowed."""
    facts, name = nest.facts, axis.variable.name
    collecting = bool(facts.outer_registers())
    allowed = facts.reducible(name) if collecting else facts.independent(name)
    if not allowed or name in facts.steering or (collecting and facts.has_loops):
        return None
    if facts.scratches and (trips(axis) is None or not _is_short(facts)):
        return None
    lanes = narrowed(lanes_for(facts.wides, vector_bits), extent(axis))
    if lanes == 1:
        return None
    vectors = -(-extent(axis) // lanes)
    plan = Plan(nest, 0.0, vector=axis, lanes=lanes)
    if facts.has_loops and not _has_rows(facts, name):
        plan.row = _row_axis(nest, axis)
    plan.short = facts.has_loops and plan.row is None
    once = facts.work + sum(_price(access, plan) * access.trips for access in facts.accesses)
    plan.cycles = once * vectors * nest.count / extent(axis)
    plan.cycles += REDUCE_PRICE * len(facts.outer_registers())
    if plan.short and plan.crossings:
        plan.cycles *= SHORT_PRICE
    return plan


def _is_short(facts: Body) -> bool:
    """Whether local rows are so short that each lane may have its own."""
    return all(scratch.size <= SHORT_ROW for scratch in facts.scratches)


def _has_rows(facts: Body, name: str) -> bool:
    """Whether a body keeps rows of its own, or writes some across the loop around it."""
    across = (one for one in facts.accesses if one.stored and one.trips > 1)
    return bool(facts.scratches) or any(one.stride(name) not in (0, 1) for one in across)


def _price(access: Access, plan: Plan) -> float:
    """Cycles that one access to a vector's worth takes; the rows of a tile share what they can."""
    assert plan.vector is not None
    stride = access.stride(plan.vector.variable.name)
    if stride == 0:
        return 0.5
    rows = 1
    if plan.row is not None and access.stride(plan.row.variable.name) == 0:
        rows = extent(plan.row)
    price: float = 1 if stride == 1 else 2 if stride == -1 else plan.lanes
    if price > 2 and (rows > 1 or plan.short):
        crossing = _panel(access, plan)
        if crossing is not None:
            known = not plan.keep(crossing)
            return 1 if known and plan.short else 1 / min(rows, 8) + PANEL_PRICE / rows
    if stride == 1 and rows >= STRIP_ROWS and not plan.crossings:
        strip = _strip(access, plan)
        plan.crossings.extend([strip] if strip is not None else [])
    scattered = SCATTER_PRICE if access.stored and price > 2 else 1
    return price * scattered / min(rows, 8)


def _strip(access: Access, plan: Plan) -> Crossing | None:
    """Tells which axis of an access is deep, if its rows are many and so far apart that it pays."""
    assert plan.vector is not None
    crossing = find_strip(access, plan.vector.variable.name)
    if crossing is None or crossing.depth < STRIP_DEPTH:
        return None
    deep = access.sums[crossing.deep]
    far = access.buffer.shape[-1] * access.buffer.dtype.itemsize >= STRIP_BYTES
    used = deep is not None and bool(deep.terms)
    return _readable(crossing, access, 2 * plan.lanes, plan) if far and used else None


def _panel(access: Access, plan: Plan) -> Crossing | None:
    """Tells how an access crosses the vector axis, if a panel may be made of its array."""
    facts, vector = plan.nest.facts, plan.vector
    assert vector is not None
    if access.buffer in facts.written:
        landing = find_landing(access, vector, plan.lanes, facts, plan.nest.body)
        return landing if landing and plan.short and landing.depth <= SHORT_ROW else None
    crossing = find_crossing(access, vector.variable.name)
    if crossing is None or (plan.short and crossing.depth > SHORT_ROW):
        return None
    return _readable(crossing, access, plan.lanes, plan)


def _readable(crossing: Crossing, access: Access, width: int, plan: Plan) -> Crossing | None:
    """Returns a crossing if a panel of it, `width` columns at least, may be made beforehand."""
    facts, vector = plan.nest.facts, plan.vector
    assert vector is not None
    if access.buffer in facts.written or not may_copy(crossing, access, vector, width, facts):
        return None
    return crossing


def _transposing_copies(nest: Nest) -> Plan | None:
    """The plan for statements like `y[i, j] = x[j, i]`, with any loops around; None for others."""
    facts = nest.facts
    for statement in nest.body:
        if not isinstance(statement, Store) or not isinstance(statement.value, Load):
            return None
    if len(facts.accesses) != 2 * len(nest.body):
        return None
    axes = [axis for axis in nest.axes if axis.start == 0 and axis.step == 1]
    axes = [axis for axis in axes if extent(axis) > 1 and facts.independent(axis.variable.name)]
    for along in axes:
        for across in axes:
            copies = [] if along is across else _crossings(nest, along, across)
            if len(copies) == len(nest.body):
                plan = Plan(nest, 0.6 * nest.count * len(copies))
                plan.copies, plan.turned = copies, [along, across]
                return plan
    return None


def _crossings(nest: Nest, along: Loop, across: Loop) -> list[tuple[Crossing, Crossing]]:
    """Returns the loads and stores of copies that lie across each other in two loops."""
    result: list[tuple[Crossing, Crossing]] = []
    accesses = nest.facts.accesses
    for store, load in zip(accesses[::2], accesses[1::2], strict=True):
        read = find_crossing(load, along.variable.name, across.variable.name)
        write = find_crossing(store, across.variable.name, along.variable.name)
        if read is not None and write is not None and store.stored:
            result.append((read, write))
    return result


def _choose_tile(plan: Plan, vector_bits: int) -> None:
    """Fills in how many rows and columns of vectors are done at once."""
    facts, axis = plan.nest.facts, plan.vector
    assert axis is not None
    vectors = -(-extent(axis) // plan.lanes)
    if trips(axis) is None:
        return
    if not facts.has_loops:
        plan.columns = unroll(vectors, facts.work + len(facts.accesses))
        return
    row = plan.row
    accumulators = max(1, len(facts.declared))
    most = max(1, UNROLLED_WORK // max(2, facts.deepest_work) // 2)
    rows = extent(row) if row is not None else 1
    registers = vector_registers(vector_bits)
    for crossing in plan.crossings:
        line = crossing.depth * plan.lanes * crossing.buffer.dtype.itemsize
        vectors = min(vectors, PANEL_BYTES // line)
    if plan.short:
        vectors = min(vectors, SHORT_VECTORS)
    plan.rows, plan.columns = tile_shape(rows, vectors, registers, accumulators, most)
    plan.row = row if plan.rows > 1 or plan.crossings else None
    plan.chains = chains(plan.rows * plan.columns * accumulators)


def _row_axis(nest: Nest, vector: Loop) -> Loop | None:
    """The axis whose iterations share the most vectors, and so are best done together."""
    best, choice = 0, None
    for axis in nest.axes:
        name = axis.variable.name
        if axis is vector or name in nest.facts.steering or not nest.facts.independent(name):
            continue
        shared = 1
        for access in nest.facts.accesses:
            if access.stride(name) == 0 and access.stride(vector.variable.name) != 0:
                shared += access.trips
        if shared >= best:
            best, choice = shared, axis
    return choice
